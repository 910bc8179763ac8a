"""One event as bytes: framing, the door, the leaf hash. Pure.

    framed = 0x0A, varint(length), head(32), meta field, body field [, redaction field]

A framed event is one member of `repeated Event events = 1`, so a batch on the wire is the stored values
joined. The head is fields 1 to 4 of `Event`, all of fixed size; `meta` (field 5) and `body` (field 6) are the
caller's own bytes. The split between them needs no table: it follows from the lengths.
See docs/decisions/0001-record-format.md.
"""

from collections.abc import Iterator
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple

from kaged.domain.errors import Invalid

# tag, value pairs of seq (1, fixed64), recorded_us (2, fixed64), revision (3, fixed64), actor (4, fixed32)
_HEAD: Final = Struct("<BQBQBQBI")
HEAD_BYTES: Final = _HEAD.size
pack_head: Final = _HEAD.pack  # for the one loop where a call more would be felt; elsewhere `encode_head`
_META_TAG: Final = 0x2A
_BODY_TAG: Final = 0x32
_REDACTION_TAG: Final = 0x3A
EMPTY_BODY: Final = b"2\x00"
MAX_EVENT_BYTES: Final = 1 << 20


class Record(NamedTuple):
    """The parts of one stored event; `meta` and `body` include their tag and length."""

    head: bytes
    meta: bytes
    body: bytes
    redaction: bytes


class Head(NamedTuple):
    """What the daemon wrote in front."""

    seq: int
    recorded_us: int
    revision: int
    actor: int


def varint(value: int) -> bytes:
    """Protobuf's base-128 encoding of a number that is not negative."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Value at an offset, and the offset after it. Raises ValueError when it is cut or too long."""
    value = shift = 0
    while shift < 64:
        if at >= len(data):
            raise ValueError("cut varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("varint too long")


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """Length at an offset, and the offset after it. Raises ValueError.

    At most five bytes, as the strictest parser (C++) has it: what one client may write, all must be able to read.
    """
    size, end = read_varint(data, at)
    if end - at > 5:
        raise ValueError("length too long")
    return size, end


def encode_head(seq: int, recorded_us: int, revision: int, actor: int) -> bytes:
    """The 32 bytes that only the daemon writes."""
    return _HEAD.pack(0x09, seq, 0x11, recorded_us, 0x19, revision, 0x25, actor)


def decode_head(head: bytes) -> Head:
    """Read a head back."""
    tags_values = _HEAD.unpack(head)
    return Head(*tags_values[1::2])


SHORT_TAGS: Final = tuple(b"\n" + varint(size) for size in range(1 << 11))  # most events; more would delay each start


def frame(head: bytes, meta: bytes, body: bytes, redaction: bytes = b"") -> bytes:
    """One stored value."""
    size = HEAD_BYTES + len(meta) + len(body) + len(redaction)
    tag = SHORT_TAGS[size] if size < len(SHORT_TAGS) else b"\n" + varint(size)
    return b"".join((tag, head, meta, body, redaction))


def payload(framed: bytes) -> bytes:
    """The `Event` message without its framing."""
    _, start = read_varint(framed, 1)
    return framed[start:]


def split(framed: bytes) -> Record:
    """Take a stored value apart. Raises ValueError when it is not one."""
    if not framed or framed[0] != 0x0A:
        raise ValueError("not a framed event")
    size, start = read_varint(framed, 1)
    if start + size != len(framed):
        raise ValueError("framed length does not fit")
    meta_at = start + HEAD_BYTES
    body_at = field_end(framed, meta_at, _META_TAG)
    if body_at < len(framed) and framed[body_at] == _BODY_TAG:
        rest_at = field_end(framed, body_at, _BODY_TAG)
    else:
        rest_at = body_at
    return Record(framed[start:meta_at], framed[meta_at:body_at], framed[body_at:rest_at], framed[rest_at:])


def field_end(data: bytes, at: int, tag: int) -> int:
    """Offset after the length-delimited field with this tag at `at`. Raises ValueError when it is not there whole."""
    length = len(data)
    if at + 1 >= length or data[at] != tag:
        raise ValueError(f"field {tag >> 3} is missing")
    size = data[at + 1]
    start = at + 2
    if size > 0x7F:  # two bytes are by far the most common then
        if at + 2 < length and data[at + 2] < 0x80:
            size, start = size & 0x7F | data[at + 2] << 7, at + 3
        else:
            size, start = read_size(data, at + 1)
    if start + size > length:
        raise ValueError(f"field {tag >> 3} is cut")
    return start + size


def leaf_hash(head: bytes, meta: bytes, body: bytes) -> bytes:
    """RFC 6962 leaf over two halves, so that a body can go while every proof stays."""
    return sha256(b"\0" + sha256(head + meta).digest() + sha256(body).digest()).digest()


def leaf_hash_redacted(head: bytes, meta: bytes, body_sha256: bytes) -> bytes:
    """The same leaf when only the hash of the body is left."""
    return sha256(b"\0" + sha256(head + meta).digest() + body_sha256).digest()


def new_event_parts(raw: bytes) -> tuple[bytes, bytes]:
    """The door: a `NewEvent` that is exactly field 5 then field 6, once each, to the last byte.

    protobuf lets a later copy of a field win, so anything else could overwrite what the daemon writes.
    Returns the meta field and the body field with their tags. Raises Invalid.
    """
    try:
        body_at = field_end(raw, 0, _META_TAG)
        if body_at == len(raw):
            return raw, EMPTY_BODY
        if field_end(raw, body_at, _BODY_TAG) != len(raw):
            raise ValueError("more than meta and body")
    except ValueError as error:
        raise Invalid(
            ("events", f"not exactly `meta` then `body`: {error}"),
            hint="fields 1 to 4 and 7 are the daemon's own",
        ) from None
    return raw[:body_at], raw[body_at:]


def field_content(field: bytes) -> bytes:
    """The bytes inside a length-delimited field."""
    _, start = read_varint(field, 1)
    return field[start:]


def meta_field(content: bytes) -> bytes:
    """Field 5 around serialized `Meta`."""
    return b"*" + varint(len(content)) + content


def body_field(content: bytes) -> bytes:
    """Field 6 around serialized `Body`."""
    return b"2" + varint(len(content)) + content


def redaction_field(content: bytes) -> bytes:
    """Field 7 around serialized `Redaction`."""
    return b":" + varint(len(content)) + content


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Top-level fields of a message as (number, bytes with tag): to cut a request or to judge it, never to read one.

    Raises ValueError on bytes that are no message, and on groups: no schema of ours has them, and parsers differ
    in how deep they follow them.
    """
    at = 0
    while at < len(data):
        start = at
        key, at = read_varint(data, at)
        wire = key & 7
        if wire == 2:
            size, at = read_size(data, at)
            at += size
        elif wire == 0:
            _, at = read_varint(data, at)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        else:
            raise ValueError(f"wire type {wire}")
        if at > len(data):
            raise ValueError("cut field")
        yield key >> 3, data[start:at]
