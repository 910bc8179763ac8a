"""Runs as the daemon keeps them: start, output, orders, end, and what they cost."""
