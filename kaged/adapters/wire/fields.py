"""Reading the fields of an object that an agent printed. Pure.

An odd value is bent into shape where that loses nothing that matters, and is never an error: a missing text is
empty, a number where a text should be is its spelling, a negative count is 0. Only `parsed` raises (ValueError,
or RecursionError for thousands of nested brackets), and what it raises means "this is not one of our lines".
"""

import json
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from math import isfinite
from typing import Final, TypeAlias

from kaged.adapters.wire.clipping import Json, clip_json, clip_text, clip_word

MAX_KEY_BYTES: Final = 256
MAX_COUNT: Final = 2**53 - 1  # the largest whole number that every JSON reader keeps
MAX_TIMEOUT_S: Final = 366 * 86_400.0

Line: TypeAlias = Mapping[str, Json]


def parsed(raw: bytes) -> Line:
    """The object that a line is. Not a number is no JSON, and neither is what overflows to infinity."""
    raw = raw.strip(_BLANKS)
    if not raw.startswith(b"{"):
        raise ValueError("not an object")  # said before parsing: most garbage is a plain log
    text = raw.decode()
    value, end = _raw_decode(text)
    if end != len(text):
        raise ValueError("more than an object")
    return value


def _finite(spelling: str) -> float:
    value = float(spelling)
    if not isfinite(value):
        raise ValueError("not a finite number")
    return value


_BLANKS: Final = b" \t\r\n"  # of JSON
_raw_decode: Final[Callable[[str], tuple[Line, int]]] = json.JSONDecoder(
    parse_float=_finite, parse_constant=_finite
).raw_decode


def as_text(value: Json) -> str:
    """A text as it is, nothing as nothing, anything else as compact JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else clip_json(value)


def text(line: Line, name: str) -> str:
    """A text of at most 64 KiB."""
    return clip_text(as_text(line.get(name)))


def word(line: Line, name: str) -> str:
    """One line of at most 256 bytes."""
    return clip_word(as_text(line.get(name)))


def data(line: Line, name: str) -> str:
    """Any value as JSON of at most 256 KiB; empty if it is missing or null."""
    value = line.get(name)
    return "" if value is None else clip_json(value)


def items(line: Line, name: str) -> list[Json]:
    """A list; empty if it is none."""
    value = line.get(name)
    return value if isinstance(value, list) else []


def count(line: Line, name: str, most: int = MAX_COUNT) -> int:
    """A whole number from 0 to `most`."""
    value = _number(line, name)
    return max(0, min(int(value), most))


def microusd(line: Line, name: str) -> int:
    """US dollars as millionths. Through the decimal spelling, so that 0.1 is exactly a tenth; halves go to even."""
    value = _number(line, name)
    if not 0 < value < 1e9:
        return 0
    return int((Decimal(repr(value)) * 1_000_000).to_integral_value(ROUND_HALF_EVEN))


def seconds(line: Line, name: str) -> float:
    """A time of at most a year; 0 means "no end"."""
    return float(max(0, min(_number(line, name), MAX_TIMEOUT_S)))


def moment_us(line: Line, name: str) -> int:
    """A time told in seconds since 1970 UTC, in microseconds; 0 means "not told"."""
    return int(max(0, min(_number(line, name), 2**40)) * 1_000_000)


def key(line: Line, name: str) -> str:
    """A text of 1 to 256 bytes that can be given back exactly as it came, or nothing: it is never cut or bent."""
    value = line.get(name)
    if not isinstance(value, str) or len(value) > MAX_KEY_BYTES:
        return ""
    try:
        return value if len(value.encode()) <= MAX_KEY_BYTES else ""
    except UnicodeEncodeError:  # a lone surrogate could not be stored
        return ""


def _number(line: Line, name: str) -> int | float:
    value = line.get(name)
    return 0 if isinstance(value, bool) or not isinstance(value, (int, float)) else value
