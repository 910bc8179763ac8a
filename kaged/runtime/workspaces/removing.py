"""Places are taken away after their agents were removed; what would be lost with them is kept first.

    remove -> kept: workspace.snapshotted (durable) -> agent.removed (durable) -> taken away -> workspace.removed

A crash after any step is met by repeating it: a start finishes what was being taken away. What takes long happens in
threads. Not here: git and folders (`kaged/workspace`).
"""

import asyncio
import logging
from typing import Final

from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.events.workspace import WorkspaceRemoved
from kaged.domain.frozen import frozen
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.workspace import WorkspaceState
from kaged.ports import Workspaces as Places
from kaged.runtime.agents import Agents, Answer
from kaged.runtime.engine import Caller, Engine
from kaged.runtime.workspaces.place_record import PlaceRecord, snapshotted
from kaged.store.wire.codec import Draft

_CLOSE_S: Final = 5.0
log = logging.getLogger("kaged.workspaces")


@frozen
class Gone:
    """What became of the place of a removed agent. `snapshot`: what would have been lost is under that ref."""

    path: str = ""
    repository: str = ""
    snapshot: str = ""
    kept_branch: str = ""
    note: str = ""


class Removing:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, agents: Agents, record: PlaceRecord, port: Places) -> None:
        self._engine = engine
        self._agents = agents
        self._record = record
        self._port = port
        self._leaving: dict[str, asyncio.Task[Gone]] = {}

    async def remove(self, reference: str, caller: Caller, *, keep: bool) -> tuple[Answer, Gone]:
        """Take an agent out of the lists, and its place away unless `keep`. What would be lost is kept first.

        Raises what `Agents.remove` refuses with, and WorkspaceRefused or GitFailed when what is there cannot be kept:
        then both are as they were.
        """
        if self._engine.earlier(caller) is None:
            state = self._agents.load(self._agents.resolve(reference))
            machine.decide_remove(state)  # refuses before anything is done
            if not keep and not state.removed:
                await self._keep(state)
        answer = await self._agents.remove(reference, caller, keep_workspace=keep)
        return answer, await self._gone(answer.state.id)

    async def _keep(self, state: AgentState) -> None:
        place = state.workspace
        if place is None or not place.there:
            return
        async with self._record.alone(state.id):
            kept = await asyncio.to_thread(self._port.keep, state.id, place.plan)
            if kept is not None and kept.ref != place.snapshot:
                await self._record.write(state.id, (snapshotted(kept),))

    async def _gone(self, agent: str) -> Gone:
        """What became of the place of an agent that was removed."""
        self._take_away(agent)
        task = self._leaving.get(agent)
        if task is not None:
            return await asyncio.shield(task)
        place = self._agents.load(agent).workspace
        if place is None:
            return Gone()
        return Gone(path=place.plan.path, repository=place.repository, snapshot=place.snapshot)

    def happened(self, draft: Draft, seq: int) -> None:
        """An agent was removed, by whomever: its place goes too."""
        if isinstance(draft.event, facts.Removed):
            self._take_away(draft.agent)

    def _take_away(self, agent: str) -> None:
        if agent in self._leaving:
            return
        try:
            state = self._agents.load(agent)
        except KageError:
            return
        if state.removed and state.workspace is not None and state.workspace.there:
            task = asyncio.get_running_loop().create_task(self._away(state, state.workspace), name=f"away {agent}")
            self._leaving[agent] = task
            task.add_done_callback(lambda _: self._leaving.pop(agent, None))

    async def _away(self, state: AgentState, place: WorkspaceState) -> Gone:
        try:
            async with self._record.alone(state.id):
                environment = await asyncio.to_thread(self._record.environment, state)
                removal = await asyncio.to_thread(
                    self._port.remove, state.id, place.plan, state.spec.workspace, environment
                )
                note = self._record.clean(state, removal.note)
                events: list[facts.AgentEvent] = []
                if removal.snapshot is not None and removal.snapshot.ref != place.snapshot:
                    events.append(snapshotted(removal.snapshot))
                await self._record.write(
                    state.id, (*events, WorkspaceRemoved(kept_branch=removal.kept_branch, note=note))
                )
        except (KageError, OSError) as error:
            # The agent is out of the lists; its place stays, and the next start tries again.
            log.warning("workspace_not_removed agent=%s path=%s error=%s", state.id, place.plan.path, error)
            return Gone(path=place.plan.path, snapshot=place.snapshot, note=f"it is still there: {error}")
        snapshot = removal.snapshot
        return Gone(
            path=place.plan.path,
            repository=snapshot.repository if snapshot is not None else place.repository,
            snapshot=snapshot.ref if snapshot is not None else place.snapshot,
            kept_branch=removal.kept_branch,
            note=note,
        )

    async def resume(self) -> None:
        """Finish what a daemon before us was taking away. Others' notes are left alone."""
        for agent in await asyncio.to_thread(self._port.strays):
            self._take_away(agent)

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._leaving:
            await asyncio.wait(list(self._leaving.values()), timeout=_CLOSE_S)
