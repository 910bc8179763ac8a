"""`kill -9` of the daemon at its K-th system call of a kind, for every K: crash points by enumeration, not by chance.

    python -m tests.faults.sweep [--calls rename,mkdir,...] [--points 60]

strace is attached to a daemon that serves and kills it as it enters the K-th call (`inject=...:signal=SIGKILL`),
while a client spawns an agent that talks, one that is stopped, one that asks and one that ends at once, and repeats
what was not answered. The daemon is started again without strace; all agents end; at last the ledger judges the
whole journal. `--calls start:...` traces a start instead: crash points of recovery. Counts are per thread.
"""

import argparse
import contextlib
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import agent_service_pb2_grpc, approval_service_pb2, approval_service_pb2_grpc, spec_pb2
from tests.e2e.daemon_kit import Kaged, eventually
from tests.faults import soak_agent
from tests.faults.judging import Figures, judge
from tests.faults.ledger import Planned
from tests.faults.soak import Line

import grpc  # isort: skip  # after daemon_kit, which sets what it must see

CALLS: Final = (
    "write", "pwrite64", "fdatasync", "openat", "close", "rename", "mkdir", "mknodat,mknod", "unlink,unlinkat",
    "rmdir", "vfork,clone,clone3", "pipe2,socketpair", "flock", "fcntl", "sendto,sendmsg", "wait4", "inotify_add_watch",
    "ftruncate,fallocate", "pread64", "start:openat", "start:rename,unlink,mkdir", "start:fdatasync", "start:write",
    "start:pwrite64", "start:flock",
)  # fmt: skip
_AGENT: Final = Path(soak_agent.__file__)


class Sweep:
    """One state folder that dies at one point after another."""

    def __init__(self, kaged: Kaged) -> None:
        self._kaged = kaged
        self._up = threading.Event()
        self.plan: list[Planned] = []
        self.points = 0
        self.killed = 0

    def point(self, calls: str, number: int) -> bool:
        """One point: whether the daemon lived long enough to reach it, and died."""
        kaged = self._kaged
        self.points += 1
        at_start = calls.startswith("start:")
        calls = calls.removeprefix("start:")
        worker = threading.Thread(target=self._act)
        if at_start:
            self._act_while_killed(worker)
            killed = self._start_traced(calls, number)
        else:
            if not self._up.is_set():
                kaged.start()
                self._up.set()
            with self._traced(calls, number):
                worker.start()
                while worker.is_alive() and self._lives():
                    time.sleep(0.002)
            killed = not self._lives()  # the blow may fall until strace is gone
        self.killed += killed
        if killed or at_start:
            self._up.clear()
            kaged.kill()
            kaged.start()
        self._up.set()
        worker.join(60.0)
        assert not worker.is_alive(), "the client did not get its answers"
        for planned in self.plan[-4:]:
            try:
                kaged.wait(planned.agent)
            except grpc.RpcError as error:
                raise AssertionError(f"{planned} does not end: {kaged.agent(planned.agent)}") from error
        return killed

    def _lives(self) -> bool:
        assert self._kaged.process is not None
        return self._kaged.process.poll() is None

    def _act_while_killed(self, worker: threading.Thread) -> None:
        """Leave a start something to recover from."""
        if not self._up.is_set():
            self._kaged.start()
            self._up.set()
        before = len(self.plan)
        worker.start()
        eventually(lambda: len(self.plan) > before + 2 or not worker.is_alive(), "some agents")
        self._up.clear()
        self._kaged.kill()

    def _start_traced(self, calls: str, number: int) -> bool:
        kaged = self._kaged
        kaged.prefix = ("strace", *_flags(calls, number))
        try:
            kaged.launch()
        finally:
            kaged.prefix = ()
        assert kaged.process is not None
        try:
            with contextlib.suppress(AssertionError):
                kaged.wait_serving()
        finally:
            killed = kaged.process.poll() is not None
            if not killed:  # strace's end leaves the daemon without its tracer; it is killed by the state's mark
                for pid in _daemons(kaged):
                    subprocess.run(["kill", "-9", str(pid)], check=False)
                kaged.process.wait(10)
        return killed

    @contextlib.contextmanager
    def _traced(self, calls: str, number: int) -> Iterator[None]:
        assert self._kaged.process is not None
        pid = self._kaged.process.pid
        tracer = subprocess.Popen(
            ["strace", *_flags(calls, number), "-p", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            eventually(lambda: is_traced(pid) or not self._lives(), "strace to attach")
            yield
        finally:
            tracer.terminate()
            tracer.wait(10)

    def _act(self) -> None:
        line = Line(self._kaged, self._up)
        service = agent_service_pb2_grpc.AgentServiceStub
        made = {kind: self._spawn(line, kind) for kind in ("echo", "ticker", "asker", "quick")}
        for part in range(3):
            data = soak_agent.noise(made["echo"].seed, part, size=3000)
            line.call(
                service,
                "SendInput",
                agents_pb.SendInputRequest(
                    agent=made["echo"].agent, data=data, eof=part == 2, request_id=f"{made['echo'].agent}.{part}"
                ),
            )
            made["echo"].inputs.append(data)
        ticker = made["ticker"]
        ticker.stopped = True
        # A ticker that is stopped before it runs has not run; so let it say something first.
        while not line.call(service, "GetAgent", agents_pb.GetAgentRequest(agent=ticker.agent)).agent.run.stdout_bytes:
            time.sleep(0.01)
        line.call(
            service,
            "StopAgent",
            agents_pb.StopAgentRequest(agent=ticker.agent, grace_s=5.0, request_id=f"{ticker.agent}.stop"),
        )
        self._answer(line, made["asker"])
        line.reset()

    def _spawn(self, line: Line, kind: str) -> Planned:
        number = len(self.plan)
        python = getattr(sys, "_base_executable", sys.executable)
        spec = spec_pb2.AgentSpec(
            name=f"{kind}-{number}",
            command=[python, "-I", "-S", str(_AGENT), kind, str(1000 + number), "mark"],
            working_directory=str(self._kaged.folder),
            adapter="jsonl" if kind == "asker" else "",
            stdin=spec_pb2.STDIN_MODE_PIPE if kind == "echo" else spec_pb2.STDIN_MODE_UNSPECIFIED,
        )
        request = agents_pb.SpawnAgentRequest(spec=spec, request_id=f"spawn.{number}")
        agent = line.call(agent_service_pb2_grpc.AgentServiceStub, "SpawnAgent", request).agent
        planned = Planned(agent.id, kind, 1000 + number, request.request_id)
        self.plan.append(planned)
        return planned

    def _answer(self, line: Line, asker: Planned) -> None:
        service = approval_service_pb2_grpc.ApprovalServiceStub
        asked = approval_service_pb2.ListApprovalsRequest(agent=asker.agent)
        limit = time.monotonic() + 60.0
        while not (found := line.call(service, "ListApprovals", asked).approvals):
            assert time.monotonic() < limit, "no question"
            time.sleep(0.01)
        request = approval_service_pb2.AnswerApprovalRequest(
            approval=found[0].id, approve=True, note="go", request_id=f"{asker.agent}.answer"
        )
        line.call(service, "AnswerApproval", request)
        asker.answers.append(("approved", "go"))


def _flags(calls: str, number: int) -> list[str]:
    # -f: threads too; -b execve: but no children
    known = ",".join(f"?{name}" for name in calls.split(","))
    return [
        "-f", "-b", "execve", "-qq", "-o", "/dev/null",
        "-e", f"trace={known}", "-e", f"inject={known}:signal=SIGKILL:when={number}",
    ]  # fmt: skip


def is_traced(pid: int) -> bool:
    """Whether all threads of a process have a tracer."""
    tasks = list(Path(f"/proc/{pid}/task").glob("*/status"))
    with contextlib.suppress(OSError):
        return all("TracerPid:\t0\n" not in task.read_text() for task in tasks)
    return False


def _daemons(kaged: Kaged) -> list[int]:
    with contextlib.suppress(OSError, ValueError):
        return [int((kaged.state / "lock").read_text())]
    return []


def run(folder: Path, plan: Sequence[tuple[str, int]], say: bool = False) -> tuple[Sweep, Figures]:
    """Go through these points on one state folder."""
    kaged = Kaged(folder)
    try:
        sweep = Sweep(kaged)
        for calls, number in plan:
            killed = sweep.point(calls, number)
            if say:
                print(f"{calls} {number} {'killed' if killed else 'not reached'}", flush=True)
        figures = judge(kaged, sweep.plan)
        figures.kills = sweep.killed
        return sweep, figures
    finally:
        kaged.__exit__(*sys.exc_info())


def main() -> int:
    """Flags, figures, findings."""
    parser = argparse.ArgumentParser(prog="sweep", description="kill -9 at each system call, then judge the journal")
    parser.add_argument("--calls", action="append", help="a comma list counted together; `start:` for a start")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--step", type=int, default=1)
    arguments = parser.parse_args()
    numbers = itertools.islice(itertools.count(arguments.first, arguments.step), arguments.points)
    plan = [(calls, number) for number in numbers for calls in (arguments.calls or CALLS)]
    began = time.monotonic()
    sweep, figures = run(Path(tempfile.mkdtemp(prefix="kage-sweep-")), plan, say=True)
    figures.seconds = time.monotonic() - began
    for finding in figures.findings:
        print(f"  {finding.kind}: {finding.what}")
    for orphan in figures.orphans:
        print(f"  orphan: {orphan}")
    print(f"points={sweep.points} {figures}")
    return int(bool(figures.findings or figures.orphans))


if __name__ == "__main__":
    sys.exit(main())
