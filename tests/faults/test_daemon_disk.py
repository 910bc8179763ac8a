"""Disks that fail or fill up under a working daemon: it stops writing, says so, and the next start has everything."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import daemon_service_pb2
from tests.e2e.daemon_kit import Kaged, eventually
from tests.faults.sweep import is_traced

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


def counting(go: Path) -> list[str]:
    """Says one number after another until a file appears, then how many there were."""
    return ["sh", "-c", f"n=0; while ! test -e {go}; do n=$((n+1)); echo $n; sleep 0.02; done; echo end $n"]


def assert_counted(kaged: Kaged, agent: str) -> None:
    *numbers, last = kaged.output(agent).decode().splitlines()
    assert numbers == [str(number + 1) for number in range(len(numbers))]
    assert last == f"end {len(numbers)}"


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_an_error_of_fdatasync_ends_the_daemon_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Kaged(tmp_path) as kaged:
        agent = kaged.spawn(*counting(go))
        eventually(lambda: kaged.agent(agent).run.stdout_bytes, "its first output")
        assert kaged.process is not None
        pid = kaged.process.pid
        flags = ["-f", "-b", "execve", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
        tracer = subprocess.Popen(["strace", *flags, "-e", "inject=fdatasync:error=EIO:when=8", "-p", str(pid)])
        try:
            if not eventually(lambda: is_traced(pid) or tracer.poll() is not None, "strace to attach"):
                pytest.skip("tracing is not allowed here")
            acknowledged = list(_spawned_until_it_fails(kaged))
            assert kaged.exit_code() == 74
        finally:
            tracer.terminate()
            tracer.wait(10)
        assert "store_failed" in kaged.words()
        assert "Traceback" not in kaged.words()
        kaged.start()
        for spawned in acknowledged:
            assert kaged.wait(spawned).outcome.exit_code == 0
        go.touch()
        assert kaged.wait(agent).outcome.exit_code == 0
        assert_counted(kaged, agent)
        kaged.kill()
        assert kaged.fsck()[0] == 0, kaged.fsck()[1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A state folder on a disk of 48 MiB."""
    state = tmp_path / "state"
    state.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "kage", str(state)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mount is not allowed here")
    try:
        yield state
    finally:
        subprocess.run(["umount", "-l", str(state)], check=False)


@pytest.mark.parametrize("reserve", [16 << 20, 1])
def test_a_disk_that_fills_up_loses_nothing_and_all_goes_on_when_there_is_room(
    tmp_path: Path, small_disk: Path, reserve: int
) -> None:
    """With a reserve the daemon turns read-only in time; without one the store may fail and the daemon has to end."""
    go = tmp_path / "go"
    with Kaged(tmp_path, environment={"KAGED_MIN_FREE_BYTES": str(reserve)}) as kaged:
        agent = kaged.spawn(*counting(go))
        eventually(lambda: kaged.agent(agent).run.stdout_bytes, "its first output")
        filler = small_disk / "filler"
        room = shutil.disk_usage(small_disk).free - (8 << 20 if reserve > 1 else 0)
        fill = ["dd", "if=/dev/zero", f"of={filler}", "bs=64k", f"count={room >> 16}"]
        subprocess.run(fill, capture_output=True, check=False)
        eventually(lambda: _ended(kaged) or _read_only(kaged), "the daemon to notice")
        if reserve > 1:
            assert not _ended(kaged)
        filler.unlink()
        if _ended(kaged):
            assert kaged.exit_code() == 74
            kaged.start()
        else:
            kaged.wait_serving()
        assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0
        go.touch()
        assert kaged.wait(agent).outcome.exit_code == 0
        assert_counted(kaged, agent)


def _spawned_until_it_fails(kaged: Kaged) -> Iterator[str]:
    try:
        while True:
            yield kaged.spawn("true")
    except grpc.RpcError:
        return


def _ended(kaged: Kaged) -> bool:
    assert kaged.process is not None
    return kaged.process.poll() is not None


def _read_only(kaged: Kaged) -> bool:
    try:
        status = kaged.daemon.GetStatus(daemon_service_pb2.GetStatusRequest(), timeout=5).status
    except grpc.RpcError:
        return False
    return bool(status.phase == daemon_service_pb2.DAEMON_PHASE_READ_ONLY)
