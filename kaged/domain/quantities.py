"""What people write for amounts and names, turned into exact integers and checked text, or refused.

Every parser takes the caller's field path and raises `Invalid((path, what is wrong))` with an example of the
right form; none rounds: an amount that is not whole in its unit is refused. For durations, sizes and cpu,
`parse(format(x)) == x`. `None` is "no limit" and only the `_limit_` parsers give it.

Not here: points in time (`kaged.domain.filter.times`), defaults and upper bounds of single settings (their
owners know them). Values of environment entries are never put into a message: they may be secrets.
"""

import re
import signal
from collections.abc import Mapping

from kaged.domain.errors import Invalid

MAX_DURATION_US = 2**63 - 1
MAX_SIZE_BYTES = 2**63 - 1
MAX_CPU_MILLI = 4_096_000
MAX_NAME_CHARS = 63
MAX_LABELS = 64
MAX_LABEL_VALUE_CHARS = 256
MAX_ENV_ENTRY_BYTES = 131_071  # Linux: MAX_ARG_STRLEN (128 KiB) for "K=V" with its closing NUL

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
_DURATION_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zµμ]+)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)

_BINARY = ("ki", "mi", "gi", "ti", "pi", "ei")
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    **{form: 1024**power for power, unit in enumerate(_BINARY, 1) for form in (unit[0], unit, unit + "b")},
    **{unit[0] + "b": 1000**power for power, unit in enumerate(_BINARY, 1)},
}
_SIZE_FORMATS = sorted(
    [(1024**p, unit.capitalize() + "B") for p, unit in enumerate(_BINARY, 1)]
    + [(1000**p, ("k" if p == 1 else unit[0].upper()) + "B") for p, unit in enumerate(_BINARY, 1)],
    reverse=True,
)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE]\+?[0-9]{1,2})?)\s*([A-Za-z]*)", re.ASCII)

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_ENV_NAME = re.compile(r"[!-<>-~]+")  # printable ASCII without "=" and the space
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


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


def format_duration(duration_us: int | None) -> str:
    """The shortest form that reads back to the same microseconds: "1h30m", "0s", "infinity" for None."""
    if duration_us is None:
        return "infinity"
    if duration_us < 0:
        raise ValueError("a duration is never negative")
    parts, rest = [], duration_us
    for unit, unit_us in _DURATION_UNITS_US.items():
        if unit == "w":
            continue  # "3w" is read, but nobody wants to read "1w3d" back for ten days
        count, rest = divmod(rest, unit_us)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _exact(decimal: str, unit: int) -> int | None:
    """`decimal` times `unit` if that is whole, else None. Integers only: `fractions` costs 4 ms to import."""
    number, _, exponent = decimal.lower().partition("e")
    whole, _, fraction = number.partition(".")
    value, rest = divmod(int(whole + fraction) * unit * 10 ** int(exponent or "0"), 10 ** len(fraction))
    return None if rest else value


def _in_range_us(value: int | None, text: str, path: str) -> int:
    if value is None:
        raise _bad_duration(text, path, "finer than a microsecond; ")
    if value > MAX_DURATION_US:
        raise _bad_duration(text, path, 'too long (for no limit, where allowed: "infinity"); ')
    return value


def _bad_duration(text: str, path: str, why: str = "") -> Invalid:
    return Invalid((path, f"{shown(text)} is not a duration: {why}write 90, 250ms or 1h30m (units w d h m s ms us)"))


# --- sizes --------------------------------------------------------------------------------------------------


def parse_size_bytes(text: str, *, path: str) -> int:
    """Bytes of "64MiB" or "64M" (1024, as in systemd units), "10GB" (1000), "1e6" or "512"."""
    stripped = text.strip()
    size = _SIZE.fullmatch(stripped) if len(stripped) <= _MAX_TEXT_CHARS else None
    if size is None:
        raise _bad_size(text, path)
    unit = _SIZE_UNITS.get(size[2].lower())
    if unit is None:
        raise _bad_size(text, path, f"no unit {shown(size[2], 12)}; ")
    value = _exact(size[1], unit)
    if value is None:
        raise _bad_size(text, path, "not a whole number of bytes; ")
    if value > MAX_SIZE_BYTES:
        raise _bad_size(text, path, 'too large (for no limit, where allowed: "infinity"); ')
    return value


def parse_size_limit_bytes(text: str, *, path: str) -> int | None:
    """As `parse_size_bytes`; "infinity" is None."""
    return None if text.strip().lower() in _NO_LIMIT else parse_size_bytes(text, path=path)


def format_size(size_bytes: int | None) -> str:
    """Exact, in the largest unit that divides it: "64MiB", "10GB", "1025B", "infinity" for None."""
    if size_bytes is None:
        return "infinity"
    if size_bytes < 0:
        raise ValueError("a size is never negative")
    for unit_bytes, unit in _SIZE_FORMATS:
        if size_bytes and size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return f"{size_bytes}B"


def _bad_size(text: str, path: str, why: str = "") -> Invalid:
    return Invalid((path, f"{shown(text)} is not a size: {why}write 64MiB, 10GB or 1048576"))


# --- cpu and signals ----------------------------------------------------------------------------------------


def parse_cpu_milli(text: str, *, path: str) -> int:
    """Thousandths of a core: "1.5" is 1500, and so are "150%" and "1500m". At least 1."""
    stripped = text.strip()
    number, per_unit = stripped, 1000
    if stripped.endswith("%"):
        number, per_unit = stripped[:-1].rstrip(), 10
    elif stripped.endswith("m"):
        number, per_unit = stripped[:-1], 1
    wanted = f"{shown(text)} is not an amount of cpu: write cores (1.5), percent of a core (150%) or 1500m"
    if len(number) > _MAX_TEXT_CHARS or not _NUMBER.fullmatch(number):
        raise Invalid((path, wanted))
    milli = _exact(number, per_unit)
    if milli is None or not 1 <= milli <= MAX_CPU_MILLI:
        raise Invalid((path, f"{wanted}; whole thousandths, from 0.001 to {MAX_CPU_MILLI // 1000} cores"))
    return milli


def format_cpu(cpu_milli: int) -> str:
    """Cores as a decimal: 1500 is "1.5"."""
    whole, milli = divmod(cpu_milli, 1000)
    return f"{whole}.{milli:03d}".rstrip("0").rstrip(".")


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


# --- names, labels, environment -----------------------------------------------------------------------------


def parse_name(text: str, *, path: str) -> str:
    """A name as in DNS: 1 to 63 of a-z, 0-9 and inner "-". Unchanged, or Invalid with a proposal."""
    if len(text) <= MAX_NAME_CHARS and _NAME.fullmatch(text):
        return text
    what = f"{shown(text)} is not a name: 1 to {MAX_NAME_CHARS} of a-z, 0-9 and inner '-'"
    proposal = re.sub(r"[^a-z0-9]+", "-", text[:256].lower()).strip("-")[:MAX_NAME_CHARS].strip("-")
    raise Invalid((path, what), hint=f"try {proposal!r}" if proposal else "")


def label_key_problem(key: str) -> str:
    """What is wrong with a label's key ("role", "example.com/role"), or ""."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _LABEL_PREFIX.fullmatch(prefix)):
        return f"key {shown(key)}: the part before '/' must be a lower case domain of at most 253 characters"
    if len(name) > 63 or not _LABEL_NAME.fullmatch(name):
        return f"key {shown(key)}: 1 to 63 of A-Z a-z 0-9 '_' '.' '-', with a letter or digit at both ends"
    return ""


def parse_labels(labels: Mapping[str, str], *, path: str) -> dict[str, str]:
    """The labels in the order of their keys. Raises one Invalid with everything that is wrong."""
    if len(labels) > MAX_LABELS:
        raise Invalid((path, f"{len(labels)} labels, at most {MAX_LABELS} are allowed"))
    problems = []
    for key, value in labels.items():
        if what := label_key_problem(key):
            problems.append((path, what))
        if len(value) > MAX_LABEL_VALUE_CHARS:
            problems.append((path, f"value of {shown(key)}: over {MAX_LABEL_VALUE_CHARS} characters"))
        elif _UNPRINTABLE.search(value):
            problems.append((path, f"value of {shown(key)}: control characters are not allowed"))
    if problems:
        raise Invalid(*problems)
    return dict(sorted(labels.items()))


def parse_env_entry(entry: str, *, path: str) -> tuple[str, str]:
    """(name, value) of "NAME=value". The message never shows the value, nor an entry without a name."""
    name, equals, value = entry.partition("=")
    if not equals:
        raise Invalid((path, "no '=' in it: write NAME=value"))
    if not _ENV_NAME.fullmatch(name):
        raise Invalid((path, "the name before '=' must be printable ASCII without spaces, and not empty"))
    if "\0" in value:
        raise Invalid((path, f"the value of {shown(name)} holds a NUL byte"))
    try:
        size_bytes = len(entry.encode())
    except UnicodeEncodeError:
        # `from None`: the codec's error carries the text that it could not encode.
        raise Invalid((path, f"the value of {shown(name)} is not valid Unicode")) from None
    if size_bytes > MAX_ENV_ENTRY_BYTES:
        raise Invalid((path, f"{shown(name)} takes {size_bytes} bytes, at most {MAX_ENV_ENTRY_BYTES}"))
    return name, value
