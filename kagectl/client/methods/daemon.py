"""The daemon itself. Methods of DaemonService."""

from kagectl.client.methods import Stream, Unary
from kaged.api.v1 import daemon_service_pb2 as pb

GET_STATUS = Unary("DaemonService/GetStatus", pb.GetStatusRequest, pb.GetStatusResponse)
GET_STATS = Unary("DaemonService/GetStats", pb.GetStatsRequest, pb.GetStatsResponse)
RELOAD = Unary("DaemonService/Reload", pb.ReloadRequest, pb.ReloadResponse)
SHUTDOWN = Unary("DaemonService/Shutdown", pb.ShutdownRequest, pb.ShutdownResponse)
WATCH_STATUS = Stream("DaemonService/WatchStatus", pb.WatchStatusRequest, pb.WatchStatusResponse)
