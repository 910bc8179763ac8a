"""The places where agents work. Methods of WorkspaceService."""

from kagectl.client.methods import Unary
from kaged.api.v1 import workspace_service_pb2 as pb

DIFF_WORKSPACE = Unary("WorkspaceService/DiffWorkspace", pb.DiffWorkspaceRequest, pb.DiffWorkspaceResponse)
MERGE_WORKSPACE = Unary("WorkspaceService/MergeWorkspace", pb.MergeWorkspaceRequest, pb.MergeWorkspaceResponse)
SNAPSHOT_WORKSPACE = Unary(
    "WorkspaceService/SnapshotWorkspace", pb.SnapshotWorkspaceRequest, pb.SnapshotWorkspaceResponse
)
LIST_OVERLAPS = Unary("WorkspaceService/ListOverlaps", pb.ListOverlapsRequest, pb.ListOverlapsResponse)
