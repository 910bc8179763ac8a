"""The working daemon without its doors: engine, agents, trees, goals, children and timers, joined.

    open store -> recover (`recovery.py`) -> serve -> stop or leave agents (`stops.py`)

Here is what joins them and nothing else: who hears of what, what a timer that is due means, and what is repeated
after a start or when a full disk takes writes again.
"""

import logging
from collections.abc import Callable, Mapping

from kaged.crash_points import Point, passed
from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.machines import agent as machine
from kaged.domain.world import World
from kaged.ports import Adapter, Checker, Executor, Sampler, StopNote, Watch, Workspaces
from kaged.runtime.agents import Agents, next_run
from kaged.runtime.approvals import Approvals
from kaged.runtime.daemon_record import DaemonRecord
from kaged.runtime.engine import INTERNAL, Engine
from kaged.runtime.goals.goals import Goals
from kaged.runtime.goals.judging import Judging
from kaged.runtime.queue import Places, Queue
from kaged.runtime.recovery import Recovery
from kaged.runtime.runs.children import Children
from kaged.runtime.runs.figures import Figures
from kaged.runtime.runs.run_host import RunHost, Settings
from kaged.runtime.stops import Stops
from kaged.runtime.system import System
from kaged.runtime.timers import Timers
from kaged.runtime.trees.tree_work import TreeWork
from kaged.runtime.trees.trees import Trees
from kaged.runtime.workspaces.workspaces import AgentWorkspaces
from kaged.store.derived.views import Views
from kaged.store.log.journal import Journal
from kaged.store.reading.feed import Feed
from kaged.store.reading.reader import Reader
from kaged.store.wire.codec import Draft

log = logging.getLogger("kaged.core")


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
            workspaces=self.workspaces.making,
            port=places,
        )
        self.rules = self._host.guarding.book
        self.approvals = Approvals(
            self.engine, self.views, adapters, self.agents.load, self.rules, self._host.guarding.scene
        )
        self.children = Children(self._host, watch, self.world.agent)
        judging = Judging(
            self.reader,
            checker,
            self._host.check_environment,
            self._host.masker,
            folder=lambda state: state.cwd,
            mark=lambda state: places.mark(state.cwd, state.workspace.plan.start_commit if state.workspace else ""),
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
        self.figures = Figures(self.children, self.reader, sampler, system)
        self.record = DaemonRecord(self.engine, self.reader, version=settings.version, pid=pid)
        self.stops = Stops(self.engine, self.trees, self._tree_work, self.children, executor, sampler, stop_note)
        self.recovery = Recovery(
            self.engine,
            self.views,
            self.reader,
            executor,
            self.children,
            self.workspaces.removing,
            self.stops,
            self.record,
            self.resume,
        )
        self.runs_started = 0
        for listener in (
            self._host.commits,  # a grant is there before the answer that makes use of it
            self.rules,
            self.children,
            self.workspaces.removing,
            self.workspaces.overlaps,
            self._tree_work,
            self.goals,
            self.queue,
            self,
        ):
            self.engine.listen(listener)

    # --- what should be under way -------------------------------------------------------------------------------

    def resume(self) -> None:
        """Repeat everything that should be under way: after recovery, and when the disk takes writes again.

        No runs: each has its keeper, or gets one once its wish, which may be on its way to the disk, is durable.
        """
        self.stops.as_owed()
        self.record.say_started()
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

    async def _keep_place(self, agent: str, why: str) -> None:
        await self.workspaces.snapshot(agent, INTERNAL, why)

    def _hearing(self, run: str) -> bytes | None:
        keeper = self.children.keeper(run)
        return keeper.adapter_state if keeper is not None else None
