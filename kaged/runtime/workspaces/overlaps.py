"""Files that two live agents have both changed, each in its own worktree of one repository: asked for, and told.

Looked at after a turn of any agent, and now and then, of agents whose turns nobody hears of; each pair is recorded
once. Not here: what an agent has changed (`ports.Workspaces.touched`).
"""

import asyncio
import contextlib
import logging
from collections import Counter
from itertools import combinations
from typing import Final

from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.events.workspace import WorkspaceOverlapped
from kaged.domain.frozen import frozen
from kaged.ports import Workspaces as Places
from kaged.runtime.agents import Agents
from kaged.runtime.engine import Engine
from kaged.runtime.workspaces.place_record import PATHS_NAMED, PlaceRecord
from kaged.store.wire.codec import Draft

_LOOK_S: Final = 30.0  # for overlaps, of agents whose turns nobody hears of
_REST_S: Final = 2.0  # at most so often: each look is some git for each agent
log = logging.getLogger("kaged.workspaces")


@frozen
class Overlap:
    """Files that two live agents have both changed, each in its own worktree of one repository."""

    repository: str
    agents: tuple[str, str]
    names: tuple[str, str]
    paths: tuple[str, ...]


class Overlaps:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, agents: Agents, record: PlaceRecord, port: Places) -> None:
        self._engine = engine
        self._agents = agents
        self._record = record
        self._port = port
        self._turned = asyncio.Event()

    def happened(self, draft: Draft, seq: int) -> None:
        """A turn is over: look what it changed."""
        if isinstance(draft.event, facts.SignalHeard) and draft.event.type == "signal.turn.ended":
            self._turned.set()

    async def found(self, agent: str = "") -> list[Overlap]:
        """Files that two live agents have both changed; with `agent`: that one and another."""
        live = [
            kept.state
            for kept in self._engine.world.agents.values()
            if kept.state.phase != "ended" and kept.state.workspace is not None and kept.state.workspace.phase == "made"
        ]
        if agent and all(state.id != agent for state in live):
            live.append(self._agents.load(agent))
        touched: dict[str, frozenset[str]] = {}
        for state in live:
            if state.workspace is not None and state.workspace.plan.kind == "worktree":
                try:
                    touched[state.id] = await asyncio.to_thread(self._port.touched, state.id, state.workspace.plan)
                except KageError as error:
                    log.warning("touched_unknown agent=%s error=%s", state.id, error)
        result: list[Overlap] = []
        for one, other in combinations([state for state in live if state.id in touched], 2):
            assert one.workspace is not None
            assert other.workspace is not None
            paths = touched[one.id] & touched[other.id]
            if not paths or one.workspace.plan.git_dir != other.workspace.plan.git_dir:
                continue
            if not agent or agent in (one.id, other.id):
                result.append(
                    Overlap(
                        repository=one.workspace.plan.repository,
                        agents=(one.id, other.id),
                        names=(one.spec.name, other.spec.name),
                        paths=tuple(sorted(paths)),
                    )
                )
        return result

    async def watch(self) -> None:
        """Record it when two live agents begin to change the same files: after a turn of one, and now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._turned.wait(), _LOOK_S)
            self._turned.clear()
            try:
                await self._tell()
            except KageError as error:  # a full disk: told when there is room
                log.warning("overlaps_not_told error=%s", error)
            await asyncio.sleep(_REST_S)

    async def _tell(self) -> None:
        shared = Counter(
            kept.state.workspace.plan.git_dir
            for kept in self._engine.world.agents.values()
            if kept.state.workspace is not None and kept.state.workspace.phase == "made"
        )
        if not any(count > 1 for git_dir, count in shared.items() if git_dir):
            return
        for found in await self.found():
            for agent, other in (found.agents, found.agents[::-1]):
                state = self._engine.world.agent(agent)
                if state is None or state.workspace is None or other in state.workspace.overlaps:
                    continue
                paths = ", ".join(found.paths[:PATHS_NAMED]).encode("utf-8", "replace").decode()
                await self._record.write(agent, (WorkspaceOverlapped(other=other, files=len(found.paths), note=paths),))
