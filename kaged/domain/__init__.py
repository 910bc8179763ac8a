"""Pure: what can happen, and what must follow. No clock, no chance, no input or output."""
