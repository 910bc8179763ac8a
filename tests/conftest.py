"""For all tests: hypothesis has no time limit for one example, because the machines are shared and noisy."""

import os

from hypothesis import settings

if not os.environ.get("CI"):  # there hypothesis takes a profile of its own: the same examples each time, no limit
    settings.register_profile("kage", deadline=None)
    settings.load_profile("kage")
