"""What a bench says: figures with goals, as a markdown table. Pure.

A figure is the median of several short runs; the best run stands beside it, because the machine may be shared. A
goal is a bound from below (`least=True`) or from above; `ratio` is above 1 when it is reached, in either case.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. `runs` in `unit`; `goal` None for what is only shown (rivals, context)."""

    name: str
    unit: str
    runs: tuple[float, ...]
    goal: float | None = None
    least: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        """The figure."""
        return median(self.runs)

    @property
    def best(self) -> float:
        """Its best run."""
        return max(self.runs) if self.least else min(self.runs)

    @property
    def ratio(self) -> float | None:
        """Above 1: the goal is reached."""
        if self.goal is None:
            return None
        above, below = (self.median, self.goal) if self.least else (self.goal, self.median)
        return above / below if below else float("inf")

    @property
    def verdict(self) -> str:
        """Reached by the median, by the best run only, or missed."""
        if self.goal is None:
            return ""
        if self.ratio is not None and self.ratio >= 1:
            return "yes"
        best = self.best >= self.goal if self.least else self.best <= self.goal
        return "best run" if best else "**no**"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A row that this machine cannot measure, and why."""

    name: str
    why: str


Line = Figure | Skipped


def shown(value: float) -> str:
    """A number as people read it: three digits that count."""
    if value == float("inf"):
        return "inf"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"


def cells(line: Line) -> tuple[str, ...]:
    """One line as cells of the table."""
    if isinstance(line, Skipped):
        return (line.name, "skipped", "", "", "", "", line.why)
    goal = "" if line.goal is None else f"{'>=' if line.least else '<='} {shown(line.goal)}"
    ratio = "" if line.ratio is None else shown(line.ratio)
    return (
        line.name,
        f"{shown(line.median)} {line.unit}".strip(),
        goal,
        ratio,
        shown(line.best),
        line.verdict,
        line.note,
    )


HEADER = ("work", "median", "goal", "ratio", "best run", "reached", "note")


def table(lines: Iterable[Line]) -> str:
    """Lines as markdown."""
    rows = [HEADER, ("---",) * len(HEADER), *(cells(line) for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which this share of all lies; 0 of nothing."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else 0.0
