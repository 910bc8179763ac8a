"""Deadlines: back-offs and expiries. Rebuilt from state at start; nothing here is stored.

A deadline is a time on the wall, but the wait for it is measured by the loop's clock: a wall clock that jumps back
makes no wait longer, one that jumps ahead is noticed within a minute. A timer is a hint: what it calls checks the
state, so a repeated call does no harm; it is told when the deadline was, as the wall clock may not say so yet.
"""

import asyncio
from collections.abc import Callable
from typing import Final

_LOOK_AGAIN_S: Final = 60.0


class Timers:
    """One timer for each key; arming again replaces it."""

    def __init__(self, now_us: Callable[[], int], due: Callable[[tuple[str, ...], int], None]) -> None:
        self._now_us = now_us
        self._due = due
        self._handles: dict[tuple[str, ...], asyncio.TimerHandle] = {}

    def arm(self, key: tuple[str, ...], due_us: int) -> None:
        """Call `due(key, due_us)` once `due_us` has passed."""
        wait_s = max(0.0, (due_us - self._now_us()) / 1e6)
        self._wait(key, due_us, asyncio.get_running_loop().time() + wait_s)

    def _wait(self, key: tuple[str, ...], due_us: int, until_s: float) -> None:
        self.disarm(key)
        loop = asyncio.get_running_loop()
        wait_s = max(0.0, min(until_s - loop.time(), (due_us - self._now_us()) / 1e6))
        if wait_s > _LOOK_AGAIN_S:
            self._handles[key] = loop.call_later(_LOOK_AGAIN_S, self._wait, key, due_us, until_s)
        else:
            self._handles[key] = loop.call_later(wait_s, self._fire, key, due_us)

    def disarm(self, key: tuple[str, ...]) -> None:
        """Forget a timer."""
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def close(self) -> None:
        """Forget all."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _fire(self, key: tuple[str, ...], due_us: int) -> None:
        self._handles.pop(key, None)
        self._due(key, due_us)
