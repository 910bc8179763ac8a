"""Waiting for an agent, however long: one call is bounded by the daemon, the wait is not."""

from collections.abc import Sequence

from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods.agents import WAIT_AGENT
from kaged.api.v1 import agent_service_pb2 as pb


def wait_for(client: Line, agent: str, *, timeout_s: float | None, states: Sequence[pb.AgentState] = ()) -> pb.Agent:
    """The agent once it is in one of `states` (none: has ended). `timeout_s` None or 0: for ever."""
    request = pb.WaitAgentRequest(agent=agent, states=states)
    while True:
        try:
            return client.call(WAIT_AGENT, request, timeout_s=timeout_s or 0).agent
        except ClientError as error:
            if timeout_s or error.code != "DEADLINE_EXCEEDED":
                raise
