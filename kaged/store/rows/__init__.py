"""Ordered rows in families: RocksDB, its twin in memory, and the keys of everything."""
