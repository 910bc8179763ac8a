"""Small values as people read them: spans of time, sizes, states, commands. Pure."""

import shlex
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.timestamp_pb2 import Timestamp

from kagectl.render.paint import safe

_SIZES = ("B", "K", "M", "G", "T", "P")


def span(seconds: float) -> str:
    """`0s`, `42s`, `3m12s`, `2h5m`, `4d3h`, `57d`: at most two units."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return _two(whole // 60, "m", whole % 60, "s")
    if whole < 86_400:
        return _two(whole // 3600, "h", whole % 3600 // 60, "m")
    days = whole // 86_400
    return f"{days}d" if days >= 10 else _two(days, "d", whole % 86_400 // 3600, "h")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def micros(value_us: float) -> str:
    """`87us`, `1.2ms`, `3.4s`."""
    if value_us < 1000:
        return f"{value_us:.0f}us"
    if value_us < 1_000_000:
        return f"{value_us / 1000:.1f}ms"
    return f"{value_us / 1_000_000:.1f}s"


def size(count_bytes: float) -> str:
    """`0B`, `812B`, `4.0K`, `1.2M`, `310M`: powers of 1024."""
    value = float(count_bytes)
    for unit in _SIZES:
        if value < 1000 or unit == _SIZES[-1]:
            return f"{value:.0f}{unit}" if unit == "B" or value >= 100 else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError


def seconds_of(stamp: Timestamp) -> float:
    """Seconds since 1970 UTC."""
    return float(stamp.seconds + stamp.nanos / 1e9)


def ago(stamp: Timestamp, now_s: float) -> str:
    """How long ago; `-` when the time was never set."""
    return span(now_s - seconds_of(stamp)) if stamp.seconds else "-"


def moment(stamp: Timestamp, zone: tzinfo | None = None) -> str:
    """A time of the clock on the wall: `2026-01-31 10:00:00`; `-` when never set. Zone None: the machine's."""
    return clock(round(seconds_of(stamp) * 1e6), zone) if stamp.seconds else "-"


def clock(micros_since_1970: int, zone: tzinfo | None = None, *, parts: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time of the clock on the wall, in `zone` (None: the machine's)."""
    return datetime.fromtimestamp(micros_since_1970 / 1e6, UTC).astimezone(zone).strftime(parts)


def word(enum: EnumTypeWrapper, value: int, prefix: str) -> str:
    """An enum value as a short lower-case word; one this release does not know as its number."""
    try:
        return str(enum.Name(value)).removeprefix(prefix).lower()
    except ValueError:
        return str(value)


def command(words: Iterable[str]) -> str:
    """A command line that a shell would read the same way, on one line."""
    return safe(shlex.join(words))


def shortened(ids: Iterable[str], *, least: int = 8) -> dict[str, str]:
    """Each id with its shortest prefix that no other of them has, `least` characters or more."""
    short: dict[str, str] = {}
    ordered = sorted(set(ids))
    for index, whole in enumerate(ordered):
        length = least
        for neighbour in ordered[max(index - 1, 0) : index] + ordered[index + 1 : index + 2]:
            while length < len(whole) and neighbour[:length] == whole[:length]:
                length += 1
        short[whole] = whole[:length].rstrip("-") if len(whole) > length else whole
    return short
