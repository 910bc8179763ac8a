"""What is derived can be thrown away: `reindex` makes the same bytes again, also when it is cut off and repeated."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaged.api.v1 import event_pb2
from kaged.store.derived.rebuild import Row, reindex
from kaged.store.log.journal import Journal
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import DERIVED, FAMILIES, SEGMENT, Family, pack_seq, state_row
from kaged.store.rows.keyvalue import Batch, KeyValue, StoreCorrupt
from kaged.store.rows.rocks import RocksStore
from kaged.store.wire.entry import Entry
from tests.fakes.journals import START_US, Clock, OpenJournal, new_event
from tests.search import examples


def rows_of(store: KeyValue) -> dict[Family, list[tuple[bytes, bytes]]]:
    return {family: store.scan(family, b"", limit=1 << 20) for family in FAMILIES}


def derived_row(entry: Entry) -> tuple[Family, bytes, bytes]:
    return "states", state_row(b"a", entry.stream, entry.seq), entry.revision.to_bytes(8, "big")


class LastOfStream:
    """As the engine would: a row for each event of some streams, from state that it carries along."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def rows(self, entry: Entry, event: event_pb2.Event) -> Iterable[Row]:
        assert (event.seq, event.meta.stream) == (entry.seq, entry.stream)
        self.counts[entry.stream] = self.counts.get(entry.stream, 0) + 1
        family, key, _ = derived_row(entry)
        yield family, key, self.counts[entry.stream].to_bytes(8, "big")

    def resume(self, store: KeyValue, seq: int) -> None:
        assert seq > 1
        self.counts = {}
        for key, value in store.scan("states", b"", limit=1 << 20):
            stream = key[1:-9].decode()
            self.counts[stream] = max(self.counts.get(stream, 0), int.from_bytes(value, "big"))


def append(opened: OpenJournal, first: int, count: int, salt: int) -> None:
    raws = [
        new_event(
            number,
            stream=f"s/{number * salt % 7}",
            type_name=("a.x", "a.y", "b")[number * salt % 3],
            agent=("", "one", "two")[number % 3],
            tags=[("k", str(number * salt % 11)), ("k", str(number % 2))],
            time_us=START_US - number * salt % 40 * 100_000,
        )
        for number in range(first, first + count)
    ]
    entries = opened.admit(raws)

    async def accepted() -> None:
        done = opened.journal.accept(entries, 2)
        opened.journal.add_rows([derived_row(entry) for entry in entries])
        await done

    opened.run(accepted())


HISTORIES = st.lists(
    st.tuples(st.sampled_from([1, 3, 100, 500, SEGMENT - 1, SEGMENT, SEGMENT + 1]), st.integers(1, 9), st.booleans()),
    min_size=1,
    max_size=6,
)


@given(history=HISTORIES)
@settings(max_examples=examples(25), deadline=None)
def test_rebuilt_rows_are_the_live_ones_byte_for_byte(history: list[tuple[int, int, bool]]) -> None:
    opened, number = OpenJournal(MemoryStore()), 1
    for count, salt, reopen in history:
        append(opened, number, count, salt)
        number += count
        if reopen:
            opened.close()
            opened = OpenJournal(opened.store)
    opened.close()
    live = rows_of(opened.store)
    root = opened.journal.root()
    assert reindex(opened.store, [LastOfStream()]) == number - 1
    assert rows_of(opened.store) == live
    assert Journal(opened.store, clock_us=Clock()).root() == root


@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=8), others=st.lists(st.integers(1, 700), max_size=8))
@settings(max_examples=examples(15), deadline=None)
def test_how_events_were_batched_leaves_no_trace_but_in_the_open_segment(sizes: list[int], others: list[int]) -> None:
    total = sum(sizes)
    stores = []
    for batches in (sizes, [*others, total]):
        opened, number = OpenJournal(MemoryStore()), 1
        for wanted in batches:
            count = min(wanted, total + 1 - number)
            if count:
                append(opened, number, count, 3)
            number += count
        opened.close()
        stores.append(rows_of(opened.store))
    one, two = stores
    for family in FAMILIES:
        if family == "audit":  # the rows of single commits are gone when their segment is sealed
            assert [row for row in one["audit"] if row[0][:1] != b"L"] == [
                row for row in two["audit"] if row[0][:1] != b"L"
            ]
            leaves = [b"".join(value for key, value in rows["audit"] if key[:1] == b"L") for rows in stores]
            assert leaves[0] == leaves[1]
            assert len(leaves[0]) == total % SEGMENT * 32
        else:
            assert one[family] == two[family]


class _Dies(Exception):
    """The process is killed."""


class _Mortal(MemoryStore):
    lives = 1 << 30

    def write(self, batch: Batch) -> None:
        if self.lives == 0:
            raise _Dies
        self.lives -= 1
        super().write(batch)


@pytest.mark.parametrize("steps", range(6))
def test_a_rebuild_that_was_cut_off_is_noticed_and_continues(steps: int) -> None:
    store = _Mortal()
    opened = OpenJournal(store)
    append(opened, 1, 3 * SEGMENT + 10, 5)
    opened.close()
    live = rows_of(store)
    store.lives = steps
    with pytest.raises(_Dies):
        reindex(store, [LastOfStream()])
    store.lives = 1 << 30
    if steps:
        with pytest.raises(StoreCorrupt, match="cut off") as refused:
            Journal(store, clock_us=Clock())
        assert "reindex" in refused.value.hint
    seen: list[tuple[int, int]] = []
    reindex(store, [LastOfStream()], progress=lambda seq, head: seen.append((seq, head)))
    assert rows_of(store) == live
    assert len(seen) == 4 - max(0, steps - 1)


class OnePass:
    """A rebuilder that is good for a whole rebuild only."""

    def __init__(self) -> None:
        self._whole = LastOfStream()

    def rows(self, entry: Entry, event: event_pb2.Event) -> Iterable[Row]:
        return self._whole.rows(entry, event)


def test_a_rebuild_that_was_cut_off_begins_again_when_a_rebuilder_cannot_go_on() -> None:
    store = _Mortal()
    opened = OpenJournal(store)
    append(opened, 1, 3 * SEGMENT + 10, 5)
    opened.close()
    live = rows_of(store)
    store.lives = 3
    with pytest.raises(_Dies):
        reindex(store, [OnePass()])
    store.lives = 1 << 30
    seen: list[int] = []
    reindex(store, [OnePass()], progress=lambda seq, head: seen.append(seq))
    assert rows_of(store) == live
    assert seen[0] <= SEGMENT, "from the first event"
    assert len(seen) == 4


def test_rows_that_nothing_justifies_are_gone_after_a_rebuild_and_truth_is_untouched() -> None:
    opened = OpenJournal(MemoryStore())
    append(opened, 1, SEGMENT + 5, 1)
    opened.close()
    live = rows_of(opened.store)
    batch = opened.store.batch()
    for family in DERIVED:
        batch.put(family, b"\xfe" * 20, b"nonsense")
        batch.put(family, b"\0", b"nonsense")
    opened.store.write(batch)
    reindex(opened.store, [LastOfStream()])
    assert rows_of(opened.store) == live


def test_a_rebuild_stops_at_a_missing_or_damaged_event() -> None:
    for value in (None, b"garbage"):
        opened = OpenJournal(MemoryStore())
        append(opened, 1, 20, 1)
        opened.close()
        batch = opened.store.batch()
        if value is None:
            batch.delete("events", pack_seq(7))
        else:
            batch.put("events", pack_seq(7), value)
        opened.store.write(batch)
        with pytest.raises(StoreCorrupt, match="event 7"):
            reindex(opened.store)


def test_a_rebuilder_may_not_touch_truth() -> None:
    class Forger(LastOfStream):
        def rows(self, entry: Entry, event: event_pb2.Event) -> Iterable[Row]:
            yield "audit", b"S", b""

    opened = OpenJournal(MemoryStore())
    append(opened, 1, 1, 1)
    opened.close()
    with pytest.raises(ValueError, match="not derived"):
        reindex(opened.store, [Forger()])


def test_rebuilt_is_live_on_disk_after_a_kill_in_the_middle(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "open")
    opened = OpenJournal(store)
    append(opened, 1, 900, 2)
    append(opened, 901, 400, 3)
    shutil.copytree(tmp_path / "open", tmp_path / "killed")
    opened.close()
    store.close()
    survivor = RocksStore(tmp_path / "killed")
    opened = OpenJournal(survivor)
    append(opened, 1301, 1100, 4)
    opened.close()
    live = rows_of(survivor)
    reindex(survivor, [LastOfStream()])
    assert rows_of(survivor) == live
    survivor.close()
