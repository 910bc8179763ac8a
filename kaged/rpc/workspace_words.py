"""The place of an agent as part of what AgentService answers."""

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.domain.machines.workspace import WorkspaceState
from kaged.runtime.workspaces.removing import Gone


def place(state: WorkspaceState) -> agents_pb.AgentWorkspace:
    """The place of an agent as a message."""
    plan = state.plan
    return agents_pb.AgentWorkspace(
        kind=plan.kind,
        phase=state.phase,
        path=plan.path,
        working_directory=plan.cwd,
        repository=plan.repository,
        branch=plan.branch,
        base=plan.base,
        base_commit=plan.base_commit,
        snapshot=state.snapshot,
        snapshot_repository=state.repository,
        merged_into=state.merged_into,
    )


def removed(gone: Gone) -> agents_pb.RemovedWorkspace | None:
    """What became of a place, as a message; None: there was none."""
    if not gone.path:
        return None
    return agents_pb.RemovedWorkspace(
        path=gone.path,
        snapshot=gone.snapshot,
        repository=gone.repository,
        kept_branch=gone.kept_branch,
        note=gone.note,
    )
