"""Stop stops: the whole tree is gone within its deadline, with or without a daemon."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.domain.run_records import Exited, SignalOrder, StopOrder
from kaged.executors.daemon_lock import DaemonLock
from kaged.executors.process_table import ProcessTable
from tests.fakes.runs import Run, Runs, alive, eventually, python

pytestmark = pytest.mark.integration

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n"

# a shell's child that leaves session, group and environment behind, with a child of its own that does it again
ESCAPE = (
    DEAF
    + """
import os, sys
def escape(depth):
    if os.fork(): return
    os.setsid()
    if depth: escape(depth - 1)
    program = 'import os, time; os.write(1, b"pid %d\\\\n" % os.getpid()); time.sleep(1000)'
    os.execve(sys.argv[1], [sys.argv[1], '-I', '-S', '-c',
        'import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]\\n' + program], {})
escape(2)
time.sleep(1000)
"""
)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with Runs(tmp_path) as it:
        yield it


def exited(run: Run) -> Exited:
    found = run.exit()
    assert isinstance(found, Exited)
    return found


def pids(run: Run, count: int) -> list[int]:
    def look() -> list[int]:
        lines = [line.split() for line in run.output().splitlines() if line.startswith(b"pid ")]
        return [int(line[1]) for line in lines] if len(lines) >= count else []

    return eventually(look, f"{count} processes to say hello")


def test_a_stop_asks_first(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done"])
    run.wait_output(b"up")
    run.order(StopOrder(signal=15, grace_s=20))
    found = exited(run)
    assert (found.code, found.stopped_by) == (3, "request")
    assert run.sealed().how == "no_children"
    assert run.output() == b"up\nbye\n"


def test_who_ignores_the_request_is_killed_after_the_grace(runs: Runs) -> None:
    run = runs.start(python(DEAF + "time.sleep(1000)"))
    run.wait_output(b"deaf")
    start = time.monotonic()
    run.order(StopOrder(signal=15, grace_s=0.5))
    found = exited(run)
    assert time.monotonic() - start >= 0.5
    assert (found.signal, found.stopped_by) == (9, "request")
    assert run.sealed().how == "killed"


def test_grandchildren_with_sessions_of_their_own_and_no_environment_are_killed_too(runs: Runs) -> None:
    argv = python(ESCAPE)
    run = runs.start([*argv, argv[0]])
    family = pids(run, 3)
    assert len({os.getsid(pid) for pid in family}) == 3
    run.order(StopOrder(signal=15, grace_s=0.3))
    assert exited(run).signal == 9
    sealed = run.sealed()
    assert (sealed.how, sealed.survivors) == ("killed", ())
    assert not [pid for pid in family if alive(pid)]


def test_a_tree_that_forks_without_end_cannot_outrun_the_kill(runs: Runs) -> None:
    code = """if True:
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print('up', flush=True)
        for depth in range(10000):
            try: child = os.fork()
            except OSError: time.sleep(0.05); continue
            if child: time.sleep(0.02); os._exit(0)
            os.setsid()"""
    run = runs.start(["sh", "-c", 'exec "$@" & wait; sleep 1000', "sh", *python(code)])
    run.wait_output(b"up")
    eventually(lambda: len(ProcessTable.read().below(run.shim_pid())) >= 2)
    run.order(StopOrder(signal=15, grace_s=0))
    sealed = run.sealed()
    assert (sealed.how, sealed.survivors) == ("killed", ())
    assert not ProcessTable.read().below(run.launched.pid)


def test_a_paused_agent_hears_the_stop(runs: Runs) -> None:
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(4)); print('up', flush=True); signal.pause()"
    run = runs.start(python(code))
    run.wait_output(b"up")
    run.order(SignalOrder(signal=signal.SIGSTOP))
    pid = run.agent_pid()
    eventually(lambda: (found := ProcessTable.read().process(pid)) and found.state == "T")
    run.order(StopOrder(signal=15, grace_s=20))
    assert exited(run).code == 4
    run.sealed()


def test_a_second_stop_shortens_the_grace(runs: Runs) -> None:
    run = runs.start(python(DEAF + "time.sleep(1000)"))
    run.wait_output(b"deaf")
    run.order(StopOrder(signal=15, grace_s=1000))
    run.order(StopOrder(signal=15, grace_s=0))
    assert exited(run).signal == 9
    run.sealed()


def test_a_signal_goes_to_the_group_or_to_the_whole_tree(runs: Runs) -> None:
    inner = "import signal, os, time; signal.signal(10, lambda *_: os.write(1, b'%s\\n')); %s"
    child = inner % ("child", "os.setsid(); os.write(1, b'ready\\n')\nwhile 1: time.sleep(1)")
    code = (
        inner % ("parent", "import subprocess, sys")
        + f"\nsubprocess.Popen([sys.executable, '-I', '-S', '-c', {child!r}])\nwhile 1: time.sleep(1)"
    )
    run = runs.start(python(code))
    run.wait_output(b"ready")
    run.order(SignalOrder(signal=10))
    run.wait_output(b"parent\n")
    run.order(SignalOrder(signal=10, whole_tree=True))
    run.wait_output(b"child\n")
    eventually(lambda: run.output().count(b"parent\n") == 2)
    assert run.output().count(b"child\n") == 1
    run.order(StopOrder(grace_s=0))
    run.sealed()


def test_garbage_among_the_orders_is_skipped(runs: Runs) -> None:
    run = runs.start(["sleep", "1000"])
    run.agent_pid()
    garbage = b'\0\0\0\n{"n":\n[1]\n{"n":1,"op":"fly"}\n{"n":2,"op":"signal","signal":"x"}\n' + b"[" * 9999 + b"\n"
    (run.folder.path / "ctl.log").write_bytes(garbage)
    run.folder.ring()
    run.order_offset, run.orders = len(garbage), 2
    run.order(StopOrder(signal=15, grace_s=20))
    assert exited(run).signal == 15
    assert run.sealed().ctl_done == 3


def test_the_wall_time_is_a_limit_without_a_daemon(runs: Runs) -> None:
    run = runs.start(python(DEAF + "time.sleep(1000)"), wall_s=0.5, grace_s=0.2)
    found = exited(run)
    assert (found.signal, found.stopped_by) == (9, "wall_time")
    run.sealed()


def test_an_agent_without_a_daemon_is_stopped_when_the_time_is_up(runs: Runs) -> None:
    path = runs.root / "lock"
    with DaemonLock(path):
        run = runs.start(["sleep", "1000"], daemon_lock=str(path), unsupervised_max_s=1)
        other = runs.start(["sleep", "2.5"], daemon_lock=str(path), unsupervised_max_s=1)
        other.sealed()  # a while in which it would have been stopped
        assert run.folder.read_exit() is None
    freed = time.monotonic()
    found = exited(run)
    assert (found.signal, found.stopped_by) == (15, "unsupervised")
    assert 1 <= time.monotonic() - freed < 10
    run.sealed()


def test_a_daemon_that_comes_back_in_time_keeps_its_agents(runs: Runs) -> None:
    path = runs.root / "lock"
    run = runs.start(["sleep", "1000"], daemon_lock=str(path), unsupervised_max_s=4)
    clock = runs.start(["sleep", "2.2"])  # two probes find the lock free
    clock.sealed()
    with DaemonLock(path):
        runs.start(["sleep", "3"]).sealed()
        assert run.folder.read_exit() is None
        run.order(StopOrder(grace_s=20))
        assert exited(run).stopped_by == "request"
    run.sealed()
