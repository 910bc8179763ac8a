"""A scope of systemd for each run: its limits, and a fence around everything that it starts.

    shim starts -> waits at its gate -> StartTransientUnit(kage-<run>.scope, PIDs=[shim]) -> gate opens -> agent

The shim is moved while it waits, so all of the agent is inside from its first instruction, and a restart or a kill of
the daemon, an end of memory or the watchdog cannot mean the agent. The scope ends with its last process. A limit is
offered only where the kernel's controller is really there for the manager that we ask: systemd accepts `MemoryMax=`
without it, and holds nothing.

Cost, measured: 0.9 ms of CPU and 4 ms beside the start of the shim (`systemd-run --scope`: 8 and 13, before it).
Deliberately not here: the shim, policy, and reports of an end of memory (the shim counts them: it outlives the agent).
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kaged.domain.frozen import frozen
from kaged.domain.run_records import RunSpec
from kaged.executors.dbus import ManagerRefused, Property, start_transient_unit
from kaged.executors.systemd import own_unit

SLICE: Final = "kage-agents.slice"
_SLICE_PATH: Final = "kage.slice/kage-agents.slice"
_START_S: Final = 20.0
_KILL_S: Final = 2.0
_BACKSTOP_S: Final = 60.0  # after the wall time and the grace: the shim itself must be stuck
_HIERARCHIES: Final = {"memory": "memory_bytes", "cpu": "cpus", "pids": "processes"}


@frozen
class Manager:
    """A running systemd that we may ask. `root`: its own cgroup, below which its units are; `limits`: what it holds."""

    private: Path
    root: str
    unified: Path
    limits: frozenset[str]
    daemon_unit: str


def find_manager(
    environ: Mapping[str, str],
    *,
    proc: Path = Path("/proc"),
    fs: Path = Path("/sys/fs/cgroup"),
    system: Path = Path("/run"),
) -> Manager | None:
    """The systemd that started us, when scopes can be had from it; None: run without. The paths are a machine's."""
    try:
        text = (proc / "self/cgroup").read_text("utf-8", "surrogateescape")
        unit = own_unit(environ, text)
        if unit is None:
            return None
        user = unit.user or os.getuid() != 0  # a system unit for one user: ask that user's manager
        private = (Path(environ["XDG_RUNTIME_DIR"]) if user else system) / "systemd/private"
        root = f"/user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service" if user else ""
        if not private.is_socket():
            return None
        unified = fs / "unified" if (fs / "unified/cgroup.procs").exists() else fs
        if not (unified / root.lstrip("/")).is_dir():
            return None
        return Manager(
            private=private,
            root=root,
            unified=unified,
            limits=_limits(text, unified, root, fs),
            daemon_unit=unit.name if unit.user == user else "",
        )
    except (OSError, KeyError, ValueError):
        return None


def _limits(cgroups: str, unified: Path, root: str, fs: Path) -> frozenset[str]:
    there = set((unified / root.lstrip("/") / "cgroup.controllers").read_text("ascii").split())
    if not root and unified != fs:  # those of version 1 belong to the machine's manager alone, if it uses them at all
        there |= {name for line in cgroups.splitlines() for name in line.split(":", 2)[1].split(",")}
    return frozenset(limit for controller, limit in _HIERARCHIES.items() if controller in there)


class Scopes:
    """See the module. Calls block for milliseconds: made in a thread."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self.enforces: Final = manager.limits

    def start(self, run: str, pid: int, spec: RunSpec) -> None:
        """Put a shim that waits at its gate into a scope of its own. Raises ManagerRefused."""
        properties = scope_properties(pid, spec, self.enforces, self._manager.daemon_unit)
        start_transient_unit(self._manager.private, scope_name(run), properties, timeout_s=_START_S)

    def folder(self, run: str) -> Path:
        """The cgroup of a run (of version 2; it may be gone)."""
        return self._manager.unified / self._manager.root.lstrip("/") / _SLICE_PATH / scope_name(run)

    def kill(self, run: str) -> list[int]:
        """SIGKILL all that is left of a run whose shim is gone, whatever it did to its environment or session."""
        folder = self.folder(run)
        hit: list[int] = []
        deadline = time.monotonic() + _KILL_S
        while (pids := _members(folder)) and time.monotonic() < deadline:
            hit += [pid for pid in pids if pid not in hit]
            try:
                (folder / "cgroup.kill").write_text("1", "ascii")
            except OSError:  # before Linux 5.14: one by one, again and again until nobody is left
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        return hit


def scope_name(run: str) -> str:
    """The unit of a run. Ids of runs are letters, digits and a dot: what units may be called."""
    return f"kage-{run}.scope"


def scope_properties(pid: int, spec: RunSpec, held: frozenset[str], daemon_unit: str = "") -> list[Property]:
    """What systemd is told about a run's scope. `daemon_unit`: the daemon's, when the same systemd has it."""
    found: list[Property] = [
        ("Description", "s", f"Agent {spec.agent_id} of Kage, run {spec.run_id}"),
        ("Slice", "s", SLICE),
        ("PIDs", "au", [pid]),
        ("CollectMode", "s", "inactive-or-failed"),
        # Also makes OOMPolicy=continue the default: the kernel's choice of a victim is that process's matter, not an
        # order to end the others. (The property itself is not known to scopes before systemd 253.)
        ("Delegate", "b", True),
        # Only if the shim, which asks first, did not: at a shutdown, too.
        ("TimeoutStopUSec", "t", int(max(spec.grace_s, 1) * 1e6)),
    ]
    if daemon_unit:
        # At a shutdown the daemon is stopped first, and ends the agents itself: in order, and on record.
        found.append(("Before", "as", [daemon_unit]))
    if spec.memory_bytes and "memory_bytes" in held:
        found += [("MemoryMax", "t", spec.memory_bytes), ("MemorySwapMax", "t", 0)]
    if spec.cpus and "cpus" in held:
        found.append(("CPUQuotaPerSecUSec", "t", max(1, int(spec.cpus * 1e6))))
    if spec.processes and "processes" in held:
        found.append(("TasksMax", "t", spec.processes + 1))  # the shim is one more
    if spec.wall_s:
        found.append(("RuntimeMaxUSec", "t", int((spec.wall_s + spec.grace_s + _BACKSTOP_S) * 1e6)))
    return found


def _members(folder: Path) -> list[int]:
    """Processes of a cgroup and of those below it."""
    pids: list[int] = []
    for path in folder.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            pids += [int(word) for word in path.read_text("ascii").split()]
    return pids


__all__ = ["Manager", "ManagerRefused", "Scopes", "find_manager", "scope_name", "scope_properties"]
