"""What services show of runs beside their states: bytes recorded, what they cost, since when they are silent.

Figures are asked for and never events. Not here: how processes are measured (`executors/process_table.py`).
"""

from kaged.domain.events import facts
from kaged.domain.machines.agent import AgentState
from kaged.ports import Sampler, TreeUsage
from kaged.runtime.recorded import fact_at
from kaged.runtime.runs.children import Children
from kaged.runtime.runs.samples import Samples
from kaged.runtime.system import System
from kaged.store.derived.views import agent_stream
from kaged.store.reading.reader import Reader


class Figures:
    """See the module."""

    def __init__(self, children: Children, reader: Reader, sampler: Sampler, system: System) -> None:
        self._children = children
        self._reader = reader
        self._samples = Samples(sampler, system)
        self._system = system

    def sizes(self, state: AgentState) -> tuple[int, int]:
        """Bytes recorded of an agent's live run, by stream."""
        keeper = self._children.keeper(state.run.id) if state.run is not None else None
        return keeper.sizes if keeper is not None else (0, 0)

    def sizes_at(self, state: AgentState, seq: int) -> tuple[int, int]:
        """Bytes that were recorded of an agent's live run as of a seq. In a thread: it may read."""
        if state.live_run is None:
            return 0, 0
        last = self._reader.last_of(f"{agent_stream(state.id)}/output", seq)
        if last is None or last.shape.run != state.live_run.id:
            return 0, 0
        fact = fact_at(self._reader, last.seq)
        if isinstance(fact, facts.OutputChunk | facts.OutputTruncated | facts.OutputDropped):
            return fact.stdout_end, fact.stderr_end
        return 0, 0

    def health(self, state: AgentState) -> tuple[TreeUsage, float, int, int, int] | None:
        """Samples of a running agent: usage, CPUs, now, up since, last output (microseconds)."""
        run = state.live_run
        if run is None or not run.shim_pid:
            return None
        sample = self._samples.look(run.id, run.shim_pid, run.shim_start_ticks)
        if sample is None:
            return None
        usage, cpus = sample
        now_us = self._system.now_us()
        keeper = self._children.keeper(run.id)
        silent_s = self._system.monotonic_s() - keeper.last_output_s if keeper is not None else 0.0
        last_us = now_us - int(silent_s * 1e6) if keeper is not None and any(keeper.sizes) else 0
        return usage, cpus, now_us, run.executed_us, last_us
