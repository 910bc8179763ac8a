"""UUIDv7 ids: ordered by time within a process, so that the daemon recognises new ones without a look-up.

48 bits of milliseconds, 12 bits that count on within a millisecond, 62 bits of chance. Within one process
ids only grow, also when the clock steps back. Safe to call from several threads: the counter is guarded.
"""

import os
import threading
import time

_VARIANT = 0b10 << 62
_VERSION = 7 << 76
_CHANCE = (1 << 62) - 1
_lock = threading.Lock()
_last = 0


def uuid7_bytes() -> bytes:
    """A new id: 16 bytes, greater than every id that this process made before."""
    global _last
    with _lock:
        _last = tick = max(time.time_ns() // 1_000_000 << 12, _last + 1)
    chance = int.from_bytes(os.urandom(8), "big") & _CHANCE
    return ((tick >> 12) << 80 | _VERSION | (tick & 0xFFF) << 64 | _VARIANT | chance).to_bytes(16, "big")


def uuid7() -> str:
    """A new id in the usual text form."""
    return shown(uuid7_bytes())


def shown(raw: bytes) -> str:
    """16 bytes as `8-4-4-4-12` hex; any other length as plain hex."""
    text = raw.hex()
    if len(raw) != 16:
        return text
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
