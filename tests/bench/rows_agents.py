"""Rows: output of agents into the journal, and starting them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kagectl.client.methods.agents import SPAWN_AGENT, WAIT_AGENT
from kagectl.client.methods.events import GET_HEAD, SUBSCRIBE_EVENTS
from kagectl.client.synchronous import Client
from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import event_service_pb2 as pb
from kaged.api.v1 import spec_pb2
from tests.bench.bench import Bench, each
from tests.bench.figures import percentile
from tests.bench.kage import Kaged, kaged

LINE = "2026-01-01T00:00:00 INFO worker step finished, 42 files read, 7 tests passed, nothing to do for module alpha"


def output(bench: Bench) -> None:
    """Bytes from a program's write to durable events."""
    for count, total_mb, goal in ((1, 150, 100), (50, 100, 50)):
        with kaged(bench.new_folder()) as daemon, daemon.client() as client:
            rates, stalls, cpus = [], [], []
            for _ in each(bench):
                before = daemon.cpu_s()
                size = int(total_mb * bench.seconds * 1e6) // count
                with _pinged(daemon) as pings:
                    begun = time.perf_counter()
                    ids = [_spawn(client, f"yes '{LINE}' | head -c {size}") for _ in range(count)]
                    runs = [_ended(client, agent).run for agent in ids]
                    took = time.perf_counter() - begun
                written = sum(run.stdout_bytes for run in runs)
                assert written == size * count, (written, size * count)
                rates.append(written / took / 1e6)
                stalls.append(percentile(pings, 0.99) * 1e3)
                cpus.append((daemon.cpu_s() - before) / written * 1e9)
            name = "one noisy agent" if count == 1 else f"{count} agents"
            note = f"spawn to sealed end; daemon {min(cpus):.1f} ms CPU a MB"
            bench.figure(f"output capture, {name}", "MB/s", rates, goal=goal, least=True, note=note)
            note = "round trip of GetHead every 5 ms: an upper bound of the event loop's stall"
            bench.figure(f"stall beside {name}: p99", "ms", stalls, goal=20, note=note)


def spawn(bench: Bench) -> None:
    """From the call to the first output event at a subscriber; and how many starts a second."""
    with kaged(bench.new_folder()) as daemon, daemon.client() as client:
        runs = []
        for _ in each(bench):
            took = [_first_output(client) for _ in range(max(5, int(10 * bench.seconds)))]
            runs.append(percentile(took, 0.5) * 1e3)
        bench.figure("spawn to first output event: p50", "ms", runs, goal=60)
        rates = []
        for _ in each(bench):
            count = max(20, int(40 * bench.seconds))
            begun = time.perf_counter()
            ids = [_spawn(client, "true") for _ in range(count)]
            for agent in ids:
                _ended(client, agent)
            rates.append(count / (time.perf_counter() - begun))
        bench.figure("spawns, each to its sealed end", "/s", rates, goal=40, least=True)


def _spawn(client: Client, script: str) -> str:
    spec = spec_pb2.AgentSpec(command=["/bin/sh", "-c", script], working_directory="/")
    return client.call(SPAWN_AGENT, agents_pb.SpawnAgentRequest(spec=spec)).agent.id


def _ended(client: Client, agent: str) -> agents_pb.Agent:
    return client.call(WAIT_AGENT, agents_pb.WaitAgentRequest(agent=agent), timeout_s=0).agent


def _first_output(client: Client) -> float:
    heard = threading.Event()
    at = [0.0]
    request = pb.SubscribeEventsRequest(now=True, filter='type = "output.*"')
    messages = client.stream(SUBSCRIBE_EVENTS, request)
    next(messages)

    def follow() -> None:
        for message in messages:
            if message.batch.events:
                at[0] = time.perf_counter()
                heard.set()
                return

    follower = threading.Thread(target=follow)
    follower.start()
    begun = time.perf_counter()
    agent = _spawn(client, "echo here")
    heard.wait(30)
    follower.join()
    _ended(client, agent)
    return at[0] - begun


@contextmanager
def _pinged(daemon: Kaged) -> Iterator[list[float]]:
    """Round trips of a small call, all through the block."""
    took: list[float] = []
    stop = threading.Event()

    def ping() -> None:
        with daemon.client() as client:
            while not stop.wait(0.005):
                begun = time.perf_counter()
                client.call(GET_HEAD, pb.GetHeadRequest())
                took.append(time.perf_counter() - begun)

    pinger = threading.Thread(target=ping)
    pinger.start()
    try:
        yield took
    finally:
        stop.set()
        pinger.join()
