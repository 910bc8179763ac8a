"""The places where agents work: made before their first run, asked about, merged, and taken away after them.

    run wanted -> prepare: workspace.wanted (durable) -> made by `ports.Workspaces` -> workspace.made
    remove     -> kept: workspace.snapshotted (durable) -> agent.removed (durable) -> taken away -> workspace.removed

A crash after any step is met by repeating it: a run that was wanted prepares again, and a start finishes what was
being taken away. What takes long happens in threads, one thing at a time for one agent; setup lines have threads of
their own, so that slow ones hold up nobody else. Not here: git (`kaged/workspace`), runs (`runs/keeper.py`).
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import combinations
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.domain import place_spec
from kaged.domain.errors import KageError
from kaged.domain.events import agent as facts
from kaged.domain.events.workspace import (
    WorkspaceFailed,
    WorkspaceMade,
    WorkspaceMerged,
    WorkspaceOverlapped,
    WorkspaceRemoved,
    WorkspaceSnapshotted,
)
from kaged.domain.frozen import frozen
from kaged.domain.machines import agent as machine
from kaged.domain.machines import workspace as places
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.workspace import WorkspaceState
from kaged.domain.masking import Masker
from kaged.domain.place_spec import Workspace
from kaged.domain.spec import AgentSpec
from kaged.domain.workspace import (
    Cancelled,
    Difference,
    Made,
    Merged,
    MergeMode,
    Plan,
    Snapshot,
    WorkspaceRefused,
)
from kaged.ports import Workspaces as Places
from kaged.runtime.agents import Agents, Answer, stored_secrets
from kaged.runtime.engine import INTERNAL, Caller, Engine, Receipt
from kaged.store.derived.views import Views
from kaged.store.reading.reader import Reader
from kaged.store.wire.codec import Draft, decode
from kaged.store.wire.record import payload

_MADE_AT_ONCE: Final = 8
_NOTE_CHARS: Final = 4000
_UNKEPT_NAMED: Final = 50
_LOOK_S: Final = 30.0  # for overlaps, of agents whose turns nobody hears of
_REST_S: Final = 2.0  # at most so often: each look is some git for each agent
log = logging.getLogger("kaged.workspaces")


class AgentStillRuns(WorkspaceRefused):
    """What is to be merged may be half written."""

    reason = "AGENT_STILL_RUNS"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"agent {name} is at work: its files may be half written",
            hint=f"wait for it (kagectl agent wait {name}), or merge what is there with --live",
        )


@frozen
class Overlap:
    """Files that two live agents have both changed, each in its own worktree of one repository."""

    repository: str
    agents: tuple[str, str]
    names: tuple[str, str]
    paths: tuple[str, ...]


@frozen
class Gone:
    """What became of the place of a removed agent. `snapshot`: what would have been lost is under that ref."""

    path: str = ""
    repository: str = ""
    snapshot: str = ""
    kept_branch: str = ""
    note: str = ""


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
        self._engine = engine
        self._agents = agents
        self._views = views
        self._reader = reader
        self._port = port
        self._base_env = base_env
        self._locks: dict[str, asyncio.Lock] = {}
        self._leaving: dict[str, asyncio.Task[Gone]] = {}
        self._turned = asyncio.Event()
        self._makers = ThreadPoolExecutor(_MADE_AT_ONCE, thread_name_prefix="workspace")

    @asynccontextmanager
    async def _alone(self, agent: str) -> AsyncIterator[None]:
        """One thing at a time with one place."""
        lock = self._locks.setdefault(agent, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and self._locks.get(agent) is lock:
                del self._locks[agent]

    async def check(self, spec: AgentSpec, caller: Caller) -> None:
        """Refuse a wish that cannot be met as things stand, before anything is recorded. Not of a repeated request.

        Raises WorkspaceInvalid, WorkspaceRefused, GitFailed.
        """
        wish = spec.workspace
        if wish.kind == "here" or any(place_spec.violations(wish)) or self._engine.earlier(caller) is not None:
            return
        await asyncio.to_thread(self._port.plan, "check", spec.name or "agent", wish, spec.working_directory)

    # --- before a run ------------------------------------------------------------------------------------------

    async def prepare(self, agent: str, run: str, unwanted: Callable[[], bool]) -> None:
        """Return once the place of an agent is there. Raises KageError with the reason: then the run cannot start.

        `unwanted` is asked from other threads, and ends the making within a moment.
        """
        state = self._engine.world.agent(agent)
        if state is None or not _has_place(state.spec.workspace):
            return
        async with self._alone(agent):
            place = state.workspace
            if place is not None and place.phase == "made" and await asyncio.to_thread(self._port.present, place.plan):
                return
            try:
                plan = await self._planned(state)
                made = await asyncio.get_running_loop().run_in_executor(
                    self._makers, self._make, state, run, plan, unwanted
                )
            except Cancelled:
                raise
            except (KageError, OSError) as error:
                why = self._clean(state, str(error))
                failure = error.reason if isinstance(error, KageError) else "OS_ERROR"
                await self._record(agent, (WorkspaceFailed(run=run, failure=failure, note=why),))
                raise WorkspaceRefused(why, hint=error.hint if isinstance(error, KageError) else "") from error
            await self._record(agent, (WorkspaceMade(copied=made.copied, note=self._clean(state, made.note)),))

    def _make(self, state: AgentState, run: str, plan: Plan, unwanted: Callable[[], bool]) -> Made:
        if unwanted():
            raise Cancelled
        return self._port.make(state.id, run, plan, state.spec.workspace, self._environment(state), unwanted)

    async def _planned(self, state: AgentState) -> Plan:
        """The plan that is recorded, if it can still be carried out; else a new one, recorded before it is used."""
        place, wish = state.workspace, state.spec.workspace
        unmade = place is not None and place.phase in ("wanted", "failed")
        if unmade and place is not None and await asyncio.to_thread(self._port.feasible, place.plan):
            return place.plan
        if place is not None and place.phase == "made" and place.plan.branch:
            wish = replace(wish, branch=place.plan.branch)  # somebody deleted the folder: its commits are here
        name, folder = state.spec.name, state.spec.working_directory
        plan = await asyncio.to_thread(self._port.plan, state.id, name, wish, folder)
        if place is not None and plan.branch == place.plan.branch:
            plan = replace(plan, fresh=place.plan.fresh, base=place.plan.base, base_commit=place.plan.base_commit)
        await self._record(state.id, (places.wanted(plan),))
        return plan

    def _environment(self, state: AgentState) -> dict[str, str]:
        """What setup and cleanup lines run with: what the agent does, but for its token."""
        return {
            **self._base_env,
            **state.spec.environment,
            **stored_secrets(self._engine.journal.store, state.id),
            "KAGE_AGENT_ID": state.id,
            "KAGE_AGENT_NAME": state.spec.name,
        }

    def _clean(self, state: AgentState, text: str) -> str:
        """Words for the record: bounded, and without the agent's secrets."""
        masker = Masker(stored_secrets(self._engine.journal.store, state.id))
        data = masker.mask(text.encode("utf-8", "replace"), final=True).data
        return data.decode("utf-8", "replace")[-_NOTE_CHARS:]

    # --- asking ------------------------------------------------------------------------------------------------

    async def difference(self, reference: str, *, patch: bool) -> tuple[AgentState, Difference]:
        """What an agent's place has that its base has not. Raises AgentNotFound, WorkspaceRefused, GitFailed."""
        state, place = self._placed(reference)
        return state, await asyncio.to_thread(self._port.difference, state.id, place.plan, patch=patch)

    async def overlaps(self, agent: str = "") -> list[Overlap]:
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
        found: list[Overlap] = []
        for one, other in combinations([state for state in live if state.id in touched], 2):
            assert one.workspace is not None
            assert other.workspace is not None
            paths = touched[one.id] & touched[other.id]
            if not paths or one.workspace.plan.git_dir != other.workspace.plan.git_dir:
                continue
            if not agent or agent in (one.id, other.id):
                found.append(
                    Overlap(
                        repository=one.workspace.plan.repository,
                        agents=(one.id, other.id),
                        names=(one.spec.name, other.spec.name),
                        paths=tuple(sorted(paths)),
                    )
                )
        return found

    async def watch_overlaps(self) -> None:
        """Record it when two live agents begin to change the same files: after a turn of one, and now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._turned.wait(), _LOOK_S)
            self._turned.clear()
            try:
                await self._tell_overlaps()
            except KageError as error:  # a full disk: told when there is room
                log.warning("overlaps_not_told error=%s", error)
            await asyncio.sleep(_REST_S)

    async def _tell_overlaps(self) -> None:
        shared = Counter(
            kept.state.workspace.plan.git_dir
            for kept in self._engine.world.agents.values()
            if kept.state.workspace is not None and kept.state.workspace.phase == "made"
        )
        if not any(count > 1 for git_dir, count in shared.items() if git_dir):
            return
        for found in await self.overlaps():
            for agent, other in (found.agents, found.agents[::-1]):
                state = self._engine.world.agent(agent)
                if state is None or state.workspace is None or other in state.workspace.overlaps:
                    continue
                paths = ", ".join(found.paths[:_UNKEPT_NAMED]).encode("utf-8", "replace").decode()
                await self._record(agent, (WorkspaceOverlapped(other=other, files=len(found.paths), note=paths),))

    async def snapshot(self, reference: str, caller: Caller, why: str) -> tuple[AgentState, WorkspaceSnapshotted]:
        """Keep all files of an agent's place as they are now. The fact of it."""
        repeated = self._earlier(caller)
        if isinstance(repeated[1], WorkspaceSnapshotted):
            return self._agents.load(repeated[0]), repeated[1]
        state, place = self._placed(reference)
        async with self._alone(state.id):
            taken = await asyncio.to_thread(self._port.snapshot, state.id, place.plan, why or "Asked for")
            fact = _snapshotted(taken)
            await self._record(state.id, (fact,), caller)
        return state, fact

    async def merge(
        self, reference: str, caller: Caller, *, into: str, mode: MergeMode, message: str, live: bool
    ) -> tuple[AgentState, Merged]:
        """An agent's work into a branch, all or nothing. Raises AgentStillRuns, MergeConflict and what git refuses."""
        repeated = self._earlier(caller)
        if isinstance(repeated[1], WorkspaceMerged):
            return self._agents.load(repeated[0]), _merged(repeated[1])
        state, place = self._placed(reference)
        async with self._alone(state.id):
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
            await self._record(state.id, (fact,), caller)
        return state, merged

    def _placed(self, reference: str) -> tuple[AgentState, WorkspaceState]:
        state = self._agents.load(self._agents.resolve(reference))
        place = state.workspace
        if place is None:
            if _has_place(state.spec.workspace):
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

    # --- after the agent ---------------------------------------------------------------------------------------

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
        async with self._alone(state.id):
            kept = await asyncio.to_thread(self._port.keep, state.id, place.plan)
            if kept is not None and kept.ref != place.snapshot:
                await self._record(state.id, (_snapshotted(kept),))

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
        """An agent was removed, by whomever: its place goes too. A turn is over: look what it changed."""
        if isinstance(draft.event, facts.SignalHeard) and draft.event.type == "signal.turn.ended":
            self._turned.set()
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
            async with self._alone(state.id):
                environment = await asyncio.to_thread(self._environment, state)
                removal = await asyncio.to_thread(
                    self._port.remove, state.id, place.plan, state.spec.workspace, environment
                )
                note = self._clean(state, removal.note)
                events: list[facts.AgentEvent] = []
                if removal.snapshot is not None and removal.snapshot.ref != place.snapshot:
                    events.append(_snapshotted(removal.snapshot))
                await self._record(state.id, (*events, WorkspaceRemoved(kept_branch=removal.kept_branch, note=note)))
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
        """Wait for what is under way; a setup line was told to end by whoever waits for it."""
        if self._leaving:
            await asyncio.wait(list(self._leaving.values()), timeout=5)
        self._makers.shutdown(wait=False, cancel_futures=True)

    # --- recording ---------------------------------------------------------------------------------------------

    async def _record(self, agent: str, events: Iterable[facts.AgentEvent], caller: Caller = INTERNAL) -> Receipt:
        """Facts about an agent, also about one that has ended; returns when they are durable."""
        if self._engine.world.agent(agent) is None:
            found = self._views.agent(agent)
            if found is not None:
                self._engine.world.load(*found)
        receipt = self._engine.commit(self._engine.agent_drafts(agent, events), caller, about=agent)
        if receipt.done is not None:
            await self._engine.journal.recorded(receipt.done)
        return receipt

    def _earlier(self, caller: Caller) -> tuple[str, object]:
        """Agent and fact of an earlier request with the same id; raises when that was another request."""
        receipt = self._engine.earlier(caller)
        if receipt is None:
            return "", None
        message = event_pb2.Event.FromString(payload(self._reader.get(receipt.first_seq)))
        return message.meta.agent, decode(message)


def _has_place(wish: Workspace) -> bool:
    return wish.kind != "here" or bool(wish.setup or wish.cleanup)


def _snapshotted(taken: Snapshot) -> WorkspaceSnapshotted:
    unkept = [path.encode("utf-8", "replace").decode() for path in taken.unkept[:_UNKEPT_NAMED]]
    return WorkspaceSnapshotted(
        repository=taken.repository,
        ref=taken.ref,
        number=taken.number,
        commit=taken.commit,
        tree=taken.tree,
        files=taken.files,
        note=f"not kept (unreadable, or no file): {', '.join(unkept)}" if unkept else "",
    )


def _merged(fact: WorkspaceMerged) -> Merged:
    return Merged(
        kind=fact.kind,  # type: ignore[arg-type]  # written by `merge` above
        into=fact.into,
        commit=fact.commit,
        before=fact.before,
        included_uncommitted=fact.uncommitted,
    )
