"""Where the place of an agent stands. Pure.

wanted --made--> made --removed--> removed
   `--failed--> failed --wanted again--> ...          kept: its agent was removed, and it was to stay
"""

from dataclasses import replace
from typing import Literal, assert_never

from kaged.domain.events.workspace import (
    WorkspaceEvent,
    WorkspaceFailed,
    WorkspaceMade,
    WorkspaceMerged,
    WorkspaceOverlapped,
    WorkspaceRemoved,
    WorkspaceRestored,
    WorkspaceSnapshotted,
    WorkspaceWanted,
)
from kaged.domain.frozen import frozen
from kaged.domain.workspace import Plan

Phase = Literal["wanted", "made", "failed", "removed", "kept"]


@frozen
class WorkspaceState:
    """A place, as far as facts tell. `snapshot`: the newest one's ref; `repository`: the git directory of it."""

    plan: Plan
    phase: Phase = "wanted"
    snapshot: str = ""
    snapshots: int = 0
    repository: str = ""
    merged_into: str = ""
    overlaps: tuple[str, ...] = ()  # agents that were told of

    @property
    def there(self) -> bool:
        """Whether there may be something of it on disk."""
        return self.phase in ("wanted", "made", "failed")


def apply(state: WorkspaceState | None, event: WorkspaceEvent) -> WorkspaceState | None:
    """The state after a fact."""
    if isinstance(event, WorkspaceWanted):
        before = state or WorkspaceState(plan=plan_of(event))
        return replace(before, plan=plan_of(event), phase="wanted")
    if state is None:
        return None
    match event:
        case WorkspaceMade():
            return replace(state, phase="made")
        case WorkspaceFailed():
            return replace(state, phase="failed")
        case WorkspaceSnapshotted():
            return replace(state, snapshot=event.ref, snapshots=event.number, repository=event.repository)
        case WorkspaceRestored():
            return state
        case WorkspaceMerged():
            return replace(state, merged_into=event.into)
        case WorkspaceOverlapped():
            return replace(state, overlaps=(*state.overlaps, event.other))
        case WorkspaceRemoved():
            return replace(state, phase="removed")
        case _:
            assert_never(event)


def plan_of(event: WorkspaceWanted) -> Plan:
    """The plan that a fact carries."""
    return Plan(
        kind=event.kind,
        path=event.path,
        cwd=event.cwd,
        repository=event.repository,
        git_dir=event.git_dir,
        branch=event.branch,
        base=event.base,
        base_commit=event.base_commit,
        start_commit=event.start_commit,
        fresh=event.fresh,
    )


def wanted(plan: Plan) -> WorkspaceWanted:
    """The fact that carries a plan."""
    return WorkspaceWanted(
        kind=plan.kind,
        path=plan.path,
        cwd=plan.cwd,
        repository=plan.repository,
        git_dir=plan.git_dir,
        branch=plan.branch,
        base=plan.base,
        base_commit=plan.base_commit,
        start_commit=plan.start_commit,
        fresh=plan.fresh,
    )
