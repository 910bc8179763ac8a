"""A disk without room under the journal: nothing acknowledged is lost, nothing accepted is forgotten or doubled."""

import asyncio
from collections.abc import Sequence
from functools import cache, partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaged.domain.errors import KageError
from kaged.store.log.journal import Journal, StoreReadOnly
from kaged.store.log.opening import create_store
from kaged.store.log.waits import StoreStalled
from kaged.store.log.writer import Commit
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import FAMILIES, SEGMENT
from kaged.store.rows.keyvalue import KeyValue, StoreFailed
from kaged.store.wire.entry import Entry
from tests.fakes.full_disk import Fault, FullDiskStore
from tests.fakes.journals import START_US, Clock, door, frames_of, new_event
from tests.search import examples


class Heard:
    """What a listener hears, in order."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.goes_on = asyncio.Event()

    def committed(self, commit: Commit) -> None:
        self.words.append(f"committed {len(commit.frames)}")

    def failed(self, why: KageError) -> None:
        self.words.append(f"failed {why.reason}")

    def stalled(self, why: KageError | None) -> None:
        self.words.append("stalled" if why is not None else "goes on")
        if why is None:
            self.goes_on.set()


@cache
def raw(number: int) -> bytes:
    return new_event(number, stream=f"s/{number % 3}")


def entries(first: int, count: int = 1) -> list[Entry]:
    return door().admit([raw(number) for number in range(first, first + count)], START_US)


async def started(store: MemoryStore) -> Journal:
    create_store(store, "id")
    journal = Journal(store, clock_us=Clock(), try_again_s=0.001)
    journal.start()
    return journal


def rows(store: KeyValue) -> dict[str, list[tuple[bytes, bytes]]]:
    """Everything that is stored, but for how commits were cut."""
    return {
        family: [row for row in store.scan(family, b"", limit=1 << 30) if not row[0].startswith(b"L")]
        for family in FAMILIES
    }


async def test_what_a_full_disk_refused_is_recorded_once_there_is_room_and_callers_are_told_meanwhile() -> None:
    store, heard = FullDiskStore(), Heard()
    journal = await started(store)
    journal.listen(heard)
    await journal.accept(entries(1), 2)
    store.full = True
    done = journal.accept(entries(2), 2)
    caller = asyncio.create_task(journal.recorded(done))
    reader = asyncio.create_task(journal.settles(2))
    patient = asyncio.create_task(journal.wait_durable(2))
    with pytest.raises(StoreStalled):
        await caller
    assert not await reader
    assert (journal.durable_seq, done.done(), patient.done()) == (1, False, False)
    for asked in (journal.recorded(done), journal.confirm(2)):
        with pytest.raises(StoreStalled):
            await asked
    assert not await journal.settles(2)
    assert await journal.settles(1)
    with pytest.raises(StoreReadOnly):
        journal.accept(entries(3), 2)
    store.full = False
    await patient
    await journal.recorded(done)
    await asyncio.sleep(0)
    await journal.accept(entries(3), 2)
    assert heard.words == ["committed 1", "stalled", "committed 1", "goes on", "committed 1"]
    assert journal.durable_seq == 3
    await journal.stop()


async def test_all_that_was_accepted_is_durable_and_its_effects_have_run_before_it_goes_on() -> None:
    store, heard = FullDiskStore(), Heard()
    journal = await started(store)
    journal.listen(heard)
    store.full = True
    first = journal.accept(entries(1), 2)
    await asyncio.sleep(0)  # the writer has the first batch; the next one gathers behind it
    second = journal.accept(entries(2), 2)

    def said(number: int, _: object) -> None:
        heard.words.append(f"effect {number}")

    for number, done in enumerate((first, second)):
        done.add_done_callback(partial(said, number))
    assert not await journal.settles(2)
    with pytest.raises(StoreStalled):
        await journal.recorded(second)
    store.full = False
    await heard.goes_on.wait()
    assert heard.words == ["stalled", "committed 1", "effect 0", "committed 1", "effect 1", "goes on"]
    await journal.stop()


async def test_a_stop_on_a_full_disk_does_not_wait_for_room() -> None:
    store = FullDiskStore()
    journal = await started(store)
    store.full = True
    journal.accept(entries(1), 2)
    assert not await journal.settles(1)
    await asyncio.wait_for(journal.stop(), 10)
    assert journal.durable_seq == 0


async def test_a_disk_that_breaks_while_it_is_full_ends_writing() -> None:
    store, heard = FullDiskStore(), Heard()
    journal = await started(store)
    journal.listen(heard)
    store.faults = iter(("write", "", "broken"))  # refuse, resume, then break
    done = journal.accept(entries(1), 2)
    with pytest.raises(StoreFailed):
        await done
    with pytest.raises(StoreFailed):
        journal.accept(entries(2), 2)
    with pytest.raises(StoreFailed):
        await journal.settles(1)
    assert heard.words == ["stalled", "failed STORE_FAILED"]
    await journal.stop()


async def test_a_caller_who_left_does_not_disturb_the_others() -> None:
    store = FullDiskStore()
    journal = await started(store)
    store.full = True
    done = journal.accept(entries(1), 2)
    gone, other = (asyncio.create_task(journal.recorded(done)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(StoreStalled):
        await other
    store.full = False
    await journal.wait_durable(1)
    await journal.stop()


_FAULTS = st.lists(st.sampled_from(("", "", "", "write", "written", "sync", "resume")), max_size=30)
_SIZES = st.lists(st.sampled_from((1, 2, 7, 1, 2, 7, SEGMENT - 3, SEGMENT + 5)), min_size=1, max_size=8)


@settings(max_examples=examples(30), deadline=None)
@given(faults=_FAULTS, sizes=_SIZES, killed_at=st.integers(0, 12))
def test_whatever_fills_up_when_the_store_is_that_of_a_disk_that_never_was_full(
    faults: list[Fault], sizes: list[int], killed_at: int
) -> None:
    """Faults at any write, sync and resume, several batches in flight; then, or before the end, a kill."""
    asyncio.run(_play(faults, sizes, killed_at))


async def _play(faults: Sequence[Fault], sizes: Sequence[int], killed_at: int) -> None:
    store = FullDiskStore()
    journal = await started(store)
    store.faults = iter(faults)
    acknowledged = 0
    accepted: list[int] = []
    for turn, size in enumerate(sizes):
        if turn == killed_at:
            break
        while True:
            try:
                done = journal.accept(entries(journal.accepted_seq + 1, size), 2)
            except StoreReadOnly:
                await asyncio.sleep(0.001)
                continue
            break
        accepted.append(size)
        if turn % 2:
            try:
                await journal.recorded(done)
            except StoreStalled:
                pass
            else:
                acknowledged = journal.durable_seq
    if killed_at >= len(sizes):
        await journal.wait_durable(journal.accepted_seq)
        acknowledged = journal.accepted_seq
        root = journal.root()
    await journal.stop()  # whatever is accepted and has no room is gone, as after a kill
    twin = await _never_full(accepted)
    again = Journal(store, clock_us=Clock())
    assert again.durable_seq >= acknowledged
    assert frames_of(store) == frames_of(twin.store)[: again.durable_seq]
    if killed_at >= len(sizes):
        assert rows(store) == rows(twin.store)
        assert again.root() == root == twin.root()
        assert all(again.revision(f"s/{at}") == twin.revision(f"s/{at}") for at in range(3))


async def _never_full(sizes: Sequence[int]) -> Journal:
    journal = await started(MemoryStore())
    for size in sizes:
        await journal.accept(entries(journal.accepted_seq + 1, size), 2)
    await journal.stop()
    return journal
