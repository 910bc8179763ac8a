"""What processes cost and whom they belong to, from one pass over /proc.

A snapshot is plain values: read once, ask it about every run. CPU seconds of a tree include children that ended
and were waited for, so a run's figure does not fall while its shim lives. RSS counts shared pages once in each
process. Where there is no /proc the snapshot is empty and answers "nothing known".

Also here, because it is the same table: the processes that carry a run's id, for runs whose shim was killed.
Deliberately not here: history (samples are metrics, not events), cgroups.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from kaged.domain.frozen import frozen

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@frozen
class Process:
    """One process. `cpu_s` is its own, `waited_cpu_s` that of its ended children; (pid, start_ticks) is unique
    within one boot."""

    pid: int
    parent: int
    session: int
    state: str
    start_ticks: int
    cpu_s: float
    waited_cpu_s: float
    rss_bytes: int


@frozen
class Usage:
    """A tree of processes: how many live, what they used so far, what they hold now."""

    processes: int
    cpu_s: float
    rss_bytes: int


class ProcessTable:
    """A snapshot of all processes."""

    def __init__(self, processes: Mapping[int, Process]) -> None:
        self._processes = processes
        self._below: dict[int, list[int]] = {}
        for process in processes.values():
            self._below.setdefault(process.parent, []).append(process.pid)

    @classmethod
    def read(cls, proc: Path = Path("/proc")) -> "ProcessTable":
        """Look now. A process that ends meanwhile is left out."""
        found: dict[int, Process] = {}
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(proc):
                if name.isdigit():
                    with contextlib.suppress(OSError):
                        found[int(name)] = parse_stat(_bytes(f"{proc}/{name}/stat"))
        return cls(found)

    @classmethod
    def read_trees(cls, roots: Iterable[int], proc: Path = Path("/proc")) -> "ProcessTable":
        """Look now at these processes and all below them only: quick enough for the event loop, however many other
        processes the machine has. A process that is being forked meanwhile may be left out."""
        if not (proc / "self" / "task" / str(os.getpid()) / "children").exists():  # no CONFIG_PROC_CHILDREN
            return cls.read(proc)
        found: dict[int, Process] = {}
        todo = list(roots)
        while todo:
            pid = todo.pop()
            if pid not in found:
                with contextlib.suppress(OSError):
                    found[pid] = parse_stat(_bytes(f"{proc}/{pid}/stat"))
                    for task in os.listdir(f"{proc}/{pid}/task"):
                        todo += map(int, _bytes(f"{proc}/{pid}/task/{task}/children").split())
        return cls(found)

    def process(self, pid: int) -> Process | None:
        return self._processes.get(pid)

    def below(self, pid: int) -> list[Process]:
        """All descendants of `pid`, parents before children, without itself."""
        found: list[Process] = []
        todo = list(self._below.get(pid, ()))
        while todo:
            child = todo.pop()
            found.append(self._processes[child])
            todo += self._below.get(child, ())
        return found

    def usage(self, shim_pid: int, start_ticks: int) -> Usage | None:
        """What a run's tree costs, without the shim itself. None: no such shim (any more)."""
        shim = self._processes.get(shim_pid)
        if shim is None or shim.start_ticks != start_ticks:
            return None
        tree = self.below(shim_pid)
        return Usage(
            processes=len([process for process in tree if process.state != "Z"]),
            cpu_s=shim.waited_cpu_s + sum(process.cpu_s + process.waited_cpu_s for process in tree),
            rss_bytes=sum(process.rss_bytes for process in tree),
        )

    def session(self, session: int, started_after_ticks: int) -> list[Process]:
        """Processes of a session that is known to be a run's, none of them older than the run."""
        return [
            process
            for process in self._processes.values()
            if process.session == session and process.start_ticks >= started_after_ticks
        ]


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


def boot_id() -> str:
    """Names this boot; empty where the system has no such name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def carriers(run_id: str) -> list[int]:
    """Processes of this user whose environment carries the run's id, wherever they are in the tree."""
    mark = os.fsencode(f"KAGE_RUN_ID={run_id}")
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []
    return [pid for pid in pids if pid != os.getpid() and _carries(pid, mark)]


def kill_carriers(run_id: str) -> list[int]:
    """SIGKILL what still carries the run's id: the last step for a run whose shim is gone. Returns whom it hit.

    Each process is pinned by a pidfd before it is checked again, so a reused pid is never hit. A process that
    cleared its environment is out of reach here: only a cgroup finds it.
    """
    mark = os.fsencode(f"KAGE_RUN_ID={run_id}")
    return [pid for pid in carriers(run_id) if _kill(pid, mark)]


def _carries(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _kill(pid: int, mark: bytes) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _carries(pid, mark):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        os.close(pidfd)
