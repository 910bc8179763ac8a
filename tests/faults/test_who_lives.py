"""Nobody is signalled by a number, and what cannot be told is not "dead": whose process is whose, after a kill."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2, goal_pb2
from tests.e2e.daemon_kit import ENDED, Kaged, eventually
from tests.e2e.test_goals import spawn
from tests.faults.judging import shim_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")  # writing it chooses the pid of the next process
_SLEEPER = ("sh", "-c", "echo ready; exec sleep 600")


@pytest.fixture
def kaged(tmp_path: Path) -> Iterator[Kaged]:
    with Kaged(tmp_path) as daemon:
        yield daemon


def running(kaged: Kaged) -> str:
    """An agent that has said something."""
    agent = kaged.spawn(*_SLEEPER)
    eventually(lambda: kaged.agent(agent).run.stdout_bytes, "its first output")
    return agent


def stranger(pid: int) -> "subprocess.Popen[bytes] | None":
    """A process that has nothing to do with us, under a pid that somebody else had before; None: not this time."""
    with contextlib.suppress(OSError):
        _LAST_PID.write_text(str(pid - 1))
    process = subprocess.Popen(["sleep", "600"])
    if process.pid == pid:
        return process
    process.kill()
    process.wait()
    return None


@pytest.mark.skipif(not os.access(_LAST_PID, os.W_OK), reason="cannot choose pids here: needs root")
def test_a_pid_that_somebody_else_has_by_now_is_never_signalled(kaged: Kaged) -> None:
    agent = running(kaged)
    shim, pid = shim_of(kaged, agent), kaged.agent(agent).run.pid
    assert shim is not None
    kaged.kill()
    os.kill(shim, signal.SIGKILL)  # its agent dies with it
    eventually(lambda: not kaged.carriers(), "both to be gone")
    strangers: list[subprocess.Popen[bytes]] = []
    try:
        strangers.append(eventually(lambda: stranger(shim), f"pid {shim}"))
        strangers.append(eventually(lambda: stranger(pid), f"pid {pid}"))
        kaged.start()
        ended = kaged.wait(agent)
        assert (ended.outcome.reason, ended.run.end_kind) == ("lost", "lost")
        kaged.end(agent)  # whoever asks for its end now means nobody
        kaged.restart()
        assert [process.poll() for process in strangers] == [None, None]
    finally:
        for process in strangers:
            process.kill()
            process.wait()


@pytest.mark.parametrize("daemon", ["a new one", "the one that started it"])
def test_a_run_that_cannot_be_looked_at_is_not_taken_for_dead(kaged: Kaged, daemon: str) -> None:
    agent = running(kaged)
    lock = kaged.state / "runs" / f"{agent}.1" / "lock"
    if daemon == "a new one":
        kaged.kill()
    lock.rename(lock.with_name("lock.away"))
    lock.mkdir()
    if daemon == "a new one":
        kaged.start()
    eventually(lambda: "is no file" in kaged.words(), "the daemon to look")
    _passes(kaged, agent)
    lock.rmdir()
    lock.with_name("lock.away").rename(lock)
    ended = kaged.end(agent, grace_s=5)
    assert (ended.state, ended.run.end_kind) == (agent_service_pb2.AGENT_STATE_CANCELLED, "exited")
    assert ended.run.signal == signal.SIGTERM
    assert kaged.output(agent) == b"ready\n"


def test_a_check_of_a_goal_does_not_outlive_a_killed_daemon_whose_agent_needs_it_no_more(kaged: Kaged) -> None:
    folder = kaged.folder / "goal"
    agent = spawn(kaged, folder, "step", success=[goal_pb2.Criterion(command="echo $$ > began; sleep 600")])
    check = int(eventually(lambda: (folder / "began").exists() and (folder / "began").read_text().strip(), "a check"))
    kaged.kill()
    assert Path(f"/proc/{check}").exists()
    kaged.start()
    kaged.end(agent)
    eventually(lambda: not Path(f"/proc/{check}").exists(), "the check of the first daemon to be gone")


def _passes(kaged: Kaged, agent: str) -> None:
    """Give it the time of several looks: in none of them may the agent end."""
    limit = time.monotonic() + 2.5
    while time.monotonic() < limit:
        assert kaged.agent(agent).state not in ENDED
        time.sleep(0.1)
