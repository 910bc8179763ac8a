"""A real file system without room under a journal at work, and `kill -9` in between: nothing acknowledged is lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.store.log.witness import Witness
from kaged.store.rows.keyvalue import StoreBusy
from kaged.store.rows.rocks import RocksStore
from tests.e2e.daemon_kit import eventually
from tests.faults.test_store_crash import check_whole
from tests.search import TIMES

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 * TIMES)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "kage", str(folder)], check=False).returncode:
        pytest.skip("mount is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


class _Appender:
    """A process that appends until killed, and how far it was acknowledged."""

    def __init__(self, folder: Path, seed: int, *prefix: str) -> None:
        command = [*prefix, sys.executable, "-m", "tests.faults.appender", str(folder), str(seed)]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        self.acknowledged = 0
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        eventually(lambda: self.acknowledged or self._child.poll() is not None, "its first append")

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    seq, count = map(int, line.split())
                    self.acknowledged = max(self.acknowledged, seq + count - 1)

    def stuck(self) -> bool:
        """Whether nothing was acknowledged for a while."""
        before = self.acknowledged
        time.sleep(0.3)
        return self.acknowledged == before

    def goes_on(self) -> None:
        """Return when something more is acknowledged."""
        before = self.acknowledged
        eventually(lambda: self.acknowledged > before, "it to go on")

    def kill(self) -> int:
        assert self._child.poll() is None, "it ended by itself"
        os.killpg(self._child.pid, signal.SIGKILL)  # a tracer would let go of it
        self._child.wait()
        self._thread.join()
        return self.acknowledged


def fill(path: Path) -> None:
    """Take all the room there is."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except OSError:
        pass
    finally:
        os.close(fd)


@pytest.mark.parametrize("killed", ["while full", "as it goes on", "later"])
def test_a_killed_journal_on_a_full_disk_keeps_what_it_acknowledged(disk: Path, killed: str) -> None:
    chance = random.Random(killed)
    for seed in range(TIMES):
        store, filler = disk / f"store-{seed}", disk / "filler"
        appender = _Appender(store, seed)
        time.sleep(chance.random() * 0.2)  # the disk fills up anywhere, not on a condition
        fill(filler)
        eventually(appender.stuck, "the disk to be full")
        if killed == "while full":
            appender.kill()
            filler.unlink()
        else:
            filler.unlink()
            appender.goes_on()
            if killed == "later":
                time.sleep(chance.random() * 0.2)
            appender.kill()
        opened = RocksStore(store)
        head = check_whole(opened)
        Witness(store).confront(head)
        opened.close()
        assert head >= appender.acknowledged > 0
        subprocess.run(["rm", "-rf", str(store)], check=True)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_sync_that_finds_no_room_is_not_trusted_when_it_works_the_next_time(tmp_path: Path) -> None:
    """Its pages may be gone: all goes to a new log, and what the old one held is in tables by then."""
    store, trace = tmp_path / "store", tmp_path / "trace"
    flags = ["-f", "--seccomp-bpf", "-b", "execve", "-qq", "-o", str(trace), "-e", "trace=fdatasync"]
    appender = _Appender(store, 1, "strace", *flags, "-e", "inject=fdatasync:error=ENOSPC:when=70")
    eventually(lambda: "INJECTED" in trace.read_text(), "the sync to fail")
    logs = {path.name for path in store.glob("*.log")}
    appender.goes_on()
    appender.goes_on()
    assert not logs & {path.name for path in store.glob("*.log") if path.stat().st_size}
    appender.kill()
    eventually(lambda: not _holds(store), "the traced process to end")
    opened = RocksStore(store)
    assert check_whole(opened) >= appender.acknowledged
    opened.close()


def _holds(store: Path) -> bool:
    try:
        RocksStore(store).close()
    except StoreBusy:
        return True
    return False
