"""From bytes to entries: what a caller proposes, and what is read back from the store.

`Door` is where callers' events come in.
`reread` takes a stored value, which passed the door once.
"""

from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Final

from google.protobuf.message import DecodeError

from kaged.api.v1 import event_pb2
from kaged.domain.errors import Denied, Invalid, TooMuch
from kaged.store.wire.entry import Entry, Shape, check_id, latest_id_time
from kaged.store.wire.record import (
    EMPTY_BODY,
    MAX_EVENT_BYTES,
    body_field,
    decode_head,
    field_content,
    field_end,
    fields,
    frame,
    leaf_hash,
    leaf_hash_redacted,
    meta_field,
    new_event_parts,
    read_varint,
    split,
)

RESERVED_FAMILIES: Final = frozenset(
    (
        *("agent", "approval", "checkpoint", "daemon", "event", "goal", "guardrail", "input", "memory"),
        *("output", "run", "signal", "store", "supervisor", "turn"),
    )
)
RESERVED_STREAMS: Final = frozenset(("agents", "trees", "approvals", "daemon", "memory", "checkpoints", "store"))
_MAX_TAGS: Final = 32
_SHAPES: Final = 8192  # some 8 MiB at most; a caller with ever new tags only loses the short cut
_SHAPE_BYTES: Final = 512
_OPENINGS: Final = 4096
_OPENING_BYTES: Final = 128
_OPENING_OF_BYTES: Final = MAX_EVENT_BYTES // 2  # with the meta of any known shape still within the limit
_TIME: Final = Struct("<Q")

_CUSTOM_TAG: Final = 0x0A
# Wire types of the known fields. Some parsers (protobufjs) trust the number alone and would misread another type.
_META_WIRES: Final = {1: 2, 2: 2, 3: 2, 4: 1, 5: 0, 6: 2, 7: 2, 8: 2, 9: 2, 10: 2, 11: 2, 12: 0, 13: 2, 14: 2}
_TAG_WIRES: Final = {1: 2, 2: 2}
_CUSTOM_WIRES: Final = {1: 2, 2: 2, 3: 2}


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

    What is stored goes to every reader as it is, in batches: one event that some client's parser refuses would
    take its neighbours with it. So all of it is checked to be a message, also what nobody here looks at.

    Most events of a caller differ from each other only in id, time and body. What the rest of `meta` means is
    kept by its bytes, so that it is parsed and checked once: half of the cost of a bulk append.
    """

    def __init__(self, new_id: Callable[[], bytes]) -> None:
        self._new_id = new_id
        self._shapes: dict[bytes, Shape] = {}
        self._openings: dict[int, bytes] = {}  # by the length of the whole body field

    def admit(self, raws: Iterable[bytes], now_us: int) -> list[Entry]:
        """`NewEvent`s as entries without a position, in order. Raises Invalid, Denied, TooMuch."""
        latest = latest_id_time(now_us) + b"\xff" * 10
        shapes, openings = self._shapes, self._openings
        admitted = []
        for raw in raws:
            # The short cut. What is looked up is the whole meta but its id and its time, and the whole body but its
            # data and with its length; so whatever bytes are found were judged before, and nothing else is parsed.
            try:
                size = raw[1]
                start = 2
                if size > 0x7F:
                    size, start = size & 0x7F | raw[2] << 7, 3
                end = start + size
                at = start + 22 + raw[start + 19]
                at += raw[at - 1]
                shape = shapes.get(raw[: start + 2] + raw[start + 18 : at + 1] + raw[at + 9 : end])
                opening = openings.get(len(raw) - end)
            except IndexError:
                shape = opening = None
            if shape is None or opening is None or not raw.startswith(opening, end):
                admitted.append(self._judge(raw, now_us))
                continue
            occurred_us: int = _TIME.unpack_from(raw, at + 1)[0]
            if not occurred_us:
                admitted.append(self._judge(raw, now_us))
                continue
            entry = Entry()
            entry.id = event_id = raw[start + 2 : start + 18]
            if event_id[6] & 0xF0 != 0x70 or event_id[8] & 0xC0 != 0x80 or event_id > latest:
                check_id(event_id, now_us)
            entry.meta = raw[:end]
            entry.body = raw[end:]
            entry.occurred_us = occurred_us
            entry.shape = shape
            admitted.append(entry)
        return admitted

    def _judge(self, raw: bytes, now_us: int) -> Entry:
        if len(raw) > MAX_EVENT_BYTES:
            raise EventTooLarge(len(raw))
        meta, body = new_event_parts(raw)
        if body is not EMPTY_BODY:
            opening = _check_custom(body)
            if 0 < opening <= _OPENING_BYTES and len(body) <= _OPENING_OF_BYTES:
                if len(self._openings) >= _OPENINGS:
                    self._openings.clear()
                self._openings[len(body)] = body[:opening]
        content = meta[2:] if meta[1] < 0x80 else field_content(meta)
        return self._parse(meta, content, _time_offset(content), body, now_us)

    def _parse(self, meta: bytes, content: bytes, at: int, body: bytes, now_us: int) -> Entry:
        try:
            parsed = event_pb2.Meta.FromString(content)
        except DecodeError:
            raise Invalid(("events.meta", "not a valid message (is every text UTF-8?)")) from None
        if parsed.HasField("fact") or parsed.HasField("request"):
            raise Invalid(("events.meta", "`fact` and `request` are the daemon's own"))
        parsed.DiscardUnknownFields()
        once = parsed.SerializeToString() == content or _check_meta(content)
        # The short cut may take id and time from their places only when no later field says otherwise.
        start = len(meta) - len(content)
        known = (
            at
            and once
            and start <= 3
            and len(content) <= _SHAPE_BYTES
            and parsed.id == content[2:18]
            and 0 != parsed.occurred_us == int.from_bytes(content[at + 1 : at + 9], "little")
        )
        # Appended bytes merge into the message and win over what is there.
        if not parsed.id:
            parsed.id = self._new_id()
            meta = meta_field(content := content + b"\n\x10" + parsed.id)
        if not parsed.occurred_us:
            parsed.occurred_us = now_us
            meta = meta_field(content := content + b"\x21" + now_us.to_bytes(8, "little"))
        check_id(parsed.id, now_us)
        _check_words(parsed)
        entry = _entry(parsed, meta, body)
        if known:
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            self._shapes[meta[: start + 2] + content[18 : at + 1] + content[at + 9 :]] = entry.shape
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


def _check_meta(content: bytes) -> bool:
    """Judge a meta that is not as all encoders write it; whether id and time are there once. Raises Invalid."""
    numbers = []
    for number, field in _judged("events.meta", content, _META_WIRES):
        numbers.append(number)
        if number == 8:
            for _ in _judged("events.meta.tags", field_content(field), _TAG_WIRES):
                pass
    return numbers.count(1) == numbers.count(4) == 1


def _judged(path: str, content: bytes, wires: dict[int, int]) -> Iterator[tuple[int, bytes]]:
    try:
        for number, field in fields(content):
            if wires.get(number, field[0] & 7) != field[0] & 7:
                raise ValueError(f"field {number} has another type")
            yield number, field
    except ValueError as error:
        raise Invalid((path, f"not a message that every client can read: {error}")) from None


def _check_custom(body: bytes) -> int:
    """Judge a body; the offset of its data when it is as all encoders write it, else 0. Raises Invalid.

    A body of the same length with the same bytes before that offset is as good: no byte of the data counts.
    """
    # Body field: tag, length, then `custom` alone: tag, length, to the last byte; in it the fields in their order,
    # in ASCII. That is what nearly all bodies are; anything else is looked at with more care.
    end = len(body)
    at = 2 if body[1] < 0x80 else 3 if body[2] < 0x80 else read_varint(body, 1)[1]
    if at == end:
        return 0
    try:
        alone = field_end(body, at, _CUSTOM_TAG) == end
    except ValueError:
        alone = False
    if not alone:
        raise Invalid(("events.body", "only `custom` is taken, once"), hint="the other kinds are the daemon's own")
    start = at = at + 2 if body[at + 1] < 0x80 else at + 3 if body[at + 2] < 0x80 else read_varint(body, at + 1)[1]
    try:
        for tag in b"\x0a\x12":
            if at < end and body[at] == tag and (size := body[at + 1]) < 0x80:
                at += 2 + size
                if not body[at - size : at].isascii():
                    break
        else:
            if at == end:
                return end
            if field_end(body, at, 0x1A) == end:
                return read_varint(body, at + 1)[1]
    except (IndexError, ValueError):
        pass
    content = body[start:]
    try:
        event_pb2.CustomPayload.FromString(content)
    except DecodeError:
        raise Invalid(("events.body.custom", "not a valid message (is every text UTF-8?)")) from None
    for _ in _judged("events.body.custom", content, _CUSTOM_WIRES):
        pass
    return 0


def _check_words(parsed: event_pb2.Meta) -> None:
    _check_text("events.meta.stream", parsed.stream, 256)
    _check_text("events.meta.type", parsed.type, 128)
    if parsed.stream.partition("/")[0] in RESERVED_STREAMS:
        raise ReservedEventType("stream", parsed.stream)
    if parsed.type.partition(".")[0] in RESERVED_FAMILIES:
        raise ReservedEventType("type", parsed.type)
    if parsed.agent:
        _check_text("events.meta.agent", parsed.agent, 128)
    if parsed.run:
        _check_text("events.meta.run", parsed.run, 128)
    if parsed.correlation:
        _check_text("events.meta.correlation", parsed.correlation, 256)
    if parsed.traceparent:
        _check_text("events.meta.traceparent", parsed.traceparent, 128)
    if parsed.causation and len(parsed.causation) != 16:
        raise Invalid(("events.meta.causation", "not an event id of 16 bytes"))
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
