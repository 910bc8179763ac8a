"""Events as wire bytes, written by hand: what an append costs is this and a future.

`frame_event` makes the bytes of a `NewEvent` (field 5 `meta`, field 6 `body`, exactly once each, as the
daemon demands), `frame_group` those of an `AppendGroup` field, `frame_request` those of an
`AppendStreamRequest`. All of it is pure but the id and the time, which come in as values. A test parses
every frame with protobuf and compares.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct

_FIXED64 = Struct("<Q").pack

MAX_EVENT_BYTES = 1024 * 1024


def varint(number: int) -> bytes:
    """A number in base 128, least significant first."""
    if number < 0x80:
        return _SMALL[number]
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_SMALL = tuple(bytes((number,)) for number in range(0x80))


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


@lru_cache(maxsize=4096)
def _subject(stream: str, kind: str) -> bytes:
    """Meta fields 2 and 3: the same few pairs come again and again."""
    return field(2, stream.encode()) + field(3, kind.encode())


@lru_cache(maxsize=256)
def _content_type(content_type: str, schema: str) -> bytes:
    parts = field(1, content_type.encode()) if content_type else b""
    return parts + (field(2, schema.encode()) if schema else b"")


def frame_event(
    *,
    id: bytes,
    occurred_us: int,
    stream: str,
    type: str,
    data: bytes,
    content_type: str = "application/json",
    schema: str = "",
    version: int = 0,
    agent: str = "",
    run: str = "",
    tags: Mapping[str, str] | None = None,
    correlation: str = "",
    causation: bytes = b"",
    traceparent: str = "",
    ignorable: bool = False,
) -> bytes:
    """A NewEvent with a custom payload. `id`: 16 bytes of a UUIDv7; `occurred_us`: microseconds since 1970."""
    meta = b"\x0a\x10" + id + _subject(stream, type) + b"\x21" + _FIXED64(occurred_us)
    if version or agent or run or tags or correlation or causation or traceparent or ignorable:
        meta += _rare(version, agent, run, tags or {}, correlation, causation, traceparent, ignorable)
    size = len(data)
    payload = _content_type(content_type, schema)
    if size:
        payload += b"\x1a" + varint(size) + data
    custom = b"\x0a" + varint(len(payload)) + payload
    return b"\x2a" + varint(len(meta)) + meta + b"\x32" + varint(len(custom)) + custom


def _rare(
    version: int,
    agent: str,
    run: str,
    tags: Mapping[str, str],
    correlation: str,
    causation: bytes,
    traceparent: str,
    ignorable: bool,
) -> bytes:
    parts = [b"\x28" + varint(version)] if version else []
    if agent:
        parts.append(field(6, agent.encode()))
    if run:
        parts.append(field(7, run.encode()))
    for key, value in tags.items():
        tag = field(1, key.encode()) + (field(2, value.encode()) if value else b"")
        parts.append(field(8, tag))
    if correlation:
        parts.append(field(9, correlation.encode()))
    if causation:
        parts.append(field(10, causation))
    if traceparent:
        parts.append(field(11, traceparent.encode()))
    if ignorable:
        parts.append(b"\x60\x01")
    return b"".join(parts)


def frame_group(events: Iterable[bytes], checks: Sequence[bytes] = ()) -> bytes:
    """Field `groups` of an AppendStreamRequest: framed events, then serialized checks."""
    body = b"".join([b"\x0a" + varint(len(event)) + event for event in events])
    if checks:
        body += b"".join([b"\x12" + varint(len(check)) + check for check in checks])
    return b"\x12" + varint(len(body)) + body


def frame_request(batch: int, groups: Iterable[bytes]) -> bytes:
    """An AppendStreamRequest of framed groups."""
    return b"\x08" + varint(batch) + b"".join(groups)
