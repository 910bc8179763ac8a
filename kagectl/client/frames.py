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
    if number < len(_SMALL):
        return _SMALL[number]
    return _varint(number)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_SMALL = tuple(map(_varint, range(2048)))


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
    event_id: bytes,
    occurred_us: int,
    stream: str,
    event_type: str,
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
    """A NewEvent with a custom payload. `event_id`: 16 bytes of a UUIDv7; `occurred_us`: microseconds since 1970."""
    meta = b"\x0a\x10" + event_id + _subject(stream, event_type) + b"\x21" + _FIXED64(occurred_us)
    if version or agent or run or tags or correlation or causation or traceparent or ignorable:
        meta += _rare(version, agent, run, tags or {}, correlation, causation, traceparent, ignorable)
    payload = _content_type(content_type, schema) + b"\x1a" + varint(len(data)) + data
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
    if tags:
        parts.append(_tags(tuple(tags.items())))
    if correlation:
        parts.append(field(9, correlation.encode()))
    if causation:
        parts.append(field(10, causation))
    if traceparent:
        parts.append(field(11, traceparent.encode()))
    if ignorable:
        parts.append(b"\x60\x01")
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _tags(pairs: tuple[tuple[str, str], ...]) -> bytes:
    tags = [field(1, key.encode()) + (field(2, value.encode()) if value else b"") for key, value in pairs]
    return b"".join([field(8, tag) for tag in tags])


@lru_cache(maxsize=1024)
def _lead(
    stream: str, event_type: str, content_type: str, tags: tuple[tuple[str, str], ...]
) -> tuple[bytes, bytes, bytes, bytes]:
    """What comes before the id, after it, after the time, before the data: the same for every event of a kind."""
    subject, rest = _subject(stream, event_type) + b"\x21", _tags(tags)
    size = varint(18 + len(subject) + 8 + len(rest))
    return b"\x2a" + size + b"\x0a\x10", subject, rest + b"\x32", _content_type(content_type, "") + b"\x1a"


def frame_alone(
    event_id: bytes,
    occurred_us: int,
    stream: str,
    event_type: str,
    content_type: str,
    data: bytes,
    tags: Mapping[str, str] | None = None,
) -> bytes:
    """Field `groups` with one plain event in it: `frame_group([frame_event(...)])`, three times as fast."""
    before, subject, rest, kind = _lead(stream, event_type, content_type, tuple(tags.items()) if tags else ())
    data_size = varint(len(data))
    payload = len(kind) + len(data_size) + len(data)
    payload_size = varint(payload)
    body = 1 + len(payload_size) + payload
    body_size = varint(body)
    event = len(before) + 16 + len(subject) + 8 + len(rest) + len(body_size) + body
    event_size = varint(event)
    return b"".join(
        (
            b"\x12",
            varint(1 + len(event_size) + event),
            b"\x0a",
            event_size,
            before,
            event_id,
            subject,
            _FIXED64(occurred_us),
            rest,
            body_size,
            b"\x0a",
            payload_size,
            kind,
            data_size,
            data,
        )
    )


def frame_group(events: Iterable[bytes], checks: Sequence[bytes] = ()) -> bytes:
    """Field `groups` of an AppendStreamRequest: framed events, then serialized checks."""
    body = b"".join([b"\x0a" + varint(len(event)) + event for event in events])
    if checks:
        body += b"".join([b"\x12" + varint(len(check)) + check for check in checks])
    return b"\x12" + varint(len(body)) + body


def frame_request(batch: int, groups: Iterable[bytes]) -> bytes:
    """An AppendStreamRequest of framed groups."""
    return b"\x08" + varint(batch) + b"".join(groups)
