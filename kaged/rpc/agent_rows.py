"""Agents as rows of a filter."""

from collections.abc import Callable
from typing import Final

from kaged.domain.filter import Node, compile_filter
from kaged.domain.filter.schema import Value
from kaged.domain.machines.agent import AgentState

_ACCESSORS: Final[dict[str, Callable[[AgentState], Value]]] = {
    "id": lambda state: state.id,
    "name": lambda state: state.spec.name,
    "state": lambda state: state.word,
    "labels": lambda state: state.spec.labels,
    "adapter": lambda state: state.spec.adapter,
    "supervisor": lambda state: state.supervisor,
    "created": lambda state: state.created_us,
    "updated": lambda state: state.updated_us,
}


def agent_filter(node: Node) -> Callable[[AgentState], bool]:
    """A parsed filter as a function of an agent."""
    return compile_filter(node, _ACCESSORS)
