"""kagectl: the command line client of kaged. It knows the daemon only through `kaged.api`."""
