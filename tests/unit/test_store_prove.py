"""The journal's proof for the watchdog: a write that reached the disk, without an event."""

import asyncio
from collections.abc import Iterable

import pytest

from kaged.store.log.journal import Journal, StoreReadOnly
from kaged.store.log.opening import create_store
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import HEARTBEAT, Family
from kaged.store.rows.keyvalue import Batch, DiskFull, StoreFailed
from tests.fakes.journals import START_US, Clock, door, new_event


class BrokenDisk(MemoryStore):
    """A store whose next syncs fail when told so."""

    broken = False

    def sync(self) -> None:
        if self.broken:
            raise StoreFailed("the disk is gone")
        super().sync()

    def rows_written(self, families: Iterable[Family]) -> int:
        return sum(len(self.scan(family, b"", limit=1000)) for family in families)


async def started(store: MemoryStore) -> Journal:
    create_store(store, "id")
    journal = Journal(store, clock_us=Clock())
    journal.start()
    return journal


async def test_a_proof_is_a_row_on_disk_and_no_event() -> None:
    store = BrokenDisk()
    journal = await started(store)
    await journal.prove()
    assert store.get("meta", HEARTBEAT) == str(START_US).encode()
    assert journal.durable_seq == 0
    assert store.rows_written(("events", "audit", "index", "ids", "states", "operations")) == 0
    await journal.stop()


async def test_proofs_and_appends_at_once_are_all_answered() -> None:
    journal = await started(MemoryStore())
    proofs = [asyncio.create_task(journal.prove()) for _ in range(5)]
    appends = []
    for number in range(1, 6):
        appends.append(journal.accept(door().admit([new_event(number)], START_US), 2))
        proofs.append(asyncio.create_task(journal.prove()))
        await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*proofs, *appends), 10)
    assert journal.durable_seq == 5
    await journal.stop()


async def test_while_writes_are_refused_a_proof_writes_nothing() -> None:
    store = BrokenDisk()
    journal = await started(store)
    journal.refuse_writes(StoreReadOnly("no room"))
    store.broken = True
    await asyncio.wait_for(journal.prove(), 10)
    assert store.get("meta", HEARTBEAT) is None
    await journal.stop()


async def test_a_full_disk_is_no_reason_to_be_killed() -> None:
    class FullDisk(MemoryStore):
        full = False

        def write(self, batch: Batch) -> None:
            if self.full:
                raise DiskFull("no room")
            super().write(batch)

    store = FullDisk()
    journal = await started(store)
    store.full = True
    await asyncio.wait_for(journal.prove(), 10)
    assert journal.failed is None
    store.full = False
    await asyncio.wait_for(journal.accept(door().admit([new_event(1)], START_US), 2), 10)
    await journal.stop()


async def test_a_proof_that_fails_fails_the_journal_and_what_waits_behind_it() -> None:
    store = BrokenDisk()
    journal = await started(store)
    store.broken = True
    proof = asyncio.create_task(journal.prove())
    await asyncio.sleep(0)
    behind = journal.accept(door().admit([new_event(1)], START_US), 2)
    with pytest.raises(StoreFailed):
        await asyncio.wait_for(proof, 10)
    with pytest.raises(StoreFailed):
        await asyncio.wait_for(behind, 10)
    assert isinstance(journal.failed, StoreFailed)
    with pytest.raises(StoreFailed):
        await journal.prove()
    await journal.stop()


async def test_a_proof_behind_a_commit_that_fails_is_told_so() -> None:
    class BrokenWrite(MemoryStore):
        broken = False

        def write(self, batch: Batch) -> None:
            if self.broken:
                raise StoreFailed("the disk is gone")
            super().write(batch)

    store = BrokenWrite()
    journal = await started(store)
    store.broken = True
    append = journal.accept(door().admit([new_event(1)], START_US), 2)
    await asyncio.sleep(0)  # it is on its way to the thread
    with pytest.raises(StoreFailed):
        await asyncio.wait_for(journal.prove(), 10)
    with pytest.raises(StoreFailed):
        await append
    await journal.stop()
