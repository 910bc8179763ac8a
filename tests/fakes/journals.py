"""A journal to test with: events from a counter, a clock that is set by hand, a loop of its own.

`OpenJournal` is for tests that are plain functions (hypothesis machines); coroutines use `Journal` itself.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import TypeVar

from kaged.api.v1 import event_pb2
from kaged.store.log.journal import Journal
from kaged.store.log.opening import create_store
from kaged.store.reading.feed import Feed
from kaged.store.reading.reader import Reader
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.wire.door import Door
from kaged.store.wire.entry import Entry

T = TypeVar("T")

START_US = 1_700_000_000_000_000


def event_id(number: int, time_us: int = START_US) -> bytes:
    """A UUIDv7 of that time; the same number and time give the same id."""
    raw = bytearray((time_us // 1000).to_bytes(6, "big") + number.to_bytes(10, "big"))
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def new_event(
    number: int,
    *,
    stream: str = "notes/a",
    type_name: str = "note.written",
    agent: str = "",
    tags: Iterable[tuple[str, str]] = (),
    time_us: int = START_US,
    data: bytes = b"words",
) -> bytes:
    """A serialized `NewEvent`."""
    return event_pb2.NewEvent(
        meta=event_pb2.Meta(
            id=event_id(number, time_us),
            stream=stream,
            type=type_name,
            occurred_us=time_us,
            agent=agent,
            tags=[event_pb2.Tag(key=key, value=value) for key, value in tags],
        ),
        body=event_pb2.Body(custom=event_pb2.CustomPayload(content_type="text/plain", data=data)),
    ).SerializeToString()


class Clock:
    """Microseconds that stand still until moved."""

    def __init__(self, now_us: int = START_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def door() -> Door:
    """A door whose own ids come from a counter."""
    numbers = iter(range(1 << 60, 1 << 61))
    return Door(lambda: event_id(next(numbers)))


class OpenJournal:
    """A started journal with a loop that runs only inside `run`."""

    def __init__(self, store: KeyValue, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.store = store
        self.door = door()
        self.loop = asyncio.new_event_loop()
        create_store(store, "store-of-a-test")
        self.journal = Journal(store, clock_us=self.clock)
        self.reader = Reader(self.journal)
        self.feed = Feed(self.journal, self.reader, max_subscribers=1000)
        self.run(self._start())

    async def _start(self) -> None:
        self.journal.start()

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run to the end; what it left on the loop waits for the next run."""
        return self.loop.run_until_complete(work)

    def admit(self, raws: Sequence[bytes]) -> list[Entry]:
        """Entries of serialized `NewEvent`s."""
        return self.door.admit(raws, self.clock.now_us)

    def append(self, *raws: bytes, actor: int = 2) -> None:
        """One atomic append, durable when this returns."""
        self.append_entries(self.admit(raws), actor)

    def append_entries(self, entries: Sequence[Entry], actor: int = 2) -> None:
        """The same with entries."""

        async def accepted() -> None:
            await self.journal.accept(entries, actor)

        self.run(accepted())

    def close(self) -> None:
        """End the thread and the loop; the store stays open."""
        self.run(self.journal.stop())
        self.loop.close()


def frames_of(store: KeyValue) -> list[bytes]:
    """Every stored value of `events`, in order."""
    return [value for _, value in store.scan("events", b"", limit=1 << 30)]
