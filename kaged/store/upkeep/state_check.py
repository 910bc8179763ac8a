"""Stored states against the facts, folded again: phases, restart counters, usage, trees, questions, what lives.

Each row is read back where the fold would write it and compared by its meaning, so that a field that a newer release
added makes no difference. What differs is derived, and `kaged reindex` makes it again. One pass, the live world in
memory; some 100 us an event that is a fact. Nothing is written.
"""

from collections.abc import Callable, Iterator
from typing import Final

from google.protobuf.message import DecodeError

from kaged.api.v1 import event_pb2
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.approval import ApprovalState
from kaged.domain.machines.tree import state_from_json
from kaged.domain.plain import from_json
from kaged.store.derived.states_rebuild import StateRebuilder
from kaged.store.derived.views import LIVE
from kaged.store.rows.keys import AGENT_STATE, APPROVAL_STATE, TREE_KNOWN, TREE_LIVE, TREE_STATE, pack_seq, unpack_seq
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.upkeep.integrity import Report
from kaged.store.wire.door import reread
from kaged.store.wire.record import payload

_PAGE: Final = 512
_PAGE_BYTES: Final = 8 << 20
_LISTS: Final = (LIVE, TREE_KNOWN, TREE_LIVE)  # rows that come and go; the others stay as they were written
_Meaning = Callable[[bytes], object]


def check_states(store: KeyValue, report: Report) -> None:
    """Add to the report what differs. Not when events are damaged or cut off: states of lost facts cannot be told."""
    if report.from_seq != 1 or any(finding.kind != "index" for finding in report.findings):
        return
    rebuilder = StateRebuilder(store)
    listed: dict[bytes, set[bytes]] = {kind: set() for kind in _LISTS}
    for seq, framed in _frames(store, report.to_seq):
        try:
            rows = list(rebuilder.rows(reread(framed), event_pb2.Event.FromString(payload(framed))))
        except DecodeError:
            return
        except (ValueError, KeyError, TypeError, AssertionError, AttributeError) as error:
            report.add(seq, "order", f"does not follow from the facts before it: {type(error).__name__}: {error}")
            return
        for family, key, value in rows:
            if family != "states":
                continue  # answers to requests are forgotten after a while
            if key[:1] in listed:
                (listed[key[:1]].discard if value is None else listed[key[:1]].add)(key)
            elif value is not None and not _same(key, value, store.get("states", key)):
                report.add(seq, "index", f"the state {_name(key)} as of this event is missing or another one")
    for kind, wanted in listed.items():
        if set(_keys(store, kind)) != wanted:
            report.add(report.to_seq, "index", f"the list {kind.decode()!r} of what lives is another one")


def _same(key: bytes, wanted: bytes, found: bytes | None) -> bool:
    if found is None or found == wanted:
        return found is not None
    meaning = _MEANINGS.get(key[:1])
    if meaning is None:
        return False
    try:
        return meaning(found) == meaning(wanted)
    except (ValueError, KeyError, TypeError):
        return False


_MEANINGS: Final[dict[bytes, _Meaning]] = {
    AGENT_STATE: lambda data: from_json(AgentState, data),
    APPROVAL_STATE: lambda data: from_json(ApprovalState, data),
    TREE_STATE: lambda data: state_from_json(data.decode()),
}


def _name(key: bytes) -> str:
    return key[1:].partition(b"\0")[0].decode("utf-8", "replace")


def _keys(store: KeyValue, prefix: bytes) -> Iterator[bytes]:
    start = prefix
    while rows := store.scan("states", start, prefix=prefix, limit=_PAGE):
        yield from (key for key, _ in rows)
        start = rows[-1][0] + b"\0"


def _frames(store: KeyValue, last: int) -> Iterator[tuple[int, bytes]]:
    seq = 1
    while seq <= last:
        rows = store.scan("events", pack_seq(seq), limit=min(_PAGE, last - seq + 1), max_bytes=_PAGE_BYTES)
        if not rows:
            return
        for key, value in rows:
            seq = unpack_seq(key)
            yield seq, value
        seq += 1
