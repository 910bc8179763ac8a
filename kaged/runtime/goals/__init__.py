"""Agents with a loop: their turns judged, their limits kept, held and let go on."""
