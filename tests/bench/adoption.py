"""How long a killed daemon needs to own its live agents again, beside what the machine can do at that moment.

    python -m tests.bench.adoption [--agents 100] [--rounds 7]

From exec to READY=1 without agents and with many, and CPU until then, which tells more on a shared machine; beside
both, in turns, what `python -c pass` and `python -c "import grpc"` take in the same minutes. `measure` is also a row
of `python -m tests.bench`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kagectl.client import Client
from kagectl.client.methods.agents import GET_AGENT, SPAWN_AGENT, STOP_AGENT, WAIT_AGENT
from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import spec_pb2
from tests.bench.kage import Kaged

_SAID = 200  # lines, so that there is a place to go on from
_COMMAND = ("sh", "-c", f"i=0; while [ $i -lt {_SAID} ]; do echo line $i; i=$((i+1)); done; exec sleep 3600")


@dataclass(slots=True)
class Took:
    """Wall and CPU seconds of each round."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def note(self, wall_s: float, cpu_s: float) -> None:
        """One round."""
        self.wall_s.append(wall_s)
        self.cpu_s.append(cpu_s)

    def __str__(self) -> str:
        wall, cpu = statistics.median(self.wall_s), statistics.median(self.cpu_s)
        return f"{wall:.3f} s (best {min(self.wall_s):.3f}), CPU {cpu:.3f} s (best {min(self.cpu_s):.3f})"


def measure(folder: Path, agents: int, rounds: int, between: Callable[[], None] = lambda: None) -> tuple[Took, Took]:
    """Starts without agents, and after `kill -9` with so many that live. `between` is called before each round."""
    empty, full = Took(), Took()
    daemon = Kaged(folder)
    try:
        for _ in range(rounds):
            between()
            daemon.kill()
            daemon.start()
            empty.note(daemon.ready_s, daemon.cpu_s())
        with daemon.client() as client:
            ids = [_spawn(client) for _ in range(agents)]
            for agent in ids:
                _wait_for_words(client, agent)
        for _ in range(rounds):
            between()
            daemon.kill()
            daemon.start()
            full.note(daemon.ready_s, daemon.cpu_s())
        with daemon.client() as client:
            for agent in ids:
                client.call(STOP_AGENT, pb.StopAgentRequest(agent=agent))
            for agent in ids:
                client.call(WAIT_AGENT, pb.WaitAgentRequest(agent=agent), timeout_s=0)
    finally:
        daemon.close()
    return empty, full


def _spawn(client: Client) -> str:
    spec = spec_pb2.AgentSpec(command=_COMMAND, working_directory="/")
    return str(client.call(SPAWN_AGENT, pb.SpawnAgentRequest(spec=spec)).agent.id)


def _wait_for_words(client: Client, agent: str) -> None:
    limit = time.monotonic() + 60
    while not client.call(GET_AGENT, pb.GetAgentRequest(agent=agent)).agent.run.stdout_bytes:
        if time.monotonic() > limit:
            raise RuntimeError(f"agent {agent} said nothing")
        time.sleep(0.02)


def _python(code: str) -> tuple[float, float]:
    before, begun = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begun, spent


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="adoption", description="from exec to READY with live agents")
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    bare, grpc = Took(), Took()

    def beside() -> None:
        bare.note(*_python("pass"))
        grpc.note(*_python("import grpc"))

    with tempfile.TemporaryDirectory(prefix="kage-adoption-") as folder:
        empty, full = measure(Path(folder) / "state", arguments.agents, arguments.rounds, beside)
    print(f"python -c pass           {bare}")
    print(f'python -c "import grpc"  {grpc}')
    print(f"READY, no agents         {empty}")
    print(f"READY, {arguments.agents} live agents   {full}")
    per_ms = (statistics.median(full.cpu_s) - statistics.median(empty.cpu_s)) / max(1, arguments.agents) * 1e3
    ratios = [statistics.median(took.wall_s) / statistics.median(grpc.wall_s) for took in (empty, full)]
    print(f"an agent costs {per_ms:.2f} ms of CPU; in imports of grpc: {ratios[0]:.1f} without, {ratios[1]:.1f} with")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
