"""The journal's promises that a model does not reach: who waits, who is cancelled, what a failure does."""

import asyncio
from collections import deque
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kaged.domain.errors import Bug
from kaged.store.log import revisions
from kaged.store.log.journal import Journal, StoreReadOnly
from kaged.store.log.merkle import root_of
from kaged.store.log.opening import create_store
from kaged.store.log.segments import decode_postings, encode_postings
from kaged.store.log.writer import Commit
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import FAMILIES, SEGMENT, Family, root_row, segment_start
from kaged.store.rows.keyvalue import Batch, StoreCorrupt, StoreFailed, StoreTooNew
from kaged.store.wire.entry import Entry
from tests.fakes.journals import START_US, Clock, OpenJournal, door, event_id, new_event


def entries(*numbers: int, stream: str = "notes/a") -> list[Entry]:
    return door().admit([new_event(number, stream=stream) for number in numbers], START_US)


async def started(store: MemoryStore) -> Journal:
    create_store(store, "id")
    journal = Journal(store, clock_us=Clock())
    journal.start()
    return journal


async def test_a_cancelled_waiter_does_not_cancel_the_others_of_its_commit() -> None:
    journal = await started(MemoryStore())

    async def append(number: int) -> int:
        await journal.accept(entries(number), 2)
        return number

    impatient, patient = asyncio.create_task(append(1)), asyncio.create_task(append(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 2
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert journal.durable_seq == 2
    await journal.stop()


async def test_accepting_nothing_waits_for_what_was_accepted_before_and_not_for_what_comes() -> None:
    journal = await started(MemoryStore())
    await asyncio.wait_for(journal.accept([], 2), 5)
    waits = [journal.accept(entries(1), 2), journal.accept([], 2)]
    await asyncio.wait_for(waits[1], 5)
    assert journal.durable_seq == 1
    await journal.stop()


async def test_a_revision_is_right_after_more_streams_than_the_journal_remembers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revisions, "_STREAMS", 10)
    journal = await started(MemoryStore())
    await journal.accept(entries(1, 2, stream="kept"), 2)
    for number in range(100):  # questions about other streams must not push it out
        assert journal.revision(f"asked/{number}") == 0
    await journal.accept([entry for n in range(3, 60) for entry in entries(n, stream=f"other/{n}")], 2)
    last = entries(60, stream="kept")
    await journal.accept(last, 2)
    assert last[0].revision == 3
    await journal.stop()


async def test_revisions_stay_right_while_generations_of_heads_turn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "_STREAMS", 10)
    journal = await started(MemoryStore())
    expected: dict[str, int] = {}
    waits = []
    for number in range(1, 6000):
        stream = f"s/{number * 7 % (13 if number % 3 else 997)}"
        entry = entries(number, stream=stream)
        waits.append(journal.accept(entry, 2))
        expected[stream] = expected.get(stream, 0) + 1
        assert entry[0].revision == expected[stream]
        if number % (50 if number < 1000 else 2500) == 0:
            await waits[-1]
    await waits[-1]
    assert {stream: journal.revision(stream) for stream in expected} == expected
    await journal.stop()


async def test_a_revision_is_not_forgotten_while_its_event_is_in_no_sealed_segment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revisions, "_STREAMS", 10)
    journal = await started(MemoryStore())

    def spread(first: int, count: int) -> list[Entry]:
        return [entry for number in range(first, first + count) for entry in entries(number, stream=f"s/{number % 20}")]

    first = journal.accept(spread(1, SEGMENT), 2)
    await asyncio.sleep(0)  # the writer has it: what follows is another commit, which the next turn-over belongs to
    second = journal.accept([*spread(2000, SEGMENT), *entries(1, 2, 3, stream="open")], 2)
    await first
    third = journal.accept(spread(4000, 20), 2)
    await second
    assert journal.revision("open") == 3
    await third
    await journal.stop()


async def test_the_tail_holds_an_event_before_the_head_moves_over_it() -> None:
    # A reader in a thread looks at the head first and at the tail second: the other order would lose events.
    journal = await started(MemoryStore())
    heads: list[int] = []

    class Watched(deque[Entry]):
        def extend(self, entries: Iterable[Entry]) -> None:
            heads.append(journal.durable_seq)
            super().extend(entries)

    journal.tail = Watched()
    await journal.accept(entries(1), 2)
    await journal.accept(entries(2), 2)
    assert heads == [0, 1]
    await journal.stop()


async def test_the_root_is_that_of_what_is_durable_while_more_is_on_its_way() -> None:
    journal = await started(MemoryStore())
    seen: list[bytes] = []

    class Listener:
        def committed(self, commit: Commit) -> None:
            seen.append(journal.root())

        def failed(self, why: object) -> None: ...
        def stalled(self, why: object) -> None: ...

    journal.listen(Listener())
    for first in range(1, 3 * SEGMENT, 300):
        await journal.accept(entries(*range(first, first + 300)), 2)
    assert seen[-1] == journal.root()
    assert len(set(seen)) == len(seen)
    await journal.stop()


class _Broken(MemoryStore):
    broken = False

    def write(self, batch: Batch) -> None:
        if self.broken:
            raise StoreFailed("broken")
        super().write(batch)


async def test_the_root_is_right_however_often_it_is_asked_for_between_commits_and_segments() -> None:
    journal = await started(MemoryStore())
    leaves: list[bytes] = []
    for asked, count in ((True, 3), (True, 1), (False, SEGMENT - 4), (True, 1), (True, 2 * SEGMENT), (True, 5)):
        taken = entries(*range(len(leaves), len(leaves) + count))
        await journal.accept(taken, 2)
        leaves += [entry.leaf for entry in taken]
        if asked:
            assert journal.root() == journal.root() == root_of(leaves)
    await journal.stop()


async def test_after_a_failed_write_everybody_hears_it_and_nothing_more_is_taken() -> None:
    store = _Broken()
    journal = await started(store)
    await journal.accept(entries(1), 2)
    store.broken = True
    first = journal.accept(entries(2), 2)
    waiter = asyncio.create_task(journal.wait_durable(2))
    with pytest.raises(StoreFailed):
        await first
    with pytest.raises(StoreFailed):
        await waiter
    with pytest.raises(StoreFailed):
        journal.accept(entries(3), 2)
    assert journal.durable_seq == 1
    await journal.stop()


async def test_a_bug_in_a_commit_is_called_one_and_not_blamed_on_the_disk() -> None:
    journal = await started(MemoryStore())
    broken = entries(1)
    done = journal.accept(broken, 2)
    broken[0].meta = None  # type: ignore[assignment]  # no caller can; something has to break
    with pytest.raises(Bug):
        await done
    assert isinstance(journal.failed, Bug)
    await journal.stop()


async def test_refused_writes_let_what_was_accepted_become_durable() -> None:
    journal = await started(MemoryStore())
    accepted = journal.accept(entries(1), 2)
    journal.refuse_writes(StoreReadOnly("nearly full"))
    with pytest.raises(StoreReadOnly):
        journal.accept(entries(2), 2)
    await accepted
    journal.refuse_writes(None)
    await journal.accept(entries(3), 2)
    assert journal.durable_seq == 2
    await journal.stop()


async def test_stop_commits_what_was_accepted() -> None:
    store = MemoryStore()
    journal = await started(store)
    journal.accept(entries(1, 2, 3), 2)
    await journal.stop()
    assert Journal(store, clock_us=Clock()).durable_seq == 3


def test_a_folder_without_a_store_and_a_newer_store_are_refused_with_a_hint() -> None:
    store = MemoryStore()
    with pytest.raises(StoreTooNew) as empty:
        Journal(store, clock_us=Clock())
    assert empty.value.hint
    assert create_store(store, "id")
    assert not create_store(store, "other")
    batch = store.batch()
    batch.put("meta", b"format", b"kage-store-9")
    store.write(batch)
    with pytest.raises(StoreTooNew, match="kage-store-9"):
        Journal(store, clock_us=Clock())


def test_a_missing_or_damaged_row_is_refused_when_the_store_is_opened() -> None:
    opened = OpenJournal(MemoryStore())
    opened.append(*(new_event(number) for number in range(1, SEGMENT + 4)))
    opened.close()

    def without(family: Family, key: bytes, value: bytes | None = None) -> MemoryStore:
        copy = MemoryStore()
        batch = copy.batch()
        for name in FAMILIES:
            batch.put_all(name, opened.store.scan(name, b"", limit=9999))
        if value is None:
            batch.delete(family, key)
        else:
            batch.put(family, key, value)
        copy.write(batch)
        return copy

    damages: tuple[tuple[Family, bytes, bytes | None], ...] = (
        ("events", (SEGMENT + 2).to_bytes(8, "big"), None),
        ("events", (SEGMENT + 2).to_bytes(8, "big"), b"garbage"),
        ("events", (SEGMENT + 2).to_bytes(8, "big"), opened.store.get("events", (SEGMENT + 1).to_bytes(8, "big"))),
        ("audit", root_row(0), None),
    )
    for family, key, value in damages:
        with pytest.raises(StoreCorrupt) as refused:
            Journal(without(family, key, value), clock_us=Clock())
        assert "fsck" in refused.value.hint


async def test_an_old_id_that_was_asked_for_before_it_came_is_found_when_it_has_left_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kaged.store.log.identities._WINDOW_IDS", 100)
    journal = await started(MemoryStore())
    await journal.accept(entries(*range(1, SEGMENT + 1)), 2)  # sealed: the window begins after these
    hour_ago_us = START_US - 3600 * 10**6
    old = door().admit([new_event(1, time_us=hour_ago_us)], START_US)
    assert journal.identities.find(old[0].id) == 0
    await journal.accept(old, 2)
    await journal.accept(entries(*range(2000, 2000 + SEGMENT)), 2)
    assert journal.identities.find(old[0].id) == SEGMENT + 1
    await journal.stop()


async def test_ids_are_found_after_the_window_shrank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaged.store.log.identities._WINDOW_IDS", 100)
    journal = await started(MemoryStore())
    # Old and new ids mixed, so that buckets below and above the floor are both in use.
    times = [START_US - (number * 7919 % 50) * 300_000 for number in range(1, 3 * SEGMENT)]
    for first in range(0, len(times), 250):
        raws = [new_event(at + 1, time_us=times[at]) for at in range(first, min(first + 250, len(times)))]
        await journal.accept(door().admit(raws, START_US), 2)
        for at in range(0, first, 97):  # also those whose bucket was looked up before they were in it
            assert journal.identities.find(event_id(at + 1, times[at])) == at + 1
    for number, time_us in enumerate(times, 1):
        assert journal.identities.find(event_id(number, time_us)) == number
        assert journal.identities.find(event_id(number + 100_000, time_us)) == 0
    await journal.stop()


@given(
    offsets=st.lists(st.integers(0, SEGMENT - 1), min_size=1, max_size=30, unique=True).map(sorted),
    segment=st.integers(0, 9),
)
@example(offsets=[0, 255, 511, 767, 1023], segment=1)
@example(offsets=[3, 259], segment=0)
@example(offsets=[3, 258], segment=0)
@example(offsets=[0, 1023], segment=0)
@example(offsets=list(range(SEGMENT)), segment=2)
@example(offsets=list(range(SEGMENT - 1)), segment=2)
def test_postings_are_read_as_they_were_written(offsets: list[int], segment: int) -> None:
    seqs = [segment_start(segment) + offset for offset in offsets]
    assert decode_postings(encode_postings(offsets), segment) == (seqs, 0)
    assert decode_postings(encode_postings(offsets, 77), segment, stream=True) == (seqs, 77)
