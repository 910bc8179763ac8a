"""UUIDv7 ids: ordered by time within a process, so that the daemon recognises new ones without a look-up.

48 bits of milliseconds, 12 bits that count on within a millisecond, 62 bits of chance. Within one process
ids only grow, also when the clock steps back. Safe to call from several threads: the counter is guarded.
"""

import os
import threading
import time
from collections.abc import Iterator
from struct import Struct

_POOL = Struct(">64Q")
_PACK = Struct(">QQ").pack
_VARIANT = 0b10 << 62
_CHANCE = (1 << 62) - 1
_lock = threading.Lock()
_last = 0
_chances: Iterator[int] = iter(())


def uuid7_bytes() -> bytes:
    """A new id: 16 bytes, greater than every id that this process made before."""
    global _last, _chances
    with _lock:
        tick = time.time_ns() // 1_000_000 << 12
        if tick <= _last:
            tick = _last + 1
        _last = tick
        chance = next(_chances, None)
        if chance is None:
            _chances = iter(_POOL.unpack(os.urandom(_POOL.size)))
            chance = next(_chances)
    return _PACK((tick >> 12) << 16 | 0x7000 | tick & 0xFFF, _VARIANT | chance & _CHANCE)


def _forget() -> None:
    global _chances
    _chances = iter(())


os.register_at_fork(after_in_child=_forget)


def uuid7() -> str:
    """A new id in the usual text form."""
    return shown(uuid7_bytes())


def shown(raw: bytes) -> str:
    """16 bytes as `8-4-4-4-12` hex; any other length as plain hex."""
    text = raw.hex()
    if len(raw) != 16:
        return text
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
