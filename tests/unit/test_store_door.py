"""The door: what no caller can write, and that every stored byte can be read by every client."""

from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kaged.api.v1 import event_pb2, event_service_pb2
from kaged.domain.errors import Invalid, KageError
from kaged.store.wire import door as door_module
from kaged.store.wire.door import Door, EventTooLarge, ReservedEventType, reread
from kaged.store.wire.entry import Entry
from kaged.store.wire.record import (
    EMPTY_BODY,
    MAX_EVENT_BYTES,
    body_field,
    encode_head,
    fields,
    frame,
    meta_field,
    payload,
    split,
    varint,
)
from tests.fakes.journals import START_US, event_id, new_event
from tests.search import examples

GOOD = new_event(1)


def admit(raw: bytes) -> Entry:
    return Door(lambda: event_id(99)).admit([raw], START_US)[0]


def stored(entry: Entry, seq: int = 7, revision: int = 3) -> bytes:
    return frame(encode_head(seq, START_US, revision, 2), entry.meta, entry.body)


def field(number: int, wire: int, content: bytes) -> bytes:
    return varint(number << 3 | wire) + content


def text(number: int, content: bytes, *, padding: int = 0) -> bytes:
    """A length-delimited field, its length padded with empty varint bytes."""
    size = varint(len(content))
    if padding:
        size = size[:-1] + bytes((size[-1] | 0x80,)) + b"\x80" * (padding - 1) + b"\0"
    return field(number, 2, size + content)


def meta(*parts: bytes) -> bytes:
    return meta_field(b"".join(parts))


ID, STREAM, TYPE = text(1, event_id(1)), text(2, b"notes/a"), text(3, b"note.written")
TIME = field(4, 1, START_US.to_bytes(8, "little"))
PLAIN = (ID, STREAM, TYPE, TIME)

# --- the daemon's fields ---------------------------------------------------------------------------------------

_FOREIGN = st.one_of(
    st.builds(
        lambda number, value: field(number, 1, value), st.sampled_from([1, 2, 3]), st.binary(min_size=8, max_size=8)
    ),
    st.builds(lambda value: field(4, 5, value), st.binary(min_size=4, max_size=4)),
    st.builds(text, st.integers(1, 20), st.binary(max_size=40)),
    st.builds(lambda number, value: field(number, 0, varint(value)), st.integers(1, 20), st.integers(0, 2**64 - 1)),
    st.builds(lambda number: field(number, 3, b"") + field(number, 4, b""), st.integers(1, 20)),
    st.builds(lambda event: meta_field(event), st.binary(max_size=30)),
    st.builds(lambda event: body_field(event), st.binary(max_size=30)),
    st.binary(min_size=1, max_size=12),
)


@given(
    before=st.lists(_FOREIGN, max_size=2),
    between=st.lists(_FOREIGN, max_size=2),
    after=st.lists(_FOREIGN, max_size=3),
    inside=st.lists(_FOREIGN, max_size=3),
    body=st.one_of(
        st.just(GOOD[len(split(stored(admit(GOOD))).meta) :]), st.builds(body_field, st.binary(max_size=30))
    ),
)
@settings(max_examples=examples(200), deadline=None)
def test_no_bytes_of_a_caller_reach_the_fields_of_the_daemon(
    before: list[bytes], between: list[bytes], after: list[bytes], inside: list[bytes], body: bytes
) -> None:
    raw = b"".join([*before, meta(*PLAIN, *inside), *between, body, *after])
    try:
        entry = admit(raw)
    except KageError:
        return
    framed = stored(entry)
    # Alone and between neighbours: a poisoned event must not damage a batch.
    batch = event_service_pb2.EventBatch.FromString(framed + stored(admit(GOOD), 8, 4) + framed)
    event = event_pb2.Event.FromString(payload(framed))
    assert list(batch.events)[::2] == [event, event]
    assert (event.seq, event.recorded_us, event.revision, event.actor) == (7, START_US, 3, 2)
    assert not event.HasField("redaction")
    assert not event.meta.HasField("fact")
    assert not event.meta.HasField("request")
    assert event.body.WhichOneof("content") in (None, "custom")
    # What the journal remembers is what readers see.
    assert (event.meta.id, event.meta.occurred_us) == (entry.id, entry.occurred_us)
    assert (event.meta.stream, event.meta.type) == (entry.stream, entry.type)
    assert reread(framed).shape == entry.shape
    # And it is what the caller sent, byte for byte, but for an id and a time that were missing.
    assert split(framed).meta.startswith(raw[:1])
    assert split(framed)[1:3] == (entry.meta, entry.body)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x2a",
        b"\x2a\x05abc",
        GOOD[:-1],
        GOOD + b"\0",
        GOOD + field(1, 1, b"\1" * 8),
        GOOD + field(3, 1, b"\1" * 8),
        GOOD + field(4, 5, b"\1" * 4),
        GOOD + text(7, b""),
        GOOD + GOOD,
        GOOD + meta(*PLAIN),
        field(1, 1, b"\1" * 8) + GOOD,
        body_field(b"") + meta(*PLAIN),
        text(99, b"unknown") + GOOD,
        GOOD + text(99, b"unknown"),
        meta(*PLAIN)[:-1],
        b"\xaa\x00" + meta(*PLAIN)[1:],  # the tag of field 5 in two bytes
        text(5, b"".join(PLAIN), padding=6),
    ],
)
def test_anything_but_one_meta_and_one_body_is_refused_with_a_hint(raw: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        admit(raw)
    assert refused.value.hint


# --- what readers must be able to read -------------------------------------------------------------------------


def group(depth: int, number: int = 100) -> bytes:
    return field(number, 3, b"") * depth + field(number, 4, b"") * depth


@pytest.mark.parametrize(
    "raw",
    [
        meta(*PLAIN) + body_field(text(1, text(1, b"\xff\xfe"))),  # a media type that is not UTF-8
        meta(*PLAIN) + body_field(text(1, text(3, b"abc")[:-1])),  # data that ends too early
        meta(*PLAIN) + body_field(text(1, field(3, 0, b"\1"))),
        meta(*PLAIN) + body_field(text(1, group(1))),
        meta(*PLAIN) + body_field(text(1, text(3, b"x", padding=7))),
        meta(*PLAIN) + body_field(text(1, b"\x0a")),
        meta(*PLAIN) + body_field(text(1, text(1, b"a" * 127) + b"\x1a")),
        meta(*PLAIN) + body_field(text(1, b"") + text(1, b"")),
        meta(*PLAIN) + body_field(text(2, b"output of an agent")),
        meta(*PLAIN) + body_field(text(77, b"a kind of the future")),
        meta(*PLAIN, group(1)),
        meta(*PLAIN, group(100)),  # alone it parses, inside of a batch it is too deep
        meta(*PLAIN, text(8, text(1, b"k") + group(3))),
        meta(*PLAIN, text(2, b"notes/a", padding=7)),
        meta(*PLAIN, field(12, 2, b"\0")),
        meta(*PLAIN, field(2, 0, b"\1")),
        meta(ID, STREAM, text(3, b"a.\xff"), TIME),
        meta(*PLAIN, text(10, b"short")),  # a causation that is no id would break filters on it
        meta(*PLAIN, text(7, b"run\n")),
        meta(*PLAIN, text(9, b"x" * 257)),
        meta(*PLAIN, text(11, b"\x1b[2J")),
        meta(*PLAIN, text(13, b"")),
        meta(*PLAIN, text(14, b"")),
    ],
)
def test_an_event_that_some_reader_could_not_read_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        admit(raw)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        text(3, b"data only"),
        text(1, b"text/plain"),
        text(1, b"text/plain") + text(2, b"schema") + text(3, b"\xff" * 300),
        text(1, "text/plain; name=ä".encode()) + text(3, b"x"),
        text(3, b"x") + text(1, b"text/plain"),
        text(3, b"x") + text(3, b"y"),
        text(3, b"x") + text(50, b"unknown \xff") + field(51, 0, b"\1") + field(52, 1, b"8 bytes!"),
        text(1, b"a" * 130) + text(3, b"x" * 70_000),
        text(3, b"x", padding=3),
    ],
)
def test_any_readable_payload_is_stored_byte_for_byte(content: bytes) -> None:
    body = body_field(text(1, content))
    entry = admit(meta(*PLAIN) + body)
    assert entry.body == body
    assert event_service_pb2.EventBatch.FromString(stored(entry)).events[0].body.HasField("custom")


def test_unknown_fields_of_meta_survive_byte_for_byte() -> None:
    raw = meta(*PLAIN, text(8, text(1, b"k") + text(9, b"new")), text(99, b"\xff"), field(98, 5, b"4by!"))
    entry = admit(raw)
    assert entry.meta == raw
    assert entry.body is EMPTY_BODY


def test_a_missing_id_and_time_are_added_and_nothing_else_changes() -> None:
    raw = meta(STREAM, TYPE, text(99, b"unknown"))
    entry = admit(raw)
    assert entry.meta == meta(STREAM, TYPE, text(99, b"unknown"), text(1, event_id(99)), TIME)
    assert (entry.id, entry.occurred_us) == (event_id(99), START_US)


@given(data=st.binary(max_size=60))
@settings(max_examples=examples(120), deadline=None)
def test_garbage_is_refused_or_readable_never_a_crash(data: bytes) -> None:
    for raw in (data, meta_field(data), meta(*PLAIN, data), meta(*PLAIN) + data, meta(*PLAIN) + body_field(data)):
        try:
            entry = admit(raw)
        except KageError:
            continue
        event_service_pb2.EventBatch.FromString(stored(entry))
        list(fields(stored(entry)))


# --- the short cut ---------------------------------------------------------------------------------------------

_TIMES = st.sampled_from([0, START_US, START_US + 1])
_PARTS = st.one_of(
    st.builds(lambda number: text(1, event_id(number)), st.integers(1, 3)),
    st.builds(lambda value: field(4, 1, value.to_bytes(8, "little")), _TIMES),
    st.builds(lambda name: text(2, name), st.sampled_from([b"notes/a", b"notes/b", b""])),
    st.builds(lambda name: text(3, name), st.sampled_from([b"note.written", b"x.y"])),
    st.builds(lambda value: text(8, text(1, b"k") + text(2, value)), st.sampled_from([b"1", b"2"])),
    st.builds(lambda name: text(6, name), st.sampled_from([b"one", b"two"])),
    st.sampled_from([text(1, b""), text(99, b"u"), field(12, 0, b"\1"), field(5, 0, b"\2"), text(10, event_id(3))]),
)
_METAS = st.one_of(
    st.builds(
        lambda number, stream, kind, time, rest: meta(
            text(1, event_id(number)), text(2, stream), text(3, kind), field(4, 1, time.to_bytes(8, "little")), *rest
        ),
        st.integers(1, 4),
        st.sampled_from([b"notes/a", b"notes/b"]),
        st.sampled_from([b"note.written", b"x.y"]),
        _TIMES,
        st.lists(_PARTS, max_size=3),
    ),
    st.builds(lambda parts: meta(*parts), st.permutations(list(PLAIN))),
    st.builds(lambda parts: meta(*parts), st.lists(_PARTS, min_size=1, max_size=6)),
)


def outcome(one: Callable[[], Entry]) -> object:
    try:
        entry = one()
    except KageError as error:
        return type(error), str(error)
    return entry.meta, entry.body, entry.id, entry.occurred_us, entry.shape


@given(metas=st.lists(_METAS, min_size=2, max_size=10), repeat=st.booleans())
@settings(max_examples=examples(200), deadline=None)
def test_the_short_cut_gives_what_parsing_gives(metas: list[bytes], repeat: bool) -> None:
    cached = Door(lambda: event_id(99))
    for raw in metas * 2 if repeat else metas:
        fresh = Door(lambda: event_id(99))
        assert outcome(lambda: cached.admit([raw], START_US)[0]) == outcome(lambda: fresh.admit([raw], START_US)[0])  # noqa: B023


@given(metas=st.lists(_METAS, min_size=1, max_size=8))
@settings(max_examples=examples(120), deadline=None)
def test_what_is_remembered_of_an_event_is_what_a_reader_reads(metas: list[bytes]) -> None:
    cached = Door(lambda: event_id(99))
    for raw in metas:
        try:
            (entry,) = cached.admit([raw], START_US)
        except KageError:
            assume(True)
            continue
        again = reread(stored(entry))
        assert (again.id, again.occurred_us, again.shape) == (entry.id, entry.occurred_us, entry.shape)


def test_the_short_cut_is_taken_and_keeps_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "_SHAPES", 10)
    one = Door(lambda: event_id(99))
    entries = one.admit([new_event(number, stream=f"s/{number % 3}") for number in range(1, 30)], START_US)
    assert len({id(entry.shape) for entry in entries}) == 3
    one.admit([new_event(number, stream=f"s/{number}") for number in range(1, 300)], START_US)
    assert len(one._shapes) <= 10
    one.admit([meta(*PLAIN, text(99, bytes(100_000)))], START_US)
    assert sum(map(len, one._shapes)) < 10_000


# --- names, sizes, ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(door_module.RESERVED_FAMILIES))
def test_families_of_the_daemon_are_denied(name: str) -> None:
    for type_name in (name, f"{name}.done"):
        with pytest.raises(ReservedEventType) as denied:
            admit(new_event(1, type_name=type_name))
        assert denied.value.hint
    assert admit(new_event(1, type_name=f"{name}s.done")).type == f"{name}s.done"


@pytest.mark.parametrize("name", sorted(door_module.RESERVED_STREAMS))
def test_streams_of_the_daemon_are_denied(name: str) -> None:
    for stream in (name, f"{name}/x"):
        with pytest.raises(ReservedEventType):
            admit(new_event(1, stream=stream))
    assert admit(new_event(1, stream=f"my-{name}/x")).stream == f"my-{name}/x"


@pytest.mark.parametrize(
    ("stream", "type_name", "agent", "tags"),
    [
        ("", "a.b", "", ()),
        ("a", "", "", ()),
        ("a" * 257, "a.b", "", ()),
        ("ä" * 129, "a.b", "", ()),
        ("a\0b", "a.b", "", ()),
        ("a", "a\n", "", ()),
        ("a", "a" * 129, "", ()),
        ("a", "a.b", "x" * 129, ()),
        ("a", "a.b", "x\t", ()),
        ("a", "a.b", "", [("", "v")]),
        ("a", "a.b", "", [("k=", "v")]),
        ("a", "a.b", "", [("k" * 65, "v")]),
        ("a", "a.b", "", [("k", "v" * 257)]),
        ("a", "a.b", "", [("k", "\x7f")]),
        ("a", "a.b", "", [(f"k{n}", "") for n in range(33)]),
    ],
)
def test_words_that_cannot_be_indexed_are_refused(
    stream: str, type_name: str, agent: str, tags: list[tuple[str, str]]
) -> None:
    with pytest.raises(Invalid, match=r"events\.meta"):
        admit(new_event(1, stream=stream, type_name=type_name, agent=agent, tags=tags))


def test_words_of_the_full_length_are_taken() -> None:
    tags = [(f"{n:064}", "ä" * 128) for n in range(32)]
    entry = admit(new_event(1, stream="ä" * 128, type_name="a" * 128, agent="b" * 128, tags=tags))
    assert len(entry.shape.tags) == 32


def test_an_event_of_one_mebibyte_is_taken_and_one_byte_more_is_not() -> None:
    empty = len(new_event(1, data=b"x" * 1_000_000)) - 1_000_000
    assert admit(new_event(1, data=b"x" * (MAX_EVENT_BYTES - empty))).type == "note.written"
    with pytest.raises(EventTooLarge) as refused:
        admit(new_event(1, data=b"x" * (MAX_EVENT_BYTES - empty + 1)))
    assert refused.value.facts["limit"] == str(MAX_EVENT_BYTES)


@pytest.mark.parametrize(
    "wrong",
    [
        b"short",
        bytes(16),
        event_id(1)[:6] + bytes(10),
        event_id(1, START_US + 6 * 60 * 1_000_000),
        event_id(1) + b"\0",
    ],
)
def test_only_uuid7_of_about_now_or_earlier_are_ids(wrong: bytes) -> None:
    cached = Door(lambda: event_id(99))
    cached.admit([GOOD], START_US)  # also on the short cut
    with pytest.raises(Invalid, match=r"events\.meta\.id"):
        cached.admit([meta(text(1, wrong), STREAM, TYPE, TIME)], START_US)
