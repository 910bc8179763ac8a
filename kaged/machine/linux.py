"""Linux: /proc, and pidfds so that a reused pid is never hit."""

import contextlib
import os
import resource
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from kaged.machine.system import Process

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Linux:
    """See `System`. `proc`: where the table is, for tests and for who has none (a chroot)."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def boot_id(self) -> str:
        """The kernel's own name for it."""
        try:
            return (self._proc / "sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:
            return ""

    def pids(self) -> list[int]:
        """The numbers in /proc."""
        try:
            return [int(name) for name in os.listdir(self._proc) if name.isdigit()]
        except FileNotFoundError:
            return []

    def processes(self) -> Mapping[int, Process]:
        """One pass over /proc."""
        found: dict[int, Process] = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                found[pid] = parse_stat(_bytes(f"{self._proc}/{pid}/stat"))
        return found

    def trees(self, roots: Iterable[int]) -> Mapping[int, Process]:
        """These and all below only: quick enough for the event loop, however many other processes the machine has.
        A process that is being forked meanwhile may be left out."""
        if not (self._proc / "self" / "task" / str(os.getpid()) / "children").exists():  # no CONFIG_PROC_CHILDREN
            return self.processes()
        found: dict[int, Process] = {}
        todo = list(roots)
        while todo:
            pid = todo.pop()
            if pid not in found:
                with contextlib.suppress(OSError):
                    found[pid] = parse_stat(_bytes(f"{self._proc}/{pid}/stat"))
                    for task in os.listdir(f"{self._proc}/{pid}/task"):
                        todo += map(int, _bytes(f"{self._proc}/{pid}/task/{task}/children").split())
        return found

    def environment(self, pid: int) -> list[bytes]:
        """As it was when the program began."""
        try:
            return _bytes(f"{self._proc}/{pid}/environ").split(b"\0")
        except OSError:
            return []

    def kill_if(self, pid: int, carries: bytes) -> bool:
        """The process is pinned by a pidfd before it is looked at."""
        try:
            pidfd = os.pidfd_open(pid)
        except (OSError, AttributeError):  # gone, not allowed, or a Python for an older Linux
            return False
        try:
            if carries not in self.environment(pid):
                return False
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return True
        except OSError:
            return False
        finally:
            os.close(pidfd)

    def rss_bytes(self) -> int:
        """Now; the highest so far where there is no /proc."""
        try:
            return int((self._proc / "self/statm").read_text("ascii").split()[1]) * _PAGE_BYTES
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def parse_stat(data: bytes) -> Process:
    """The line of /proc/<pid>/stat; the name in it may hold blanks and brackets."""
    head, _, tail = data.rpartition(b")")
    fields = tail.split()
    return Process(
        pid=int(head.split(b" ", 1)[0]),
        state=fields[0].decode("ascii"),
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_s=(int(fields[11]) + int(fields[12])) * _TICK_S,
        waited_cpu_s=(int(fields[13]) + int(fields[14])) * _TICK_S,
        start_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def _bytes(path: str) -> bytes:
    """A file of /proc; a Path and a file object would cost three times as much."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, 1 << 16)
        while more := os.read(fd, 1 << 16):
            data += more
        return data
    finally:
        os.close(fd)
