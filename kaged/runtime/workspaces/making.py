"""Places are made before the first run of their agents: planned, recorded, made, and their setup lines run.

    run wanted -> workspace.wanted (durable) -> made by `ports.Workspaces` -> workspace.made

A crash after any step is met by repeating it: a run that was wanted prepares again. Setup lines have threads of their
own, so that slow ones hold up nobody else. Not here: git (`kaged/workspace`), runs (`runs/keeper.py`).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from kaged.domain import place_spec
from kaged.domain.errors import KageError
from kaged.domain.events.workspace import WorkspaceFailed, WorkspaceMade
from kaged.domain.machines import workspace as places
from kaged.domain.machines.agent import AgentState
from kaged.domain.spec import AgentSpec
from kaged.domain.workspace import Cancelled, Made, Plan, WorkspaceRefused
from kaged.ports import Workspaces as Places
from kaged.runtime.engine import Caller, Engine
from kaged.runtime.workspaces.place_record import PlaceRecord, has_place

_MADE_AT_ONCE: Final = 8


class Making:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, record: PlaceRecord, port: Places) -> None:
        self._engine = engine
        self._record = record
        self._port = port
        self._makers = ThreadPoolExecutor(_MADE_AT_ONCE, thread_name_prefix="workspace")

    async def check(self, spec: AgentSpec, caller: Caller) -> None:
        """Refuse a wish that cannot be met as things stand, before anything is recorded. Not of a repeated request.

        Raises WorkspaceInvalid, WorkspaceRefused, GitFailed.
        """
        wish = spec.workspace
        if wish.kind == "here" or any(place_spec.violations(wish)) or self._engine.earlier(caller) is not None:
            return
        await asyncio.to_thread(self._port.plan, "check", spec.name or "agent", wish, spec.working_directory)

    async def prepare(self, agent: str, run: str, unwanted: Callable[[], bool]) -> None:
        """Return once the place of an agent is there. Raises KageError with the reason: then the run cannot start.

        `unwanted` is asked from other threads, and ends the making within a moment.
        """
        state = self._engine.world.agent(agent)
        if state is None or not has_place(state.spec.workspace):
            return
        async with self._record.alone(agent):
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
                why = self._record.clean(state, str(error))
                failure = error.reason if isinstance(error, KageError) else "OS_ERROR"
                await self._record.write(agent, (WorkspaceFailed(run=run, failure=failure, note=why),))
                raise WorkspaceRefused(why, hint=error.hint if isinstance(error, KageError) else "") from error
            await self._record.write(
                agent, (WorkspaceMade(copied=made.copied, note=self._record.clean(state, made.note)),)
            )

    def _make(self, state: AgentState, run: str, plan: Plan, unwanted: Callable[[], bool]) -> Made:
        if unwanted():
            raise Cancelled
        return self._port.make(state.id, run, plan, state.spec.workspace, self._record.environment(state), unwanted)

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
        await self._record.write(state.id, (places.wanted(plan),))
        return plan

    def close(self) -> None:
        """Begin nothing more. A setup line was told to end by whoever waits for it."""
        self._makers.shutdown(wait=False, cancel_futures=True)
