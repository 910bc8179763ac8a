"""What may be asked of an agent's place: how it differs, a snapshot, a merge; and the parts of this folder, joined.

What takes long happens in threads, one thing at a time for one agent. Not here: how a place comes (`making.py`) and
goes (`removing.py`), files that two agents change (`overlaps.py`), git (`kaged/workspace`).
"""

import asyncio
from collections.abc import Mapping

from kaged.domain.events.workspace import WorkspaceMerged, WorkspaceRestored, WorkspaceSnapshotted
from kaged.domain.frozen import frozen
from kaged.domain.machines.agent import AgentState
from kaged.domain.workspace import Difference, KeptSnapshot, Merged, MergeMode, WorkspaceRefused
from kaged.ports import Workspaces as Places
from kaged.runtime.agents import Agents
from kaged.runtime.engine import Caller, Engine
from kaged.runtime.workspaces.making import Making
from kaged.runtime.workspaces.overlaps import Overlaps
from kaged.runtime.workspaces.place_record import PlaceRecord, snapshotted
from kaged.runtime.workspaces.removing import Removing
from kaged.store.derived.views import Views
from kaged.store.reading.reader import Reader


class AgentStillRuns(WorkspaceRefused):
    """What is to be merged may be half written."""

    reason = "AGENT_STILL_RUNS"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"agent {name} is at work: its files may be half written",
            hint=f"wait for it (kagectl agent wait {name}), or merge what is there with --live",
        )


class AgentAtWork(WorkspaceRefused):
    """Files that are exchanged under an agent would be half its own and half the snapshot's."""

    reason = "AGENT_AT_WORK"

    def __init__(self, name: str, word: str) -> None:
        super().__init__(
            f"agent {name} is {word}: its files can be put back when it is paused or has ended",
            hint=f"kagectl agent pause {name}, or kagectl agent stop {name}",
        )


class NoCheckpoint(WorkspaceRefused):
    """There is no snapshot with this number."""

    reason = "NO_SUCH_CHECKPOINT"

    def __init__(self, name: str, number: int) -> None:
        super().__init__(
            f"agent {name} has no checkpoint {number}", hint=f"kagectl agent checkpoints {name} shows those it has"
        )


@frozen
class Checkpoint:
    """A snapshot, and where its agent stood: its turn, its session, the place of the fact in the journal; 0, "": not
    known."""

    kept: KeptSnapshot
    turn: int = 0
    native_session: str = ""
    seq: int = 0


class AgentWorkspaces:
    """See the module. Used on the event loop only."""

    def __init__(
        self,
        engine: Engine,
        agents: Agents,
        views: Views,
        reader: Reader,
        port: Places,
        base_env: Mapping[str, str],
    ) -> None:
        self._agents = agents
        self._port = port
        self._record = PlaceRecord(engine, agents, views, reader, base_env)
        self.making = Making(engine, self._record, port)
        self.overlaps = Overlaps(engine, agents, self._record, port)
        self.removing = Removing(engine, agents, self._record, port)

    async def difference(self, reference: str, *, patch: bool) -> tuple[AgentState, Difference]:
        """What an agent's place has that its base has not. Raises AgentNotFound, WorkspaceRefused, GitFailed."""
        state, place = self._record.placed(reference)
        return state, await asyncio.to_thread(self._port.difference, state.id, place.plan, patch=patch)

    async def snapshot(self, reference: str, caller: Caller, why: str) -> tuple[AgentState, WorkspaceSnapshotted]:
        """Keep all files of an agent's place as they are now. The fact of it."""
        repeated = self._record.earlier(caller)
        if isinstance(repeated[1], WorkspaceSnapshotted):
            return self._agents.load(repeated[0]), repeated[1]
        state, place = self._record.placed(reference)
        async with self._record.alone(state.id):
            taken = await asyncio.to_thread(self._port.snapshot, state.id, place.plan, why or "Asked for")
            fact = snapshotted(taken, self._agents.load(state.id))
            await self._record.write(state.id, (fact,), caller)
        return state, fact

    async def snapshots(self, reference: str) -> tuple[AgentState, list[Checkpoint]]:
        """What was kept of an agent's place, oldest first."""
        state, place = self._record.placed(reference)
        found = await asyncio.to_thread(self._port.snapshots, state.id, place.plan)
        told = await asyncio.to_thread(self._record.kept_facts, state.id)
        return state, [_checkpoint(each, told.get(each.number)) for each in found]

    async def restore(self, reference: str, caller: Caller, number: int) -> tuple[AgentState, WorkspaceRestored]:
        """Put the files back to those of a snapshot; what is there now is kept first. Raises AgentAtWork.

        A crash in the middle leaves some of both, and the snapshot of what was there: asking again brings the rest.
        """
        repeated = self._record.earlier(caller)
        if isinstance(repeated[1], WorkspaceRestored):
            return self._agents.load(repeated[0]), repeated[1]
        _, checkpoints = await self.snapshots(reference)
        state, place = self._record.placed(reference)
        async with self._record.alone(state.id):
            state = self._agents.load(state.id)
            if state.phase != "ended" and state.word != "paused":
                raise AgentAtWork(state.spec.name, state.word)
            wanted = next((each for each in checkpoints if each.kept.number == number), None)
            if wanted is None:
                raise NoCheckpoint(state.spec.name, number)
            why = f"Before checkpoint {number} was restored"
            before = await asyncio.to_thread(self._port.snapshot, state.id, place.plan, why)
            await self._record.write(state.id, (snapshotted(before, state),))
            files = await asyncio.to_thread(self._port.restore, place.plan, wanted.kept.commit)
            fact = WorkspaceRestored(
                number=number,
                ref=wanted.kept.ref,
                commit=wanted.kept.commit,
                files=files,
                turn=wanted.turn,
                kept=before.ref,
            )
            await self._record.write(state.id, (fact,), caller)
        return state, fact

    async def merge(
        self, reference: str, caller: Caller, *, into: str, mode: MergeMode, message: str, live: bool
    ) -> tuple[AgentState, Merged]:
        """An agent's work into a branch, all or nothing. Raises AgentStillRuns, MergeConflict and what git refuses."""
        repeated = self._record.earlier(caller)
        if isinstance(repeated[1], WorkspaceMerged):
            return self._agents.load(repeated[0]), _merged(repeated[1])
        state, place = self._record.placed(reference)
        async with self._record.alone(state.id):
            state = self._agents.load(state.id)
            still = state.live_run is None
            if not still and not live:
                raise AgentStillRuns(state.spec.name)
            merged = await asyncio.to_thread(
                self._port.merge, state.id, state.spec.name, place.plan,
                into=into, mode=mode, message=message, still=still,
            )  # fmt: skip
            fact = WorkspaceMerged(
                kind=merged.kind,
                into=merged.into,
                before=merged.before,
                commit=merged.commit,
                uncommitted=merged.included_uncommitted,
            )
            await self._record.write(state.id, (fact,), caller)
        return state, merged

    async def close(self) -> None:
        """Wait for what is being taken away; begin nothing more."""
        await self.removing.close()
        self.making.close()


def _checkpoint(kept: KeptSnapshot, told: tuple[int, WorkspaceSnapshotted] | None) -> Checkpoint:
    if told is None or told[1].commit != kept.commit:
        return Checkpoint(kept=kept)
    seq, fact = told
    return Checkpoint(kept=kept, turn=fact.turn, native_session=fact.native_session, seq=seq)


def _merged(fact: WorkspaceMerged) -> Merged:
    return Merged(
        kind=fact.kind,  # type: ignore[arg-type]  # written by `merge` above
        into=fact.into,
        commit=fact.commit,
        before=fact.before,
        included_uncommitted=fact.uncommitted,
    )
