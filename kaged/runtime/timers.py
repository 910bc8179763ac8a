"""Deadlines by wall clock: back-offs and expiries. Rebuilt from state at start; nothing here is stored.

A timer is a hint: what it calls checks the state and the time itself, so an early, late or repeated call does no
harm. Long waits are cut, so that a jump of the clock is noticed within a minute.
"""

import asyncio
from collections.abc import Callable
from typing import Final

_LOOK_AGAIN_S: Final = 60.0


class Timers:
    """One timer for each key; arming again replaces it."""

    def __init__(self, now_us: Callable[[], int], due: Callable[[tuple[str, ...]], None]) -> None:
        self._now_us = now_us
        self._due = due
        self._handles: dict[tuple[str, ...], asyncio.TimerHandle] = {}

    def arm(self, key: tuple[str, ...], due_us: int) -> None:
        """Call `due(key)` once `due_us` has passed."""
        self.disarm(key)
        wait_s = max(0.0, (due_us - self._now_us()) / 1e6)
        loop = asyncio.get_running_loop()
        if wait_s > _LOOK_AGAIN_S:
            self._handles[key] = loop.call_later(_LOOK_AGAIN_S, self.arm, key, due_us)
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
        if self._now_us() < due_us:  # the loop's clock runs ahead of the wall clock
            self.arm(key, due_us)
        else:
            self._due(key)
