"""Waiting for an agent, however long: one call is bounded by the daemon, the wait is not."""

import threading
from collections.abc import Mapping, Sequence
from typing import Final

from kagectl import show
from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods.agents import WAIT_AGENT
from kagectl.render.paint import safe
from kagectl.render.progress import why_paused
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


def tell_pauses(client: Line, agent: str, done: threading.Event) -> None:
    """Until it has ended or `done`: say on standard error when it is held and needs a person. In a thread."""
    while not done.is_set():
        try:
            found = wait_for(client, agent, timeout_s=None, states=[pb.AGENT_STATE_PAUSED])
            show.note(f"kagectl: {safe(found.name)} is paused: {why_paused(found, show.now_s())} — {_way_on(found)}")
            wait_for(client, agent, timeout_s=None, states=[pb.AGENT_STATE_RUNNING, pb.AGENT_STATE_STARTING])
        except ClientError:
            return  # it has ended, or the daemon has: who follows its output hears of that


def _way_on(agent: pb.Agent) -> str:
    more = _MORE.get(agent.progress.limit, "") if agent.progress.paused_for == "limit" else ""
    return f"kagectl agent resume {safe(agent.name)}{more}"


_MORE: Final[Mapping[str, str]] = {
    "iterations": " --add-iterations 5",
    "tokens": " --add-tokens 100k",
    "cost": " --add-cost 1usd",
    "time": " --add-time 1h",
}
