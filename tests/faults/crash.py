"""The daemon kills itself at named points, one after another, while clients go on; then everything is judged.

    python -m tests.faults.crash [--point run.started ...] [--times 3]

Each start is armed with the next point (`crash_kaged.py`); clients (`errands.py`) repeat what was not answered, so a
point meets agents in every stage, also those that the deaths before it left behind. `--times` goes on with the
second and third pass of each point. A point that needs more than clients do has a way of its own below.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from grpc_health.v1 import health_pb2

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import daemon_service_pb2
from kaged.crash_points import Point
from tests.e2e.daemon_kit import Kaged, eventually
from tests.faults import crash_kaged
from tests.faults.errands import KINDS, RARE, Errands
from tests.faults.judging import Figures, judge

_PROGRAM: Final = Path(crash_kaged.__file__)
_REACH_S: Final = 90.0  # for the first pass of a point
_LATER_S: Final = 3.0  # for later ones, which some points have only when much happens
_STARTS: Final = 4  # ... or as long as so many starts took: on a busy machine everything takes longer
_DRAIN_S: Final = 60.0
_TICKERS: Final = 3
_ENORMOUS: Final = 1 << 60

AREAS: Final = ("facts", "start", "output", "words", "end", "trees", "goals", "recovery", "stop")
_AREA_OF: Final = {
    "facts": "facts", "commit": "facts", "effect": "facts", "request": "facts", "output": "output", "order": "words",
    "input": "words", "approval": "words", "retry": "trees", "tree": "trees", "goal": "goals", "start": "recovery",
    "recovery": "recovery", "stop": "stop",
}  # fmt: skip
_END: Final = "run.sealed_seen"  # of the points of a run, in the order of the list: from here on they are its end
# Deaths that come first, so that the next start has something of this kind to find.
_BEFORE: Final = {
    Point.RECOVERY_REPEATED: Point.ORDER_RECORDED,
    Point.RECOVERY_RUNG: Point.ORDER_WRITTEN,
    Point.RECOVERY_PLACED: Point.RUN_GATE_OPENED,
    Point.RUN_CANCELLED: Point.RUN_META_SEEN,
    Point.RUN_NOT_STARTED: Point.RUN_SHIM_SPAWNED,
}
_ONCE: Final = (
    "start.", "stop.wanted", "stop.agents", "stop.recorded", "stop.noted", "recovery.folded", "recovery.swept",
    "recovery.kept", "recovery.adopted", "recovery.resumed", "recovery.recorded",
)  # fmt: skip
_ONLY: Final = (  # points that are only passed when somebody runs the rare errands, in their order
    {"run.leftovers_killed"},
    {"output.freed"},
    {"goal.turn_over", "goal.evidence", "goal.judged"},
    {"goal.due"},
)
_FULL: Final = (Point.STOP_NOTED, Point.STOP_ORDERED)


def points(area: str) -> list[Point]:
    """The points of an area, in the order of the list."""
    found, run = [], "start"
    for point in Point:
        if point.value == _END:
            run = "end"
        if _AREA_OF.get(point.value.partition(".")[0], run) == area:
            found.append(point)
    return found


def plan_of(chosen: Sequence[Point], times: int) -> list[tuple[Point, int]]:
    """The first pass of each, then the second ... of those that a life of the daemon comes to more than once."""
    later = [point for point in chosen if not point.value.startswith(_ONCE)]
    return [(point, count) for count in range(1, times + 1) for point in (chosen if count == 1 else later)]


class CrashKaged(Kaged):
    """A kaged with a trap; `at` is that of the next start, such as `run.started:2`, or empty."""

    at = ""

    def command(self) -> list[str]:
        command = super().command()
        return [command[0], "-P", str(_PROGRAM), *command[3:]]  # instead of `-m kaged`

    def launch(self) -> "subprocess.Popen[bytes]":
        self.environment["KAGED_CRASH_AT"] = self.at
        return super().launch()

    def serves(self) -> bool:
        """Whether it serves now."""
        return self.socket.exists() and self.health() == health_pb2.HealthCheckResponse.SERVING

    def died(self) -> bool:
        """Whether it has killed itself at its point. Fails when it ended in another way."""
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            return False
        last = self.words(400).rpartition("crash_point ")[2].split()
        assert (code, ":".join(last[:2])) == (-signal.SIGKILL, self.at), f"ended with {code}: {self.words(3000)}"
        return True


class Crashes:
    """One state folder whose daemon dies at one point after another."""

    def __init__(self, kaged: CrashKaged) -> None:
        self.kaged = kaged
        self.up = threading.Event()
        self.errands = Errands(kaged, self.up)
        self.hit: list[str] = []  # points that it died at, as `name:count`
        self.missed: list[str] = []

    def go_through(self, plan: Sequence[tuple[Point, int]], kinds: Sequence[str]) -> None:
        """Die at each of these, in turn; then let everything come to its end."""
        if plan:
            self._begin(kinds, early=plan[0][0])
        for point, count in plan:
            before = _BEFORE.get(point)
            if before is not None:
                self._die(before, 1)
            self._die(point, count)
        self._serve("")
        self.errands.finish()
        for planned in self.errands.plan:
            self.kaged.wait(planned.agent, deadline_s=_DRAIN_S)

    def _begin(self, kinds: Sequence[str], *, early: Point) -> None:
        """Let clients begin; for a point of a start, let them come so far that there is something to recover."""
        if early.value.startswith(("start.", "recovery.")):
            self._serve("")
            self.errands.start(kinds)
            limit = time.monotonic() + _REACH_S
            while not any(agent.run.stdout_bytes for agent in self._agents()):
                assert time.monotonic() < limit, "no agent came up"
                time.sleep(0.01)
            self.up.clear()
            self.kaged.kill()
        else:
            self.errands.start(kinds)

    def _agents(self) -> Sequence[agents_pb.Agent]:
        return self.kaged.agents.ListAgents(agents_pb.ListAgentsRequest(), timeout=30).agents

    def _die(self, point: Point, count: int) -> None:
        """Start it, armed, unless it runs; wait until it has died there."""
        at = f"{point.value}:{count}"
        if self.kaged.process is not None and self.kaged.process.poll() is None:
            self.up.clear()
            self.kaged.kill()  # it was to die at a later pass of the point before, and did not come to it
        self.kaged.at = at
        self.kaged.launch()
        began = time.monotonic()
        limit = began + _REACH_S
        while not self.kaged.died():
            if not self.up.is_set() and self.kaged.serves():
                self.up.set()
                if count > 1:
                    now = time.monotonic()
                    limit = now + max(_LATER_S, _STARTS * (now - began))
            if time.monotonic() > limit or self.errands.failures:
                self.missed.append(at)
                return
            time.sleep(0.005)
        self.up.clear()
        self.hit.append(at)

    def _serve(self, at: str) -> None:
        if self.kaged.process is not None and self.kaged.process.poll() is None:
            self.up.clear()
            self.kaged.kill()
        self.kaged.at = at
        self.kaged.start()
        self.up.set()

    def stop_at(self, point: Point, count: int = 1) -> None:
        """Die in the middle of an orderly stop that takes agents along; `_FULL`: on a disk that is full."""
        kaged, errands = self.kaged, self.errands
        kaged.environment["KAGED_ON_STOP"] = "stop"
        self._serve(f"{point.value}:{count}")
        agents = errands.tickers(_TICKERS)
        if point in _FULL:
            (kaged.state / "kaged.toml").write_text(f"min_free_bytes = {_ENORMOUS}\n")
            kaged.daemon.Reload(daemon_service_pb2.ReloadRequest(), timeout=30)
            eventually(self._is_read_only, "the daemon to find the disk full")
        self.up.clear()
        assert kaged.process is not None
        kaged.process.terminate()
        limit = time.monotonic() + _REACH_S
        while not kaged.died():
            assert time.monotonic() < limit, f"did not reach {point.value}: {kaged.words(2000)}"
            time.sleep(0.005)
        self.hit.append(f"{point.value}:{count}")
        (kaged.state / "kaged.toml").unlink(missing_ok=True)
        self._serve("")
        errands.stop(agents)

    def _is_read_only(self) -> bool:
        status = self.kaged.daemon.GetStatus(daemon_service_pb2.GetStatusRequest(), timeout=30).status
        return bool(status.phase == daemon_service_pb2.DAEMON_PHASE_READ_ONLY)

    def judge(self) -> Figures:
        """See `judging.py`. The daemon is gone afterwards."""
        figures = judge(self.kaged, self.errands.plan)
        figures.kills = len(self.hit)
        return figures


def kinds_for(plan: Sequence[tuple[Point, int]]) -> Sequence[str]:
    """What clients must do for these points to be passed."""
    names = {point.value for point, _ in plan}
    return (*KINDS, *(kind for kind, needed in zip(RARE, _ONLY, strict=True) if any(map(needed.__contains__, names))))


def run(folder: Path, plan: Sequence[tuple[Point, int]]) -> tuple[Crashes, Figures]:
    """Go through a plan on one state folder."""
    kaged = CrashKaged(folder)
    try:
        crashes = Crashes(kaged)
        stops = [(point, count) for point, count in plan if point.value.startswith("stop.")]
        others = [item for item in plan if item not in stops]
        if others:
            crashes.go_through(others, kinds_for(others))
        for point, count in stops:
            crashes.stop_at(point, min(count, _TICKERS))
        return crashes, crashes.judge()
    finally:
        kaged.__exit__(*sys.exc_info())


def main() -> int:
    """Flags, figures, findings."""
    parser = argparse.ArgumentParser(prog="crash", description="kill -9 at named points, then judge the journal")
    names = [point.value for point in Point]
    parser.add_argument("--point", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--times", type=int, default=1, help="go on with the second, third ... pass of each point")
    arguments = parser.parse_args()
    chosen = [Point(name) for name in arguments.point or names]
    began = time.monotonic()
    wrong, hit = 0, 0
    for count in range(1, arguments.times + 1):
        folder = Path(tempfile.mkdtemp(prefix="kage-crash-"))
        plan = [item for item in plan_of(chosen, count) if item[1] == count]
        if not plan:
            break
        crashes, figures = run(folder, plan)
        figures.seconds = time.monotonic() - began
        for finding in figures.findings:
            print(f"  {finding.kind}: {finding.what}")
        for orphan in figures.orphans:
            print(f"  orphan: {orphan}")
        print(f"pass {count}: died at {len(crashes.hit)}, not reached {crashes.missed}\n{figures}", flush=True)
        wrong += len(figures.findings) + len(figures.orphans)
        hit += len(crashes.hit)
        if wrong:
            print(f"kept: {folder}")
            break
        subprocess.run(["rm", "-rf", str(folder)], check=False)
    print(f"deaths={hit} wrong={wrong}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
