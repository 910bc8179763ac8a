"""From bytes to entries: what a caller proposes, and what is read back from the store.

`propose` is the door for callers' events: it checks everything that later code relies on and trusts nothing.
`reread` takes a stored value, which passed the door once.
"""

from typing import Final

from google.protobuf.message import DecodeError

from kaged.api.v1 import event_pb2
from kaged.domain.errors import Denied, Invalid, TooMuch
from kaged.store.identities import check_id
from kaged.store.record import (
    EMPTY_BODY,
    MAX_EVENT_BYTES,
    body_field,
    decode_head,
    field_content,
    frame,
    leaf_hash,
    leaf_hash_redacted,
    meta_field,
    new_event_parts,
    read_varint,
    split,
)
from kaged.store.segments import Entry

RESERVED_FAMILIES: Final = frozenset(
    [
        "agent",
        "approval",
        "checkpoint",
        "daemon",
        "event",
        "goal",
        "guardrail",
        "input",
        "memory",
        "output",
        "run",
        "signal",
        "store",
        "supervisor",
        "turn",
    ]
)
RESERVED_STREAMS: Final = frozenset(("agents", "trees", "approvals", "daemon", "memory", "checkpoints", "store"))
_MAX_TAGS: Final = 32
_CUSTOM_TAG: Final = 0x0A


class EventTooLarge(TooMuch):
    """One event is over the limit of bytes that are kept inline."""

    reason = "EVENT_TOO_LARGE"

    def __init__(self, size: int) -> None:
        super().__init__(
            f"an event of {size} bytes is over the limit of {MAX_EVENT_BYTES}",
            hint="store the large part elsewhere and append a reference",
            size=size,
            limit=MAX_EVENT_BYTES,
        )


class ReservedEventType(Denied):
    """Registered families and the daemon's streams are the engine's alone."""

    reason = "RESERVED_EVENT_TYPE"

    def __init__(self, what: str, name: str) -> None:
        super().__init__(
            f"{what} {name!r} is the daemon's own",
            hint="use a family of your own, such as `build.finished` in stream `builds/main`",
            name=name,
        )


def propose(raw: bytes, now_us: int, new_id: bytes) -> Entry:
    """A caller's `NewEvent` as an entry without a position. Raises Invalid, Denied, TooMuch."""
    if len(raw) > MAX_EVENT_BYTES:
        raise EventTooLarge(len(raw))
    meta, body = new_event_parts(raw)
    _check_custom(body)
    try:
        parsed = event_pb2.Meta.FromString(field_content(meta))
    except DecodeError:
        raise Invalid(("events.meta", "not a valid message (is every text UTF-8?)")) from None
    if parsed.HasField("fact") or parsed.HasField("request"):
        raise Invalid(("events.meta", "`fact` and `request` are the daemon's own"))
    if not parsed.id:
        # Appended bytes merge into the message; the field is not there before.
        meta = meta_field(field_content(meta) + b"\n\x10" + new_id)
    else:
        check_id(parsed.id, now_us)
    if not parsed.occurred_us:
        meta = meta_field(field_content(meta) + b"\x21" + now_us.to_bytes(8, "little"))
    entry = _entry(parsed, meta, body)
    entry.id = parsed.id or new_id
    entry.occurred_us = parsed.occurred_us or now_us
    _check_words(entry, parsed)
    return entry


def _check_custom(body: bytes) -> None:
    content = field_content(body)
    if not content:
        return
    try:
        size, start = read_varint(content, 1)
    except ValueError:
        size, start = -1, 0
    if content[0] != _CUSTOM_TAG or start + size != len(content):
        raise Invalid(("events.body", "only `custom` is taken, once"), hint="the other kinds are the daemon's own")


def _check_words(entry: Entry, parsed: event_pb2.Meta) -> None:
    _check_text("events.meta.stream", entry.stream, 256)
    _check_text("events.meta.type", entry.type, 128)
    if entry.stream.partition("/")[0] in RESERVED_STREAMS:
        raise ReservedEventType("stream", entry.stream)
    if entry.type.partition(".")[0] in RESERVED_FAMILIES:
        raise ReservedEventType("type", entry.type)
    if entry.agent:
        _check_text("events.meta.agent", entry.agent, 128)
    if entry.tags:
        if len(entry.tags) > _MAX_TAGS:
            raise Invalid(("events.meta.tags", f"more than {_MAX_TAGS} tags"))
        for tag in parsed.tags:
            _check_text("events.meta.tags.key", tag.key, 64)
            if "=" in tag.key:
                raise Invalid(("events.meta.tags.key", "holds `=`"))
            if tag.value:
                _check_text("events.meta.tags.value", tag.value, 256)


def _check_text(field: str, text: str, limit: int) -> None:
    if not text:
        raise Invalid((field, "is empty"))
    if not text.isprintable():
        raise Invalid((field, "holds a control character"))
    if len(text) > limit or (not text.isascii() and len(text.encode()) > limit):
        raise Invalid((field, f"is longer than {limit} bytes"))


def _entry(parsed: event_pb2.Meta, meta: bytes, body: bytes) -> Entry:
    entry = Entry()
    entry.meta = meta
    entry.body = body
    entry.id = parsed.id
    entry.stream = parsed.stream
    entry.type = parsed.type
    entry.agent = parsed.agent
    entry.run = parsed.run
    entry.tags = tuple([f"{tag.key}={tag.value}" for tag in parsed.tags]) if parsed.tags else ()
    entry.occurred_us = parsed.occurred_us
    entry.correlation = parsed.correlation
    entry.causation = parsed.causation
    return entry


def engine_entry(meta: event_pb2.Meta, body: event_pb2.Body | None) -> Entry:
    """An event of the daemon's own as an entry without a position."""
    serialized = meta.SerializeToString()
    content = body.SerializeToString() if body is not None else b""
    return _entry(meta, meta_field(serialized), body_field(content) if content else EMPTY_BODY)


def reread(framed: bytes) -> Entry:
    """A stored value as an entry with its position, without its bytes and its leaf hash."""
    head, meta, _, _ = split(framed)
    entry = _entry(event_pb2.Meta.FromString(field_content(meta)), b"", b"")
    entry.seq, entry.recorded_us, entry.revision, entry.actor = decode_head(head)
    return entry


def leaf_of(framed: bytes) -> bytes:
    """Leaf hash of a stored value, redacted or not."""
    head, meta, body, redaction = split(framed)
    if redaction:
        gone = event_pb2.Redaction.FromString(field_content(redaction))
        return leaf_hash_redacted(head, meta, gone.body_sha256)
    return leaf_hash(head, meta, body)


def without_body(framed: bytes) -> bytes:
    """A stored value as readers get it that asked for heads only."""
    head, meta, _, redaction = split(framed)
    return frame(head, meta, b"", redaction)
