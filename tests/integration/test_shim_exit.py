"""How a run ends, or does not begin, is recorded exactly; nothing is ever made up."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.domain.errors import AlreadyExists
from kaged.domain.run_records import ExecFailed, Exited, NotStarted, RunSpec, StopOrder
from kaged.executors.local import LaunchFailed
from kaged.executors.run_folder import Liveness, RunFolder
from kaged.machine.here import HERE
from tests.fakes.runs import DEADLINE_S, Runs, alive, eventually, python

pytestmark = pytest.mark.integration


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with Runs(tmp_path) as it:
        yield it


@pytest.mark.parametrize("code", [0, 1, 99, 127, 143, 255])
def test_an_exit_code_is_exact(runs: Runs, code: int) -> None:
    run = runs.start(["sh", "-c", f"exit {code}"])
    found = run.exit()
    assert isinstance(found, Exited)
    assert (found.status, found.code, found.signal, found.core) == (code << 8, code, None, False)
    assert found.run_id == run.folder.run_id
    assert found.stopped_by is None
    assert found.at.boot_id == HERE.boot_id()
    run.sealed()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGRTMIN])
def test_a_signal_is_told_from_the_code_that_shells_make_of_it(runs: Runs, number: int) -> None:
    run = runs.start(["sh", "-c", f"kill -{int(number)} $$"])
    found = run.exit()
    assert isinstance(found, Exited)
    assert (found.code, found.signal) == (None, number)
    assert os.WIFSIGNALED(found.status)
    run.sealed()


def test_resource_use_is_recorded(runs: Runs) -> None:
    run = runs.start(python("b = bytearray(60 << 20)\nfor n in range(0, len(b), 4096): b[n] = 1"))
    found = run.exit()
    assert isinstance(found, Exited)
    assert 60 << 10 < found.maxrss_kb < 200 << 10
    assert found.utime_us + found.stime_us > 0
    run.sealed()


def test_a_missing_executable_is_an_exec_failure_with_its_errno(runs: Runs) -> None:
    for argv in (["/no/such/program"], ["no-such-program-on-path"]):
        run = runs.start(argv)
        found = run.exit()
        assert isinstance(found, ExecFailed)
        assert (found.stage, found.errno, found.cwd_missing) == ("exec", errno.ENOENT, False)
        assert found.strerror == os.strerror(errno.ENOENT)
        assert run.sealed().how == "no_children"
        assert run.folder.read_agent() is None


def test_a_file_that_is_not_executable_is_refused_as_such(runs: Runs) -> None:
    (runs.root / "plain").write_text("echo hello\n")
    (runs.root / "plain").chmod(0o644)
    run = runs.start(["./plain"])
    found = run.exit()
    assert isinstance(found, ExecFailed)
    assert found.errno == errno.EACCES
    run.sealed()


def test_a_missing_working_directory_is_named(runs: Runs) -> None:
    run = runs.start(["true"], cwd="/no/such/folder")
    found = run.exit()
    assert isinstance(found, ExecFailed)
    assert (found.stage, found.errno, found.cwd_missing) == ("cwd", errno.ENOENT, True)
    run.sealed()


def test_the_program_is_found_on_the_agents_own_path(runs: Runs) -> None:
    folder = runs.root / "bin"
    folder.mkdir()
    (folder / "tool").write_text("#!/bin/sh\necho found $0\n")
    (folder / "tool").chmod(0o755)
    (runs.root / "decoy").mkdir()
    (runs.root / "decoy" / "tool").write_text("")  # there, but not executable: the search goes on
    run = runs.start(["tool"], env={"PATH": f"{runs.root}/decoy:{folder}"})
    run.sealed()
    assert run.output() == f"found {folder}/tool\n".encode()


def test_an_agent_that_ends_at_once_still_has_all_its_records(runs: Runs) -> None:
    for _ in range(10):
        run = runs.start(["true"])
        found = run.exit()
        assert isinstance(found, Exited)
        assert found.code == 0
        run.sealed()
        assert run.folder.read_agent() is not None


def test_closing_the_gate_means_not_started(runs: Runs) -> None:
    run = runs.launch(["touch", "ran"])
    run.launched.wait_ready(DEADLINE_S)
    run.launched.abandon()
    found = run.exit()
    assert isinstance(found, NotStarted)
    assert "gate" in found.reason
    assert run.sealed().out_size == 0
    assert not (runs.root / "ran").exists()


def run_by_hand(runs: Runs, folder: RunFolder) -> int:
    """Start a shim on `folder` with a plain, open pipe as its gate; its exit code."""
    read, write = os.pipe()
    try:
        os.write(write, b"g")
        command = [sys.executable, "-I", "-S", str(runs.shim), str(folder.path), str(read)]
        return subprocess.run(command, pass_fds=(read,), timeout=DEADLINE_S, check=False).returncode
    finally:
        os.close(read)
        os.close(write)


def test_a_plain_pipe_serves_as_a_gate_too(runs: Runs) -> None:
    """What another launcher (a service manager, a compiled one) may pass instead of our socket."""
    folder = RunFolder(runs.folder / "piped")
    folder.create(RunSpec(run_id="piped", agent_id="a", argv=("echo", "hi"), env={}, cwd="/"))
    assert run_by_hand(runs, folder) == 0
    assert folder.read_spool("out", 0, 100) == b"hi\n"


def test_a_cancelled_run_never_starts(runs: Runs) -> None:
    run = runs.launch(["touch", "ran"])
    assert run.folder.cancel()
    assert not run.folder.cancel(), "only one can be the first"
    with contextlib.suppress(LaunchFailed):  # the shim looks before the gate, and again behind it
        run.open()
    found = run.exit()
    assert isinstance(found, NotStarted)
    assert found.reason == "cancelled"
    run.sealed()
    assert not (runs.root / "ran").exists()


def test_a_cancel_behind_the_gate_is_seen(runs: Runs) -> None:
    run = runs.launch(["touch", "ran"])
    run.launched.wait_ready(DEADLINE_S)
    run.folder.cancel()
    run.launched.open_gate()
    found = run.exit()
    assert isinstance(found, NotStarted)
    run.sealed()
    assert not (runs.root / "ran").exists()


def test_a_run_id_starts_at_most_once(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "echo ran >> log"])
    run.sealed()
    records = {name: (run.folder.path / name).read_bytes() for name in ("meta.json", "exit.json", "sealed.json")}
    with pytest.raises(AlreadyExists):
        run.folder.create(RunSpec(run_id="x", agent_id="a", argv=("true",), env={}, cwd="/"))
    assert run_by_hand(runs, run.folder) == 82
    assert (runs.root / "log").read_text() == "ran\n"
    assert records == {name: (run.folder.path / name).read_bytes() for name in records}


def test_a_second_shim_on_a_live_run_goes_away(runs: Runs) -> None:
    run = runs.start(["cat"], stdin="pipe")
    run.agent_pid()
    assert run_by_hand(runs, run.folder) == 81
    assert run.folder.is_alive() is Liveness.HELD
    run.folder.close_input(0)
    run.sealed()


@pytest.mark.parametrize(
    "spec", [b"", b"[]", b"{", b'{"protocol":99}', b'{"protocol":1,"run_id":"x","argv":[],"env":{},"cwd":"/"}']
)
def test_an_unusable_spec_is_not_started_and_says_why(runs: Runs, spec: bytes) -> None:
    folder = RunFolder(runs.folder / "bad")
    folder.create(RunSpec(run_id="bad", agent_id="a", argv=("true",), env={}, cwd="/"))
    (folder.path / "spec.json").write_bytes(spec)
    assert run_by_hand(runs, folder) == 0
    found = folder.read_exit()
    assert isinstance(found, NotStarted)
    assert "bad spec" in found.reason
    assert folder.read_sealed() is not None


def test_a_shim_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with Runs(tmp_path, prefix=("sh", "-c", "echo no shim today >&2; exit 1")) as runs:
        run = runs.launch(["true"])
        with pytest.raises(LaunchFailed, match="no shim today"):
            run.open()


def test_a_launcher_that_is_not_there_is_a_failed_launch(tmp_path: Path) -> None:
    with Runs(tmp_path, prefix=("/no/such/launcher",)) as runs, pytest.raises(LaunchFailed):
        runs.launch(["true"])


def test_a_killed_shim_takes_its_agent_along_and_leaves_no_status(runs: Runs) -> None:
    run = runs.start(["sleep", "1000"])
    agent, shim = run.agent_pid(), run.shim_pid()
    os.kill(shim, signal.SIGKILL)
    eventually(lambda: not alive(agent), "the death signal", deadline_s=2)
    assert run.folder.is_alive() is Liveness.FREE
    assert run.folder.read_exit() is None
    assert run.folder.read_sealed() is None
    assert run.launched.reap() == signal.SIGKILL


def test_a_stop_that_was_ordered_before_the_start_is_obeyed(runs: Runs) -> None:
    run = runs.launch(["sleep", "1000"])
    run.order(StopOrder(signal=15, grace_s=5))
    run.open()
    found = run.exit()
    assert isinstance(found, Exited)
    assert (found.signal, found.stopped_by) == (15, "request")
    run.sealed()


def switches(pid: int) -> int:
    """How often a process went to sleep so far."""
    found = Path(f"/proc/{pid}/status").read_text()
    return int(found.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="counts context switches in /proc")
def test_a_shim_that_cannot_write_its_end_asks_four_times_a_second_and_sleeps_between(runs: Runs) -> None:
    run = runs.launch(["sh", "-c", "exit 7"])
    (run.folder.path / "exit.json.tmp").mkdir()  # in the way, as a full disk is
    run.open()
    eventually(lambda: run.words().count("exit.json") >= 2, "a second try")
    before = switches(run.shim_pid())
    eventually(lambda: run.words().count("exit.json") >= 6, "four more")
    assert switches(run.shim_pid()) - before < 60
    (run.folder.path / "exit.json.tmp").rmdir()
    found = run.exit()
    assert isinstance(found, Exited)
    assert found.code == 7
    run.sealed()


@pytest.mark.parametrize("its_end_waits", [False, True])
def test_a_shim_whose_folder_was_deleted_ends_with_its_agent(runs: Runs, its_end_waits: bool) -> None:
    run = runs.start(["sleep", "1000"])
    agent = run.agent_pid()
    if its_end_waits:
        (run.folder.path / "exit.json.tmp").mkdir()
        os.kill(agent, signal.SIGKILL)
        eventually(lambda: "exit.json" in run.words(), "an end that cannot be written")
        assert run.launched.reap() is None
    shutil.rmtree(run.folder.path)
    if not its_end_waits:
        assert alive(agent)
        os.kill(agent, signal.SIGKILL)
    eventually(lambda: run.launched.reap() is not None, "the shim to end")
