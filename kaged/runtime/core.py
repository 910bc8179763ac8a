"""The working daemon without its doors: engine, agents, trees, children and timers joined, and their recovery.

    open store -> fold live states -> adopt or settle every run -> resume trees and timers -> serve

Recovery asks the state what should be under way and looks at what is there; unknown is never treated as dead. One
slow or broken run holds up nobody else. Nothing is signalled before all run folders were looked at.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.domain.assignment import assignment
from kaged.domain.errors import KageError, Unavailable
from kaged.domain.events import agent as facts
from kaged.domain.frozen import frozen
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.machines.approval import ApprovalState
from kaged.domain.masking import Masker
from kaged.domain.run_records import RunSpec, TerminalSize
from kaged.domain.world import World
from kaged.ports import Adapter, Executor, Launched, Sampler, StopNote, TreeUsage, Watch
from kaged.runtime.agents import Agents, inputs_after, inputs_of, next_run
from kaged.runtime.capture import Place, Reading
from kaged.runtime.children import Children
from kaged.runtime.engine import DAEMON_STREAM, Caller, Engine, Receipt
from kaged.runtime.keeper import Done
from kaged.runtime.run_facts import FolderFact, perform
from kaged.runtime.samples import Samples
from kaged.runtime.system import System
from kaged.runtime.timers import Timers
from kaged.runtime.tree_work import TreeWork
from kaged.runtime.trees import Trees
from kaged.store.derived.views import Views, agent_stream
from kaged.store.log.journal import Journal
from kaged.store.reading.feed import Feed
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.wire.codec import Draft, decode
from kaged.store.wire.record import payload

_ADOPT_S: Final = 5.0
_CHUNKS: Final = 16
_MAX_QUESTIONS: Final = 100  # open at once, of one agent; more are denied, or its state would grow without end
_STARTS_AT_ONCE: Final = 8
_LOOK_S: Final = 0.02
log = logging.getLogger("kaged.core")


@frozen
class Settings:
    """What the core must know of the configuration."""

    version: str
    daemon_lock: Path
    agent_socket: str
    unsupervised_s: float
    max_subscribers: int
    base_env: Mapping[str, str]


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
    ) -> None:
        self.journal = journal
        self.system = system
        self.executor = executor
        self.starts = asyncio.Semaphore(_STARTS_AT_ONCE)
        self.reader = Reader(journal)
        self.views = Views(journal.store, self.reader)
        self.world = World()
        self.engine = Engine(journal, self.world, system)
        self.agents = Agents(self.engine, self.views, self.reader, adapters, executor.enforces)
        self.timers = Timers(journal.now_us, self._due)
        self._tree_work = TreeWork(self.engine, self.agents, self.views, self.timers)
        self.trees = Trees(self.engine, self.agents, self.views, self._tree_work)
        self.children = Children(self, watch, self.world.agent)
        self.feed = Feed(journal, self.reader, max_subscribers=settings.max_subscribers)
        self.output_bytes = 0
        self._samples = Samples(sampler, system)
        self.runs_started = 0
        self._unsaid: facts.DaemonStarted | None = None
        self._stop_note = stop_note
        self._owes_stop = False
        self._ordered: set[str] = set()  # runs that were told to end without a record
        self._sampler = sampler
        self._adapters = adapters
        self._settings = settings
        self._token = token
        self._pid = pid
        for listener in (self.children, self._tree_work, self):
            self.engine.listen(listener)

    # --- recovery ----------------------------------------------------------------------------------------------

    async def recover(self) -> Recovered:
        """Fold what can still act, adopt or settle every run, resume the rest. `children.serve` must run."""
        await asyncio.to_thread(self._fold)
        last = self.reader.last_of(DAEMON_STREAM)
        clean = last is not None and last.type == facts.DaemonStopped.type_name
        # Before any keeper: an end that it finds may start a run at once, whose folder nobody here would know.
        await asyncio.to_thread(self._sweep, {run.id for _, run in self.world.live_runs()})
        self._owes_stop = self._stop_note.seq() > (last.seq if last is not None else 0)
        self._stop_as_owed()
        keepers = [self.children.keep(state, run, adopted=True) for state, run in list(self.world.live_runs())]
        if keepers:
            await asyncio.wait([keeper.adopted_alive for keeper in keepers], timeout=_ADOPT_S)
        alive = sum(1 for keeper in keepers if keeper.adopted_alive.done() and keeper.adopted_alive.result())
        recovered = Recovered(adopted=alive, settled=len(keepers) - alive, after_clean_stop=clean)
        self.resume()
        self._unsaid = facts.DaemonStarted(
            version=self._settings.version,
            pid=self._pid,
            boot_id=self.system.boot_id(),
            adopted=recovered.adopted,
            settled=recovered.settled,
            after_clean_stop=clean,
        )
        self._say_started()
        await self.journal.settles(self.journal.accepted_seq)
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
        """Repeat everything that should be under way: after recovery, and when the disk takes writes again."""
        self._stop_as_owed()
        self._say_started()
        self._tree_work.resume()
        for kept in self.world.agents.values():
            if kept.state.phase == "backoff":
                self.timers.arm(("agent", kept.state.id), kept.state.due_us)
            run = kept.state.live_run
            if run is not None and self.children.keeper(run.id) is None:
                self.children.keep(kept.state, run, adopted=True)
        for approval in self.world.approvals.values():
            if approval.state == "open" and approval.deadline_us:
                self.timers.arm(("approval", approval.id), approval.deadline_us)

    async def say_stopped(self, agents: str, reason: str) -> None:
        """Record an orderly stop as the last fact."""
        if self.journal.refusal is not None:
            return
        kept = facts.DaemonStopped(agents="stop" if agents == "stop" else "keep", reason=reason)
        receipt = self.engine.commit([Draft(stream=DAEMON_STREAM, event=kept)])
        await self.journal.settles(receipt.last_seq)

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
        for state, run in self.world.live_runs():
            if run.id in self._ordered:
                continue
            try:
                perform(self.executor.folder(run.id), self._stop_order(state, run))
                self._ordered.add(run.id)
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
        found = self._fact(receipt.first_seq)
        assert isinstance(found, facts.DaemonEvent)
        return found, True

    # --- effects that are neither a child's nor a tree's ---------------------------------------------------------

    def happened(self, draft: Draft, seq: int) -> None:
        """Arm timers, start what waited."""
        event = draft.event
        match event:
            case facts.RestartScheduled():
                self.timers.arm(("agent", draft.agent), event.due_us)
            case facts.ApprovalRequested() if event.deadline_us:
                self.timers.arm(("approval", event.approval), event.deadline_us)
            case facts.ApprovalAnswered() | facts.ApprovalWithdrawn():
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
                    state = self.world.agent(agent)
                    if state is not None:
                        run = next_run(state)
                        events = machine.decide_due(state, run=run, now_us=now_us)
                        self.report(agent, self.agents.input_again(state, events))
                case ("approval", approval):
                    self.agents.expire(approval)
                case ("tree", tree, path):
                    self.trees.due(tree, path, now_us)
        except KageError as error:
            # Nearly always a full disk: the state still says what is due, so look again in a while.
            log.warning("timer_refused key=%s reason=%s", key, error.reason)
            self.timers.arm(key, self.journal.now_us() + 1_000_000)

    # --- what services show --------------------------------------------------------------------------------------

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
        fact = self._fact(last.seq)
        return (fact.stdout_end, fact.stderr_end) if isinstance(fact, facts.OutputChunk) else (0, 0)

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

    # --- what keepers need (keeper.Host) -------------------------------------------------------------------------

    def state(self, agent: str) -> AgentState | None:
        """The agent now."""
        return self.world.agent(agent)

    def adapter(self, state: AgentState) -> Adapter:
        """How to talk to it."""
        return self._adapters[state.spec.adapter]

    def masker(self, state: AgentState) -> Masker:
        """What to hide of its output."""
        return Masker(self._secrets(state.id))

    def _secrets(self, agent: str) -> dict[str, str]:
        row = self.journal.store.get("secrets", agent.encode())
        return dict(json.loads(row)) if row else {}

    def run_spec(self, state: AgentState, run: Run) -> RunSpec:
        """What its shim is told: the whole environment, the limits that hold without a daemon."""
        spec = state.spec
        unsupervised = spec.limits.unsupervised_s or self._settings.unsupervised_s
        launch = self.adapter(state).launch(assignment(state, run.id))
        environment = {
            **self._settings.base_env,
            **launch.environment,
            **spec.environment,
            **self._secrets(state.id),
            "KAGE_AGENT_ID": state.id,
            "KAGE_AGENT_NAME": spec.name,
            "KAGE_RUN_ID": run.id,
            "KAGE_SOCKET": self._settings.agent_socket,
            "KAGE_TOKEN_FILE": str(self.executor.folder(run.id).path / "token"),
        }
        if spec.goal:
            environment["KAGE_GOAL"] = spec.goal
        terminal = spec.terminal
        return RunSpec(
            run_id=run.id,
            agent_id=state.id,
            argv=launch.argv,
            env=environment,
            cwd=spec.working_directory,
            stdin=spec.stdin,
            capture=spec.capture,
            merge_stderr=spec.merge_stderr,
            terminal=TerminalSize(rows=terminal.rows, cols=terminal.columns) if terminal is not None else None,
            daemon_lock=str(self._settings.daemon_lock),
            unsupervised_max_s=max(0.0, unsupervised),
            wall_s=spec.limits.wall_time_s,
            stop_signal=spec.stop.signal,
            grace_s=spec.stop.grace_s,
            memory_bytes=spec.limits.memory_bytes,
            cpus=spec.limits.cpus,
            processes=spec.limits.processes,
        )

    def equip(self, run: str) -> None:
        """Give a run its token, in its own folder. Called in a thread, before the gate opens."""
        path = self.executor.folder(run).path / "token"
        with open(path, "x", encoding="ascii", opener=_private) as file:
            file.write(self._token(run))

    def place(self, agent: str, run: str) -> Place:
        """Where its output was recorded and understood to, from the journal."""
        place = Place()
        stream = agent_stream(agent)
        last = self.reader.last_of(f"{stream}/output")
        if last is not None and last.shape.run == run:
            match self._fact(last.seq):
                case facts.OutputChunk(stdout_end=out_end, stderr_end=err_end):
                    place.out_end, place.err_end = out_end, err_end
                case facts.OutputTruncated(channel="out", found=found):
                    place.out_end = found
                case facts.OutputTruncated(found=found):
                    place.err_end = found
                case _:
                    pass
        last = self.reader.last_of(f"{stream}/capture")
        if last is not None and last.shape.run == run:
            fact = self._fact(last.seq)
            if isinstance(fact, facts.RunRead):
                place.out_parsed, place.adapter_state = fact.stdout_parsed, fact.adapter_state
        if place.out_end > place.out_parsed:
            place.rest = self._recorded(agent, run, place.out_parsed)
        return place

    def _recorded(self, agent: str, run: str, start: int) -> bytes:
        """Recorded standard output of a run from an offset on: what its adapter has not understood yet."""
        selection = select("", now_us=0, stream=f"{agent_stream(agent)}/output")
        pieces: list[bytes] = []
        up_to = self.reader.head
        while up_to > 0:
            page = self.reader.page(selection, 0, up_to, _CHUNKS, reverse=True)
            for framed in page.frames:
                fact = decode(event_pb2.Event.FromString(payload(framed)))
                if not isinstance(fact, facts.OutputChunk) or fact.run != run:
                    return b"".join(reversed(pieces))
                if fact.channel == "out":
                    pieces.append(fact.data[max(0, start - fact.offset) :])
                    if fact.offset <= start:
                        return b"".join(reversed(pieces))
            if page.done:
                break
            up_to = page.reached - 1
        return b"".join(reversed(pieces))

    def _fact(self, seq: int) -> object:
        return decode(event_pb2.Event.FromString(payload(self.reader.get(seq))))

    def unperformed(self, agent: str, run: str, input_bytes: int, orders_bytes: int) -> list[FolderFact]:
        """Recorded orders and input that its folder lacks, oldest first."""
        missing: list[FolderFact] = []
        for draft in inputs_after(self.reader, agent, run):
            match draft.event:
                case facts.InputAccepted() as event:
                    if event.eof or event.offset + event.length > input_bytes:
                        missing.append(event)
                case facts.StopWanted() | facts.Signalled() | facts.Resized() as event:
                    if event.offset + event.length > orders_bytes:
                        missing.append(event)
                case _:
                    pass
        return missing

    def report(self, agent: str, events: Sequence[facts.AgentEvent | facts.CaptureEvent]) -> Done | None:
        """Commit facts about one agent."""
        return self.agents.report(agent, events).done if events else None

    def read(self, agent: str, run: str, reading: Reading) -> Done | None:
        """Commit what was read of its output, with the questions in it."""
        self.output_bytes += reading.recorded
        events: list[facts.AgentEvent | facts.CaptureEvent] = []
        state = self.world.agent(agent)
        if state is not None:
            events += self._questions(state, run, reading)
            sends, live = reading.sends, state.live_run
            if (sends or reading.done) and live is not None and not live.input_closed:
                end, size = live.input_end, len(sends)
                events.append(facts.InputAccepted(run=run, offset=end, length=size, eof=reading.done, data=sends))
        return self.report(agent, [*reading.facts, *events])

    def _questions(self, state: AgentState, run: str, reading: Reading) -> list[facts.AgentEvent]:
        events: list[facts.AgentEvent] = []
        open_keys = {
            approval.key: approval.id
            for approval in (self.world.approvals.get(item) for item in state.approvals)
            if approval is not None and approval.run == run
        }
        now_us = self.journal.now_us()
        for ask in reading.asks:
            if ask.key in open_keys:
                continue  # asked again: the question stands
            if len(open_keys) >= _MAX_QUESTIONS:
                note = f"{_MAX_QUESTIONS} questions are open already"
                reading.sends += self.adapter(state).answer(ask, "denied", note)
                continue
            approval = open_keys[ask.key] = self.system.short_id()
            events.append(
                facts.ApprovalRequested(
                    approval=approval,
                    run=run,
                    key=ask.key,
                    kind=ask.kind,
                    deadline_us=now_us + int(ask.timeout_s * 1e6) if ask.timeout_s else 0,
                    title=ask.title,
                    tool=ask.tool,
                    data_json=ask.data_json,
                    why=ask.why,
                )
            )
        gone = [open_keys.pop(unask.key) for unask in reading.unasks if unask.key in open_keys]
        events += [facts.ApprovalWithdrawn(approval=approval, cause="agent") for approval in gone]
        return events

    def executed(self, agent: str, event: facts.RunExecuted) -> Done | None:
        """Commit that its program runs, with what its tree makes of it."""
        state = self.world.agent(agent)
        if state is None or state.run is None or state.run.id != event.run or state.run.phase == "executed":
            return None
        drafts = self.engine.agent_drafts(agent, (event, *self._first_words(state, state.run)))
        if state.supervisor:
            drafts += self.trees.executed(state, state.run, event.at_us)
        return self.engine.commit(drafts).done

    def _first_words(self, state: AgentState, run: Run) -> list[facts.AgentEvent]:
        """What the run's program is told before anything else, as input in the batch that says that it is there."""
        words = self.adapter(state).launch(assignment(state, run.id)).opening
        if not words or state.stop is not None or run.input_closed:
            return []
        return [facts.InputAccepted(run=run.id, offset=run.input_end, length=len(words), eof=False, data=words)]

    async def settled(self) -> None:
        """Return once all that was accepted so far is durable."""
        await self.journal.wait_durable(self.journal.accepted_seq)

    async def input_known(self, agent: str) -> None:
        """Return once all input that was accepted for its live run can be read back from the journal."""
        while (state := self.world.agent(agent)) is not None and (run := state.live_run) is not None:
            inputs = inputs_of(self.reader, agent, run.id) if run.input_end or run.input_closed else []
            end = inputs[-1].offset + inputs[-1].length if inputs else 0
            if (end, bool(inputs and inputs[-1].eof)) == (run.input_end, run.input_closed):
                return
            await self.journal.wait_durable(self.journal.accepted_seq)

    def ended(self, agent: str, event: facts.RunEnded) -> Done | None:
        """Commit its end, and what follows from it, in one batch."""
        state = self.world.agent(agent)
        if state is None or state.run is None:
            return None
        now_us, jitter = self.journal.now_us(), self.system.jitter()
        decided = machine.decide_ended(state, event, next_run=next_run(state), now_us=now_us, jitter=jitter)
        events = self.agents.input_again(state, decided)
        drafts = self.engine.agent_drafts(agent, events)
        retried = any(isinstance(item, facts.RunWanted) for item in events)
        for item in events:
            if state.supervisor and not retried and isinstance(item, facts.RunEnded):
                drafts += self.trees.ended(state, state.run, item)
        receipt = self.engine.commit(drafts)
        return receipt.done

    def limit(self, agent: str, limit: str) -> None:
        """It went over a limit: stop it."""
        state = self.world.agent(agent)
        if state is not None:
            note = f"the limit {limit} was reached"
            self.report(agent, machine.decide_stop(state, cause="limit", limit=limit, note=note))

    def bury(self, launched: Launched) -> None:
        """Collect a shim once it has ended."""
        self.children.bury(launched)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
