"""Subscriptions: nothing lost, doubled or out of order, whatever the sizes of rings, pages and readers' naps."""

import asyncio
import random
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaged.api.v1 import event_pb2, event_service_pb2
from kaged.domain.errors import Unavailable
from kaged.store.log.journal import Journal
from kaged.store.log.opening import create_store
from kaged.store.reading.feed import Feed, SubscriberLimit
from kaged.store.reading.messages import Batch, CaughtUp, Checkpoint, FellBehind, Heartbeat, Message
from kaged.store.reading.reader import PositionInFuture, Reader
from kaged.store.reading.selection import Selection, select
from kaged.store.rows.inmemory import MemoryStore
from tests.fakes.journals import START_US, Clock, door, new_event
from tests.search import examples

FILTERS = ("", 'stream = "notes/1"', 'type = "none.such"', "seq <= 7", "seq > 30", 'tags.k = "1"')


class Setting:
    """A journal in memory with a feed of given sizes."""

    def __init__(self, *, ring_events: int = 16, ring_bytes: int = 1 << 20, max_subscribers: int = 100) -> None:
        self.store = MemoryStore()
        create_store(self.store, "id")
        self.journal = Journal(self.store, clock_us=Clock())
        self.journal.start()
        self.reader = Reader(self.journal)
        self.feed = Feed(
            self.journal,
            self.reader,
            max_subscribers=max_subscribers,
            ring_events=ring_events,
            ring_bytes=ring_bytes,
        )
        self.door = door()
        self.number = 0

    async def append(self, count: int) -> None:
        raws = []
        for _ in range(count):
            self.number += 1
            raws.append(new_event(self.number, stream=f"notes/{self.number % 3}", tags=[("k", str(self.number % 5))]))
        await self.journal.accept(self.door.admit(raws, START_US), 2)

    def expected(self, selection: Selection, after: int) -> list[int]:
        found: list[int] = []
        page = self.reader.page(selection, after, 1 << 60, 1 << 20)
        while True:
            found += seqs(b"".join(page.frames))
            if page.done:
                return found
            page = self.reader.page(selection, page.reached, 1 << 60, 1 << 20)


def seqs(joined: bytes) -> list[int]:
    """Framed events joined are a message with `repeated Event events = 1`."""
    return [event.seq for event in event_service_pb2.EventBatch.FromString(joined).events]


async def follow(
    stream: AsyncGenerator[Message, None],
    until: int,
    naps: random.Random | None = None,
    *,
    started: asyncio.Event | None = None,
) -> list[Message]:
    """Messages until a position is reached; with naps between them."""
    messages: list[Message] = []
    async for message in stream:
        messages.append(message)
        if started is not None:
            started.set()
        position = message.last_seq if isinstance(message, Batch) else message.seq
        if position >= until and isinstance(message, CaughtUp | Heartbeat | Batch):
            break
        if naps is not None:
            for _ in range(naps.choice((0, 0, 0, 1, 3, 20))):
                await asyncio.sleep(0)
    await stream.aclose()
    return messages


def check(messages: list[Message], after: int) -> list[int]:
    """Positions only rise; live and behind take turns; returns the seqs delivered."""
    delivered: list[int] = []
    position, live = after, False
    for message in messages:
        reached = message.last_seq if isinstance(message, Batch) else message.seq
        assert reached >= position
        match message:
            case Batch():
                found = seqs(message.joined)
                assert len(found) == message.count > 0
                assert position < found[0] <= found[-1] <= message.last_seq
                assert found == sorted(set(found))
                delivered += found
            case CaughtUp():
                assert not live
                live = True
            case FellBehind():
                assert live
                live = False
            case Checkpoint():
                assert message.seq > position
            case Heartbeat():
                assert live
        position = reached
    return delivered


@given(
    ring_events=st.sampled_from([1, 5, 16, 100]),
    ring_bytes=st.sampled_from([1, 2000, 1 << 20]),
    before=st.integers(0, 60),
    batches=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    readers=st.lists(
        st.tuples(st.sampled_from(FILTERS), st.integers(0, 60), st.sampled_from([1, 3, 64]), st.integers(0, 99)),
        min_size=1,
        max_size=8,
    ),
)
@settings(max_examples=examples(80), deadline=None)
def test_every_reader_gets_every_match_once_and_in_order(
    ring_events: int,
    ring_bytes: int,
    before: int,
    batches: list[int],
    readers: list[tuple[str, int, int, int]],
) -> None:
    async def scenario() -> None:
        setting = Setting(ring_events=ring_events, ring_bytes=ring_bytes)
        if before:
            await setting.append(before)
        total = before + sum(batches)
        tasks = []
        for text, after, max_batch, seed in readers:
            selection, after = select(text, now_us=START_US), min(after, before)
            stream = setting.feed.subscribe(selection, after, max_batch=max_batch, heartbeat_s=0.02)
            tasks.append((selection, after, asyncio.create_task(follow(stream, total, random.Random(seed)))))
        await asyncio.sleep(0)
        for count in batches:
            await setting.append(count)
        for selection, after, task in tasks:
            messages = await asyncio.wait_for(task, 20)
            assert check(messages, after) == setting.expected(selection, after)
        assert setting.feed.subscribers == 0
        await setting.journal.stop()

    asyncio.run(scenario())


async def test_a_filter_that_can_match_no_more_still_catches_up() -> None:
    setting = Setting(ring_events=1)
    for _ in range(5):
        await setting.append(10)
    stream = setting.feed.subscribe(select("seq <= 3", now_us=START_US), 0, max_batch=10, heartbeat_s=5)
    messages = await asyncio.wait_for(follow(stream, 50), 10)
    assert check(messages, 0) == [1, 2, 3]
    assert setting.feed.fell_behind == 0
    await setting.journal.stop()


async def test_a_reader_behind_the_ring_is_told_so_and_then_that_it_caught_up() -> None:
    setting = Setting(ring_events=4)
    stream = setting.feed.subscribe(select("", now_us=START_US), 0, max_batch=100, heartbeat_s=5)
    assert await anext(stream) == CaughtUp(0)
    for _ in range(4):
        await setting.append(3)
    kinds = [type(await asyncio.wait_for(anext(stream), 5)) for _ in range(4)]
    assert kinds == [FellBehind, Batch, Batch, CaughtUp]  # from the journal up to the ring, then from the ring
    assert setting.feed.fell_behind == 1
    await stream.aclose()
    await setting.journal.stop()


async def test_readers_at_one_place_with_one_filter_share_one_batch() -> None:
    setting = Setting()
    streams = [setting.feed.subscribe(select("", now_us=START_US), 0, max_batch=100, heartbeat_s=5) for _ in range(20)]
    for stream in streams:
        assert await anext(stream) == CaughtUp(0)
    waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await asyncio.sleep(0)
    await setting.append(5)
    batches = await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert len({id(batch) for batch in batches}) == 1
    for stream in streams:
        await stream.aclose()
    await setting.journal.stop()


async def test_a_busy_feed_keeps_no_old_batches() -> None:
    # A reader that never waits must not make the shared batches pile up.
    setting = Setting(ring_events=10_000)
    stream = setting.feed.subscribe(select("", now_us=START_US), 0, max_batch=1, heartbeat_s=5)
    for _ in range(300):
        await setting.append(2)
        await anext(stream)
    assert len(setting.feed._shared) <= 64
    await stream.aclose()
    await setting.journal.stop()


async def test_cancelling_a_reader_gives_its_place_back() -> None:
    setting = Setting(max_subscribers=1)
    everything = select("", now_us=START_US)
    started = asyncio.Event()
    first = asyncio.create_task(
        follow(setting.feed.subscribe(everything, 0, max_batch=9, heartbeat_s=60), 99, started=started)
    )
    await started.wait()
    with pytest.raises(SubscriberLimit):
        await anext(setting.feed.subscribe(everything, 0, max_batch=9, heartbeat_s=60))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert setting.feed.subscribers == 0
    second = setting.feed.subscribe(everything, 0, max_batch=9, heartbeat_s=60)
    assert await anext(second) == CaughtUp(0)
    await second.aclose()
    await setting.journal.stop()


async def test_a_position_after_the_head_is_refused_and_takes_no_place() -> None:
    setting = Setting()
    with pytest.raises(PositionInFuture):
        await anext(setting.feed.subscribe(select("", now_us=START_US), 1, max_batch=9, heartbeat_s=60))
    assert setting.feed.subscribers == 0
    await setting.journal.stop()


async def test_closing_the_feed_ends_waiting_readers_with_its_reason() -> None:
    setting = Setting()
    stream = setting.feed.subscribe(select("", now_us=START_US), 0, max_batch=9, heartbeat_s=60)
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    setting.feed.close(Unavailable("stopping"))
    with pytest.raises(Unavailable, match="stopping"):
        await asyncio.wait_for(waiting, 5)
    assert setting.feed.subscribers == 0
    await setting.journal.stop()


async def test_a_quiet_reader_hears_heartbeats() -> None:
    setting = Setting()
    stream = setting.feed.subscribe(select("", now_us=START_US), 0, max_batch=9, heartbeat_s=0.01)
    messages = [await asyncio.wait_for(anext(stream), 5) for _ in range(3)]
    assert messages == [CaughtUp(0), Heartbeat(0), Heartbeat(0)]
    await stream.aclose()
    await setting.journal.stop()


async def test_a_reader_whose_filter_matches_nothing_hears_where_a_busy_journal_stands() -> None:
    setting = Setting(ring_events=1000)
    nothing = select('type = "none.such"', now_us=START_US)
    stream = setting.feed.subscribe(nothing, 0, max_batch=9, heartbeat_s=0.05)
    assert await anext(stream) == CaughtUp(0)
    waiting = asyncio.ensure_future(anext(stream))
    deadline = asyncio.get_running_loop().time() + 20
    while not waiting.done():
        await setting.append(1)  # far more often than the heartbeat
        assert asyncio.get_running_loop().time() < deadline, "not a word"
    message = await waiting
    assert isinstance(message, Checkpoint | Heartbeat)
    assert message.seq > 0
    await stream.aclose()
    await setting.journal.stop()


async def test_after_a_purge_readers_get_the_journal_s_bytes_not_the_ring_s() -> None:
    setting = Setting(ring_events=100)
    await setting.append(3)
    batch = setting.store.batch()
    framed = setting.reader.get(2)
    batch.put("events", (2).to_bytes(8, "big"), framed.replace(b"words", b"-----"))
    setting.store.write(batch)
    setting.feed.purge()
    stream = setting.feed.subscribe(select("", now_us=START_US), 0, max_batch=100, heartbeat_s=5)
    first = await asyncio.wait_for(anext(stream), 5)
    assert isinstance(first, Batch)
    assert [event.body.custom.data for event in event_service_pb2.EventBatch.FromString(first.joined).events] == [
        b"words",
        b"-----",
        b"words",
    ]
    await stream.aclose()
    await setting.journal.stop()


@pytest.mark.parametrize("reverse", [False, True])
async def test_what_was_read_ahead_before_a_purge_is_not_handed_out_after_it(*, reverse: bool) -> None:
    setting = Setting(ring_events=1)
    await setting.append(9)
    batches = setting.feed.long_reads.batches(select("", now_us=START_US), 0, 9, max_batch=2, reverse=reverse)
    found = seqs((await anext(batches)).joined)
    seq = 2 if reverse else 8  # in a later batch of the page that was read
    batch = setting.store.batch()
    batch.put("events", seq.to_bytes(8, "big"), setting.reader.get(seq).replace(b"words", b"-----"))
    setting.store.write(batch)
    setting.feed.purge()
    redacted = []
    async for each in batches:
        found += seqs(each.joined)
        redacted += [
            event.seq
            for event in event_service_pb2.EventBatch.FromString(each.joined).events
            if event.body.custom.data == b"-----"
        ]
    assert redacted == [seq]
    assert found == (list(range(9, 0, -1)) if reverse else list(range(1, 10)))
    await setting.journal.stop()


@given(
    count=st.integers(0, 40),
    after=st.integers(0, 40),
    up_to=st.integers(0, 40),
    max_batch=st.sampled_from([1, 3, 64]),
    limit=st.sampled_from([1, 2, 7, 1 << 63]),
    text=st.sampled_from(FILTERS),
    reverse=st.booleans(),
    purge_at=st.integers(0, 5),
)
@settings(max_examples=examples(80), deadline=None)
def test_a_long_read_is_the_range_once_in_order_and_no_more_than_its_limit(
    count: int, after: int, up_to: int, max_batch: int, limit: int, text: str, *, reverse: bool, purge_at: int
) -> None:
    async def scenario() -> None:
        setting = Setting()
        if count:
            await setting.append(count)
        selection = select(text, now_us=START_US)
        expected = [seq for seq in setting.expected(selection, after) if seq <= up_to]
        found: list[int] = []
        batches = setting.feed.long_reads.batches(
            selection, after, up_to, max_batch=max_batch, limit=limit, reverse=reverse
        )
        number = 0
        async for batch in batches:
            assert batch.count <= max_batch
            assert batch.count == len(seqs(batch.joined))
            found += seqs(batch.joined)
            number += 1
            if number == purge_at:
                setting.feed.purge()
        assert found == (expected[::-1] if reverse else expected)[:limit]
        await setting.journal.stop()

    asyncio.run(scenario())


async def test_head_only_readers_get_no_bodies() -> None:
    setting = Setting(ring_events=2)
    for count in (4, 2):
        await setting.append(count)
    stream = setting.feed.subscribe(select("", now_us=START_US, head_only=True), 0, max_batch=100, heartbeat_s=5)
    bodies: list[event_pb2.Event] = []
    while len(bodies) < 6:
        message = await asyncio.wait_for(anext(stream), 5)
        if isinstance(message, Batch):
            bodies += event_service_pb2.EventBatch.FromString(message.joined).events
    assert not any(event.HasField("body") for event in bodies)
    assert [event.seq for event in bodies] == [1, 2, 3, 4, 5, 6]
    await stream.aclose()
    await setting.journal.stop()
