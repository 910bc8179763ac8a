"""Messages as plain values for JSON and YAML, and the texts made of them.

The names are those of the proto. Enums become short lower-case words, times RFC 3339 in UTC, 64-bit numbers
stay numbers, ids of 16 bytes their usual text, other bytes text when they are UTF-8 and
`{"base64": "…"}` when not. Scalars are always there, so `jq .restarts` works on every agent; messages and
empty lists only when set, unless `sparse`, which leaves out all that is empty.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias, cast

import kaged.api  # noqa: F401  before protobuf: without this it loads what nobody uses, a tenth of `kagectl ps`

# isort: split
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kagectl.client.ids import shown

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"

# What JSON allows raw inside a string and a terminal would obey: C1 and the marks that turn text around.
_ESCAPED = {
    code: f"\\u{code:04x}"
    for code in (0x7F, *range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)
}
_ID_FIELDS = ("kaged.api.v1.Meta.id", "kaged.api.v1.Meta.causation")


def plain(message: Message, *, sparse: bool = False) -> dict[str, Plain]:
    """The message as a dictionary of plain values, in the order of the proto."""
    values: dict[str, Plain] = {}
    for found in message.DESCRIPTOR.fields:
        field = cast("FieldDescriptor", found)
        present = message.HasField(field.name) if field.has_presence else None
        value = getattr(message, field.name)
        if present is False:
            continue
        if field.is_repeated:
            if not value and (sparse or field.message_type is not None):
                continue
            values[field.name] = _several(field, value, sparse)
        elif present or not sparse or value:
            values[field.name] = _single(field, value, sparse)
    return values


def _several(field: FieldDescriptor, value: Iterable[object], sparse: bool) -> Plain:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry and isinstance(value, Mapping):
        inner = entry.fields_by_name["value"]
        return {str(key): _single(inner, each, sparse) for key, each in sorted(value.items())}
    return [_single(field, each, sparse) for each in value]


def _single(field: FieldDescriptor, value: object, sparse: bool) -> Plain:
    if isinstance(value, Timestamp):
        moment = datetime.fromtimestamp(value.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{moment}.{value.nanos // 1000:06d}Z"
    if isinstance(value, Message):
        return plain(value, sparse=sparse)
    if isinstance(value, bytes):
        return shown(value) if field.full_name in _ID_FIELDS and value else octets(value)
    if field.enum_type is not None and isinstance(value, int):
        return _enum(field, value)
    if isinstance(value, float) and not value < float("inf"):
        return str(value)
    assert isinstance(value, str | int | float | bool)
    return value


def _enum(field: FieldDescriptor, number: int) -> Plain:
    kind = field.enum_type
    assert kind is not None
    known = kind.values_by_number.get(number)
    if known is None:
        return number
    prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return str(known.name).removeprefix(prefix).lower()


def octets(value: bytes) -> Plain:
    """Bytes as text when they are UTF-8, else marked as base64."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def as_json(value: object, *, indent: int | None = 2) -> str:
    """JSON text; one line when `indent` is None."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, ensure_ascii=False, separators=separators)
    return text.translate(_ESCAPED)


def as_yaml(value: object) -> str:
    """YAML text without its last line end."""
    import yaml  # noqa: PLC0415 - 20 ms that only -o yaml pays

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)).rstrip("\n")
