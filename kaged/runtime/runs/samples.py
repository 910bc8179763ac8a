"""What running agents cost, looked at when somebody asks: at most once a second, never as events."""

from typing import Final

from kaged.ports import Sampler, TreeUsage
from kaged.runtime.system import System

_FRESH_S: Final = 1.0


class Samples:
    """The last look at each run, and the one before it for the CPU rate."""

    def __init__(self, sampler: Sampler, system: System) -> None:
        self._sampler = sampler
        self._system = system
        self._last: dict[str, tuple[float, TreeUsage, float]] = {}

    def look(self, run: str, shim_pid: int, start_ticks: int) -> tuple[TreeUsage, float] | None:
        """Usage and CPUs of one run; None when its processes are not known."""
        now_s = self._system.monotonic_s()
        before = self._last.get(run)
        if before is not None and now_s - before[0] < _FRESH_S:
            return before[1], before[2]
        usage = self._sampler.sample([(shim_pid, start_ticks)])[0]
        if usage is None:
            self._last.pop(run, None)
            return None
        return usage, self._note(run, usage, now_s)

    def _note(self, run: str, usage: TreeUsage, now_s: float) -> float:
        before = self._last.get(run)
        cpus = (usage.cpu_s - before[1].cpu_s) / (now_s - before[0]) if before is not None else 0.0
        if len(self._last) > 10_000:
            self._last.clear()
        self._last[run] = (now_s, usage, max(0.0, cpus))
        return max(0.0, cpus)
