"""What a reader wants of the journal: a compiled filter, index terms that find it, a key to share work by."""

from collections.abc import Callable, Mapping
from typing import Final

from kaged.domain.filter import EVENTS, Everything, Node, bounds, compile_filter, parse, required
from kaged.domain.filter.schema import Value
from kaged.domain.filter.tree import And, Compare, Match, Or
from kaged.store.rows.keys import AGENT, STREAM, TAG, TYPE
from kaged.store.wire.entry import Entry

_MAX_ALTERNATIVES: Final = 64
FIRST_AGENT_ACTOR: Final = 16


def actor_word(actor: int) -> str:
    """An actor number as a filter and a person see it: `daemon`, `owner`, `agent:1`."""
    if actor >= FIRST_AGENT_ACTOR:
        return f"agent:{actor - FIRST_AGENT_ACTOR + 1}"
    return {0: "nobody", 1: "daemon", 2: "owner"}.get(actor, f"actor:{actor}")


def _tags(entry: Entry) -> Mapping[str, str]:
    return dict([tag.split("=", 1) for tag in entry.shape.tags])


def _dashed(raw: bytes) -> str:
    text = raw.hex()  # not the module `uuid`: it is dear to import, and slower
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_ACCESSORS: Final[dict[str, Callable[[Entry], Value]]] = {
    "seq": lambda entry: entry.seq,
    "revision": lambda entry: entry.revision,
    "recorded": lambda entry: entry.recorded_us,
    "occurred": lambda entry: entry.occurred_us,
    "stream": lambda entry: entry.shape.stream,
    "type": lambda entry: entry.shape.type,
    "agent": lambda entry: entry.shape.agent,
    "run": lambda entry: entry.shape.run,
    "actor": lambda entry: actor_word(entry.actor),
    "id": lambda entry: _dashed(entry.id),
    "correlation": lambda entry: entry.shape.correlation,
    "causation": lambda entry: _dashed(entry.shape.causation) if entry.shape.causation else "",
    "tags": _tags,
}


class Selection:
    """A compiled filter. Two with the same `key` choose the same events in the same form."""

    def __init__(self, node: Node, *, head_only: bool = False) -> None:
        self.node = node
        self.head_only = head_only
        self.key = (str(node), head_only)
        self.everything = isinstance(node, Everything)
        self.matches: Callable[[Entry], bool] = compile_filter(node, _ACCESSORS)
        self.terms = _terms(node)
        self.exact = _exact(node)  # the index alone tells what matches
        self.seqs = bounds(node, "seq")
        self.recorded = bounds(node, "recorded")


def select(text: str, *, now_us: int, stream: str = "", head_only: bool = False) -> Selection:
    """Compile a filter's text; `stream` narrows it to one stream. Raises Invalid."""
    if stream:
        quoted = '"' + stream.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*") + '"'
        text = f"({text}) AND stream = {quoted}" if text.strip() else f"stream = {quoted}"
    return Selection(parse(text, EVENTS, now_us=now_us), head_only=head_only)


def _terms(node: Node) -> tuple[tuple[bytes, str, bool], ...]:
    """Index terms of which any match must have one: (kind, text, is prefix); empty when no index helps."""
    tags = [(TAG, "tags", key) for key in sorted(_tag_keys(node))]
    for kind, field, key in ((STREAM, "stream", None), (AGENT, "agent", None), *tags, (TYPE, "type", None)):
        needs = required(node, field, key)
        if not needs or len(needs) > _MAX_ALTERNATIVES:
            continue
        if all(not need.prefix or kind == TYPE for need in needs):
            start = "" if key is None else f"{key}="
            return tuple(sorted((kind, start + need.text, need.prefix) for need in needs))
    return ()


def _exact(node: Node) -> bool:
    match node:
        case Compare(field="stream" | "agent" | "type", operator="=", value=str() as text):
            return bool(text)  # what is unset is not in the index
        case Match(field="type", shape="prefix"):
            return True
        case _:
            return False  # tags too: of two with one key the index has both, a filter sees the last


def _tag_keys(node: Node) -> set[str]:
    match node:
        case And(terms=terms) | Or(terms=terms):
            return set().union(*map(_tag_keys, terms))
        case Compare(field="tags", key=str() as key):
            return {key}
        case _:
            return set()


__all__ = ["FIRST_AGENT_ACTOR", "TAG", "Selection", "actor_word", "select"]
