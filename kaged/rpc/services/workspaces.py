"""WorkspaceService: what is new in an agent's place, where it goes, what is kept of it."""

from collections.abc import Iterable
from typing import Final

from kaged.api.v1 import workspace_service_pb2 as pb
from kaged.domain.errors import Invalid
from kaged.domain.workspace import Change, MergeMode
from kaged.rpc import convert
from kaged.rpc.methods import Call
from kaged.runtime.core import Core
from kaged.runtime.workspaces.overlaps import Overlap

_MAX_MESSAGE: Final = 64 << 10
_MAX_FILES: Final = 50_000  # of one answer; a message has 16 MiB
_MODES: Final[dict[int, MergeMode]] = {
    pb.MERGE_MODE_UNSPECIFIED: "auto",
    pb.MERGE_MODE_FAST_FORWARD: "ff",
    pb.MERGE_MODE_COMMIT: "commit",
    pb.MERGE_MODE_SQUASH: "squash",
}


class WorkspaceService:
    """See the module."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetWorkspaceDiff(self, request: pb.GetWorkspaceDiffRequest, call: Call) -> pb.GetWorkspaceDiffResponse:
        """What is new."""
        state, found = await self._core.workspaces.difference(request.agent, patch=not request.no_patch)
        overlaps = await self._core.workspaces.overlaps.found(state.id)
        assert state.workspace is not None
        return pb.GetWorkspaceDiffResponse(
            agent=state.id,
            path=state.workspace.plan.path,
            branch=state.workspace.plan.branch,
            base=state.workspace.plan.base,
            base_commit=found.base_commit,
            head_commit=found.head_commit,
            files=[_change(item) for item in found.changes[:_MAX_FILES]],
            patch=found.patch,
            truncated=found.truncated,
            commits=found.commits,
            uncommitted=found.uncommitted,
            left_out=[_text(item) for item in found.left_out],
            overlaps=_overlaps(overlaps),
        )

    async def MergeWorkspace(self, request: pb.MergeWorkspaceRequest, call: Call) -> pb.MergeWorkspaceResponse:
        """Bring its work into a branch."""
        if request.mode not in _MODES:
            raise Invalid(("mode", f"{request.mode} is not a mode that this release knows"))
        if len(request.message.encode()) > _MAX_MESSAGE or "\0" in request.message:
            raise Invalid(("message", f"must be a text of at most {_MAX_MESSAGE} bytes without a NUL"))
        if "\0" in request.into or request.into.startswith("-"):
            raise Invalid(("into", "is not a name of a branch"))
        caller = call.caller(convert.request_id_in(request.request_id), request)
        state, merged = await self._core.workspaces.merge(
            request.agent,
            caller,
            into=request.into,
            mode=_MODES[request.mode],
            message=request.message,
            live=request.live,
        )
        return pb.MergeWorkspaceResponse(
            agent=state.id,
            kind=merged.kind,
            into=merged.into,
            before=merged.before,
            commit=merged.commit,
            uncommitted=merged.included_uncommitted,
            left_out=[_text(item) for item in merged.left_out],
        )

    async def SnapshotWorkspace(self, request: pb.SnapshotWorkspaceRequest, call: Call) -> pb.SnapshotWorkspaceResponse:
        """Keep all of its files."""
        caller = call.caller(convert.request_id_in(request.request_id), request)
        state, taken = await self._core.workspaces.snapshot(request.agent, caller, convert.note_in(request.note))
        return pb.SnapshotWorkspaceResponse(
            agent=state.id,
            repository=taken.repository,
            ref=taken.ref,
            commit=taken.commit,
            files=taken.files,
            note=taken.note,
        )

    async def GetWorkspaceSnapshots(
        self, request: pb.GetWorkspaceSnapshotsRequest, call: Call
    ) -> pb.GetWorkspaceSnapshotsResponse:
        """What was kept of it."""
        state, found = await self._core.workspaces.snapshots(request.agent)
        assert state.workspace is not None
        return pb.GetWorkspaceSnapshotsResponse(
            agent=state.id,
            repository=state.workspace.plan.git_dir,
            snapshots=[
                pb.WorkspaceSnapshot(
                    number=each.kept.number,
                    ref=each.kept.ref,
                    commit=each.kept.commit,
                    create_time=convert.timestamp(each.kept.taken_s * 1_000_000),
                    note=each.kept.why,
                    turn=each.turn,
                    native_session=each.native_session,
                    seq=each.seq,
                )
                for each in found
            ],
        )

    async def RestoreWorkspace(self, request: pb.RestoreWorkspaceRequest, call: Call) -> pb.RestoreWorkspaceResponse:
        """Put its files back."""
        caller = call.caller(convert.request_id_in(request.request_id), request)
        state, done = await self._core.workspaces.restore(request.agent, caller, request.number)
        return pb.RestoreWorkspaceResponse(
            agent=state.id,
            number=done.number,
            ref=done.ref,
            commit=done.commit,
            files=done.files,
            turn=done.turn,
            kept=done.kept,
        )

    async def GetOverlaps(self, request: pb.GetOverlapsRequest, call: Call) -> pb.GetOverlapsResponse:
        """Files that two have changed."""
        agent = self._core.agents.resolve(request.agent) if request.agent else ""
        return pb.GetOverlapsResponse(overlaps=_overlaps(await self._core.workspaces.overlaps.found(agent)))


def _change(change: Change) -> pb.FileChange:
    return pb.FileChange(
        path=_text(change.path),
        status=change.status,
        old_path=_text(change.old_path),
        added=change.added,
        removed=change.removed,
    )


def _overlaps(found: Iterable[Overlap]) -> list[pb.Overlap]:
    return [
        pb.Overlap(
            agents=item.agents,
            names=item.names,
            repository=item.repository,
            paths=[_text(path) for path in item.paths[:_MAX_FILES]],
        )
        for item in found
    ]


def _text(path: str) -> str:
    """A path as a text that may be sent: bytes that are none are replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
