"""The only file that reads the clock, chance and the machine's identity. Everything else takes them as values."""

import os
import random
import time
from typing import Final

from kaged.machine.here import HERE

_ID_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # none that look alike; 32 of them


class System:
    """The real clock and chance. Tests pass another object of this shape."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        """Seconds that never go back; for durations only."""
        return time.monotonic()

    def jitter(self) -> float:
        """A number in [0, 1)."""
        return random.random()  # noqa: S311  spreads restarts, guards nothing

    def event_id(self) -> bytes:
        """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance."""
        chance = int.from_bytes(os.urandom(10), "big")
        milliseconds = time.time_ns() // 1_000_000
        value = milliseconds << 80 | 0x7 << 76 | (chance >> 68) << 64 | 0x2 << 62 | chance & (1 << 62) - 1
        return value.to_bytes(16, "big")

    def short_id(self) -> str:
        """Eight letters: 40 bits of chance, easy to type the first few of."""
        chance = int.from_bytes(os.urandom(5), "big")
        return "".join(_ID_LETTERS[chance >> shift & 31] for shift in range(0, 40, 5))

    def boot_id(self) -> str:
        """Names this boot of the machine; empty where there is no such name."""
        return HERE.boot_id()
