"""Guardrails around a run: its policy, and who judges by it.

A policy is read when it is first needed for a run, and holds until the run is over: a file that changes holds for the
next one. A file that cannot be read makes everything a question. Judging itself is `verdicts.py`, loaded for the first
agent that asks or calls a tool: most daemons start without one.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.machines.agent import AgentState
from kaged.guardrails.context import Policy
from kaged.guardrails.policy import Ground, Grounds, with_guard
from kaged.ports import Adapter
from kaged.runtime.engine import Engine
from kaged.runtime.rule_book import RuleBook
from kaged.runtime.runs.capture import Reading
from kaged.runtime.runs.held import Event, Fence, Held, Judge, Reach
from kaged.runtime.system import System
from kaged.store.reading.reader import Reader

_CALLS: Final = "signal.tool."
log = logging.getLogger("kaged.guard")


class Guarding:
    """See the module. Used on the event loop only."""

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        system: System,
        adapters: Mapping[str, Adapter],
        grounds: Grounds,
        fence: Fence,
    ) -> None:
        self._engine = engine
        self._system = system
        self._adapters = adapters
        self._grounds = grounds
        self._fence = fence
        self.book = RuleBook(engine, reader)
        self._held: dict[str, Held] = {}
        self._judge: Judge | None = None
        self.on_asked_over: Callable[[str, str], None] = lambda agent, key: None

    def policy(self, state: AgentState) -> Policy:
        """What holds for its run."""
        return self._of(state).policy

    def holds_commits(self, state: AgentState) -> bool:
        """Whether somebody named a level for it under which a person approves commits."""
        held = self._of(state)
        return held.named and held.policy.approve != "none" and self._adapters[state.spec.adapter].listens

    def commits(self, state: AgentState, tool: str, title: str, data_json: str) -> Reach:
        """How far an approved act may change history."""
        return self._bench().commits(state, tool, title, data_json)

    def scene(self, state: AgentState) -> tuple[str, str]:
        """The folder that it may write in, and its home."""
        return self._of(state).workspace or state.cwd, state.spec.environment.get("HOME", self._fence.home)

    def forget(self, agent: str) -> None:
        """Its run is over."""
        self._held.pop(agent, None)
        if self._judge is not None:
            self._judge.forget(agent)

    def judged(self, state: AgentState, run: str, reading: Reading) -> list[Event]:
        """Facts for what was asked, called and printed; adds the answers that rules give to `reading.sends`."""
        events: list[Event] = []
        if reading.asks or reading.unasks:
            events += self._bench().questions(state, run, reading, self._with_remembered(state))
        if self._adapters[state.spec.adapter].listens:
            held = self._with_remembered(state)
            called = any(isinstance(fact, facts.SignalHeard) and fact.type.startswith(_CALLS) for fact in reading.facts)
            if called or (reading.recorded and held.policy.flood_bytes):
                events += self._bench().heard(state, run, reading, held)
                for key in self._bench().asked_over(state):
                    self.on_asked_over(state.id, key)
        return events

    def unfinished(self, state: AgentState, run: str) -> Sequence[Event]:
        """Facts for calls of a run that is over which never came to their end."""
        return self._judge.unfinished(state, run, self._with_remembered(state)) if self._judge is not None else ()

    def _bench(self) -> Judge:
        if self._judge is None:
            # 5 % of a start, which a daemon does not need before an agent asks.
            from kaged.runtime.runs.verdicts import Verdicts  # noqa: PLC0415

            self._judge = Verdicts(self._engine, self._system, self._adapters, self._fence)
        return self._judge

    def _with_remembered(self, state: AgentState) -> Held:
        """What it is held to at this moment: what a person remembered a second ago counts already."""
        held, rules = self._of(state), self.book.of(state)
        return replace(held, policy=replace(held.policy, rules=(*held.policy.rules, *rules))) if rules else held

    def _of(self, state: AgentState) -> Held:
        run = state.run.id if state.run is not None else ""
        held = self._held.get(state.id)
        if held is None or held.run != run:
            plan = state.workspace.plan if state.workspace is not None else None
            own = plan is not None and plan.kind != "here"
            # In a place of its own an agent is held to the file that its user has, not to the copy in the place.
            folder = (plan.repository or state.spec.working_directory) if plan is not None and own else state.cwd
            try:
                ground = self._grounds.ground(state.spec.namespace, folder)
            except (OSError, KageError) as error:
                log.warning("policy_unreadable agent=%s error=%s", state.id, error)
                ground = Ground(policy=Policy(approve="always"), workspace=state.cwd, approve_from="no readable file")
            policy = with_guard(ground.policy, state.spec.guard, state.id)
            named = bool(state.spec.guard.approve or ground.approve_from)
            workspace = plan.path if plan is not None and own else ground.workspace
            held = self._held[state.id] = Held(run=run, policy=policy, workspace=workspace, named=named)
        return held
