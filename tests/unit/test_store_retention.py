"""Bodies that were taken out are gone from the files, and nothing that was proved of them changes."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaged.api.v1 import event_pb2, event_service_pb2
from kaged.domain.signals import SignalKind
from kaged.store.log.journal import Journal
from kaged.store.reading.reader import EventNotFound
from kaged.store.reading.selection import select
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import FAMILIES, SEGMENT, pack_seq
from kaged.store.rows.keyvalue import Batch, KeyValue
from kaged.store.rows.rocks import RocksStore
from kaged.store.upkeep.integrity import verify
from kaged.store.upkeep.retention import CURSOR, REQUESTED, RETENTION, drop_old_bulk, redact
from kaged.store.wire.door import engine_entry
from kaged.store.wire.record import payload
from tests.fakes.journals import START_US, Clock, OpenJournal, event_id, frames_of, new_event
from tests.search import examples

SECRET = b"hunter2-correct-horse"


@pytest.fixture(params=["rocks", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValue]:
    opened: KeyValue = RocksStore(tmp_path / "store") if request.param == "rocks" else MemoryStore()
    yield opened
    opened.close()


def event(framed: bytes) -> event_pb2.Event:
    return event_pb2.Event.FromString(payload(framed))


def other_rows(store: KeyValue) -> list[list[tuple[bytes, bytes]]]:
    return [store.scan(family, b"", limit=1 << 20) for family in FAMILIES if family != "events"]


def test_a_redacted_event_keeps_its_head_its_meta_and_every_proof(store: KeyValue) -> None:
    opened = OpenJournal(store)
    opened.append(*(new_event(number, stream=f"s/{number % 3}", data=SECRET) for number in range(1, SEGMENT + 20)))
    before, rows, root = frames_of(store), other_rows(store), opened.journal.root()
    taken = redact(store, opened.reader, [3, SEGMENT, SEGMENT + 7, 3], REQUESTED)
    assert taken.events == 3
    for seq, (old, new) in enumerate(zip(before, frames_of(store), strict=True), 1):
        if seq not in (3, SEGMENT, SEGMENT + 7):
            assert old == new
            continue
        old_event, new_event_ = event(old), event(new)
        assert new_event_.redaction.body_bytes == len(old_event.body.SerializeToString())
        assert new_event_.redaction.reason == REQUESTED
        assert not new_event_.HasField("body")
        new_event_.ClearField("redaction")
        old_event.ClearField("body")
        assert new_event_ == old_event
    assert other_rows(store) == rows
    assert verify(store).good
    assert verify(store).root == root
    opened.close()
    assert Journal(store, clock_us=Clock()).root() == root


def test_redacted_events_are_read_like_others(store: KeyValue) -> None:
    opened = OpenJournal(store)
    opened.append(*(new_event(number, data=SECRET) for number in range(1, 11)))
    redact(store, opened.reader, [4], REQUESTED)
    for head_only in (False, True):
        page = opened.reader.page(select("", now_us=START_US, head_only=head_only), 0, 99, 99)
        events = event_service_pb2.EventBatch.FromString(b"".join(page.frames)).events
        assert [one.seq for one in events] == list(range(1, 11))
        assert [one.seq for one in events if one.HasField("redaction")] == [4]
        assert [one.HasField("body") for one in events].count(True) == (0 if head_only else 9)
    assert event(opened.reader.find(event_id(4))).redaction.body_bytes > 0
    opened.append(new_event(11))
    assert verify(store).good
    opened.close()


def test_redacting_by_filter_takes_all_that_match_and_is_safe_to_repeat(store: KeyValue) -> None:
    opened = OpenJournal(store)
    opened.append(*(new_event(number, stream=f"s/{number % 2}", data=SECRET) for number in range(1, 701)))
    wanted = select('stream = "s/1"', now_us=START_US)
    assert redact(store, opened.reader, wanted, REQUESTED).events == 350
    once = frames_of(store)
    assert redact(store, opened.reader, wanted, REQUESTED).events == 0
    assert frames_of(store) == once
    assert all((SECRET in framed) == (event(framed).meta.stream == "s/0") for framed in once)
    opened.close()


def test_redacting_what_is_not_there_changes_nothing(store: KeyValue) -> None:
    opened = OpenJournal(store)
    opened.append(new_event(1, data=SECRET))
    with pytest.raises(EventNotFound):
        redact(store, opened.reader, [1, 2], REQUESTED)
    assert SECRET in frames_of(store)[0]
    opened.close()


def files_with(folder: Path, secret: bytes) -> list[str]:
    return [file.name for file in sorted(folder.iterdir()) if secret in file.read_bytes()]


@pytest.mark.parametrize("flushed", [False, True], ids=["from the log", "from tables"])
@pytest.mark.parametrize("size", [0, 40_000], ids=["inline", "in blob files"])
def test_the_bytes_of_a_redacted_body_are_in_no_file_any_more(tmp_path: Path, flushed: bool, size: int) -> None:
    # Compression would hide the secret from this search, not remove it: so the text is made incompressible around.
    noise = bytes(range(256))
    store = RocksStore(tmp_path / "store")
    opened = OpenJournal(store)
    for number in range(1, 41):
        secret = SECRET if number % 10 == 0 else b"harmless"
        opened.append(new_event(number, data=secret + noise + b"%d" % number * size))
        if flushed and number % 7 == 0:
            store.flush()
    if flushed:
        store.flush()
        store.compact("events", b"", b"\xff" * 9)
    decoy = SECRET[:12]
    assert files_with(tmp_path / "store", decoy), "the search does not work"
    before = {file.name for kind in ("*.log", "*.blob") for file in (tmp_path / "store").glob(kind)}
    assert redact(store, opened.reader, range(10, 41, 10), REQUESTED).events == 4
    assert files_with(tmp_path / "store", decoy) == []
    assert not before & {file.name for file in (tmp_path / "store").iterdir()}, "an old log or blob file is left"
    opened.append(new_event(41))
    assert verify(store).good
    opened.close()
    store.close()
    assert files_with(tmp_path / "store", decoy) == []
    again = RocksStore(tmp_path / "store")
    assert verify(again).good
    assert files_with(tmp_path / "store", decoy) == []
    again.close()


BULKY = select('type = "bulk.*"', now_us=START_US)


def bulk_history(store: KeyValue, count: int) -> OpenJournal:
    opened = OpenJournal(store)
    for first in range(1, count + 1, 100):
        opened.append(
            *(
                new_event(number, type_name="bulk.chunk" if number % 3 else "note.written", data=SECRET)
                for number in range(first, min(first + 100, count + 1))
            )
        )
        opened.clock.now_us += 1_000_000
    return opened


def test_old_bulk_loses_its_bodies_step_by_step_and_nothing_else_does(store: KeyValue) -> None:
    opened = bulk_history(store, 1500)
    root, before_us = opened.journal.root(), START_US + 12 * 1_000_000  # the first 1200 events
    steps = 0
    while drop_old_bulk(store, opened.reader, before_us=before_us, max_events=90, bulk=BULKY).more:
        steps += 1
        assert steps < 100
    assert steps > 5
    for seq, framed in enumerate(frames_of(store), 1):
        gone = seq <= 1200 and seq % 3 != 0
        assert event(framed).HasField("redaction") == gone
        assert (SECRET in framed) != gone
        if gone:
            assert event(framed).redaction.reason == RETENTION
    assert verify(store).root == root
    assert verify(store).good
    assert not drop_old_bulk(store, opened.reader, before_us=before_us, bulk=BULKY).more
    opened.close()


class _Dies(Exception):
    """The process is killed."""


class _Mortal(MemoryStore):
    lives = 1 << 30

    def write(self, batch: Batch) -> None:
        if self.lives == 0:
            raise _Dies
        self.lives -= 1
        super().write(batch)


@given(lives=st.lists(st.integers(0, 3), min_size=1, max_size=4), step=st.sampled_from([1, 7, 64, 1000]))
@settings(max_examples=examples(20), deadline=None)
def test_retention_that_is_killed_goes_on_where_it_was(lives: list[int], step: int) -> None:
    store = _Mortal()
    opened = bulk_history(store, 200)
    cursors = [b""]
    for count in [*lives, 1 << 30]:
        store.lives = count
        try:
            while drop_old_bulk(store, opened.reader, before_us=START_US + 10**9, max_events=step, bulk=BULKY).more:
                pass
        except _Dies:
            pass
        cursors.append(store.get("meta", CURSOR) or b"")
    assert all(one <= two for one, two in pairwise(cursors))
    assert cursors[-1] == pack_seq(200)
    assert [seq for seq, framed in enumerate(frames_of(store), 1) if SECRET in framed] == list(range(3, 201, 3))
    opened.close()


def test_only_what_agents_print_think_and_get_from_tools_is_dropped() -> None:
    opened = OpenJournal(MemoryStore())
    assert not drop_old_bulk(opened.store, opened.reader, before_us=START_US).more
    kinds = [f"signal.{kind}" for kind in get_args(SignalKind)] + ["output.chunk", "input.accepted", "note.written"]
    opened.append_entries(
        [
            engine_entry(
                event_pb2.Meta(id=event_id(number), stream="agents/a", type=kind, occurred_us=START_US),
                event_pb2.Body(note=SECRET.decode()),
            )
            for number, kind in enumerate(kinds, 1)
        ]
    )
    opened.clock.now_us += 10
    while drop_old_bulk(opened.store, opened.reader, before_us=START_US + 5, max_events=3).more:
        pass
    kept = {kind for kind, framed in zip(kinds, frames_of(opened.store), strict=True) if SECRET in framed}
    assert kept == {
        *("input.accepted", "note.written", "signal.error", "signal.message", "signal.plan", "signal.session.started"),
        *("signal.turn.ended", "signal.turn.started", "signal.usage", "signal.file.edited", "signal.rate_limit"),
        *("signal.session.lost", "signal.subagent"),
    }
    opened.close()
