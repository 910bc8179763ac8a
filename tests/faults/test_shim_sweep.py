"""The shim killed at every system call, and the launcher killed at random: no status is ever made up.

strace ends the shim at its Nth call of a kind (without -f, so the agent runs untraced). Whatever N is, what the
run folder says afterwards must be true: a status only if the agent really ended with it, "not started" only if it
never ran, and if there is no record the lock is free and the agent is dead.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kaged.domain.errors import Unavailable
from kaged.domain.run_records import Exited, NotStarted, TornRecord
from kaged.executors.local import LaunchFailed
from kaged.executors.process_table import carriers, kill_carriers
from kaged.executors.run_folder import Liveness, list_runs
from tests.fakes.runs import DEADLINE_S, Run, Runs, eventually

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="strace and /proc"),
]
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

CALLS = {
    "write": range(1, 26, 2),
    "openat": range(30, 120, 9),
    "rename": range(1, 5),
    "fsync": range(1, 8),
    "flock": range(1, 3),
    "prctl": range(1, 3),
    "clone,fork,vfork": range(1, 2),
    "pipe2": range(1, 6),
    "poll": range(1, 8, 2),
    "wait4": range(1, 6),
    "close": range(30, 80, 6),
    "read": range(16, 60, 4),
}
# with SIGKILL the call itself may or may not have happened: both sides of each are covered by the next one
AGENT = ["sh", "-c", "echo $$ > started; read line; echo $line; echo oops >&2; kill -SEGV $$"]


def check_truth(run: Run, ran: Path) -> str:
    """The one word for what the folder says, after asserting that it is so."""
    folder = run.folder
    assert folder.is_alive() is not Liveness.HELD
    try:
        found, sealed = folder.read_exit(), folder.read_sealed()
    except TornRecord as error:  # rename is atomic: only a power cut could do this
        raise AssertionError(str(error)) from error
    eventually(lambda: not carriers(folder.run_id), "the death signal to reach the agent", deadline_s=5)
    if isinstance(found, NotStarted):
        assert not ran.exists()
        return "not_started"
    if isinstance(found, Exited):
        assert ran.exists()
        assert (found.signal, found.code) == (signal.SIGSEGV, None), "the agent only ever ends this way"
        if sealed is not None:
            assert folder.read_spool("out", 0, 100) == b"hello\n"
            assert folder.read_spool("err", 0, 100) == b"oops\n"
            assert (sealed.out_size, sealed.err_size, sealed.in_consumed) == (6, 5, 6)
            return "sealed"
        return "exited"
    assert found is None
    assert sealed is None
    assert b"hello\n".startswith(folder.read_spool("out", 0, 100))
    return "lost"


def one_run(root: Path, prefix: tuple[str, ...]) -> str:
    with Runs(root, prefix=prefix) as runs:
        run = runs.launch(AGENT, stdin="pipe")
        run.write(b"hello\n")
        try:
            run.launched.wait_ready(DEADLINE_S)
            run.launched.open_gate()
        except (LaunchFailed, Unavailable):
            pass
        eventually(lambda: run.launched.reap() is not None, "strace to end")
        eventually(lambda: run.folder.is_alive() is not Liveness.HELD)
        return check_truth(run, root / "started")


@needs_strace
@pytest.mark.timeout(300)
@pytest.mark.parametrize("calls", CALLS)
def test_a_shim_that_dies_at_any_call_leaves_the_truth_behind(calls: str, tmp_path: Path) -> None:
    seen = set()
    for point in CALLS[calls]:
        root = tmp_path / f"{point}"
        root.mkdir()
        inject = f"inject={calls}:signal=SIGKILL:when={point}"
        seen.add(one_run(root, ("strace", "-o", os.devnull, "-e", f"trace={calls}", "-e", inject)))
    assert seen <= {"lost", "exited", "sealed", "not_started"}
    assert "lost" in seen, "no call was hit before the end"


@needs_strace
@pytest.mark.parametrize("calls", ["fsync", "rename", "write"])
def test_a_disk_that_is_full_for_a_while_costs_time_and_no_byte(calls: str, tmp_path: Path) -> None:
    # the first calls belong to meta.json, before which nothing has started
    first = {"fsync": 1, "rename": 2, "write": 5}[calls]
    inject = f"inject={calls}:error=ENOSPC:when={first}..{first + 3}"
    trace = tmp_path / "trace"
    with Runs(tmp_path, prefix=("strace", "-o", str(trace), "-e", f"trace={calls}", "-e", inject)) as runs:
        run = runs.start(AGENT, stdin="pipe")
        run.write(b"hello\n")
        run.sealed()
        assert check_truth(run, tmp_path / "started") == "sealed"
    assert trace.read_text().count("INJECTED") == 4


def test_a_really_full_disk_holds_the_agent_until_there_is_room(tmp_path: Path) -> None:
    """A file system of its own, filled by the agent; emptied by hand; then every byte is there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("needs the right to mount")
    try:
        with Runs(disk) as runs:
            ballast = disk / "ballast"
            ballast.write_bytes(bytes(1 << 20))
            code = "i=0; while [ $i -lt 200000 ]; do echo $i; i=$((i+1)); done; echo end > /dev/stderr; exit 3"
            run = runs.start(["sh", "-c", code])
            # full: the spool does not grow, the agent is held by its pipe, nobody gave up
            eventually(lambda: b"No space left" in run.words().encode() or os.statvfs(disk).f_bavail == 0)
            eventually(lambda: os.statvfs(disk).f_bavail == 0)
            assert run.folder.is_alive() is Liveness.HELD
            assert run.folder.read_exit() is None
            ballast.unlink()
            found = run.exit()
            assert isinstance(found, Exited)
            assert found.code == 3
            sealed = run.sealed()
            assert run.output() == b"".join(b"%d\n" % n for n in range(200_000))
            assert (run.output("err"), sealed.unwritten) == (b"end\n", 0)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


LAUNCHER = """
import os, sys
from pathlib import Path
from kaged.domain.run_records import RunSpec
from kaged.executors.local import LocalExecutor, install_shim
from kaged.executors.run_folder import RunFolder
root, first = Path(sys.argv[1]), int(sys.argv[2])
executor = LocalExecutor(install_shim(root))
code = "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); done; exit %d"
print("up", flush=True)
for n in range(first, first + 1000):
    spec = RunSpec(run_id=f"{n}", agent_id="a", argv=("sh", "-c", code % (n % 200)), env=dict(os.environ), cwd="/")
    launched = executor.launch(RunFolder(root / "runs" / f"{n}"), spec)
    launched.wait_ready(30)
    launched.open_gate()
"""


@pytest.mark.timeout(120)
def test_a_launcher_killed_at_random_costs_no_running_agent_anything(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    chance = random.Random(5)
    for round_ in range(12):
        argv = [sys.executable, "-c", LAUNCHER, str(tmp_path), str(1000 * round_)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as launcher:
            assert launcher.stdout is not None
            assert launcher.stdout.readline() == b"up\n"
            time.sleep(chance.uniform(0.0, 0.3))  # the moment of the kill is the point of the test
            launcher.kill()
    want = b"".join(b"%d\n" % n for n in range(300))
    seen = {"exited": 0, "not_started": 0, "no shim": 0}
    for folder in list_runs(tmp_path / "runs"):
        eventually(lambda folder=folder: folder.is_alive() is not Liveness.HELD)  # type: ignore[misc]
        found = folder.read_exit()
        if isinstance(found, Exited):
            sealed = folder.read_sealed()
            assert sealed is not None
            assert found.code == int(folder.run_id) % 200
            assert folder.read_spool("out", 0, 1 << 20) == want
            seen["exited"] += 1
        elif isinstance(found, NotStarted):
            assert folder.spool_size("out") == 0
            seen["not_started"] += 1
        else:  # killed before the shim had its lock
            assert folder.read_agent() is None, "an agent that started always has an exit here"
            seen["no shim"] += 1
        assert not carriers(folder.run_id)
        kill_carriers(folder.run_id)
    assert seen["exited"] >= 12, seen
