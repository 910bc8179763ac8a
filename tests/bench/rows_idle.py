"""Rows: what an idle daemon costs, how fast it is back, small reads in a long journal, bytes on disk, `kagectl ps`."""

import subprocess
import sys
import time
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from kagectl.client.methods.agents import SPAWN_AGENT, STOP_AGENT, WAIT_AGENT
from kagectl.client.methods.events import GET_EVENT, LIST_EVENTS, READ_EVENTS
from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import event_service_pb2 as pb
from kaged.api.v1 import spec_pb2
from tests.bench import adoption
from tests.bench.bench import Bench, each
from tests.bench.figures import percentile
from tests.bench.kage import ROOT, Kaged, Worker, kaged
from tests.bench.machine import folder_bytes, memory_mb


def idle(bench: Bench) -> None:
    """Memory and CPU when nothing happens."""
    with kaged(bench.new_folder()) as daemon:
        time.sleep(1)
        bench.figure("idle daemon, empty: RSS", "MB", [daemon.rss_mb()], goal=75)
        bench.figure("idle daemon, empty: CPU", "% of a core", [_idle_cpu(daemon, bench)], goal=0.5)
    with kaged(bench.big_store()) as daemon:
        time.sleep(1)
        bench.figure(f"idle daemon, {bench.big:,} events: RSS", "MB", [daemon.rss_mb()], goal=90)
        count = 100
        with daemon.client() as client:
            spec = spec_pb2.AgentSpec(command=["/bin/sleep", "1000"], working_directory="/")
            ids = [client.call(SPAWN_AGENT, agents_pb.SpawnAgentRequest(spec=spec)).agent.id for _ in range(count)]
            shims = _wait_for_shims(daemon, count)
            time.sleep(2)
            bench.figure(f"the same with {count} idle agents: RSS", "MB", [daemon.rss_mb()], goal=100)
            bench.figure(f"{count} idle agents: CPU of the daemon", "% of a core", [_idle_cpu(daemon, bench)], goal=0.5)
            shares = [memory_mb(pid, "Pss") for pid in shims]
            bench.figure("shim: PSS an agent", "MB", [sum(shares) / len(shares)], goal=6)
            for agent in ids:
                client.call(STOP_AGENT, agents_pb.StopAgentRequest(agent=agent))
            for agent in ids:
                client.call(WAIT_AGENT, agents_pb.WaitAgentRequest(agent=agent), timeout_s=0)


def _idle_cpu(daemon: Kaged, bench: Bench) -> float:
    seconds = max(2.0, 4 * bench.seconds)
    before = daemon.cpu_s()
    time.sleep(seconds)
    return (daemon.cpu_s() - before) / seconds * 100


def _wait_for_shims(daemon: Kaged, count: int) -> list[int]:
    """Shims whose program runs."""
    deadline = time.monotonic() + 60
    while True:
        shims = [pid for pid in _children(daemon.pid) if _children(pid)]
        if len(shims) >= count or time.monotonic() > deadline:
            return shims
        time.sleep(0.1)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        pass
    return found


def ready(bench: Bench) -> None:
    """From exec to READY=1, as a service manager counts."""
    state = bench.big_store()
    daemon = Kaged(state)
    try:
        runs = []
        for _ in each(bench):
            daemon.stop()
            daemon.start()
            runs.append(daemon.ready_s)
        bench.figure(f"READY with {bench.big:,} events, clean", "s", runs, goal=0.3)
        runs = []
        for _ in each(bench):
            place = {"socket": daemon.socket, "token": str(daemon.address.token_file)}
            Worker("bulk", events=60_000, per=1000, in_flight=8, **place).go().result()
            daemon.kill()
            daemon.start()
            runs.append(daemon.ready_s)
        note = "killed after 60,000 appends in a row"
        bench.figure(f"READY with {bench.big:,} events, after kill -9", "s", runs, goal=1, note=note)
    finally:
        daemon.close()


def adopts(bench: Bench) -> None:
    """From exec to READY=1 when there are live agents to be adopted."""
    count = 100
    empty, full = adoption.measure(bench.new_folder(), count, max(3, bench.runs))
    cost_ms = (percentile(full.cpu_s, 0.5) - percentile(empty.cpu_s, 0.5)) / count * 1e3
    note = f"without agents {percentile(empty.wall_s, 0.5):.2f} s; an agent costs {cost_ms:.2f} ms of CPU"
    bench.figure(f"READY with {count} live agents, after kill -9", "s", full.wall_s, goal=0.5, note=note)


def small_reads(bench: Bench) -> None:
    """Looking into a long journal."""
    with kaged(bench.big_store()) as daemon, daemon.client() as client:
        first = client.call(GET_EVENT, pb.GetEventRequest(seq=1)).event.recorded_us
        last = client.call(GET_EVENT, pb.GetEventRequest(seq=bench.big)).event.recorded_us
        runs, pages = [], []
        for run in each(bench):
            took, paging = [], []
            for number in range(40):
                at = Timestamp()
                at.FromMicroseconds(first + (last - first) * ((number * 37 + run * 11) % 97) // 97)
                begun = time.perf_counter()
                list(client.stream(READ_EVENTS, pb.ReadEventsRequest(from_time=at, limit=1)))
                took.append(time.perf_counter() - begun)
                request = pb.ListEventsRequest(filter=f'agent = "agent-{(number * 7 + run) % 200}"', page_size=100)
                begun = time.perf_counter()
                answer = client.call(LIST_EVENTS, request)
                paging.append(time.perf_counter() - begun)
                assert len(answer.events) == 100
            runs.append(percentile(took, 0.5) * 1e3)
            pages.append(percentile(paging, 0.5) * 1e3)
        bench.figure(f"time seek in {bench.big:,} events: p50, round trip", "ms", runs, goal=5)
        bench.figure("first page (100) of one agent: p50, round trip", "ms", pages, goal=3)


def disk(bench: Bench) -> None:
    """Bytes on disk of a 300-byte event with two tags, all families, as the daemon leaves them."""
    state = bench.big_store()
    bench.figure("disk per event", "bytes", [folder_bytes(state / "db") / bench.big], goal=220)


def ps(bench: Bench) -> None:
    """`kagectl ps`, from exec to exit."""
    kagectl = Path(sys.executable).with_name("kagectl")
    with kaged(bench.new_folder()) as daemon:
        for name, command in (
            ("kagectl ps", [str(kagectl), "ps"]),
            ("kagectl ps, by `python -m kagectl`", [sys.executable, "-m", "kagectl", "ps"]),
            ("python -c pass", [sys.executable, "-c", "pass"]),
        ):
            runs = [_median_ms(command, daemon) for _ in each(bench)]
            bench.figure(name, "ms", runs, goal=None if "-c" in command else 100)


def _median_ms(command: list[str], daemon: Kaged) -> float:
    took = []
    for _ in range(7):
        begun = time.perf_counter()
        subprocess.run(command, env=daemon.env, cwd=ROOT, check=True, capture_output=True)
        took.append((time.perf_counter() - begun) * 1e3)
    return percentile(took, 0.5)
