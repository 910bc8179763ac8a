"""Live rows against processes: every process of ours belongs to a run without an end, and the reverse.

Both move while they are looked at, so what does not fit is a doubt first, and an orphan only when it stays so over
several looks. Reads /proc, locks of runs and the journal; changes nothing. Where there is no /proc only locks tell.

Without a daemon a run without a process is no fault: the next start settles it.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, Literal

from kaged.domain.errors import KageError
from kaged.domain.frozen import frozen
from kaged.executors.run_folder import Liveness, RunFolder, list_runs
from kaged.store.upkeep.run_ledger import LiveRun

_STAYS_S: Final = 8.0  # from the last process to the end in the journal it takes less, also on a busy machine
_LOOK_S: Final = 0.25


@frozen
class Orphan:
    """`process`: pids of a run that has ended, or that the journal does not know. `row`: a run without a process."""

    kind: Literal["process", "row"]
    run: str
    pids: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.kind == "row":
            return f"run {self.run} has no end, and no process"
        pids = ", ".join(map(str, self.pids)) or "unknown: its lock is held"
        return f"run {self.run} is not live, but has processes ({pids})"


def find_orphans(
    runs_dir: Path,
    live: Callable[[], Mapping[str, LiveRun]],
    *,
    served: bool,
    stays_s: float = _STAYS_S,
    pause: Callable[[float], None] = time.sleep,
) -> list[Orphan]:
    """What does not fit, and stays so for `stays_s`. `live` tells runs without an end, anew at each call."""
    doubts: set[tuple[str, str]] | None = None
    deadline = time.monotonic() + stays_s
    while True:
        # Rows before and after: a run that begins or ends meanwhile is in one of the two.
        before = live()
        found = processes(runs_dir)
        after = live()
        fresh = compare(before, found, after, runs_dir, served=served)
        doubts = {(item.kind, item.run) for item in fresh if doubts is None or (item.kind, item.run) in doubts}
        if not doubts or time.monotonic() >= deadline:
            return [item for item in fresh if (item.kind, item.run) in doubts]
        pause(_LOOK_S)


def compare(
    before: Mapping[str, LiveRun],
    found: Mapping[str, Collection[int]],
    after: Mapping[str, LiveRun],
    runs_dir: Path,
    *,
    served: bool,
) -> list[Orphan]:
    """One look: processes that no row explains, rows that should have a process."""
    strays = [
        Orphan(kind="process", run=run, pids=tuple(sorted(pids)))
        for run, pids in sorted(found.items())
        if run not in before and run not in after
    ]
    if not served:
        return strays
    empty = [
        Orphan(kind="row", run=run)
        for run, state in sorted(after.items())
        # One that has ended is being read to its end, which takes as long as its output is long.
        if state.executed and run in before and run not in found and not _has_ended(runs_dir, run)
    ]
    return strays + empty


def processes(runs_dir: Path) -> dict[str, set[int]]:
    """Runs of this folder that have processes, with their pids: shims by their command line, agents and all that they
    started by their environment. A run whose lock is held is there also when nothing else can be seen of it."""
    found: dict[str, set[int]] = {}
    mark = os.fsencode(runs_dir) + b"/"
    for pid in _pids():
        for text in (_bytes(f"/proc/{pid}/cmdline"), _bytes(f"/proc/{pid}/environ")):
            for word in text.split(b"\0"):
                path = word.removeprefix(b"KAGE_TOKEN_FILE=")
                if path.startswith(mark):
                    run = os.fsdecode(path[len(mark) :].split(b"/")[0])
                    found.setdefault(run, set()).add(pid)
    for folder in list_runs(runs_dir):
        try:
            held = folder.is_alive() is Liveness.HELD
        except KageError:
            held = True  # cannot tell: never taken for dead
        if held:
            found.setdefault(folder.run_id, set())
    return found


def _has_ended(runs_dir: Path, run: str) -> bool:
    """Whether its records tell of an end that the journal does not have yet."""
    folder = RunFolder(runs_dir / run)
    try:
        return folder.read_exit() is not None
    except (KageError, OSError):
        return False


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    except OSError:
        return []


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
