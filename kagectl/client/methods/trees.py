"""Supervision trees. Methods of SupervisorService."""

from kagectl.client.methods import Unary
from kaged.api.v1 import supervisor_service_pb2 as pb

APPLY_TREE = Unary("SupervisorService/ApplyTree", pb.ApplyTreeRequest, pb.ApplyTreeResponse)
GET_TREE = Unary("SupervisorService/GetTree", pb.GetTreeRequest, pb.GetTreeResponse)
LIST_TREES = Unary("SupervisorService/ListTrees", pb.ListTreesRequest, pb.ListTreesResponse)
STOP_TREE = Unary("SupervisorService/StopTree", pb.StopTreeRequest, pb.StopTreeResponse)
DELETE_TREE = Unary("SupervisorService/DeleteTree", pb.DeleteTreeRequest, pb.DeleteTreeResponse)
RESTART_CHILD = Unary("SupervisorService/RestartChild", pb.RestartChildRequest, pb.RestartChildResponse)
TERMINATE_CHILD = Unary("SupervisorService/TerminateChild", pb.TerminateChildRequest, pb.TerminateChildResponse)
DELETE_CHILD = Unary("SupervisorService/DeleteChild", pb.DeleteChildRequest, pb.DeleteChildResponse)
