"""The places where agents work. Methods of WorkspaceService."""

from kagectl.client.methods import Unary
from kaged.api.v1 import workspace_service_pb2 as pb

GET_WORKSPACE_DIFF = Unary("WorkspaceService/GetWorkspaceDiff", pb.GetWorkspaceDiffRequest, pb.GetWorkspaceDiffResponse)
MERGE_WORKSPACE = Unary("WorkspaceService/MergeWorkspace", pb.MergeWorkspaceRequest, pb.MergeWorkspaceResponse)
SNAPSHOT_WORKSPACE = Unary(
    "WorkspaceService/SnapshotWorkspace", pb.SnapshotWorkspaceRequest, pb.SnapshotWorkspaceResponse
)
GET_WORKSPACE_SNAPSHOTS = Unary(
    "WorkspaceService/GetWorkspaceSnapshots", pb.GetWorkspaceSnapshotsRequest, pb.GetWorkspaceSnapshotsResponse
)
RESTORE_WORKSPACE = Unary("WorkspaceService/RestoreWorkspace", pb.RestoreWorkspaceRequest, pb.RestoreWorkspaceResponse)
GET_OVERLAPS = Unary("WorkspaceService/GetOverlaps", pb.GetOverlapsRequest, pb.GetOverlapsResponse)
