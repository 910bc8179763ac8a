"""Who waits for its turn, and who is next: by priority, then by age; held back by other agents and by places.

An agent that waits for others starts when all of them have succeeded; if one ends otherwise, it ends too, and says
so. Cycles cannot be: an agent can only wait for agents that were there before it. Children of trees do not queue,
and neither do restarts: who has a place keeps it until it ends, or until it is paused without a process.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from kaged.domain.events import facts
from kaged.domain.events import goal as goal_facts
from kaged.domain.frozen import frozen
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState
from kaged.domain.spec import AgentSpec
from kaged.runtime.agents import Agents, next_run
from kaged.runtime.engine import Engine
from kaged.runtime.refusals import AgentNotFound
from kaged.store.wire.codec import Draft

_SAID: Final = {"failed": "failed", "cancelled": "was stopped"}


@frozen
class Places:
    """How many agents may be at work; 0: any number."""

    overall: int = 0
    of_namespace: int = 0


class Queue:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, agents: Agents, places: Callable[[], Places]) -> None:
        self._engine = engine
        self._agents = agents
        self._places = places
        agents.has_place = self.has_place

    def has_place(self, spec: AgentSpec) -> bool:
        """Whether a new agent may start at once. Not before those that wait already and come before it."""
        if spec.after:
            return False
        places = self._places()
        if not places.overall and not places.of_namespace:
            return True
        before = any(
            state.spec.priority >= spec.priority and not state.spec.after
            for state in self._waiting()
            if not places.of_namespace or state.spec.namespace == spec.namespace
        )
        return not before and self._room(places, self._taken(), spec.namespace)

    def happened(self, draft: Draft, seq: int) -> None:
        """Look again when a place may have become free, or an agent that others wait for has ended."""
        if isinstance(draft.event, facts.Spawned | facts.Ended | facts.RunEnded | goal_facts.Paused):
            self.look()

    def look(self) -> None:
        """Start who may start, end who waits in vain. Repeated calls do no harm."""
        waiting = self._waiting()
        if not waiting or self._agents.draining or self._engine.journal.refusal is not None:
            return
        places, taken = self._places(), self._taken()
        for state in waiting:
            lost = self._lost(state)
            if lost is not None:
                outcome = _SAID.get(lost.word, "is gone")
                self._agents.report(state.id, machine.decide_in_vain(state, name=lost.spec.name, outcome=outcome))
            elif self._all_succeeded(state) and self._room(places, taken, state.spec.namespace):
                taken[state.spec.namespace] += 1
                self._agents.report(state.id, machine.decide_turn(state, run=next_run(state)))

    def _waiting(self) -> list[AgentState]:
        """Those that wait, who is next first."""
        found = [kept.state for kept in self._engine.world.agents.values() if kept.state.queued]
        waiting = [state for state in found if state.phase == "idle"]
        return sorted(waiting, key=lambda state: (-state.spec.priority, state.number))

    def _taken(self) -> Counter[str]:
        """Places that are taken, by namespace."""
        return Counter(kept.state.spec.namespace for kept in self._engine.world.agents.values() if _at_work(kept.state))

    def _room(self, places: Places, taken: Counter[str], namespace: str) -> bool:
        if places.overall and taken.total() >= places.overall:
            return False
        return not places.of_namespace or taken[namespace] < places.of_namespace

    def _lost(self, state: AgentState) -> AgentState | None:
        """An agent that it waits for and that did not succeed."""
        for agent in state.spec.after:
            other = self._other(agent)
            if other is not None and other.phase == "ended" and other.word != "succeeded":
                return other
        return None

    def _all_succeeded(self, state: AgentState) -> bool:
        others = [self._other(agent) for agent in state.spec.after]
        return all(other is not None and other.phase == "ended" for other in others)

    def _other(self, agent: str) -> AgentState | None:
        try:
            return self._agents.load(agent)
        except AgentNotFound:
            return None


def _at_work(state: AgentState) -> bool:
    """Whether it takes a place. One that is paused without a process does not; it goes on without asking again."""
    if state.supervisor or state.queued or state.phase in ("ended", "stopped"):
        return False
    return state.live_run is not None or state.phase == "backoff" or state.word == "running"
