"""The asyncio client against a daemon in memory: coalesced appends, dedupe on resend, subscriptions."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kagectl.client import AsyncClient, Client, ClientError, find_address, frame_event
from kagectl.client.failures import Unavailable
from kagectl.client.ids import uuid7_bytes
from kagectl.client.methods.agents import GET_AGENT
from kagectl.client.methods.events import GET_HEAD, READ_EVENTS
from kaged.api.v1 import agent_service_pb2, event_pb2
from kaged.api.v1 import event_service_pb2 as pb
from tests.fakes.fake_kaged import FakeKaged

pytestmark = pytest.mark.integration


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeKaged]:
    with FakeKaged(tmp_path) as daemon:
        yield daemon


def client(fake: FakeKaged, **settings: float) -> AsyncClient:
    return AsyncClient(find_address(fake.socket, env={}), **settings)


def event(kind: str = "note.made", data: bytes = b"{}") -> bytes:
    return frame_event(
        event_id=uuid7_bytes(), occurred_us=time.time_ns() // 1000, stream="n/a", event_type=kind, data=data
    )


async def test_many_callers_share_messages_and_each_gets_its_own_seq(fake):
    async with client(fake) as kage:
        seqs = await asyncio.gather(*(kage.append("n/a", "note.made", b"%d" % n) for n in range(500)))
    assert sorted(seqs) == list(range(1, 501))
    for n, seq in enumerate(seqs):
        assert fake.world.events[seq - 1].body.custom.data == b"%d" % n
    assert fake.events.messages < 50


async def test_appends_of_one_caller_keep_their_order(fake):
    async with client(fake) as kage:
        first = [asyncio.ensure_future(kage.append("n/a", "note.made", b"%d" % n)) for n in range(50)]
        assert [await each for each in first] == list(range(1, 51))


async def test_a_refused_group_fails_alone_and_its_neighbours_keep_right_seqs(fake):
    async with client(fake) as kage:
        results = await asyncio.gather(
            kage.append_framed(event(), event()),
            kage.append_framed(event("agent.ended")),
            kage.append_framed(event(), checks=(pb.Check(stream="n/a", revision=99),)),
            kage.append_framed(event(), event(), event()),
            return_exceptions=True,
        )
    good, reserved, wrong, last = results
    assert [each.seq for each in good] == [1, 2]
    assert isinstance(reserved, ClientError)
    assert (reserved.code, reserved.reason) == ("PERMISSION_DENIED", "RESERVED_EVENT_TYPE")
    assert isinstance(wrong, ClientError)
    assert wrong.reason == "WRONG_REVISION"
    assert [each.seq for each in last] == [3, 4, 5]


async def test_the_same_event_again_is_answered_with_where_it_stands(fake):
    raw = event()
    async with client(fake) as kage:
        assert [each.seq for each in await kage.append_framed(raw)] == [1]
        again = await kage.append_framed(raw)
        assert (again[0].seq, again[0].deduplicated) == (1, True)
    assert len(fake.world.events) == 1


async def test_an_append_whose_answer_was_lost_is_sent_again_and_stored_once(fake):
    async with client(fake) as kage:
        await kage.append("n/a", "note.made", b"0")
        fake.events.die_after = 0  # stores the next message, then drops the line without an answer
        seqs = await asyncio.gather(*(kage.append("n/a", "note.made", b"%d" % n) for n in range(1, 40)))
    assert sorted(seqs) == list(range(2, 41))
    assert sorted(int(each.body.custom.data) for each in fake.world.events) == list(range(40))


async def test_appends_go_on_over_a_restart_of_the_daemon(fake):
    stop = asyncio.Event()
    acked: dict[int, int] = {}

    async def worker(number: int) -> None:
        count = 0
        while not stop.is_set():
            value = number * 100_000 + count
            acked[value] = await kage.append("n/a", "note.made", b"%d" % value)
            count += 1

    async with client(fake) as kage, asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(worker(number))
        for _ in range(2):
            await asyncio.to_thread(fake.restart)
            before = len(acked)
            async with asyncio.timeout(10):
                while len(acked) < before + 20:  # noqa: ASYNC110 - the workers fill a plain dictionary
                    await asyncio.sleep(0.01)
        stop.set()
    stored = [int(each.body.custom.data) for each in fake.world.events]
    assert len(stored) == len(set(stored))
    assert all(stored[seq - 1] == value for value, seq in acked.items())
    assert set(acked) == set(stored)


async def test_without_a_daemon_an_append_fails_after_its_patience(tmp_path):
    with FakeKaged(tmp_path) as fake:
        address = find_address(fake.socket, env={})
    async with AsyncClient(address, patience_s=0.3) as kage:
        with pytest.raises(Unavailable):
            await kage.append("n/a", "note.made", b"")


async def test_closing_waits_for_what_was_handed_over(fake):
    kage = client(fake)
    waiting = [asyncio.ensure_future(kage.append("n/a", "note.made", b"x")) for _ in range(20)]
    await asyncio.sleep(0)
    await kage.close()
    assert sorted([await each for each in waiting]) == list(range(1, 21))
    with pytest.raises(ClientError, match="closed"):
        await kage.append("n/a", "note.made", b"x")


async def test_a_cancelled_append_does_not_disturb_the_others(fake):
    async with client(fake) as kage:
        tasks = [asyncio.ensure_future(kage.append("n/a", "note.made", b"%d" % n)) for n in range(10)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[3], asyncio.CancelledError)
    assert all(isinstance(each, int) for index, each in enumerate(results) if index != 3)


async def test_an_append_over_the_limit_is_refused_before_it_is_sent(fake):
    async with client(fake) as kage:
        with pytest.raises(ClientError) as caught:
            await kage.append("n/a", "note.made", b"x" * (16 << 20))
        assert caught.value.reason == "TOO_MUCH"
        assert await kage.append("n/a", "note.made", b"x") == 1


async def test_a_subscription_goes_on_over_restarts_without_a_gap_or_a_repeat(fake):
    async with client(fake) as kage:
        got: list[int] = []

        async def read() -> None:
            async for each in kage.subscribe(after_seq=0, max_batch=3):
                got.append(each.seq)
                if len(got) == 60:
                    return

        reader = asyncio.ensure_future(read())
        for part in range(3):
            for n in range(20):
                await kage.append("n/a", "note.made", b"%d" % n)
            if part < 2:
                await asyncio.to_thread(fake.restart)
        await asyncio.wait_for(reader, 20)
    assert got == list(range(1, 61))


async def test_a_subscription_from_now_remembers_its_now_over_a_restart(fake):
    async with client(fake) as kage:
        await kage.append("n/a", "note.made", b"before")
        request = pb.SubscribeEventsRequest(now=True)
        messages = kage.messages(request)
        assert (await anext(messages)).confirmed.after_seq == 1
        await asyncio.to_thread(fake.restart)
        await kage.append("n/a", "note.made", b"while away")
        async for message in messages:
            if message.batch.events:
                assert [each.seq for each in message.batch.events] == [2]
                break
        await messages.aclose()


async def test_batches_are_given_as_they_arrive(fake):
    async with client(fake) as kage:
        for n in range(10):
            await kage.append("n/a", "note.made", b"%d" % n)
        raw = [each async for each in kage.read_batches(pb.ReadEventsRequest(max_batch=4))]
    parsed = [pb.ReadEventsResponse.FromString(each) for each in raw]
    assert [each.seq for answer in parsed for each in answer.events] == list(range(1, 11))
    assert parsed[-1].head_seq == 10


async def test_calls_raise_with_the_daemons_own_words(fake):
    async with client(fake) as kage:
        assert (await kage.call(GET_HEAD, pb.GetHeadRequest())).store_id == "fake"
        with pytest.raises(ClientError) as caught:
            await kage.call(GET_AGENT, agent_service_pb2.GetAgentRequest(agent="nobody"))
    assert (caught.value.code, caught.value.reason) == ("NOT_FOUND", "AGENT_NOT_FOUND")
    assert caught.value.hint


def test_the_blocking_client_reads_raw_and_outlasts_a_restart(fake):
    with Client(find_address(fake.socket, env={})) as kage:
        with fake.world.changed:
            fake.world.record(event_pb2.Meta(id=b"1" * 16, stream="s", type="a.b"), event_pb2.Body())
        assert len(list(kage.stream_bytes(READ_EVENTS, pb.ReadEventsRequest()))) == 2
        fake.close()
        later = threading.Timer(0.5, fake.serve)
        later.start()
        assert kage.call(GET_HEAD, pb.GetHeadRequest()).head_seq == 1
        later.join()
