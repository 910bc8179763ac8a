"""Supervision trees at work: the pure machine joined with agents."""
