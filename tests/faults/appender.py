"""A process that appends until it is killed: `python -m tests.faults.appender FOLDER SEED`.

Prints `first_seq count` of each append once it is durable; on a full disk it waits for room. The events of one append
carry its number and size as tags, so that half an append is noticed afterwards.
"""

import asyncio
import random
import sys
from pathlib import Path

from kaged.store.log.journal import Journal, StoreReadOnly
from kaged.store.log.opening import create_store
from kaged.store.log.witness import Witness
from kaged.store.rows.rocks import RocksStore
from tests.fakes.journals import START_US, Clock, door, new_event


async def append_for_ever(folder: Path, seed: int) -> None:
    store = RocksStore(folder)
    create_store(store, "id")
    witness = Witness(folder)
    journal = Journal(store, clock_us=Clock(), witness=witness.note)
    witness.confront(journal.durable_seq)
    journal.start()
    chance, entrance = random.Random(seed), door()
    number = journal.durable_seq

    async def appender(name: int) -> None:
        nonlocal number
        while True:
            count = chance.choice((1, 1, 2, 7, 60, 400))
            tags = [("append", f"{seed}-{name}-{number}"), ("size", str(count))]
            raws = []
            for _ in range(count):
                number += 1
                data = b"x" * chance.choice((5, 300, 20_000))
                raws.append(new_event(number, stream=f"s/{number % 7}", tags=tags, data=data))
            entries = entrance.admit(raws, START_US)
            first = entries[0]
            while True:
                try:
                    done = journal.accept(entries, 2)
                except StoreReadOnly:
                    await asyncio.sleep(0.01)
                    continue
                break
            await done
            print(first.seq, count, flush=True)

    async with asyncio.TaskGroup() as tasks:
        for name in range(4):
            tasks.create_task(appender(name))


if __name__ == "__main__":
    asyncio.run(append_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
