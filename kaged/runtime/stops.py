"""Agents that end with the daemon: asked to by facts or, on a full disk, by orders that are recorded later.

    room:      stop_all (facts, durable) -> wait_stopped
    no room:   the stop note -> orders straight into the run folders -> wait until no process is left
    next room: as_owed records what was ordered, byte for byte, before anything is made of the ends

Not here: how one agent is stopped (`machines/agent`), in which order a tree stops its children (`trees/`).
"""

import asyncio
import logging
from typing import Final

from kaged.crash_points import Point, passed
from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState, Run
from kaged.ports import Executor, Sampler, StopNote
from kaged.runtime.engine import Engine
from kaged.runtime.runs.children import Children
from kaged.runtime.runs.run_facts import perform
from kaged.runtime.trees.tree_work import TreeWork
from kaged.runtime.trees.trees import Trees

_LOOK_S: Final = 0.02
log = logging.getLogger("kaged.core")


class Stops:
    """See the module. Used on the event loop only."""

    def __init__(
        self,
        engine: Engine,
        trees: Trees,
        tree_work: TreeWork,
        children: Children,
        executor: Executor,
        sampler: Sampler,
        note: StopNote,
    ) -> None:
        self._engine = engine
        self._world = engine.world
        self._journal = engine.journal
        self._trees = trees
        self._tree_work = tree_work
        self._children = children
        self._executor = executor
        self._sampler = sampler
        self._note = note
        self._owed = False
        self._ordered: set[str] = set()  # runs that were told to end without a record

    def remember(self, last_seq: int) -> None:
        """Whether the daemon before us ordered stops that it could not record; `last_seq`: its last fact."""
        self._owed = self._note.seq() > last_seq

    def stop_all(self, note: str = "the daemon stops") -> int:
        """Ask every tree and every agent to end: the daemon is told to take them along. How many agents that is."""
        live = [kept.state for kept in self._world.agents.values() if kept.state.phase != "ended"]
        for state in live:
            events = () if state.supervisor else machine.decide_stop(state, cause="daemon", note=note)
            if events:
                self._engine.commit(self._engine.agent_drafts(state.id, events))
        # A tree whose children were stopped one by one would start them again: it stops them itself, in its order.
        for name in [name for name, tree in self._world.trees.items() if not tree.over]:
            self._trees.stop_nowait(name)
        return len(live)

    def order_all(self) -> int:
        """`stop_all` without a record, on a full disk. How many runs were told, in all.

        The orders are those that `stop_all` would have recorded, byte for byte; the note makes the next start, or
        this daemon when there is room, record them.
        """
        if not self._owed:
            self._owed = True
            try:
                self._note.write(self._journal.durable_seq + 1)
            except OSError as error:
                log.error("stop_not_noted error=%s hint=%s", error, "the next start starts agents again")
            passed(Point.STOP_NOTED)
        for state, run in self._world.live_runs():
            if run.id in self._ordered:
                continue
            try:
                perform(self._executor.folder(run.id), self._order(state, run))
                self._ordered.add(run.id)
                passed(Point.STOP_ORDERED)
            except (KageError, OSError) as error:
                log.error("order_not_given run=%s error=%s", run.id, error)
        return len(self._ordered)

    def _order(self, state: AgentState, run: Run) -> facts.StopWanted:
        if state.stop is not None and state.stop.run == run.id:
            return state.stop  # wanted already, but perhaps not durable: then nobody has carried it out
        if state.supervisor:
            signal, grace_s = self._tree_work.manner(state)
            events = machine.decide_stop(state, cause="supervisor", signal=signal, grace_s=grace_s)
        else:
            events = machine.decide_stop(state, cause="daemon")
        return next(event for event in events if isinstance(event, facts.StopWanted))

    def as_owed(self) -> None:
        """Record a stop that was ordered while the disk was full, before anything else is made of its ends."""
        if self._owed and self._journal.refusal is None:
            self._owed = False
            self.stop_all("kaged was told to stop while the disk was full")

    async def wait_stopped(self) -> None:
        """Return when no run is left and none is about to begin."""
        while len(self._children) or any(kept.state.phase != "ended" for kept in self._world.agents.values()):
            if self._journal.refusal is not None:  # also in the middle
                await self._wait_unrecorded()
                if self._journal.refusal is not None:
                    return
            await asyncio.sleep(_LOOK_S)

    async def _wait_unrecorded(self) -> None:
        """Tell every run to end without a record; return when no process is left, or when there is room again."""
        while self._journal.refusal is not None:
            self.order_all()
            if not await self._processes_left():
                return
            await asyncio.sleep(_LOOK_S)
        self.as_owed()

    async def _processes_left(self) -> bool:
        shims = [(run.shim_pid, run.shim_start_ticks) for _, run in self._world.live_runs() if run.shim_pid]
        samples = await asyncio.to_thread(self._sampler.sample, shims)
        return any(sample is not None and sample.processes for sample in samples)
