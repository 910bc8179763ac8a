"""States of some agents made again from their events, row for row: after text was taken out of those events.

Only rows that are there are written again, each as of its own seq, so a journal that goes on beside this is not
disturbed. What a running engine holds in memory it must load again itself.
"""

from collections.abc import Iterator
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.domain.events import facts
from kaged.domain.machines import agent as agents
from kaged.domain.machines import approval as approvals
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.approval import ApprovalState
from kaged.domain.plain import to_json
from kaged.store.derived.views import agent_stream
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.rows.keys import AGENT_STATE, APPROVAL_STATE, state_prefix, state_row
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.wire.codec import decode
from kaged.store.wire.record import payload

_PAGE: Final = 256
# Facts whose text is kept in states. What agents print is in none.
WITH_TEXT: Final = frozenset(
    str(vars(kind)["type_name"])
    for kind in (
        facts.Spawned,
        facts.StopWanted,
        facts.Ended,
        facts.RunEnded,
        facts.ApprovalRequested,
        facts.ApprovalAnswered,
    )
)


def refold(store: KeyValue, reader: Reader, agent: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one agent's rows in `states`, and of its questions', as its events tell them now."""
    state: AgentState | None = None
    questions: dict[str, ApprovalState] = {}
    for event in _events(reader, agent):
        fact = decode(event)
        if isinstance(fact, facts.Spawned):
            state = agents.spawn(agent, fact, event.recorded_us)
        elif state is not None and isinstance(fact, facts.AgentEvent):
            state = agents.apply(state, fact, event.recorded_us)
        match fact:
            case facts.ApprovalRequested():
                questions[fact.approval] = approvals.asked(agent, fact, event.recorded_us)
            case facts.ApprovalAnswered() | facts.ApprovalWithdrawn() if fact.approval in questions:
                before = questions[fact.approval]
                questions[fact.approval] = approvals.settle(before, fact, event.recorded_us, event.actor)
            case _:
                fact = None
        if fact is not None:
            key = state_row(APPROVAL_STATE, fact.approval, event.seq)
            if store.get("states", key) is not None:
                yield key, to_json(questions[fact.approval])
        key = state_row(AGENT_STATE, agent, event.seq)
        if state is not None and store.get("states", key) is not None:
            yield key, to_json(state)


def ranges_of(agent: str, keys: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Where in `states` these rows lie, for whoever has the old values rewritten."""
    prefixes = {state_prefix(AGENT_STATE, agent), *(key[:-8] for key in keys)}
    return [(prefix, prefix + b"\xff" * 9) for prefix in sorted(prefixes)]


def _events(reader: Reader, agent: str) -> Iterator[event_pb2.Event]:
    selection, after, head = select("", now_us=0, stream=agent_stream(agent)), 0, reader.head
    while True:
        page = reader.page(selection, after, head, _PAGE)
        for framed in page.frames:
            yield event_pb2.Event.FromString(payload(framed))
        if page.done:
            return
        after = page.reached
