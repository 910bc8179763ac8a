"""Loads and measurements that run in a process of their own: `python -m tests.bench.worker TASK JSON`.

A task is a generator-like coroutine: it prepares, calls `await start()` (which says `ready` and waits for `go`),
works, and returns what goes out as JSON. Times are in ms, rates per second.
"""

import asyncio
import json
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from kagectl.client.address import Address
from kagectl.client.asynchronous import AsyncClient
from kagectl.client.frames import frame_event, frame_group, frame_request, varint
from kagectl.client.ids import uuid7_bytes
from kagectl.client.methods.events import APPEND_EVENTS, GET_HEAD
from kaged.api.v1 import event_service_pb2 as pb
from tests.bench.events import framed, payloads, stream_of
from tests.bench.figures import percentile

Task = Callable[..., Coroutine[Any, Any, dict[str, Any]]]
TASKS: dict[str, Task] = {}
clock = time.perf_counter
_BODIES = 2000
_cpu_before_s = 0.0  # when the bench said go


def task(function: Task) -> Task:
    """Make it callable by name."""
    TASKS[function.__name__] = function
    return function


async def start() -> None:
    """Say that all is prepared; return when the bench says go."""
    global _cpu_before_s
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    _cpu_before_s = time.process_time()


def client(socket: str, token: str, **settings: Any) -> AsyncClient:
    """A client of the daemon."""
    return AsyncClient(Address(socket=socket, token_file=token), **settings)


def _stream_stream(line: AsyncClient, path: str) -> Any:
    return line._channel.stream_stream(path, None, None)


def _unary_stream(line: AsyncClient, path: str) -> Any:
    return line._channel.unary_stream(path, None, None)


def told(took_s: list[float], count: int, seconds: float) -> dict[str, Any]:
    """A closed loop's answer."""
    return {
        "count": count,
        "rate": count / seconds,
        "p50": percentile(took_s, 0.5) * 1e3,
        "p99": percentile(took_s, 0.99) * 1e3,
        "max": max(took_s, default=0.0) * 1e3,
        "client_us": (time.process_time() - _cpu_before_s) / max(count, 1) * 1e6,
    }


async def closed_loop(callers: int, seconds: float, once: Callable[[int], Awaitable[int]]) -> dict[str, Any]:
    """Callers that each wait for their answer before the next call; `once` returns how many events it was."""
    took: list[float] = []
    count = 0
    end = clock() + seconds

    async def caller(number: int) -> None:
        nonlocal count
        while (begun := clock()) < end:
            events = await once(number)
            count += events  # not `count += await`: that would add to what it was before
            took.append(clock() - begun)

    begun = clock()
    await asyncio.gather(*map(caller, range(callers)))
    return told(took, count, clock() - begun)


# --- append ------------------------------------------------------------------------------------------------------


@task
async def append(socket: str, token: str, callers: int, seconds: float) -> dict[str, Any]:
    """`AsyncClient.append`, coalesced by the client."""
    bodies = payloads(_BODIES)
    async with client(socket, token) as line:
        await line.append("bench/00", "bench.warm_up", b"{}")

        async def once(number: int) -> int:
            await line.append(stream_of(number), "bench.step_done", bodies[number], tags=TAGS)
            return 1

        await start()
        return await closed_loop(callers, seconds, once)


TAGS = {"project": "kage", "kind": "k1"}


@task
async def unary(socket: str, token: str, callers: int, seconds: float, request_ids: bool) -> dict[str, Any]:
    """Unary AppendEvents of one event; with `request_ids`, through the client, which makes it repeatable."""
    bodies = payloads(_BODIES)
    async with client(socket, token) as line:
        stub = line._channel.unary_unary(APPEND_EVENTS.full_path, None, None)

        async def plain(number: int) -> int:
            event = framed(bodies, number, 1)[0]
            await stub(b"\x12" + varint(len(event)) + event, metadata=line._key)
            return 1

        async def repeatable(number: int) -> int:
            event = framed(bodies, number, 1)[0]
            await line.call(APPEND_EVENTS, pb.AppendEventsRequest.FromString(b"\x12" + varint(len(event)) + event))
            return 1

        once = repeatable if request_ids else plain
        await once(0)
        await start()
        return await closed_loop(callers, seconds, once)


@task
async def bulk(socket: str, token: str, events: int, per: int, in_flight: int) -> dict[str, Any]:
    """AppendStream with messages of `per` events, `in_flight` of them at a time. Messages are made before."""
    bodies = payloads(_BODIES)
    messages = [
        frame_request(number + 1, [frame_group(framed(bodies, number * per, per))]) for number in range(events // per)
    ]
    async with client(socket, token) as line:
        call = _stream_stream(line, "/kaged.api.v1.EventService/AppendStream")(metadata=line._key)
        sent: list[float] = []
        took: list[float] = []
        slots = asyncio.Semaphore(in_flight)

        async def read() -> None:
            for number in range(len(messages)):
                answer = pb.AppendStreamResponse.FromString(await call.read())
                assert not answer.exceptions, answer
                took.append(clock() - sent[number])
                slots.release()

        await start()
        begun = clock()
        reading = asyncio.ensure_future(read())
        for message in messages:
            await slots.acquire()
            sent.append(clock())
            await call.write(message)
        await reading
        seconds = clock() - begun
        call.cancel()
        return told(took, events, seconds)


@task
async def paced(socket: str, token: str, rate: float, seconds: float) -> dict[str, Any]:
    """One append each 1/rate s, open loop: latencies of acks."""
    bodies = payloads(_BODIES)
    took: list[float] = []
    async with client(socket, token) as line:
        await line.append("bench/00", "bench.warm_up", b"{}")

        async def one(number: int) -> None:
            begun = clock()
            await line.append(stream_of(number), "bench.step_done", bodies[number % _BODIES])
            took.append(clock() - begun)

        await start()
        begun = clock()
        tasks: list[asyncio.Task[None]] = []
        while (now := clock() - begun) < seconds:
            while len(tasks) < now * rate:
                tasks.append(asyncio.ensure_future(one(len(tasks))))
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*tasks)
        return told(took, len(took), clock() - begun)


@task
async def unrelated(socket: str, token: str, seconds: float, callers: int, rate: float) -> dict[str, Any]:
    """GetHead at a pace, beside callers that append as fast as they can: latencies of GetHead."""
    bodies = payloads(_BODIES)
    took: list[float] = []
    appended = 0
    async with client(socket, token) as line, client(socket, token) as other:
        await line.append("bench/00", "bench.warm_up", b"{}")
        await other.call(GET_HEAD, pb.GetHeadRequest())
        await start()
        end = clock() + seconds

        async def append_on(number: int) -> None:
            nonlocal appended
            while clock() < end:
                await line.append(stream_of(number), "bench.step_done", bodies[number])
                appended += 1

        async def look() -> None:
            while (begun := clock()) < end:
                await other.call(GET_HEAD, pb.GetHeadRequest())
                took.append(clock() - begun)
                await asyncio.sleep(1 / rate)

        await asyncio.gather(look(), *map(append_on, range(callers)))
        answer = told(took, len(took), seconds)
        answer["appended"] = appended
        return answer


# --- read --------------------------------------------------------------------------------------------------------


@task
async def catch_up(
    socket: str, token: str, after: int, count: int, batch: int, parse: bool = True, forever: bool = False
) -> dict[str, Any]:
    """Subscribe from `after` and read `count` events, parsing each and reading three fields."""
    async with client(socket, token) as line:
        stub = _unary_stream(line, "/kaged.api.v1.EventService/SubscribeEvents")
        await start()
        begun = clock()
        while True:
            seen = total = 0
            request = pb.SubscribeEventsRequest(after_seq=after, max_batch=batch)
            call = stub(request.SerializeToString(), metadata=line._key)
            async for raw in call:
                if not parse:
                    seen += batch if raw[0] == 0x0A else 0
                else:
                    for event in pb.SubscribeEventsResponse.FromString(raw).batch.events:
                        total += event.seq + len(event.meta.type) + len(event.body.custom.data)
                        seen += 1
                if seen >= count:
                    break
            call.cancel()
            if not forever:
                return told([], seen, clock() - begun)


@task
async def stuck(socket: str, token: str, after: int) -> dict[str, Any]:
    """Subscribe and never read."""
    async with client(socket, token) as line:
        stub = _unary_stream(line, "/kaged.api.v1.EventService/SubscribeEvents")
        call = stub(pb.SubscribeEventsRequest(after_seq=after).SerializeToString(), metadata=line._key)
        await call.read()
        await start()
        await asyncio.sleep(3600)
    return {}


@task
async def live(socket: str, token: str, rate: float, subscribers: int, seconds: float, per: int = 1) -> dict[str, Any]:
    """Publish at a rate; time from before the send to delivery at the first and the last subscriber.

    The time of sending is in the body. Several subscribers share a channel as several readers in one program do.
    """
    lines = [client(socket, token) for _ in range(min(subscribers, 4))]
    took: list[float] = []
    acks: list[float] = []
    confirmed: list[int] = []

    async def follow(number: int) -> None:
        stub = _unary_stream(lines[number % len(lines)], "/kaged.api.v1.EventService/SubscribeEvents")
        request = pb.SubscribeEventsRequest(now=True, max_batch=1024)
        looked_at = number in (0, subscribers - 1)
        async for raw in stub(request.SerializeToString(), metadata=lines[0]._key):
            now = clock()
            if raw[0] != 0x0A:
                confirmed.append(number)
            elif looked_at:
                for event in pb.SubscribeEventsResponse.FromString(raw).batch.events:
                    if event.meta.type == "bench.step_done":
                        took.append(now - struct.unpack_from("<d", event.body.custom.data)[0])  # noqa: PERF401

    followers = [asyncio.ensure_future(follow(number)) for number in range(subscribers)]
    filling = b" " * 180
    async with client(socket, token) as line:
        await line.append("bench/00", "bench.warm_up", b"{}")
        while len(confirmed) < subscribers:  # noqa: ASYNC110  they are many, and this is not measured
            await asyncio.sleep(0.01)

        # Made once and cut where it differs: the publisher must not be what is measured.
        event_id = uuid7_bytes()
        before, after = frame_event(
            event_id=event_id, occurred_us=time.time_ns() // 1000, stream="bench/live",
            event_type="bench.step_done", data=b"whenSent" + filling, tags=TAGS,
        ).split(event_id)  # fmt: skip
        after, rest = after.split(b"whenSent")

        async def publish(count: int) -> None:
            now = clock()
            sent_at = struct.pack("<d", now)
            await line.append_framed(*[b"".join((before, uuid7_bytes(), after, sent_at, rest)) for _ in range(count)])
            acks.append(clock() - now)

        await start()
        begun, sent = clock(), 0
        tasks: set[asyncio.Task[None]] = set()
        while (now := clock() - begun) < seconds:
            due = min(int(now * rate) - sent, 1000)
            if due >= per:
                sent += due
                publishing = asyncio.ensure_future(publish(due))
                tasks.add(publishing)
                publishing.add_done_callback(tasks.discard)
            await asyncio.sleep(max(per / rate, 0.001) / 2)
        await asyncio.gather(*tasks)
        await asyncio.sleep(0.1)
        for follower in followers:
            follower.cancel()
        answer = told(took, sent, seconds)
        answer["ack_p50"], answer["ack_p99"] = percentile(acks, 0.5) * 1e3, percentile(acks, 0.99) * 1e3
        answer["delivered"] = len(took)
    for line in lines:
        await line.close()
    return answer


# --- without a socket --------------------------------------------------------------------------------------------


@task
async def group_commit(folder: str, waiters: int, seconds: float, most: int) -> dict[str, Any]:
    """Door, journal and RocksDB in this process: waiters that each append one event and wait for the disk."""
    from kaged.runtime.system import System
    from kaged.store.log.journal import Journal
    from kaged.store.log.opening import create_store
    from kaged.store.rows.rocks import RocksStore
    from kaged.store.wire.door import Door

    system = System()
    store = RocksStore(Path(folder) / "db")
    create_store(store, "bench")
    journal = Journal(store, clock_us=system.now_us)
    journal.start()
    door = Door(system.event_id)
    raws = iter(framed(payloads(_BODIES), 0, most))

    async def once(_: int) -> int:
        raw = next(raws, None)
        if raw is None:
            await asyncio.sleep(seconds)
            return 0
        await journal.accept(door.admit((raw,), system.now_us()), 2)
        return 1

    await start()
    took: list[float] = []
    count, end = 0, clock() + seconds

    async def caller() -> None:
        nonlocal count
        while (begun := clock()) < end and await once(0):
            took.append(clock() - begun)
            count += 1

    cpu, begun = time.process_time(), clock()
    await asyncio.gather(*(caller() for _ in range(waiters)))
    answer = told(took, count, clock() - begun)
    answer["daemon_us"] = (time.process_time() - cpu) / max(count, 1) * 1e6
    await journal.stop()
    store.close()
    return answer


@task
async def build(folder: str, events: int) -> dict[str, Any]:
    """A store of many events, as a daemon would have written it; recorded 100 us apart, ending now."""
    from kaged.runtime.system import System
    from kaged.store.log.journal import Journal
    from kaged.store.log.opening import create_store
    from kaged.store.rows.rocks import RocksStore
    from kaged.store.wire.door import Door

    system = System()
    store = RocksStore(Path(folder) / "db")
    create_store(store, "bench")
    journal = Journal(store, clock_us=system.now_us)
    journal.start()
    door = Door(system.event_id)
    bodies = payloads(_BODIES * 10)
    first_us = system.now_us() - events * 100
    await start()
    begun = clock()
    flying: list[Any] = []
    for number in range(0, events, 1000):
        at_us = first_us + number * 100
        agent = f"agent-{number // 1000 % 200}"
        raws = [
            frame_event(
                event_id=uuid7_bytes(), occurred_us=at_us, stream=stream_of(each), event_type="bench.step_done",
                data=bodies[each % len(bodies)], tags={"project": "kage", "kind": f"k{each % 4}"},
                agent=agent if each % 10 == 0 else "",
            )
            for each in range(number, min(number + 1000, events))
        ]  # fmt: skip
        flying.append(journal.accept(door.admit(raws, system.now_us()), 2, at_us))
        if len(flying) > 8:
            await flying.pop(0)
    await journal.stop()
    await asyncio.to_thread(store.flush)
    store.close()
    return told([], events, clock() - begun)


def main() -> None:
    """Run one task."""
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(asyncio.run(TASKS[name](**arguments))), flush=True)


if __name__ == "__main__":
    main()
