"""Facts of trees as messages: the same shape for all, the rest as JSON."""

import json
from typing import Final

from kaged.api.v1 import fact_pb2
from kaged.domain.events import tree as tree_facts
from kaged.domain.events.every import DomainEvent
from kaged.domain.plain import from_json, to_plain

_COMMON: Final = ("tree", "path", "at_us")
_KINDS: Final[dict[str, type[tree_facts.TreeEvent]]] = {
    kind.type_name: kind for kind in tree_facts.TreeEvent.__subclasses__()
}


def encode_tree(event: tree_facts.TreeEvent) -> fact_pb2.SupervisorFact:
    """The message of a fact about a tree."""
    plain = to_plain(event)
    assert isinstance(plain, dict)
    rest = {name: value for name, value in plain.items() if name not in _COMMON}
    data = _json_text(rest) if rest else ""
    return fact_pb2.SupervisorFact(tree=event.tree, path=event.path, at_us=event.at_us, data_json=data)


def decode_tree(name: str, fact: fact_pb2.SupervisorFact) -> DomainEvent | None:
    """The fact of a type, or None when it is not one of ours."""
    kind = _KINDS.get(name)
    if kind is None:
        return None
    common = _json_text({"tree": fact.tree, "path": fact.path, "at_us": fact.at_us})
    joined = common[:-1] + ("," + fact.data_json[1:] if fact.data_json else "}")
    event: DomainEvent = from_json(kind, joined.encode())  # type: ignore[assignment]  # subclasses of TreeEvent are Event
    return event


def _json_text(value: object) -> str:
    """Canonical JSON of a plain value."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
