"""Pure: answers of the daemon to text. No clock, no terminal, no socket; times come in as values."""
