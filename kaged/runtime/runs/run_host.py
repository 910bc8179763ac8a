"""What keepers need of the daemon (`host.Host`): what a run is told, where its output stands, its reports committed.

A report and all that follows from it (the agent's own decision, its tree's) are one commit. Not here: the life of a
run (`keeper.py`), effects, recovery (`recovery.py`).
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.domain.assignment import assignment
from kaged.domain.events import facts
from kaged.domain.events.guardrail import GuardrailJudged
from kaged.domain.frozen import frozen
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.masking import PATTERNS, Masker
from kaged.domain.run_records import RunSpec, TerminalSize
from kaged.domain.workspace import WorkspaceRefused
from kaged.guardrails.aftermath import broken
from kaged.guardrails.policy import NO_FILES, Grounds
from kaged.ports import Adapter, Executor, Launched, RunFolder, Workspaces
from kaged.runtime.agents import Agents, next_run
from kaged.runtime.engine import Engine
from kaged.runtime.inputs import inputs_after, inputs_of
from kaged.runtime.queue import Places
from kaged.runtime.recorded import fact_at
from kaged.runtime.runs.capture import Place, Reading
from kaged.runtime.runs.commits import Commits
from kaged.runtime.runs.guarding import Guarding
from kaged.runtime.runs.held import Event, Fence
from kaged.runtime.runs.host import Done
from kaged.runtime.runs.run_facts import FolderFact
from kaged.runtime.secret_environment import stored_secrets
from kaged.runtime.system import System
from kaged.runtime.trees.trees import Trees
from kaged.runtime.workspaces.making import Making
from kaged.store.derived.views import agent_stream
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.wire.codec import decode
from kaged.store.wire.record import payload

_OUTPUT: Final = (facts.OutputChunk, facts.OutputTruncated, facts.OutputDropped)
_CHUNKS: Final = 16
_STARTS_AT_ONCE: Final = 8
_FEEDBACK_BYTES: Final = 96 << 10  # execve refuses a variable of 128 KiB
_CREDENTIALS: Final = ("_KEY", "_TOKEN", "_BASE_URL", "_HOME", "_CONFIG_DIR")


@frozen
class Settings:
    """What of the configuration matters for runs and for the core."""

    version: str
    daemon_lock: Path
    agent_socket: str
    unsupervised_s: float
    max_subscribers: int
    base_env: Mapping[str, str]
    places: Places = Places()
    spool_bytes: int
    max_spool_bytes: int
    keep_free_bytes: int
    fence: Fence = Fence()
    grounds: Grounds = NO_FILES


class RunHost:
    """See the module. Used on the event loop only."""

    def __init__(
        self,
        engine: Engine,
        agents: Agents,
        trees: Trees,
        reader: Reader,
        executor: Executor,
        system: System,
        adapters: Mapping[str, Adapter],
        settings: Settings,
        token: Callable[[str], str],
        bury: Callable[[Launched], None],
        workspaces: Making,
        port: Workspaces,
    ) -> None:
        self.executor = executor
        self.system = system
        self.starts = asyncio.Semaphore(_STARTS_AT_ONCE)
        self.output_bytes = 0
        self._engine = engine
        self._agents = agents
        self._trees = trees
        self._reader = reader
        self._adapters = adapters
        self._settings = settings
        self._token = token
        self._bury = bury
        self.guarding = Guarding(engine, reader, system, adapters, settings.grounds, settings.fence)
        self._workspaces = workspaces
        self.commits = Commits(engine, self.guarding, port)
        self.guarding.on_asked_over = self.commits.over

    def state(self, agent: str) -> AgentState | None:
        """The agent now."""
        return self._engine.world.agent(agent)

    def adapter(self, state: AgentState) -> Adapter:
        """How to talk to it."""
        return self._adapters[state.spec.adapter]

    def masker(self, state: AgentState) -> Masker:
        """What to hide of its output."""
        patterns = PATTERNS if self.adapter(state).listens and self.guarding.policy(state).secret_patterns else ()
        return Masker(self._secrets(state.id), patterns=patterns)

    def _secrets(self, agent: str) -> dict[str, str]:
        return stored_secrets(self._engine.journal.store, agent)

    def check_environment(self, state: AgentState) -> dict[str, str]:
        """What its checks run with: what its runs do, but for who they are."""
        return {**self._settings.base_env, **state.spec.environment, **self._secrets(state.id)}

    def account(self, state: AgentState) -> str:
        """A key for what its model is paid with: agents with the same one share its limits."""
        variables = self.check_environment(state)
        named = sorted(f"{name}={value}" for name, value in variables.items() if name.endswith(_CREDENTIALS))
        return sha256("\n".join((state.spec.adapter, *named)).encode("utf-8", "surrogateescape")).hexdigest()

    async def prepare(self, agent: str, run: str, unwanted: Callable[[], bool]) -> None:
        """Make the place where it works, or find it made; have git hold its commits if a person approves them."""
        await self._workspaces.prepare(agent, run, unwanted)
        try:
            await self.commits.prepare(agent)
        except OSError as error:
            raise WorkspaceRefused(f"its commits cannot be held: {error}") from error

    def run_spec(self, state: AgentState, run: Run) -> RunSpec:
        """What its shim is told: the whole environment, the limits that hold without a daemon."""
        spec = state.spec
        unsupervised = spec.limits.unsupervised_s or self._settings.unsupervised_s
        task = assignment(state, run.id)
        launch = self.adapter(state).launch(task)
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
        if state.workspace is not None:
            environment["KAGE_WORKSPACE"] = state.workspace.plan.path
        if spec.goal:
            environment["KAGE_GOAL"] = spec.goal
        if task.loop:
            environment["KAGE_ITERATION"] = str(task.iteration)
            feedback = task.next_words.encode("utf-8", "replace")[:_FEEDBACK_BYTES]
            environment["KAGE_FEEDBACK"] = feedback.decode("utf-8", "ignore").replace("\0", "")
        terminal = spec.terminal
        return RunSpec(
            run_id=run.id,
            agent_id=state.id,
            argv=launch.argv,
            env=environment,
            cwd=state.cwd,
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
            spool_bytes=self.spool_limits(state)[0],
            max_spool_bytes=self.spool_limits(state)[1],
            keep_free_bytes=self._settings.keep_free_bytes,
            on_full=spec.limits.on_full,
        )

    def spool_limits(self, state: AgentState) -> tuple[int, int]:
        """How many bytes of output may wait to be recorded: of its run, of all runs; 0: any."""
        return state.spec.limits.spool_bytes or self._settings.spool_bytes, self._settings.max_spool_bytes

    def equip(self, run: str) -> None:
        """Give a run its token, in its own folder. Called in a thread, before the gate opens."""
        path = self.executor.folder(run).path / "token"
        with open(path, "x", encoding="ascii", opener=_private) as file:
            file.write(self._token(run))

    def place(self, agent: str, run: str, listens: bool) -> Place:
        """Where its output was recorded and, if its adapter `listens`, understood to, from the journal."""
        place = Place()
        stream = agent_stream(agent)
        last = self._reader.last_of(f"{stream}/output")
        if last is not None and last.shape.run == run:
            match fact_at(self._reader, last.seq):
                case facts.OutputChunk() | facts.OutputTruncated() | facts.OutputDropped() as output:
                    place.out_end, place.err_end = output.stdout_end, output.stderr_end
                case _:
                    pass
        last = self._reader.last_of(f"{stream}/capture")
        if last is not None and last.shape.run == run:
            fact = fact_at(self._reader, last.seq)
            if isinstance(fact, facts.RunRead):
                place.out_parsed, place.adapter_state = fact.stdout_parsed, fact.adapter_state
        if listens and place.out_end > place.out_parsed:
            place.rest = self._recorded(agent, run, place.out_parsed)
        return place

    def _recorded(self, agent: str, run: str, start: int) -> bytes:
        """Recorded standard output of a run from an offset on: what its adapter has not understood yet."""
        selection = select("", now_us=0, stream=f"{agent_stream(agent)}/output")
        pieces: list[bytes] = []
        up_to = self._reader.head
        while up_to > 0:
            page = self._reader.page(selection, 0, up_to, _CHUNKS, reverse=True)
            for framed in page.frames:
                fact = decode(event_pb2.Event.FromString(payload(framed)))
                if not isinstance(fact, _OUTPUT) or fact.run != run:
                    return b"".join(reversed(pieces))
                if fact.channel == "out":
                    if not isinstance(fact, facts.OutputChunk):
                        return b"".join(reversed(pieces))  # what is before it was given up
                    pieces.append(fact.data[max(0, start - fact.offset) :])
                    if fact.offset <= start:
                        return b"".join(reversed(pieces))
            if page.done:
                break
            up_to = page.reached - 1
        return b"".join(reversed(pieces))

    def unperformed(self, agent: str, run: str, folder: RunFolder) -> list[FolderFact]:
        """Recorded orders and input that its folder lacks, oldest first."""
        input_bytes, orders_bytes = folder.input_size(), folder.orders_size()
        state = self.state(agent)
        if state is not None and (now := state.live_run) is not None and now.id == run:
            ended = folder.input_ended() or not now.input_closed
            if ended and (input_bytes, orders_bytes) == (now.input_end, now.orders_end):
                return []  # nearly always: what an agent said in a week need not be looked through
        missing: list[FolderFact] = []
        for draft in inputs_after(self._reader, agent, run):
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

    def report(self, agent: str, events: Sequence[Event | facts.CaptureEvent]) -> Done | None:
        """Commit facts about one agent."""
        return self._agents.report(agent, events).done if events else None

    def read(self, agent: str, run: str, reading: Reading) -> Done | None:
        """Commit what was read of its output, with the questions in it."""
        self.output_bytes += reading.recorded
        events: list[Event | facts.CaptureEvent] = []
        state = self._engine.world.agent(agent)
        if state is not None:
            events += self.guarding.judged(state, run, reading)
            sends, live = reading.sends, state.live_run
            if (sends or reading.done) and live is not None and not live.input_closed:
                end, size = live.input_end, len(sends)
                events.append(facts.InputAccepted(run=run, offset=end, length=size, eof=reading.done, data=sends))
            events += self._held(state, reading.facts, events)
        return self.report(agent, [*reading.facts, *events])

    def _held(self, state: AgentState, heard: Sequence[object], events: Sequence[object]) -> list[Event]:
        """What becomes of an agent that did what is forbidden, as it stands after all else that was read with that."""
        rule = broken(event for event in events if isinstance(event, GuardrailJudged))
        wish = self.guarding.policy(state).after_the_act if rule else "record"
        if wish == "record":
            return []
        for fact in (*heard, *events):
            if isinstance(fact, facts.AgentEvent):
                state = machine.apply(state, fact, self._engine.journal.now_us())
        if wish == "stop":
            return list(machine.decide_stop(state, cause="guard", note=f"it did what the rule {rule} forbids"))
        return list(machine.decide_hold(state, rule=rule))

    def executed(self, agent: str, event: facts.RunExecuted) -> Done | None:
        """Commit that its program runs, with what its tree makes of it."""
        state = self._engine.world.agent(agent)
        if state is None or state.run is None or state.run.id != event.run or state.run.phase == "executed":
            return None
        drafts = self._engine.agent_drafts(agent, (event, *self._first_words(state, state.run)))
        if state.supervisor:
            drafts += self._trees.executed(state, state.run, event.at_us)
        return self._engine.commit(drafts).done

    def _first_words(self, state: AgentState, run: Run) -> list[facts.AgentEvent]:
        """What the run's program is told before anything else, as input in the batch that says that it is there."""
        words = self.adapter(state).launch(assignment(state, run.id)).opening
        if not words or state.stop is not None or run.input_closed:
            return []
        return [facts.InputAccepted(run=run.id, offset=run.input_end, length=len(words), eof=False, data=words)]

    async def settled(self) -> None:
        """Return once all that was accepted so far is durable."""
        await self._engine.journal.wait_durable(self._engine.journal.accepted_seq)

    async def input_known(self, agent: str) -> None:
        """Return once all input that was accepted for its live run can be read back from the journal."""
        while (state := self._engine.world.agent(agent)) is not None and (run := state.live_run) is not None:
            inputs = inputs_of(self._reader, agent, run.id) if run.input_end or run.input_closed else []
            end = inputs[-1].offset + inputs[-1].length if inputs else 0
            if (end, bool(inputs and inputs[-1].eof)) == (run.input_end, run.input_closed):
                return
            await self._engine.journal.wait_durable(self._engine.journal.accepted_seq)

    def ended(self, agent: str, event: facts.RunEnded) -> Done | None:
        """Commit its end, and what follows from it, in one batch."""
        state = self._engine.world.agent(agent)
        if state is None or state.run is None:
            return None
        run = state.run
        now_us, jitter = self._engine.journal.now_us(), self.system.jitter()
        found: list[Event] = [*self.guarding.unfinished(state, event.run)]
        found += self._held(state, (), found)
        for fact in found:
            state = machine.apply(state, fact, now_us)
        self.guarding.forget(agent)
        decided = machine.decide_ended(state, event, next_run=next_run(state), now_us=now_us, jitter=jitter)
        events = [*found, *self._agents.input_again(state, decided)]
        drafts = self._engine.agent_drafts(agent, events)
        retried = any(isinstance(item, facts.RunWanted) for item in events)
        for item in events:
            if state.supervisor and not retried and isinstance(item, facts.RunEnded):
                drafts += self._trees.ended(state, run, item)
        receipt = self._engine.commit(drafts)
        return receipt.done

    def limit(self, agent: str, limit: str) -> None:
        """It went over a limit: stop it."""
        state = self._engine.world.agent(agent)
        if state is not None:
            note = f"the limit {limit} was reached"
            self.report(agent, machine.decide_stop(state, cause="limit", limit=limit, note=note))

    def bury(self, launched: Launched) -> None:
        """Collect a shim once it has ended."""
        self._bury(launched)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
