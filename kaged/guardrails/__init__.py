"""Guardrails: what an agent may do of itself. Pure: no clock, no files, no processes."""
