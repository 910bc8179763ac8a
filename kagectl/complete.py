"""What the shell offers after Tab: names of agents, questions and trees, asked of the daemon.

Never in the way: no daemon, no token or a slow answer give no names, within a second and without a word.
"""

import os
from collections.abc import Iterable
from typing import TypeVar

import click
from click.shell_completion import CompletionItem
from google.protobuf.message import Message

from kagectl.client.address import find_address
from kagectl.client.failures import ClientError
from kagectl.client.methods import Unary
from kagectl.client.methods.agents import LIST_AGENTS
from kagectl.client.methods.approvals import LIST_APPROVALS
from kagectl.client.methods.trees import LIST_TREES
from kagectl.client.quick import QuickClient
from kagectl.render.agents import state_word
from kagectl.render.paint import safe
from kagectl.session import Session
from kaged.api.v1 import agent_service_pb2, approval_service_pb2, supervisor_service_pb2

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

_WITHIN_S = 1.0


def names(kind: str, context: click.Context, begun: str) -> list[CompletionItem]:
    """What begins with `begun`: `agents` by name, `approvals` by id, `trees` by name, each with a word on it."""
    try:
        match kind:
            case "agents":
                request = agent_service_pb2.ListAgentsRequest(page_size=1000, show_ended=True)
                answer = _ask(context, LIST_AGENTS, request)
                return _offer(begun, ((agent.name, state_word(agent)) for agent in answer.agents))
            case "approvals":
                open_ones = _ask(context, LIST_APPROVALS, approval_service_pb2.ListApprovalsRequest(page_size=1000))
                return _offer(begun, ((each.id, each.title) for each in open_ones.approvals))
            case "trees":
                all_trees = _ask(context, LIST_TREES, supervisor_service_pb2.ListTreesRequest(page_size=1000))
                return _offer(begun, ((tree.name, tree.phase) for tree in all_trees.trees))
            case _:
                raise AssertionError(kind)
    except ClientError:
        return []


def _ask(context: click.Context, method: Unary[Q, A], request: Q) -> A:
    session = context.find_object(Session)
    address = find_address(session.socket if session else None, env=os.environ)
    with QuickClient(address, timeout_s=_WITHIN_S) as client:
        return client.call(method, request)


def _offer(begun: str, found: Iterable[tuple[str, str]]) -> list[CompletionItem]:
    return [CompletionItem(name, help=safe(about)) for name, about in found if name.startswith(begun)]
