"""The small process that keeps an agent when the daemon dies. Standard library only."""
