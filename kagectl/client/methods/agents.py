"""Spawn, watch, stop and talk to agents. Methods of AgentService."""

from kagectl.client.methods import Stream, Unary
from kaged.api.v1 import agent_service_pb2 as pb

SPAWN_AGENT = Unary("AgentService/SpawnAgent", pb.SpawnAgentRequest, pb.SpawnAgentResponse)
GET_AGENT = Unary("AgentService/GetAgent", pb.GetAgentRequest, pb.GetAgentResponse)
LIST_AGENTS = Unary("AgentService/ListAgents", pb.ListAgentsRequest, pb.ListAgentsResponse)
WATCH_AGENTS = Stream("AgentService/WatchAgents", pb.WatchAgentsRequest, pb.WatchAgentsResponse)
STOP_AGENT = Unary("AgentService/StopAgent", pb.StopAgentRequest, pb.StopAgentResponse)
SIGNAL_AGENT = Unary("AgentService/SignalAgent", pb.SignalAgentRequest, pb.SignalAgentResponse)
RESTART_AGENT = Unary("AgentService/RestartAgent", pb.RestartAgentRequest, pb.RestartAgentResponse)
REMOVE_AGENT = Unary("AgentService/RemoveAgent", pb.RemoveAgentRequest, pb.RemoveAgentResponse)
SEND_INPUT = Unary("AgentService/SendInput", pb.SendInputRequest, pb.SendInputResponse)
RESIZE_TERMINAL = Unary("AgentService/ResizeTerminal", pb.ResizeTerminalRequest, pb.ResizeTerminalResponse)
STREAM_LOGS = Stream("AgentService/StreamLogs", pb.StreamLogsRequest, pb.StreamLogsResponse)
WAIT_AGENT = Unary("AgentService/WaitAgent", pb.WaitAgentRequest, pb.WaitAgentResponse)
PAUSE_AGENT = Unary("AgentService/PauseAgent", pb.PauseAgentRequest, pb.PauseAgentResponse)
RESUME_AGENT = Unary("AgentService/ResumeAgent", pb.ResumeAgentRequest, pb.ResumeAgentResponse)
