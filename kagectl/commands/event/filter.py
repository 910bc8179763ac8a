"""The options that choose events, and the filter text they make (docs/filters.md)."""

from collections.abc import Callable
from typing import TypeVar

import click

from kagectl.client.line import Line
from kagectl.client.methods.agents import GET_AGENT
from kaged.api.v1 import agent_service_pb2

F = TypeVar("F", bound=Callable[..., object])


def filter_options(function: F) -> F:
    """Add --filter, --type, --stream, --agent."""
    for option in reversed(
        (
            click.option("--filter", "filter_", metavar="TEXT", default="", help="Only those that match."),
            click.option(
                "--type",
                "types",
                metavar="TYPE",
                multiple=True,
                help="agent.spawned, agent.* or just agent for the family; may be repeated.",
            ),
            click.option("--stream", "streams", metavar="STREAM", multiple=True, help="notes/build or notes/*."),
            click.option("--agent", "agents", metavar="AGENT", multiple=True, help="Only about this agent."),
        )
    ):
        function = option(function)
    return function


def filter_text(
    client: Line, filter_: str, types: tuple[str, ...], streams: tuple[str, ...], agents: tuple[str, ...]
) -> str:
    """One filter that says it all. Asks the daemon for the ids of agents given by name."""
    ids = []
    for name in agents:
        request = agent_service_pb2.GetAgentRequest(agent=name)
        ids.append(client.call(GET_AGENT, request).agent.id)
    families = [kind if "." in kind or "*" in kind else f"{kind}.*" for kind in types]
    parts = [f"({filter_})"] if filter_.strip() else []
    parts += [either("type", families), either("stream", streams), either("agent", ids)]
    return " AND ".join(part for part in parts if part)


def either(name: str, values: list[str] | tuple[str, ...]) -> str:
    """`(name = "a" OR name = "b")`; empty for none."""
    terms = [f"{name} = {quoted(value)}" for value in values]
    return f"({' OR '.join(terms)})" if len(terms) > 1 else "".join(terms)


def quoted(value: str) -> str:
    """A text as the filter language writes it; a star keeps its meaning."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
