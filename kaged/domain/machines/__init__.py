"""Decide and apply, a file per machine. Pure."""
