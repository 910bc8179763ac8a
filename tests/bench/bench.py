"""What a group of rows gets: where to work, how long, the machine's fdatasync right now, and a place for lines."""

import compileall
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.figures import Figure, Line, Skipped, cells
from tests.bench.kage import ROOT, work
from tests.bench.machine import Foreign, Sync, fdatasync, loop_ns


@dataclass(slots=True)
class Bench:
    """One run of the benches."""

    runs: int
    seconds: float  # of one run
    big: int  # events of the big store
    cache: Path = ROOT / ".bench"
    lines: list[Line] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
    loops_ns: list[float] = field(default_factory=list)
    foreign: Foreign = field(default_factory=Foreign)
    load: list[float] = field(default_factory=list)
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.cache.mkdir(exist_ok=True)
        (self.cache / ".gitignore").write_text("*\n")
        # As an installation has it. Without, and where the environment forbids Python to write it, each start of kaged
        # and of kagectl compiled what had been edited since: up to 0.2 s that were measured as Kage's.
        for package in ("kaged", "kagectl"):
            compileall.compile_dir(ROOT / package, quiet=1)
        self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.cache))

    def close(self) -> None:
        """Remove what the runs left."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_folder(self) -> Path:
        """An empty one, on the disk that is measured."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def sync(self) -> Sync:
        """Raw fdatasync now."""
        self.syncs.append(fdatasync(self.folder))
        self.loops_ns.append(loop_ns())
        return self.syncs[-1]

    def say(self, line: Line) -> None:
        """Take a line and print it."""
        cores = self.foreign.cores()
        self.load.append(cores)
        if isinstance(line, Figure) and cores >= 0.25:
            note = f"{line.note}; " if line.note else ""
            line = Figure(
                name=line.name, unit=line.unit, runs=line.runs, goal=line.goal, least=line.least,
                note=f"{note}{cores:.1f} cores busy elsewhere",
            )  # fmt: skip
        self.lines.append(line)
        print(f"{time.strftime('%H:%M:%S')}  " + "  ".join(part for part in cells(line) if part), flush=True)

    def figure(
        self,
        name: str,
        unit: str,
        runs: list[float],
        *,
        goal: float | None = None,
        least: bool = False,
        note: str = "",
    ) -> None:
        """Take a figure."""
        self.say(Figure(name=name, unit=unit, runs=tuple(runs), goal=goal, least=least, note=note))

    def skip(self, name: str, why: str) -> None:
        """Say loudly that a row was not measured."""
        self.say(Skipped(name=name, why=why))

    def big_store(self) -> Path:
        """A state folder with `big` events: a throw-away twin of one that is built once and kept."""
        kept = self.cache / f"store-{self.big}"
        if not (kept / "built").exists():
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(parents=True)
            print(f"          building a store of {self.big:,} events, once", flush=True)
            answer = work("build", folder=str(kept), events=self.big)
            (kept / "built").write_text(f"{answer['rate']:.0f} events/s\n")
        twin = self.new_folder()
        (twin / "db").mkdir()
        for path in (kept / "db").iterdir():
            if path.suffix in (".sst", ".blob"):
                (twin / "db" / path.name).hardlink_to(path)  # RocksDB never writes into these
            elif path.name != "LOCK":
                shutil.copy2(path, twin / "db" / path.name)
        return twin


Group = Callable[[Bench], None]


def each(bench: Bench) -> Iterator[int]:
    """Numbers of the runs."""
    yield from range(bench.runs)
