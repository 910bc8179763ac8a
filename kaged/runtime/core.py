"""The working daemon without its doors: engine, agents, trees, children and timers joined, and their recovery.

    open store -> fold live states -> adopt or settle every run -> resume trees and timers -> serve

Recovery asks the state what should be under way and looks at what is there; unknown is never treated as dead. One
slow or broken run holds up nobody else. Nothing is signalled before all run folders were looked at.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.crash_points import Point, passed
from kaged.domain.errors import KageError, Unavailable
from kaged.domain.events import agent as facts
from kaged.domain.frozen import frozen
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.machines.approval import ApprovalState
from kaged.domain.world import World
from kaged.ports import Adapter, Checker, Executor, Sampler, StopNote, TreeUsage, Watch, Workspaces
from kaged.runtime.agents import Agents, next_run
from kaged.runtime.approvals import Approvals
from kaged.runtime.engine import DAEMON_STREAM, INTERNAL, Caller, Engine, Receipt
from kaged.runtime.goals.goals import Goals
from kaged.runtime.goals.judging import Judging
from kaged.runtime.queue import Places, Queue
from kaged.runtime.runs.children import Children
from kaged.runtime.runs.run_facts import perform
from kaged.runtime.runs.run_host import RunHost, Settings, fact_at
from kaged.runtime.runs.samples import Samples
from kaged.runtime.system import System
from kaged.runtime.timers import Timers
from kaged.runtime.trees.tree_work import TreeWork
from kaged.runtime.trees.trees import Trees
from kaged.runtime.workspaces import AgentWorkspaces
from kaged.store.derived.views import Views, agent_stream
from kaged.store.log.journal import Journal
from kaged.store.reading.feed import Feed
from kaged.store.reading.reader import Reader
from kaged.store.wire.codec import Draft, decode
from kaged.store.wire.record import payload

_ADOPT_S: Final = 5.0
_LOOK_S: Final = 0.02
log = logging.getLogger("kaged.core")


@frozen
class Recovered:
    """What recovery found."""

    adopted: int
    settled: int
    after_clean_stop: bool


class Core:
    """See the module. One for an open store; used on the event loop only."""

    def __init__(
        self,
        journal: Journal,
        system: System,
        executor: Executor,
        watch: Watch,
        adapters: Mapping[str, Adapter],
        settings: Settings,
        token: Callable[[str], str],
        pid: int,
        sampler: Sampler,
        stop_note: StopNote,
        places: Workspaces,
        checker: Checker,
    ) -> None:
        self.journal = journal
        self.system = system
        self.executor = executor
        self.reader = Reader(journal)
        self.views = Views(journal.store, self.reader)
        self.world = World()
        self.engine = Engine(journal, self.world, system)
        self.agents = Agents(
            self.engine, self.views, self.reader, adapters, executor.enforces, grounds=settings.grounds
        )
        self.approvals = Approvals(self.engine, self.views, adapters, self.agents.load)
        self.queue = Queue(self.engine, self.agents, lambda: self._places)
        self._places = settings.places
        self.timers = Timers(journal.now_us, self._due)
        self._tree_work = TreeWork(self.engine, self.agents, self.views, self.timers)
        self.trees = Trees(self.engine, self.agents, self.views, self._tree_work)
        self.workspaces = AgentWorkspaces(self.engine, self.agents, self.views, self.reader, places, settings.base_env)
        self._host = RunHost(
            self.engine,
            self.agents,
            self.trees,
            self.reader,
            executor,
            system,
            adapters,
            settings,
            token,
            bury=lambda launched: self.children.bury(launched),
            workspaces=self.workspaces,
        )
        self.children = Children(self._host, watch, self.world.agent)
        judging = Judging(
            self.reader, checker, self._host.check_environment, self._host.masker, lambda state: state.cwd
        )
        self.goals = Goals(
            self.engine,
            self.agents,
            judging,
            adapters,
            self.timers,
            self._hearing,
            self._host.account,
            self._keep_place,
        )
        self.feed = Feed(journal, self.reader, max_subscribers=settings.max_subscribers)
        self._samples = Samples(sampler, system)
        self.runs_started = 0
        self._unsaid: facts.DaemonStarted | None = None
        self._stop_note = stop_note
        self._owes_stop = False
        self._ordered: set[str] = set()  # runs that were told to end without a record
        self._sampler = sampler
        self._settings = settings
        self._pid = pid
        for listener in (self.children, self.workspaces, self._tree_work, self.goals, self.queue, self):
            self.engine.listen(listener)

    # --- recovery ----------------------------------------------------------------------------------------------

    async def recover(self) -> Recovered:
        """Fold what can still act, adopt or settle every run, resume the rest. `children.serve` must run."""
        await asyncio.to_thread(self._fold)
        passed(Point.RECOVERY_FOLDED)
        last = self.reader.last_of(DAEMON_STREAM)
        clean = last is not None and last.type == facts.DaemonStopped.type_name
        # Before any keeper: an end that it finds may start a run at once, whose folder nobody here would know.
        await asyncio.to_thread(self._sweep, {run.id for _, run in self.world.live_runs()})
        passed(Point.RECOVERY_SWEPT)
        self._owes_stop = self._stop_note.seq() > (last.seq if last is not None else 0)
        self._stop_as_owed()
        keepers = [self.children.keep(state, run, adopted=True) for state, run in list(self.world.live_runs())]
        passed(Point.RECOVERY_KEPT)
        if keepers:
            await asyncio.wait([keeper.adopted_alive for keeper in keepers], timeout=_ADOPT_S)
        alive = sum(1 for keeper in keepers if keeper.adopted_alive.done() and keeper.adopted_alive.result())
        passed(Point.RECOVERY_ADOPTED)
        recovered = Recovered(adopted=alive, settled=len(keepers) - alive, after_clean_stop=clean)
        self.resume()
        await self.workspaces.resume()
        self._unsaid = facts.DaemonStarted(
            version=self._settings.version,
            pid=self._pid,
            boot_id=self.system.boot_id(),
            adopted=recovered.adopted,
            settled=recovered.settled,
            after_clean_stop=clean,
        )
        self._say_started()
        passed(Point.RECOVERY_RESUMED)
        await self.journal.settles(self.journal.accepted_seq)
        passed(Point.RECOVERY_RECORDED)
        return recovered

    def _say_started(self) -> None:
        """Record the start, once: at the end of recovery or, on a full disk, as soon as there is room."""
        if self._unsaid is not None and self.journal.refusal is None:
            self.engine.commit([Draft(stream=DAEMON_STREAM, event=self._unsaid)])
            self._unsaid = None

    def _fold(self) -> None:
        for agent in self.views.live_agents():
            found = self.views.agent(agent)
            if found is None:
                continue
            self.world.load(*found)
            for approval in found[0].approvals:
                state = self.views.approval(approval)
                if state is not None:
                    self.world.approvals[approval] = state
        self.world.numbers = max(self.world.numbers, self.views.last_number())
        # Also trees that have ended while some of their agents have not been told.
        for name in {*self.views.live_trees(), *self.world.of_tree}:
            tree = self.views.tree(name)
            if tree is not None:
                self.world.load_tree(*tree)

    def _sweep(self, live: set[str]) -> None:
        """Run folders that no live run owns: left by a crash between the last fact and the removal."""
        self.executor.empty_trash()
        for run in self.executor.runs():
            if run in live:
                continue
            folder = self.executor.folder(run)
            try:
                if folder.held():
                    log.error("stray_run run=%s hint=%s", run, "its shim lives, but this store does not know it")
                    continue
                folder.remove()
            except (KageError, OSError) as error:
                log.warning("stray_folder run=%s error=%s", run, error)

    def resume(self) -> None:
        """Repeat everything that should be under way: after recovery, and when the disk takes writes again.

        No runs: each has its keeper, or gets one once its wish, which may be on its way to the disk, is durable.
        """
        self._stop_as_owed()
        self._say_started()
        self._tree_work.resume()
        for kept in self.world.agents.values():
            if kept.state.phase == "backoff":
                self.timers.arm(("agent", kept.state.id), kept.state.due_us)
            self.goals.look(kept.state)
        self.queue.look()
        for approval in self.world.approvals.values():
            if approval.state == "open" and approval.deadline_us:
                self.timers.arm(("approval", approval.id), approval.deadline_us)

    def change_places(self, places: Places) -> None:
        """How many agents may be at work from now on; those that are stay."""
        self._places = places
        self.queue.look()

    async def say_stopped(self, agents: str, reason: str) -> None:
        """Record an orderly stop as the last fact."""
        if self.journal.refusal is not None:
            return
        kept = facts.DaemonStopped(agents="stop" if agents == "stop" else "keep", reason=reason)
        receipt = self.engine.commit([Draft(stream=DAEMON_STREAM, event=kept)])
        await self.journal.settles(receipt.last_seq)
        passed(Point.STOP_RECORDED)

    def stop_all(self, note: str = "the daemon stops") -> int:
        """Ask every tree and every agent to end: the daemon is told to take them along. How many agents that is."""
        live = [kept.state for kept in self.world.agents.values() if kept.state.phase != "ended"]
        for state in live:
            events = () if state.supervisor else machine.decide_stop(state, cause="daemon", note=note)
            if events:
                self.engine.commit(self.engine.agent_drafts(state.id, events))
        # A tree whose children were stopped one by one would start them again: it stops them itself, in its order.
        for name in [name for name, tree in self.world.trees.items() if not tree.over]:
            self.trees.stop_nowait(name)
        return len(live)

    def order_stops(self) -> int:
        """`stop_all` without a record, on a full disk. How many runs were told, in all.

        The orders are those that `stop_all` would have recorded, byte for byte; the note makes the next start, or
        this daemon when there is room, record them.
        """
        if not self._owes_stop:
            self._owes_stop = True
            try:
                self._stop_note.write(self.journal.durable_seq + 1)
            except OSError as error:
                log.error("stop_not_noted error=%s hint=%s", error, "the next start starts agents again")
            passed(Point.STOP_NOTED)
        for state, run in self.world.live_runs():
            if run.id in self._ordered:
                continue
            try:
                perform(self.executor.folder(run.id), self._stop_order(state, run))
                self._ordered.add(run.id)
                passed(Point.STOP_ORDERED)
            except (KageError, OSError) as error:
                log.error("order_not_given run=%s error=%s", run.id, error)
        return len(self._ordered)

    def _stop_order(self, state: AgentState, run: Run) -> facts.StopWanted:
        if state.stop is not None and state.stop.run == run.id:
            return state.stop  # wanted already, but perhaps not durable: then nobody has carried it out
        if state.supervisor:
            signal, grace_s = self._tree_work.manner(state)
            events = machine.decide_stop(state, cause="supervisor", signal=signal, grace_s=grace_s)
        else:
            events = machine.decide_stop(state, cause="daemon")
        return next(event for event in events if isinstance(event, facts.StopWanted))

    def _stop_as_owed(self) -> None:
        """Record a stop that was ordered while the disk was full, before anything else is made of its ends."""
        if self._owes_stop and self.journal.refusal is None:
            self._owes_stop = False
            self.stop_all("kaged was told to stop while the disk was full")

    async def _processes_left(self) -> bool:
        shims = [(run.shim_pid, run.shim_start_ticks) for _, run in self.world.live_runs() if run.shim_pid]
        samples = await asyncio.to_thread(self._sampler.sample, shims)
        return any(sample is not None and sample.processes for sample in samples)

    async def wait_stopped_unrecorded(self) -> None:
        """Tell every run to end without a record; return when no process is left, or when there is room again."""
        while self.journal.refusal is not None:
            self.order_stops()
            if not await self._processes_left():
                return
            await asyncio.sleep(_LOOK_S)
        self._stop_as_owed()

    async def wait_stopped(self) -> None:
        """Return when no run is left and none is about to begin."""
        while len(self.children) or any(kept.state.phase != "ended" for kept in self.world.agents.values()):
            if self.journal.refusal is not None:  # also in the middle
                await self.wait_stopped_unrecorded()
                if self.journal.refusal is not None:
                    return
            await asyncio.sleep(_LOOK_S)

    async def record_once(self, caller: Caller, act: Callable[[], facts.DaemonEvent]) -> tuple[facts.DaemonEvent, bool]:
        """Act and record the fact of it; for a repeat of the request the fact of the first time, and True.

        Who may not write at the moment may still act: then nothing is remembered.
        """
        made: list[facts.DaemonEvent] = []

        def commit() -> Receipt:
            made.append(act())
            return self.engine.commit([Draft(stream=DAEMON_STREAM, event=made[0])], caller)

        try:
            receipt = await self.engine.once(caller, commit)
        except Unavailable as error:
            if not made:
                raise
            log.warning("not_recorded type=%s reason=%s", made[0].type_name, error.reason)
        if made:
            return made[0], False
        found = fact_at(self.reader, receipt.first_seq)
        assert isinstance(found, facts.DaemonEvent)
        return found, True

    # --- effects that are neither a child's nor a tree's ---------------------------------------------------------

    def happened(self, draft: Draft, seq: int) -> None:
        """Arm timers, start what waited."""
        event = draft.event
        match event:
            case facts.RestartScheduled():
                self.timers.arm(("agent", draft.agent), event.due_us)
            case facts.ApprovalRequested():
                passed(Point.APPROVAL_ASKED)
                if event.deadline_us:
                    self.timers.arm(("approval", event.approval), event.deadline_us)
            case facts.ApprovalAnswered() | facts.ApprovalWithdrawn():
                passed(Point.APPROVAL_ANSWERED)
                self.timers.disarm(("approval", event.approval))
                self.world.approvals.pop(event.approval, None)
            case facts.RunStarted():
                self.runs_started += 1
            case facts.RunEnded():
                state = self.world.agent(draft.agent)
                if state is not None and state.supervisor:
                    self._tree_work.resume_after(state)
            case _:
                pass

    def _due(self, key: tuple[str, ...], due_us: int) -> None:
        now_us = max(due_us, self.journal.now_us())
        try:
            match key:
                case ("agent", agent):
                    passed(Point.RETRY_DUE)
                    state = self.world.agent(agent)
                    if state is not None:
                        run = next_run(state)
                        events = machine.decide_due(state, run=run, now_us=now_us)
                        self.agents.report(agent, self.agents.input_again(state, events))
                case ("goal", agent):
                    self.goals.due(agent, now_us)
                case ("approval", approval):
                    self.approvals.expire(approval)
                case ("tree", tree, path):
                    passed(Point.TREE_DUE)
                    self.trees.due(tree, path, now_us)
        except KageError as error:
            # Nearly always a full disk: the state still says what is due, so look again in a while.
            log.warning("timer_refused key=%s reason=%s", key, error.reason)
            self.timers.arm(key, self.journal.now_us() + 1_000_000)

    # --- what services show --------------------------------------------------------------------------------------

    @property
    def output_bytes(self) -> int:
        """Bytes of output recorded since the start."""
        return self._host.output_bytes

    def sizes(self, state: AgentState) -> tuple[int, int]:
        """Bytes recorded of an agent's live run, by stream."""
        keeper = self.children.keeper(state.run.id) if state.run is not None else None
        return keeper.sizes if keeper is not None else (0, 0)

    def sizes_at(self, state: AgentState, seq: int) -> tuple[int, int]:
        """Bytes that were recorded of an agent's live run as of a seq. In a thread: it may read."""
        if state.live_run is None:
            return 0, 0
        last = self.reader.last_of(f"{agent_stream(state.id)}/output", seq)
        if last is None or last.shape.run != state.live_run.id:
            return 0, 0
        fact = fact_at(self.reader, last.seq)
        if isinstance(fact, facts.OutputChunk | facts.OutputTruncated | facts.OutputDropped):
            return fact.stdout_end, fact.stderr_end
        return 0, 0

    async def _keep_place(self, agent: str, why: str) -> None:
        await self.workspaces.snapshot(agent, INTERNAL, why)

    def _hearing(self, run: str) -> bytes | None:
        keeper = self.children.keeper(run)
        return keeper.adapter_state if keeper is not None else None

    async def look_at(self, states: Sequence[AgentState]) -> None:
        """Sample many agents at once, so that `health` of each has an answer."""
        runs = [(r.id, r.shim_pid, r.shim_start_ticks) for s in states if (r := s.live_run) is not None and r.shim_pid]
        if runs:
            await asyncio.to_thread(self._samples.look_at_all, runs)

    def health(self, state: AgentState) -> tuple[TreeUsage, float, int, int, int] | None:
        """Samples of a running agent: usage, CPUs, now, up since, last output (microseconds)."""
        run = state.live_run
        if run is None or not run.shim_pid:
            return None
        sample = self._samples.look(run.id, run.shim_pid, run.shim_start_ticks)
        if sample is None:
            return None
        usage, cpus = sample
        now_us = self.system.now_us()
        keeper = self.children.keeper(run.id)
        silent_s = self.system.monotonic_s() - keeper.last_output_s if keeper is not None else 0.0
        last_us = now_us - int(silent_s * 1e6) if keeper is not None and any(keeper.sizes) else 0
        return usage, cpus, now_us, run.executed_us, last_us

    def asked_in(self, frames: list[bytes]) -> list[ApprovalState]:
        """Questions as they stand now, of the events that asked them."""
        found = []
        for framed in frames:
            event = decode(event_pb2.Event.FromString(payload(framed)))
            if isinstance(event, facts.ApprovalRequested):
                state = self.views.approval(event.approval)
                if state is not None:
                    found.append(state)
        return found
