"""What processes cost and whom they belong to, from one look at the table of processes (`kaged/machine`).

A snapshot is plain values: read once, ask it about every run. CPU seconds of a tree include children that ended
and were waited for, so a run's figure does not fall while its shim lives. RSS counts shared pages once in each
process. Where nothing can be told the snapshot is empty and answers "nothing known".

Also here, because it is the same table: the processes that carry a run's id, for runs whose shim was killed.
Deliberately not here: history (samples are metrics, not events), cgroups.
"""

import os
from collections.abc import Iterable, Mapping

from kaged.domain.frozen import frozen
from kaged.machine.here import HERE
from kaged.machine.system import Process


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
    def read(cls) -> "ProcessTable":
        """Look now. A process that ends meanwhile is left out."""
        return cls(HERE.processes())

    @classmethod
    def read_trees(cls, roots: Iterable[int]) -> "ProcessTable":
        """Look now at these processes and all below them: on Linux quick enough for the event loop, however many other
        processes the machine has."""
        return cls(HERE.trees(roots))

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


def carriers(run_id: str) -> list[int]:
    """Processes of this user whose environment carries the run's id, wherever they are in the tree."""
    mark = _mark(run_id)
    return [pid for pid in HERE.pids() if pid != os.getpid() and mark in HERE.environment(pid)]


def kill_carriers(run_id: str) -> list[int]:
    """SIGKILL what still carries the run's id: the last step for a run whose shim is gone. Returns whom it hit.

    Each process is looked at again right before, on Linux with its pid pinned. A process that cleared its environment
    is out of reach here: only a cgroup finds it.
    """
    mark = _mark(run_id)
    return [pid for pid in carriers(run_id) if HERE.kill_if(pid, mark)]


def kill_marked(mark: bytes, but: bytes) -> list[int]:
    """SIGKILL every process whose environment has an entry that begins with `mark`, and is not `but`."""
    found = [(pid, entry) for pid in HERE.pids() if pid != os.getpid() for entry in HERE.environment(pid)]
    return [pid for pid, entry in found if entry.startswith(mark) and entry != but and HERE.kill_if(pid, entry)]


def _mark(run_id: str) -> bytes:
    return os.fsencode(f"KAGE_RUN_ID={run_id}")
