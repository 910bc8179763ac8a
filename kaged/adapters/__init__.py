"""Pure: one agent kind per file, bytes to signals and back."""
