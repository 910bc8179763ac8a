"""Amounts as people write them: durations (`500ms`, `1m30s`), sizes (`64MiB`), shares, `K=V` pairs, times.

Pure. Every parser raises Complaint with an example of the right form. The forms are those of the daemon's
configuration; the daemon checks the bounds.
"""

import re
from datetime import UTC, datetime

from kagectl.errors import Complaint

_UNITS_S = {"w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000_001}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|[wdhms])", re.ASCII)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)(b?)", re.ASCII | re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def duration_s(text: str, *, what: str = "a duration") -> float:
    """Seconds. `90`, `1.5s`, `1m30s`, `2h`, `500ms`."""
    plain = text.strip().lower()
    try:
        number = float(plain)
    except ValueError:
        parts = _DURATION.findall(plain)
        if not parts or "".join(number + unit for number, unit in parts) != plain.replace(" ", ""):
            raise Complaint(f"{what} looks like 30s, 1m30s, 500ms or 2h, not {text!r}") from None
        return float(sum(float(number) * _UNITS_S[unit] for number, unit in parts))
    if not 0 <= number < float("inf"):
        raise Complaint(f"{what} cannot be {text!r}")
    return number


def size_bytes(text: str, *, what: str = "a size") -> int:
    """Bytes. `4096`, `64KiB`, `512M` (powers of 1024), `2GB` (powers of 1000)."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise Complaint(f"{what} looks like 64MiB, 512M, 2GB or 4096, not {text!r}")
    number, unit, binary, byte = found.groups()
    base = 1000 if byte and not binary and unit else 1024
    scale: int = base ** _POWERS[unit.lower()]
    return round(float(number) * scale)


def pair(text: str, *, what: str) -> tuple[str, str]:
    """`K=V` as (K, V)."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise Complaint(f"{what} looks like NAME=value, not {text!r}")
    return key, value


def span_s(text: str, *, what: str) -> tuple[float, float]:
    """`500ms..60s` as seconds (smallest, largest)."""
    low, separator, high = text.partition("..")
    if not separator:
        raise Complaint(f"{what} looks like 500ms..60s, not {text!r}")
    return duration_s(low, what=what), duration_s(high, what=what)


def instant_us(text: str, *, now_us: int) -> int:
    """Microseconds since 1970: an RFC 3339 time, a date, or how long ago (`10m`)."""
    plain = text.strip()
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        return now_us - round(duration_s(plain.removeprefix("-"), what="a time") * 1e6)
    if moment.tzinfo is None:
        moment = moment.astimezone()
    return int(moment.astimezone(UTC).timestamp() * 1e6)
