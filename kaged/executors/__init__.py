"""The only place that starts processes: a way to run a child per file."""
