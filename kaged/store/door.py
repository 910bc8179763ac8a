"""From bytes to entries: what a caller proposes, and what is read back from the store.

`Door` is where callers' events come in.
`reread` takes a stored value, which passed the door once.
"""

from collections.abc import Callable, Iterable
from typing import Final

from google.protobuf.message import DecodeError

from kaged.api.v1 import event_pb2
from kaged.domain.errors import Denied, Invalid, TooMuch
from kaged.store.identities import check_id, latest_id_time
from kaged.store.record import (
    EMPTY_BODY,
    MAX_EVENT_BYTES,
    body_field,
    decode_head,
    field_content,
    field_end,
    frame,
    leaf_hash,
    leaf_hash_redacted,
    meta_field,
    new_event_parts,
    read_varint,
    split,
)
from kaged.store.segments import Entry, Shape

RESERVED_FAMILIES: Final = frozenset(
    (
        *("agent", "approval", "checkpoint", "daemon", "event", "goal", "guardrail", "input", "memory"),
        *("output", "run", "signal", "store", "supervisor", "turn"),
    )
)
RESERVED_STREAMS: Final = frozenset(("agents", "trees", "approvals", "daemon", "memory", "checkpoints", "store"))
_MAX_TAGS: Final = 32
_SHAPES: Final = 8192  # some 4 MiB at most; a caller with ever new tags only loses the short cut

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


class Door:
    """Turns what callers propose into entries. Checks everything that later code relies on, trusts nothing.

    Most events of a caller differ from each other only in id, time and body. What the rest of `meta` means is
    kept by its bytes, so that it is parsed and checked once: half of the cost of a bulk append.
    """

    def __init__(self, new_id: Callable[[], bytes]) -> None:
        self._new_id = new_id
        self._shapes: dict[bytes, Shape] = {}

    def admit(self, raws: Iterable[bytes], now_us: int) -> list[Entry]:
        """`NewEvent`s as entries without a position, in order. Raises Invalid, Denied, TooMuch."""
        limit = latest_id_time(now_us)
        shapes = self._shapes
        admitted = []
        for raw in raws:
            if len(raw) > MAX_EVENT_BYTES:
                raise EventTooLarge(len(raw))
            meta, body = new_event_parts(raw)
            if body is not EMPTY_BODY:
                _check_custom(body)
            content = meta[2:] if meta[1] < 0x80 else field_content(meta)
            at = _time_offset(content)
            shape = shapes.get(content[18:at] + content[at + 9 :]) if at else None
            if shape is None:
                admitted.append(self._parse(content, at, body, now_us))
                continue
            entry = Entry()
            entry.id = event_id = content[2:18]
            if event_id[6] >> 4 != 7 or event_id[8] >> 6 != 2 or event_id[:6] > limit:
                check_id(event_id, now_us)
            entry.meta = meta
            entry.body = body
            entry.occurred_us = int.from_bytes(content[at + 1 : at + 9], "little")
            entry.shape = shape
            admitted.append(entry)
        return admitted

    def _parse(self, content: bytes, at: int, body: bytes, now_us: int) -> Entry:
        try:
            parsed = event_pb2.Meta.FromString(content)
        except DecodeError:
            raise Invalid(("events.meta", "not a valid message (is every text UTF-8?)")) from None
        if parsed.HasField("fact") or parsed.HasField("request"):
            raise Invalid(("events.meta", "`fact` and `request` are the daemon's own"))
        known = (
            at
            and parsed.id == content[2:18]
            and parsed.occurred_us == int.from_bytes(content[at + 1 : at + 9], "little")
        )
        # Appended bytes merge into the message, and the fields are not there before.
        if not parsed.id:
            parsed.id = self._new_id()
            content += b"\n\x10" + parsed.id
        if not parsed.occurred_us:
            parsed.occurred_us = now_us
            content += b"\x21" + now_us.to_bytes(8, "little")
        check_id(parsed.id, now_us)
        entry = _entry(parsed, meta_field(content), body)
        _check_words(parsed)
        if known:
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            self._shapes[content[18:at] + content[at + 9 :]] = entry.shape
        return entry


def _time_offset(content: bytes) -> int:
    """Offset of `occurred_us` when `meta` begins with id, stream, type, time as all encoders write them; else 0."""
    try:
        if content[0] != 0x0A or content[1] != 16 or content[18] != 0x12 or content[19] > 0x7F:
            return 0
        at = 20 + content[19]
        if content[at] != 0x1A or content[at + 1] > 0x7F:
            return 0
        at += 2 + content[at + 1]
        return at if content[at] == 0x21 and len(content) >= at + 9 else 0
    except IndexError:
        return 0


def _check_custom(body: bytes) -> None:
    # Body field: tag, length, then `custom` alone: tag, length, to the last byte.
    at = 2 if body[1] < 0x80 else 3 if body[2] < 0x80 else read_varint(body, 1)[1]
    if at == len(body):
        return
    try:
        alone = field_end(body, at, _CUSTOM_TAG) == len(body)
    except ValueError:
        alone = False
    if not alone:
        raise Invalid(("events.body", "only `custom` is taken, once"), hint="the other kinds are the daemon's own")


def _check_words(parsed: event_pb2.Meta) -> None:
    _check_text("events.meta.stream", parsed.stream, 256)
    _check_text("events.meta.type", parsed.type, 128)
    if parsed.stream.partition("/")[0] in RESERVED_STREAMS:
        raise ReservedEventType("stream", parsed.stream)
    if parsed.type.partition(".")[0] in RESERVED_FAMILIES:
        raise ReservedEventType("type", parsed.type)
    if parsed.agent:
        _check_text("events.meta.agent", parsed.agent, 128)
    if parsed.tags:
        if len(parsed.tags) > _MAX_TAGS:
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
    entry.occurred_us = parsed.occurred_us
    tags = tuple([f"{tag.key}={tag.value}" for tag in parsed.tags]) if parsed.tags else ()
    entry.shape = Shape(
        parsed.stream, parsed.type, parsed.agent, parsed.run, tags, parsed.correlation, parsed.causation
    )
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
