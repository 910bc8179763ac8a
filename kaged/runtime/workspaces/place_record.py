"""What all parts of this folder share: whose place is asked about, one thing at a time with it, facts about it.

Not here: what is done with a place (`making.py`, `workspaces.py`, `removing.py`), git (`kaged/workspace`).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.domain.events import facts
from kaged.domain.events.workspace import WorkspaceSnapshotted
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.workspace import WorkspaceState
from kaged.domain.masking import Masker
from kaged.domain.place_spec import Workspace
from kaged.domain.workspace import Snapshot, WorkspaceRefused
from kaged.runtime.agents import Agents
from kaged.runtime.engine import INTERNAL, Caller, Engine, Receipt
from kaged.runtime.recorded import event_at
from kaged.runtime.secret_environment import stored_secrets
from kaged.store.derived.views import Views, agent_stream
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.wire.codec import decode
from kaged.store.wire.record import payload

_NOTE_CHARS: Final = 4000
_FACTS_PAGE: Final = 256
PATHS_NAMED: Final = 50  # of each note: the rest is counted


class PlaceRecord:
    """See the module. `base_env`: what all agents get. Used on the event loop only, but for `environment`."""

    def __init__(
        self, engine: Engine, agents: Agents, views: Views, reader: Reader, base_env: Mapping[str, str]
    ) -> None:
        self._engine = engine
        self._agents = agents
        self._views = views
        self._reader = reader
        self._base_env = base_env
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def alone(self, agent: str) -> AsyncIterator[None]:
        """One thing at a time with one place."""
        lock = self._locks.setdefault(agent, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and self._locks.get(agent) is lock:
                del self._locks[agent]

    def placed(self, reference: str) -> tuple[AgentState, WorkspaceState]:
        """An agent and the place that is made for it. Raises AgentNotFound, WorkspaceRefused."""
        state = self._agents.load(self._agents.resolve(reference))
        place = state.workspace
        if place is None:
            if has_place(state.spec.workspace):
                raise WorkspaceRefused(f"the workspace of agent {state.spec.name} is not made yet", hint="wait for it")
            raise WorkspaceRefused(
                f"agent {state.spec.name} works in {state.spec.working_directory} itself",
                hint="spawn it with --workspace worktree, and its work is kept apart",
            )
        if place.phase in ("removed", "wanted"):
            hint = f"its last snapshot is {place.snapshot} in {place.repository}" if place.snapshot else ""
            word = "was removed" if place.phase == "removed" else "is being made"
            raise WorkspaceRefused(f"the workspace of agent {state.spec.name} {word}", hint=hint)
        return state, place

    def environment(self, state: AgentState) -> dict[str, str]:
        """What setup and cleanup lines run with: what the agent does, but for its token."""
        return {
            **self._base_env,
            **state.spec.environment,
            **stored_secrets(self._engine.journal.store, state.id),
            "KAGE_AGENT_ID": state.id,
            "KAGE_AGENT_NAME": state.spec.name,
        }

    def clean(self, state: AgentState, text: str) -> str:
        """Words for the record: bounded, and without the agent's secrets."""
        masker = Masker(stored_secrets(self._engine.journal.store, state.id))
        data = masker.mask(text.encode("utf-8", "replace"), final=True).data
        return data.decode("utf-8", "replace")[-_NOTE_CHARS:]

    async def write(self, agent: str, events: Iterable[facts.AgentEvent], caller: Caller = INTERNAL) -> Receipt:
        """Facts about an agent, also about one that has ended; returns when they are durable."""
        if self._engine.world.agent(agent) is None:
            found = self._views.agent(agent)
            if found is not None:
                self._engine.world.load(*found)
        receipt = self._engine.commit(self._engine.agent_drafts(agent, events), caller, about=agent)
        if receipt.done is not None:
            await self._engine.journal.recorded(receipt.done)
        return receipt

    def kept_facts(self, agent: str) -> dict[int, tuple[int, WorkspaceSnapshotted]]:
        """Facts of an agent's snapshots by number, with their places in the journal. Reads; in a thread."""
        found: dict[int, tuple[int, WorkspaceSnapshotted]] = {}
        which = select(f'type = "{WorkspaceSnapshotted.type_name}"', now_us=0, stream=agent_stream(agent))
        after, head, done = 0, self._reader.head, False
        while not done:
            page = self._reader.page(which, after, head, _FACTS_PAGE)
            for framed in page.frames:
                message = event_pb2.Event.FromString(payload(framed))
                fact = decode(message)
                if isinstance(fact, WorkspaceSnapshotted):
                    found[fact.number] = (message.seq, fact)
            after, done = page.reached, page.done
        return found

    def earlier(self, caller: Caller) -> tuple[str, object]:
        """Agent and fact of an earlier request with the same id; raises when that was another request."""
        receipt = self._engine.earlier(caller)
        if receipt is None:
            return "", None
        message = event_at(self._reader, receipt.first_seq)
        return message.meta.agent, decode(message)


def has_place(wish: Workspace) -> bool:
    """Whether anything is to be made or done before a run."""
    return wish.kind != "here" or bool(wish.setup or wish.cleanup)


def snapshotted(taken: Snapshot, state: AgentState | None = None) -> WorkspaceSnapshotted:
    """The fact of a snapshot, and where the agent stood then."""
    goal = state.goal if state is not None else None
    turns = state.usage.turns if state is not None else 0
    unkept = [path.encode("utf-8", "replace").decode() for path in taken.unkept[:PATHS_NAMED]]
    return WorkspaceSnapshotted(
        repository=taken.repository,
        ref=taken.ref,
        number=taken.number,
        commit=taken.commit,
        tree=taken.tree,
        files=taken.files,
        turn=goal.iterations + (goal.turn_ended_us > 0 or goal.turn_began_us > 0) if goal is not None else turns,
        native_session=state.usage.native_session if state is not None else "",
        note=f"not kept (unreadable, or no file): {', '.join(unkept)}" if unkept else "",
    )
