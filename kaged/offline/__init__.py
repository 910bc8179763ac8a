"""Verbs of kaged that open the store themselves: `fsck` (reads only, also beside a daemon) and `reindex`."""
