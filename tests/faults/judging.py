"""What must be true once every agent has ended: of the journal, of the machine, and of the store after the daemon.

`judge` is run after each kind of torture; it ends the daemon, so that `fsck` sees the last of it.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.e2e.daemon_kit import Kaged, eventually
from tests.faults.ledger import Finding, Ledger, Planned

_PATIENCE_S: Final = 10.0


@dataclass(slots=True)
class Figures:
    """What a torture did and found."""

    kills: int = 0
    agents: int = 0
    runs: int = 0
    bytes: int = 0
    events: int = 0
    repeats: int = 0
    seconds: float = 0.0
    start_s: list[float] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)

    def count(self, *kinds: str) -> int:
        """How many findings of these kinds."""
        return sum(1 for finding in self.findings if finding.kind in kinds)

    def __str__(self) -> str:
        starts = sorted(self.start_s) or [0.0]
        ends = " ".join(f"{kind}={count}" for kind, count in sorted(self.ends.items()))
        return (
            f"kills={self.kills} agents={self.agents} runs={self.runs} bytes={self.bytes} events={self.events} "
            f"repeats={self.repeats} {ends} start_p50={starts[len(starts) // 2]:.2f}s start_max={starts[-1]:.2f}s "
            f"seconds={self.seconds:.0f} lost={self.count('lost', 'disorder')} "
            f"duplicated={self.count('duplicated')} orphans={len(self.orphans)}"
        )


def judge(kaged: Kaged, plan: Iterable[Planned]) -> Figures:
    """Read the whole journal against the plan; look for processes, folders and zombies that are left; run fsck."""
    ledger = Ledger(plan)
    for event in kaged.read():
        ledger.take(event)
    figures = Figures(agents=len(ledger.plan), runs=len(ledger.runs), events=ledger.events)
    figures.findings, figures.bytes, figures.ends = ledger.check(), ledger.bytes, ledger.ends
    figures.orphans = orphans(kaged)
    kaged.kill()
    code, words = kaged.fsck()
    if code:
        figures.findings.append(Finding("lost", f"fsck says {code}: {words[-2000:]}"))
    return figures


def orphans(kaged: Kaged) -> list[str]:
    """Processes, run folders and zombies that nobody needs any more, and that stay."""
    runs: Path = kaged.state / "runs"
    with contextlib.suppress(AssertionError):
        eventually(lambda: not kaged.carriers(), "no process to be left", _PATIENCE_S)
    with contextlib.suppress(AssertionError):
        eventually(lambda: not left_folders(runs), "no folder to be left", _PATIENCE_S)
    with contextlib.suppress(AssertionError):
        eventually(lambda: not zombies(kaged), "no zombie to be left", _PATIENCE_S)
    return [
        *(f"pid {pid}" for pid in kaged.carriers()),
        *(f"folder {name}" for name in left_folders(runs)),
        *(f"zombie {pid}" for pid in zombies(kaged)),
    ]


def shim_of(kaged: Kaged, agent: str) -> int | None:
    """Pid of the shim of an agent's run, found by its arguments."""
    folder = os.fsencode(kaged.state / "runs" / agent) + b"."
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if len(words) > 4 and words[1:3] == [b"-I", b"-S"] and words[4].startswith(folder):
                return int(path.parent.name)
    return None


def left_folders(runs: Path) -> list[str]:
    """Run folders that are there, also in the trash."""
    return [str(path.relative_to(runs)) for path in runs.glob("*") if path.name != ".trash"] + [
        str(path.relative_to(runs)) for path in runs.glob(".trash/*")
    ]


def zombies(kaged: Kaged) -> list[int]:
    """Children of the daemon that have ended and were not collected."""
    assert kaged.process is not None
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = path.read_bytes()
            state, parent = text[text.rindex(b")") + 2 :].split()[:2]
            if state == b"Z" and int(parent) == kaged.process.pid:
                found.append(int(path.parent.name))
    return found
