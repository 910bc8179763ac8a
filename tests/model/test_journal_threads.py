"""Readers in threads beside a writing journal: what was durable when they asked is in the answer, and nothing else."""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from kaged.api.v1 import event_service_pb2
from kaged.store.log.journal import Journal
from kaged.store.log.opening import create_store
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.rows.rocks import RocksStore
from tests.fakes.journals import START_US, Clock, door, new_event

SECONDS = 4.0
STREAMS = 3  # event n is in stream s/{n % 3}, with revision (n - 1) // 3 + 1


@pytest.fixture
def quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("kind", ["rocks", "memory"])
async def test_readers_in_threads_miss_nothing_that_was_durable(kind: str, tmp_path: Path) -> None:
    store: KeyValue = RocksStore(tmp_path / "store") if kind == "rocks" else MemoryStore()
    create_store(store, "id")
    journal = Journal(store, clock_us=Clock())
    journal.start()
    reader, done, entrance = Reader(journal), Event(), door()
    selections = [select(f'stream = "s/{at}"', now_us=START_US) for at in range(STREAMS)]
    everything = select("", now_us=START_US)

    def read(seed: int) -> int:
        chance, asked = random.Random(seed), 0
        while not done.is_set():
            head = journal.durable_seq
            if not head:
                continue
            asked += 1
            which = chance.randrange(STREAMS)
            own = [seq for seq in range(max(1, head - 40), head + 1) if seq % STREAMS == which]
            after = max(0, head - 41)
            for selection, expected in ((selections[which], own), (everything, list(range(after + 1, head + 1)))):
                for reverse in (False, True):
                    page = reader.page(selection, after, head, 2000, reverse=reverse)
                    events = event_service_pb2.EventBatch.FromString(b"".join(page.frames)).events
                    found = [event.seq for event in events]
                    assert found == (expected[::-1] if reverse else expected), (head, page.done, page.reached)
            last = reader.last_of(f"s/{which}", head)
            assert (last.seq if last else 0) == (own[-1] if own else 0)
            if own:
                seq = chance.choice(own)
                assert reader.seq_of_revision(f"s/{which}", (seq - 1) // STREAMS + 1) == seq
        return asked

    readers = [asyncio.create_task(asyncio.to_thread(read, seed)) for seed in range(2)]
    chance, number, deadline = random.Random(1), 0, time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline and not any(task.done() for task in readers):
            count = chance.choice((1, 5, 200, 1024, 1500))
            raws = [new_event(n, stream=f"s/{n % STREAMS}") for n in range(number + 1, number + count + 1)]
            number += count
            await journal.accept(entrance.admit(raws, START_US), 2)
    finally:
        done.set()
        asked = await asyncio.gather(*readers)
        await journal.stop()
        store.close()
    assert min(asked) > 10
    assert number > 5000
