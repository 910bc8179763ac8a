"""What the commands about approvals ask the daemon for: open questions, and who asks."""

from collections.abc import Iterable, Iterator

from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods import approvals as methods
from kagectl.client.methods.agents import GET_AGENT
from kaged.api.v1 import agent_service_pb2
from kaged.api.v1 import approval_service_pb2 as pb


def every(client: Line, *, agent: str = "", answered: bool = False) -> Iterator[pb.Approval]:
    """Approvals, newest first, however many; `answered`: also those that are not open."""
    request = pb.ListApprovalsRequest(page_size=1000, agent=agent, show_answered=answered)
    while True:
        page = client.call(methods.LIST_APPROVALS, request)
        yield from page.approvals
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def agents_of(client: Line, ids: Iterable[str]) -> dict[str, agent_service_pb2.Agent]:
    """Agents by id; one that is gone is left out."""
    found: dict[str, agent_service_pb2.Agent] = {}
    for agent in dict.fromkeys(ids):
        try:
            found[agent] = client.call(GET_AGENT, agent_service_pb2.GetAgentRequest(agent=agent)).agent
        except ClientError:
            continue  # its id says enough
    return found
