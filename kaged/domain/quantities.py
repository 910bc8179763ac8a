"""What people write for durations, signals and labels' keys, turned into exact integers or refused.

Every parser takes the caller's field path and raises `Invalid((path, what is wrong))` with an example of the
right form; none rounds: a duration that is not whole in microseconds is refused. `None` is "no limit" and only
`parse_duration_limit_us` gives it.

Not here: points in time (`kaged.domain.filter.times`), the bounds of single settings and of a spec
(`kaged.domain.spec`, `kaged.rpc.convert`), and what `kagectl` reads on the command line.
"""

import re
import signal

from kaged.domain.errors import Invalid
from kaged.domain.late_pattern import late_pattern

MAX_DURATION_US = 2**63 - 1

_MAX_TEXT_CHARS = 64  # nothing longer is an amount; also bounds the work of the regexes below
_NO_LIMIT = ("infinity", "infinite", "never", "unlimited", "none")

# Longest first, and each at most once, so that "30m1h" and "1m1m" are seen as the slips they are.
_DURATION_UNITS_US = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_DURATION_ALIASES = {"min": "m", "sec": "s", "µs": "us", "μs": "us"}
_DURATION_PART = late_pattern(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zµμ]+)", re.ASCII)
_NUMBER = late_pattern(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)

_LABEL_NAME = late_pattern(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_LABEL_PREFIX = late_pattern(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")


def shown(text: str, max_chars: int = 40) -> str:
    """`text` quoted for a message, cut so that a hostile value cannot flood a log."""
    return repr(text if len(text) <= max_chars else text[: max_chars - 1] + "…")


# --- durations ----------------------------------------------------------------------------------------------


def parse_duration_us(text: str, *, path: str) -> int:
    """Microseconds of "1h30m", "250ms", "1.5h" or plain seconds ("90"). Raises Invalid, also for "never"."""
    stripped = text.strip()
    if not stripped or len(stripped) > _MAX_TEXT_CHARS:
        raise _bad_duration(text, path)
    if _NUMBER.fullmatch(stripped):
        return _in_range_us(_exact(stripped, 1_000_000), text, path)
    units = list(_DURATION_UNITS_US)
    total_us, position = 0, 0
    while position < len(stripped):
        part = _DURATION_PART.match(stripped, position)
        if part is None:
            raise _bad_duration(text, path)
        unit = _DURATION_ALIASES.get(part[2], part[2])
        if unit not in _DURATION_UNITS_US:
            raise _bad_duration(text, path, f"no unit {shown(part[2], 12)}; ")
        if unit not in units:
            raise _bad_duration(text, path, "each unit once, from the longest to the shortest; ")
        del units[: units.index(unit) + 1]
        part_us = _exact(part[1], _DURATION_UNITS_US[unit])
        total_us += _in_range_us(part_us, text, path)
        position = part.end()
    return _in_range_us(total_us, text, path)


def parse_duration_limit_us(text: str, *, path: str) -> int | None:
    """As `parse_duration_us`; "infinity" or "never" is None."""
    return None if text.strip().lower() in _NO_LIMIT else parse_duration_us(text, path=path)


def _exact(decimal: str, unit: int) -> int | None:
    """`decimal` times `unit` if that is whole, else None. Integers only: `fractions` costs 4 ms to import."""
    whole, _, fraction = decimal.partition(".")
    value, rest = divmod(int(whole + fraction) * unit, 10 ** len(fraction))
    return None if rest else value


def _in_range_us(value: int | None, text: str, path: str) -> int:
    if value is None:
        raise _bad_duration(text, path, "finer than a microsecond; ")
    if value > MAX_DURATION_US:
        raise _bad_duration(text, path, 'too long (for no limit, where allowed: "infinity"); ')
    return value


def _bad_duration(text: str, path: str, why: str = "") -> Invalid:
    return Invalid((path, f"{shown(text)} is not a duration: {why}write 90, 250ms or 1h30m (units w d h m s ms us)"))


# --- signals ------------------------------------------------------------------------------------------------


def parse_signal(value: str | int, *, path: str) -> int:
    """The signal's number on this system, from "TERM", "SIGTERM", "15" or 15. 0 is not a signal."""
    if isinstance(value, str):
        name = value.strip().upper()
        if name.isascii() and name.isdigit() and len(name) <= 3:
            number = int(name)
        else:
            known = signal.Signals.__members__.get(name if name.startswith("SIG") else f"SIG{name}")
            number = known.value if known is not None else 0
    else:
        number = value
    if number not in signal.valid_signals():
        raise Invalid((path, f"no signal {shown(str(value))} on this system: write TERM, SIGTERM or 15"))
    return number


def format_signal(number: int) -> str:
    """ "SIGTERM" for 15; a nameless (real-time) signal is its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


# --- labels -------------------------------------------------------------------------------------------------


def label_key_problem(key: str) -> str:
    """What is wrong with a label's key ("role", "example.com/role"), or ""."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _LABEL_PREFIX.fullmatch(prefix)):
        return f"key {shown(key)}: the part before '/' must be a lower case domain of at most 253 characters"
    if len(name) > 63 or not _LABEL_NAME.fullmatch(name):
        return f"key {shown(key)}: 1 to 63 of A-Z a-z 0-9 '_' '.' '-', with a letter or digit at both ends"
    return ""
