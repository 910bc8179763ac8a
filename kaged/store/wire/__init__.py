"""Stored bytes, which are wire bytes: framing, the way in for callers, the daemon's own facts."""
