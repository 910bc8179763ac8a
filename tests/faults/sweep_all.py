"""The sweep over system calls to its end: each kind of call, from the first on, until the daemon makes no more of it.

    python -m tests.faults.sweep_all [--minutes 30] [--log .torture/sweep.jsonl]

Points are taken in turns from all kinds, so a run that is cut short has seen some of each. After every batch the
journal, the machine and the store are judged and a line goes to the log; the next call goes on behind it. A kind is
at its end after three numbers in a row that were not reached: how often the daemon makes a call differs a little
from run to run. Exit code 1: something in the log was wrong; the state folder of that batch is kept.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.e2e.daemon_kit import Kaged
from tests.faults.judging import Figures, judge
from tests.faults.sweep import CALLS, Sweep

_BATCH: Final = 30
_MISSES: Final = 3
# A start opens some 600 files before it touches ours: its imports. Each of these is the same as the one before.
_STEPS: Final = {"start:openat": 20, "start:write": 2}
_LOG: Final = Path(".torture/sweep.jsonl")


@dataclass(slots=True)
class Kind:
    """How far one kind of call is."""

    calls: str
    number: int = 1  # next
    misses: int = 0
    deaths: int = 0

    @property
    def over(self) -> bool:
        """No higher number is reached."""
        return self.misses >= _MISSES

    def note(self, *, died: bool) -> None:
        """The result of `number`."""
        self.number += _STEPS.get(self.calls, 1)
        self.deaths += died
        self.misses = 0 if died else self.misses + 1


@dataclass(slots=True)
class Progress:
    """All that the log tells."""

    kinds: dict[str, Kind] = field(default_factory=lambda: {calls: Kind(calls) for calls in CALLS})
    points: int = 0
    deaths: int = 0
    totals: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def take(self, batch: dict[str, Any]) -> None:
        """One line of the log."""
        for calls, _number, died in batch["points"]:
            self.points += 1
            self.deaths += died
            if calls in self.kinds:
                self.kinds[calls].note(died=died)
        for name in ("agents", "runs", "bytes", "events", "lost", "duplicated", "orphans"):
            self.totals[name] = self.totals.get(name, 0) + batch[name]
        self.seconds += batch["seconds"]

    @property
    def wrong(self) -> int:
        """Broken promises, in all."""
        return sum(self.totals.get(name, 0) for name in ("lost", "duplicated", "orphans"))

    def left(self) -> list[Kind]:
        """Kinds that are not at their end."""
        return [kind for kind in self.kinds.values() if not kind.over]

    def __str__(self) -> str:
        totals = " ".join(f"{name}={value}" for name, value in self.totals.items())
        at_end = len(self.kinds) - len(self.left())
        return (
            f"points={self.points} deaths={self.deaths} kinds_at_their_end={at_end}/{len(self.kinds)} "
            f"seconds={self.seconds:.0f} {totals}"
        )


def load(log: Path) -> Progress:
    """What was done so far; nothing when there is no log."""
    progress = Progress()
    if log.exists():
        for line in log.read_text("utf-8").splitlines():
            progress.take(json.loads(line))
    return progress


def batches(progress: Progress) -> Iterator[list[tuple[str, int]]]:
    """What to do next, in turns from all kinds, until none is left. Ask for more only after `progress` knows."""
    while left := progress.left():
        ahead = {kind.calls: kind.number for kind in left}
        batch: list[tuple[str, int]] = []
        while len(batch) < _BATCH:
            for calls, number in ahead.items():
                batch.append((calls, number))
                ahead[calls] = number + _STEPS.get(calls, 1)
        yield batch[: max(_BATCH, len(left))]


def do(batch: list[tuple[str, int]]) -> tuple[dict[str, Any], Figures, Path]:
    """Go through these points on a folder of its own, and judge."""
    folder, began = Path(tempfile.mkdtemp(prefix="kage-sweep-")), time.monotonic()
    kaged = Kaged(folder)
    try:
        sweep = Sweep(kaged)
        points = [(calls, number, sweep.point(calls, number)) for calls, number in batch]
        figures = judge(kaged, sweep.plan)
    finally:
        kaged.__exit__(*sys.exc_info())
    line = {
        "points": points,
        "agents": figures.agents,
        "runs": figures.runs,
        "bytes": figures.bytes,
        "events": figures.events,
        "lost": figures.count("lost", "disorder"),
        "duplicated": figures.count("duplicated"),
        "orphans": len(figures.orphans),
        "findings": [f"{finding.kind}: {finding.what}" for finding in figures.findings] + figures.orphans,
        "seconds": round(time.monotonic() - began, 1),
    }
    return line, figures, folder


def main() -> int:
    """Flags, progress, figures."""
    parser = argparse.ArgumentParser(prog="sweep_all", description="kill -9 at every system call, resumable")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so long (default: at the end)")
    parser.add_argument("--log", type=Path, default=_LOG, help=f"remove it to begin anew (default {_LOG})")
    arguments = parser.parse_args()
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    progress, began = load(arguments.log), time.monotonic()
    if progress.points:
        print(f"goes on: {progress}", flush=True)
    for batch in batches(progress):
        if arguments.minutes and time.monotonic() - began > arguments.minutes * 60:
            print("time is up; the next call goes on here")
            break
        line, _, folder = do(batch)
        with arguments.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        progress.take(line)
        for finding in line["findings"]:
            print(f"  {finding}")
        if line["findings"]:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        print(progress, flush=True)
    for kind in progress.kinds.values():
        print(f"  {kind.calls:32} {kind.deaths:5} deaths, {'at its end' if kind.over else f'next {kind.number}'}")
    print(progress)
    return int(bool(progress.wrong))


if __name__ == "__main__":
    sys.exit(main())
