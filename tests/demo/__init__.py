"""The demo: `make demo`, the main job on real input in a quarter of a minute. See `story.py`."""
