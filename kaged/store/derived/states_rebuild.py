"""The engine's half of a rebuild: states and operations from the events, the same rows that the engine wrote live.

Folds the same world with the same functions, one event at a time. What has ended is let go of as the engine does it,
and read back from the rows when something happens to it again.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.domain.events import facts
from kaged.domain.machines.agent import AgentState
from kaged.domain.plain import from_json
from kaged.domain.world import World
from kaged.store.derived.operations import operation_row
from kaged.store.derived.views import Row, rows
from kaged.store.rows.keys import AGENT_STATE, SEGMENT, state_prefix, state_row
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.wire.codec import decode
from kaged.store.wire.entry import Entry

_RECENT: Final = 2 * SEGMENT  # ended agents whose rows may not be in the store yet: a step is at most a segment


class StateRebuilder:
    """See `rebuild.Rebuilder`. Not `Resumable`, because a world is not a row: what was cut off begins again."""

    def __init__(self, store: KeyValue) -> None:
        self._store = store
        self._world = World()
        self._recent: OrderedDict[str, AgentState] = OrderedDict()

    def rows(self, entry: Entry, event: event_pb2.Event) -> Iterator[Row]:
        """Rows of this event."""
        fact = decode(event)
        if fact is not None:
            agent = event.meta.agent
            self._bring_back(agent, fact, entry.seq)
            changes = self._world.apply(agent, fact, entry.recorded_us, entry.actor)
            yield from rows(self._world, changes, fact, entry.seq)
            self._let_go(agent, fact)
        if event.meta.HasField("request"):
            yield operation_row(event.meta.request, entry.seq, entry.recorded_us)

    def _bring_back(self, agent: str, fact: object, seq: int) -> None:
        if not agent or isinstance(fact, facts.Spawned) or self._world.agent(agent) is not None:
            return
        state = self._recent.get(agent)
        if state is None:
            # As of this event: `check_states` folds beside rows that are further on.
            prefix, before = state_prefix(AGENT_STATE, agent), state_row(AGENT_STATE, agent, seq - 1)
            found = self._store.scan("states", before, prefix=prefix, limit=1)
            if not found:
                return
            state = from_json(AgentState, found[0][1])
        self._world.load(state, 0)

    def _let_go(self, agent: str, fact: object) -> None:
        if isinstance(fact, facts.ApprovalAnswered | facts.ApprovalWithdrawn):
            self._world.approvals.pop(fact.approval, None)
        state = self._world.agent(agent)
        if state is not None and state.phase == "ended":
            self._world.forget(agent)
            self._recent[agent] = state
            self._recent.move_to_end(agent)
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
