"""Filters over lists and streams: the AIP-160 subset of docs/filters.md.

tree = parse('type = "agent.*" AND recorded > 5m', EVENTS, now_us=now_us)
matches = compile_filter(tree, accessors)      # once per distinct str(tree)
required(tree, "type"), bounds(tree, "seq")    # where to look
"""

from kaged.domain.filter.evaluate import Accessors, Predicate, compile_filter, evaluate
from kaged.domain.filter.parser import MAX_BYTES, MAX_DEPTH, MAX_TERMS, parse
from kaged.domain.filter.planning import Bounds, Need, bounds, required
from kaged.domain.filter.schema import Field, Schema, Value, schema
from kaged.domain.filter.schemas import AGENT_STATES, AGENTS, EVENTS
from kaged.domain.filter.tree import Everything, Node, fields_of

__all__ = [
    "AGENTS",
    "AGENT_STATES",
    "EVENTS",
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_TERMS",
    "Accessors",
    "Bounds",
    "Everything",
    "Field",
    "Need",
    "Node",
    "Predicate",
    "Schema",
    "Value",
    "bounds",
    "compile_filter",
    "evaluate",
    "fields_of",
    "parse",
    "required",
    "schema",
]
