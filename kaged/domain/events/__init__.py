"""Facts, a file per family. Frozen dataclasses; names are stored, so they never change."""
