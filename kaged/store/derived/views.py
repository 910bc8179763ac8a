"""States as rows: what has ended, and what anything was at an earlier seq. Derived, rebuilt with the index.

A row holds a thing's whole state as of a seq. An earlier state is the newest row at or before that seq and the
facts of its stream since, at most 64 (`domain/world.py` decides when a row is written).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from kaged.api.v1 import event_pb2
from kaged.domain.events import facts
from kaged.domain.events import tree as tree_facts
from kaged.domain.machines import agent as agents
from kaged.domain.machines import tree as trees
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.approval import ApprovalState
from kaged.domain.plain import from_json, to_json
from kaged.domain.world import Changed, World
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.rows.keys import (
    AGENT_NAME,
    AGENT_STATE,
    APPROVAL_STATE,
    TREE_KNOWN,
    TREE_LIVE,
    TREE_STATE,
    Family,
    state_prefix,
    state_row,
    state_seq,
)
from kaged.store.rows.keyvalue import KeyValue, StoreCorrupt
from kaged.store.wire.codec import decode
from kaged.store.wire.record import payload

Row = tuple[Family, bytes, bytes | None]

LIVE: Final = b"l"  # one row for each agent that has not ended
NUMBER: Final = b"o"  # agents in the order of spawning
_FOLD_PAGE: Final = 256
_State = TypeVar("_State")


def agent_stream(agent: str) -> str:
    """Where the facts of an agent's life are."""
    return f"agents/{agent}"


def tree_stream(tree: str) -> str:
    """Where the facts of a tree are."""
    return f"trees/{tree}"


def rows(world: World, changes: Iterable[Changed], event: object, seq: int) -> Iterator[Row]:
    """Rows for what one fact changed."""
    for changed in changes:
        if not changed.row:
            continue
        match changed.kind:
            case "agent":
                yield from _agent_rows(world.agents[changed.id].state, event, seq)
            case "approval":
                state = world.approvals[changed.id]
                yield "states", state_row(APPROVAL_STATE, changed.id, seq), to_json(state)
            case "tree":
                yield from _tree_rows(world.trees[changed.id], seq)


def _agent_rows(state: AgentState, event: object, seq: int) -> Iterator[Row]:
    yield "states", state_row(AGENT_STATE, state.id, seq), to_json(state)
    match event:
        case facts.Spawned():
            yield "states", state_row(AGENT_NAME, state.spec.name, seq), state.id.encode()
            yield "states", _number_row(state.number), state.id.encode()
            yield "states", LIVE + state.id.encode(), b""
        case facts.Ended():
            yield "states", LIVE + state.id.encode(), None
        case facts.RunWanted():
            yield "states", LIVE + state.id.encode(), b""  # also revives one that had ended
        case _:
            pass


def _tree_rows(tree: trees.TreeState, seq: int) -> Iterator[Row]:
    name = tree.tree.encode()
    yield "states", state_row(TREE_STATE, tree.tree, seq), trees.state_to_json(tree).encode()
    yield "states", TREE_KNOWN + name, None if tree.phase == "new" else b""
    yield "states", TREE_LIVE + name, None if tree.over else b""


def _number_row(number: int) -> bytes:
    return NUMBER + number.to_bytes(8, "big")


class Views:
    """Reads of states. Synchronous; a page of them belongs in a thread."""

    def __init__(self, store: KeyValue, reader: Reader) -> None:
        self._store = store
        self._reader = reader

    # --- agents ------------------------------------------------------------------------------------------------

    def live_agents(self) -> list[str]:
        """Ids of agents that have not ended."""
        return self._named(LIVE)

    def _named(self, kind: bytes) -> list[str]:
        found: list[str] = []
        start = kind
        while page := self._store.scan("states", start, prefix=kind, limit=256):
            found += [key[1:].decode() for key, _ in page]
            start = page[-1][0] + b"\0"
        return found

    def agent(self, agent: str, at_seq: int | None = None) -> tuple[AgentState, int] | None:
        """An agent as of a seq (None: the durable head), and how many facts lie after its row."""
        limit = self._reader.head if at_seq is None else min(at_seq, self._reader.head)
        found = self._store.scan(
            "states", state_row(AGENT_STATE, agent, limit), prefix=state_prefix(AGENT_STATE, agent), limit=1
        )
        if not found:
            return None
        key, value = found[0]
        state = _read(lambda: from_json(AgentState, value), agent)
        count = 0
        for message in self._facts(agent_stream(agent), state_seq(key), limit):
            event = decode(message)
            if isinstance(event, facts.AgentEvent):
                state = agents.apply(state, event, message.recorded_us)
                count += 1
        return state, count

    def _facts(self, stream: str, after: int, up_to: int) -> Iterator[event_pb2.Event]:
        selection = select("", now_us=0, stream=stream)
        while after < up_to:
            page = self._reader.page(selection, after, up_to, _FOLD_PAGE)
            for framed in page.frames:
                yield event_pb2.Event.FromString(payload(framed))
            if page.done:
                return
            after = page.reached

    def agent_named(self, name: str, at_seq: int | None = None) -> str | None:
        """Id of the agent that had a name last."""
        limit = self._reader.head if at_seq is None else at_seq
        prefix = state_prefix(AGENT_NAME, name)
        found = self._store.scan("states", state_row(AGENT_NAME, name, limit), prefix=prefix, limit=1)
        return found[0][1].decode() if found else None

    def agents_with_prefix(self, prefix: str, limit: int) -> list[str]:
        """Ids that begin with some letters."""
        return self._ids(AGENT_STATE, prefix, limit)

    def _ids(self, kind: bytes, prefix: str, limit: int) -> list[str]:
        found: list[str] = []
        start = wanted = kind + prefix.encode()
        while len(found) < limit:
            page = self._store.scan("states", start, prefix=wanted, limit=1)
            if not page:
                break
            name = page[0][0][1:].partition(b"\0")[0]
            found.append(name.decode())
            start = kind + name + b"\x01"
        return found

    def last_number(self) -> int:
        """Highest number that an agent has."""
        found = self._store.scan("states", _number_row(2**64 - 1), prefix=NUMBER, limit=1, reverse=True)
        return int.from_bytes(found[0][0][1:], "big") if found else 0

    def numbered(self, below: int, limit: int) -> list[tuple[int, str]]:
        """Agents by number, newest first, with numbers under `below`."""
        if below <= 1:
            return []
        page = self._store.scan("states", _number_row(below - 1), prefix=NUMBER, limit=limit, reverse=True)
        return [(int.from_bytes(key[1:], "big"), value.decode()) for key, value in page]

    # --- approvals ---------------------------------------------------------------------------------------------

    def approval(self, approval: str) -> ApprovalState | None:
        """A question as of now."""
        prefix = state_prefix(APPROVAL_STATE, approval)
        found = self._store.scan("states", prefix, prefix=prefix, limit=1)
        return _read(lambda: from_json(ApprovalState, found[0][1]), approval) if found else None

    def approvals_with_prefix(self, prefix: str, limit: int) -> list[str]:
        """Ids that begin with some letters."""
        return self._ids(APPROVAL_STATE, prefix, limit)

    # --- trees -------------------------------------------------------------------------------------------------

    def live_trees(self) -> list[str]:
        """Names of trees of which something runs or may run of itself."""
        return self._named(TREE_LIVE)

    def tree_names(self, after: str, limit: int) -> list[str]:
        """Names of trees that were not deleted, in order, after a name."""
        start = TREE_KNOWN + after.encode() + (b"\0" if after else b"")
        page = self._store.scan("states", start, prefix=TREE_KNOWN, limit=limit)
        return [key[1:].decode() for key, _ in page]

    def tree(self, tree: str, at_seq: int | None = None) -> tuple[trees.TreeState, int] | None:
        """A tree as of a seq, and how many facts lie after its row."""
        limit = self._reader.head if at_seq is None else min(at_seq, self._reader.head)
        prefix = state_prefix(TREE_STATE, tree)
        found = self._store.scan("states", state_row(TREE_STATE, tree, limit), prefix=prefix, limit=1)
        if not found:
            return None
        state = _read(lambda: trees.state_from_json(found[0][1].decode()), tree)
        count = 0
        for message in self._facts(tree_stream(tree), state_seq(found[0][0]), limit):
            event = decode(message)
            if isinstance(event, tree_facts.TreeEvent):
                state = trees.apply(state, event)
                count += 1
        return state, count


def _read(read: Callable[[], _State], name: str) -> _State:
    try:
        return read()
    except (ValueError, KeyError, TypeError) as error:
        raise StoreCorrupt(
            f"the row of {name!r} is damaged: {error}",
            hint="the events have all of it: run `kaged reindex`",
        ) from error
