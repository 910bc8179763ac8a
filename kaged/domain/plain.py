"""Frozen dataclasses as plain JSON values and back: how states are kept. Pure, deterministic.

Understands what the domain uses: nested dataclasses, tuples of one type, mappings from text, `| None`, `Literal`,
text, numbers, flags and bytes (base64). Fields at their default are left out, so that states stay small and a new
field with a default reads old rows. Unknown keys are ignored: an older release can read what a newer one wrote.

A field may be one of several dataclasses: each of them says under which word it is kept (`stored_as`, never changed),
and the word is kept with it.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]  # values come from JSON: nothing better is known of them
_WORD: Final = "is"  # key of the word that says which of several dataclasses this one is


def to_json(value: object) -> bytes:
    """Canonical bytes: the same value always gives the same."""
    return json.dumps(to_plain(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def from_json(kind: type[T], data: bytes) -> T:
    """What `to_json` wrote. Raises ValueError, KeyError or TypeError on anything else."""
    return cast("T", _reader(cast("Any", kind))(json.loads(data.decode("utf-8", "surrogatepass"))))


def to_plain(value: object) -> object:
    """A value as JSON would hold it."""
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 30 and 30.0 are the same setting and must give the same bytes
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        word = getattr(value, "stored_as", None)
        plain: dict[str, object] = {} if word is None else {_WORD: word}
        for name, default in _defaults(type(value)):
            item = getattr(value, name)
            if default is MISSING or item != default:
                plain[name] = to_plain(item)
        return plain
    raise TypeError(f"no plain form of {type(value).__name__}")


@cache
def _defaults(kind: type) -> tuple[tuple[str, object], ...]:
    return tuple((item.name, item.default) for item in fields(kind))


@cache
def _reader(kind: Any) -> Reader:
    origin = get_origin(kind)
    if origin is Literal:
        return _same
    if origin in (Union, UnionType):
        some = [item for item in get_args(kind) if item is not NoneType]
        inner = _reader(some[0]) if len(some) == 1 else _reader_of_one(some)
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item = _reader(get_args(kind)[0])
        return lambda value: tuple([item(part) for part in value])
    if origin is not None and issubclass(origin, Mapping):
        return dict
    if kind is bytes:
        return base64.b64decode
    if kind is float:
        return float
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass_reader(kind)
    return _same


def _reader_of_one(kinds: list[Any]) -> Reader:
    """Of several dataclasses. One that has no word is an error of ours: AttributeError, when it is first read."""
    readers = {kind.stored_as: _reader(kind) for kind in kinds}
    return lambda value: readers[value[_WORD]](value)


def _dataclass_reader(kind: type) -> Reader:
    hints = get_type_hints(kind)
    readers = {item.name: _reader(hints[item.name]) for item in fields(kind)}

    def read(value: Mapping[str, Any]) -> object:
        return kind(**{name: readers[name](part) for name, part in value.items() if name in readers})

    return read


def _same(value: Any) -> Any:
    return value
