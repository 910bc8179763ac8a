"""What may be asked of agents: each method decides, commits once, and answers with the state as of that commit.

Runs on the event loop. A request id makes any of them repeatable. Agents that have ended are loaded from their row
for the moment that they are asked something.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from kaged.api.v1 import event_pb2
from kaged.domain.errors import Bug, Invalid
from kaged.domain.events import facts
from kaged.domain.events.guardrail import GuardrailJudged
from kaged.domain.frozen import frozen
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState, AgentSupervised
from kaged.domain.spec import AgentSpec, Violation, violations
from kaged.guardrails import admission
from kaged.guardrails.policy import NO_FILES, Grounds
from kaged.ports import Adapter, Messenger
from kaged.runtime.engine import INTERNAL, Caller, Engine, Receipt
from kaged.runtime.inputs import inputs_of
from kaged.runtime.recorded import event_at
from kaged.runtime.refusals import (
    MAX_REFERENCE,
    MIN_PREFIX,
    AgentAmbiguous,
    AgentNotFound,
    Draining,
    NameTaken,
    NoMessages,
    NoSession,
)
from kaged.runtime.secret_environment import secret_rows
from kaged.store.derived.views import Views
from kaged.store.reading.reader import Reader


@frozen
class Answer:
    """An agent as of the seq of the request's last fact."""

    state: AgentState
    as_of_seq: int
    receipt: Receipt


class Agents:
    """See the module."""

    def __init__(
        self,
        engine: Engine,
        views: Views,
        reader: Reader,
        adapters: Mapping[str, Adapter],
        enforceable: frozenset[str],
        *,
        grounds: Grounds = NO_FILES,
    ) -> None:
        self.draining = False
        self.has_place: Callable[[AgentSpec], bool] = lambda spec: not spec.after  # the queue knows better
        self._engine = engine
        self._views = views
        self._reader = reader
        self._adapters = adapters
        self._enforceable = enforceable
        self._grounds = grounds

    # --- finding -----------------------------------------------------------------------------------------------

    def resolve(self, reference: str) -> str:
        """Id of an agent given by id, name (a live one first, else the last that had it) or unique prefix of an id.

        Raises Invalid for an empty reference, AgentNotFound, AgentAmbiguous.
        """
        if not reference:
            raise Invalid(("agent", "is empty"), hint="give an id, a name, or the first letters of an id")
        if "\0" in reference or len(reference) > MAX_REFERENCE:
            raise AgentNotFound(reference)
        world = self._engine.world
        if reference in world.agents:
            return reference
        named = world.names.get(reference)
        if named is not None:
            return named
        if self._views.agents_with_prefix(reference, 1) == [
            reference
        ]:  # an id is the first of those that begin with it
            return reference
        named = self._views.agent_named(reference)
        if named is not None:
            return named
        if len(reference) >= MIN_PREFIX:
            found = {agent for agent in world.agents if agent.startswith(reference)}
            found.update(self._views.agents_with_prefix(reference, 3))
            if len(found) > 1:
                raise AgentAmbiguous(reference, sorted(found)[:3])
            if found:
                return found.pop()
        raise AgentNotFound(reference)

    def load(self, agent: str) -> AgentState:
        """An agent as it stands, also one that has ended. Raises AgentNotFound."""
        state = self._engine.world.agent(agent)
        if state is not None:
            return state
        found = self._views.agent(agent)
        if found is None:
            raise AgentNotFound(agent)
        return found[0]

    # --- asking ------------------------------------------------------------------------------------------------

    def check(self, spec: AgentSpec, secrets: Mapping[str, str]) -> AgentSpec:
        """Fill in the adapter's defaults and refuse what is wrong, all at once. Raises Invalid."""
        adapter = self._adapters.get(spec.adapter)
        if adapter is not None and not spec.command:
            spec = replace(spec, command=adapter.default_command)
        if adapter is not None and adapter.default_stdin == "pipe" and spec.stdin == "null":
            spec = replace(spec, stdin="pipe")
        if spec.capture == "pty":
            spec = replace(spec, stdin="pipe")  # a terminal is both ways; without input a shell ends at once
        if adapter is not None and spec.loop is not None:
            spec = replace(spec, loop=replace(spec.loop, run_is_turn="turns" not in adapter.measures))
        measures = {name: each.measures for name, each in self._adapters.items()}
        wrong = list(violations(spec, measures, self._enforceable))
        if not wrong:  # also a policy file that is wrong refuses the agent: it would be held to less than was meant
            wrong += admission.violations(spec, self._grounds.ground(spec.namespace, spec.working_directory))
        for name, value in secrets.items():
            if "\0" in value:
                wrong.append(("spec.secret_environment", f"the value of {name!r} holds a NUL"))
        if wrong:
            raise Invalid(*wrong)
        return spec

    def named(self, spec: AgentSpec, agent: str) -> AgentSpec:
        """The spec with a name; one is made when it has none."""
        if spec.name:
            return spec
        word = spec.command[0].rsplit("/", 1)[-1].lower() if spec.command else spec.adapter
        clean = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in word).strip("-")
        return replace(spec, name=f"{clean[:40] or 'agent'}-{agent[:4]}")

    async def spawn(self, spec: AgentSpec, secrets: Mapping[str, str], caller: Caller) -> Answer:
        """Accept an agent and start it. Raises Invalid, NameTaken, Draining."""

        def act() -> Receipt:
            if self.draining:
                raise Draining
            taken = self._engine.world.names.get(checked.name)
            if taken is not None:
                raise NameTaken(checked.name, taken)
            number = self._engine.world.numbers + 1
            queued = not self.has_place(checked)
            run = f"{agent}.1"
            events = machine.decide_spawn(checked, number=number, supervisor="", run=run, queued=queued)
            return self._engine.commit(self._engine.agent_drafts(agent, events), caller, secret_rows(agent, secrets))

        agent = self._engine.system.short_id()
        checked = self._after(self.check(self.named(spec, agent), secrets))
        receipt = await self._engine.once(caller, act)
        return self._answer(self._agent_of(receipt) if receipt.repeated else agent, receipt)

    def _after(self, spec: AgentSpec) -> AgentSpec:
        """The spec with ids for the agents that must succeed before it: names change hands. Raises Invalid."""
        wrong: list[Violation] = []
        found: list[str] = []
        for index, reference in enumerate(spec.after):
            try:
                found.append(self.resolve(reference))
            except (AgentNotFound, AgentAmbiguous, Invalid) as error:
                wrong.append((f"spec.after[{index}]", str(error)))
        if wrong:
            raise Invalid(*wrong)
        return replace(spec, after=tuple(dict.fromkeys(found)))

    async def stop(
        self,
        agent: str,
        caller: Caller,
        *,
        grace_s: float | None,
        signal: int,
        note: str,
        cause: facts.StopCause = "user",
    ) -> Answer:
        """Ask it to end."""

        def decide(state: AgentState) -> tuple[facts.AgentEvent, ...]:
            if state.supervisor and state.phase != "ended" and cause == "user":
                raise AgentSupervised(state, "terminate")
            return machine.decide_stop(state, cause=cause, grace_s=grace_s, signal=signal, note=note)

        return await self.ask(agent, caller, decide)

    async def restart(self, agent: str, caller: Caller, *, grace_s: float | None) -> Answer:
        """Stop the run and start a new one."""

        def decide(state: AgentState) -> tuple[facts.AgentEvent, ...]:
            if self.draining:
                raise Draining
            taken = self._engine.world.names.get(state.spec.name)
            if taken is not None and taken != state.id:
                raise NameTaken(state.spec.name, taken)
            return machine.decide_restart(state, run=next_run(state), grace_s=grace_s)

        return await self.ask(agent, caller, decide)

    async def signal(self, agent: str, caller: Caller, *, signal: int, whole_tree: bool) -> Answer:
        """Send a signal."""
        return await self.ask(agent, caller, lambda s: machine.decide_signal(s, signal=signal, whole_tree=whole_tree))

    async def resize(self, agent: str, caller: Caller, *, rows: int, columns: int) -> Answer:
        """Resize its terminal."""
        return await self.ask(agent, caller, lambda state: machine.decide_resize(state, rows=rows, columns=columns))

    async def remove(self, agent: str, caller: Caller, *, keep_workspace: bool = False) -> Answer:
        """Take it out of the lists."""
        return await self.ask(agent, caller, lambda s: machine.decide_remove(s, keep_workspace=keep_workspace))

    async def send(
        self, agent: str, caller: Caller, *, data: bytes, eof: bool, message: str = ""
    ) -> tuple[Answer, int]:
        """Write bytes, or a message in the form of its adapter, to its standard input; also tells the offset."""

        def decide(state: AgentState) -> tuple[facts.AgentEvent, ...]:
            return machine.decide_input(state, self._in_words_of(state, message) if message else data, eof=eof)

        answer = await self.ask(agent, caller, decide)
        event = self._event(answer.receipt.first_seq)
        return answer, event.meta.fact.input_accepted.offset

    def _in_words_of(self, state: AgentState, message: str) -> bytes:
        adapter: object = self._adapters.get(state.spec.adapter)
        if not isinstance(adapter, Messenger):
            raise NoMessages(state)
        at = state.run.input_end if state.run is not None else 0
        words = adapter.message(message, session=state.usage.native_session, number=at)
        if not words:
            raise NoSession(state)
        return words

    async def ask(
        self, reference: str, caller: Caller, decide: Callable[[AgentState], tuple[facts.AgentEvent, ...]]
    ) -> Answer:
        earlier = self._engine.earlier(caller)
        # A repeat is about the agent of the first time, whoever has its name by now.
        agent = self.resolve(reference) if earlier is None else ""
        settled: list[AgentState] = []

        def act() -> Receipt:
            state = self.load(agent)
            events = decide(state)
            if events and self._engine.world.agent(agent) is None:
                self._engine.world.load(state, 0)
            receipt = self._engine.commit(self._engine.agent_drafts(agent, events), caller, about=agent)
            settled.append(self._engine.world.agent(agent) or state)
            return receipt

        receipt = await self._engine.once(caller, act)
        if settled:
            return Answer(state=settled[0], as_of_seq=receipt.last_seq, receipt=receipt)
        return self._answer(self._agent_of(receipt), receipt)

    def _answer(self, agent: str, receipt: Receipt) -> Answer:
        found = self._views.agent(agent, receipt.last_seq)
        if found is None:
            raise Bug(f"agent {agent} has no state as of seq {receipt.last_seq}")
        return Answer(state=found[0], as_of_seq=receipt.last_seq, receipt=receipt)

    def _agent_of(self, receipt: Receipt) -> str:
        return self._event(receipt.first_seq).meta.agent

    def _event(self, seq: int) -> event_pb2.Event:
        return event_at(self._reader, seq)

    # --- what happens ------------------------------------------------------------------------------------------

    def input_again(self, state: AgentState, events: Sequence[facts.AgentEvent]) -> list[facts.AgentEvent]:
        """The same events; a run that follows one which never started gets the input that one was promised.

        Not when a person asked for a restart. All that was accepted for the old run must be durable.
        """
        result: list[facts.AgentEvent] = []
        before = state.run
        for event in events:
            result.append(event)
            if not isinstance(event, facts.RunWanted) or event.cause in ("spawn", "requested") or before is None:
                continue
            never = any(isinstance(item, facts.RunEnded) and item.kind == "not_started" for item in events)
            if never or (before.end is not None and before.end.kind == "not_started"):
                result += [replace(item, run=event.run) for item in inputs_of(self._reader, state.id, before.id)]
        return result

    def report(self, agent: str, events: Iterable[facts.AgentEvent | facts.CaptureEvent | GuardrailJudged]) -> Receipt:
        """Facts from the agent's own process."""
        return self._engine.commit(self._engine.agent_drafts(agent, events), INTERNAL)


def next_run(state: AgentState) -> str:
    """Id of the agent's next run: its own id and the attempt, so it is never used twice."""
    attempt = state.run.attempt + 1 if state.run is not None else 1
    return f"{state.id}.{attempt}"
