"""For all tests: hypothesis has no time limit for one example, because the machines are shared and noisy."""

import os
import signal
import threading

import pytest
from hypothesis import settings

from tests.search import TIMES, examples

if not os.environ.get("CI"):  # there hypothesis takes a profile of its own: the same examples each time, no limit
    settings.register_profile("kage", deadline=None, max_examples=examples(100))
    settings.load_profile("kage")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # Run in the background of a shell: all that we start would ignore ^C as we do.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A longer search takes the time that it takes."""
    if TIMES > 1:
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)
