"""The journal and everything derived from it. The only package that knows RocksDB and stored bytes."""
