"""Takes bodies out of stored events: on request, and of bulk output after a while. Everything else stays.

A body is replaced by its hash (field 7, `Redaction`), so head, meta, leaf, root and every proof are what they were
(decisions 2 to 4: what state depends on is in `meta`). Nothing here takes an event away: cutting a prefix off needs
a baseline record, which is not built.

`redact` also makes the bytes go: the new values are synced, all memory tables written out (so the old logs are
deleted), and the tables and blob files of the range rewritten. States that were folded from the text are folded
again, so it is gone there too. It cannot reach copies: backups, exports, what a
reader has already received, and blocks that the file system has not overwritten. The caller clears the live ring
(`Feed.purge`) and the agent's own spool and run folder.

`drop_old_bulk` does a bounded step at a time and leaves the rewriting to RocksDB's own compactions.
Both are called in a thread, beside the running journal: they touch only rows that are durable already.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.domain.frozen import frozen
from kaged.store.derived.refold import WITH_TEXT, ranges_of, refold
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import Selection, select
from kaged.store.rows.keys import pack_seq, unpack_seq
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.wire.record import EMPTY_BODY, field_content, frame, payload, redaction_field, split

REQUESTED: Final = event_pb2.REDACTION_REASON_REQUESTED
RETENTION: Final = event_pb2.REDACTION_REASON_RETENTION
CURSOR: Final = b"retention_to"  # bodies of bulk events up to this seq are gone

# What agents print, think and get from their tools; never what they answered or what a person wrote or decided.
BULK_TYPES: Final = (
    *("output.chunk", "signal.garbled", "signal.log", "signal.progress", "signal.thinking", "signal.tool.finished"),
    *("signal.tool.requested", "signal.tool.started", "signal.unknown"),
)

_BATCH: Final = 256
_APART: Final = 65_536  # ranges further apart than this are rewritten one by one


@frozen
class Redacted:
    """What was taken out. `agents`: those of whose states something was taken; an engine must load them again."""

    events: int
    body_bytes: int
    agents: frozenset[str] = frozenset()


@frozen
class Step:
    """One step of retention: what it looked at, how many bodies went, whether there is more to do now."""

    first_seq: int
    last_seq: int
    bodies: int
    more: bool


def redact(
    store: KeyValue, reader: Reader, what: Iterable[int] | Selection, reason: event_pb2.RedactionReason
) -> Redacted:
    """Take the bodies of events out, by seq or by filter, and make sure that the bytes are gone from the files.

    Events without a body, or with one that is gone already, are passed over: safe to repeat. Raises
    EventNotFound and PositionTrimmed before the batch that holds the seq is written, DiskFull, StoreFailed.
    """
    seqs = _matching(reader, what) if isinstance(what, Selection) else iter(sorted(set(what)))
    events = body_bytes = 0
    agents: set[str] = set()
    ranges: list[list[int]] = []
    while some := list(islice(seqs, _BATCH)):
        batch = store.batch()
        for seq in some:
            framed = reader.get(seq)
            agents.update(_agent_of(framed))
            emptied, size = without_stored_body(framed, reason)
            if size:
                batch.put("events", pack_seq(seq), emptied)
                events, body_bytes = events + 1, body_bytes + size
            # Also those that were done: a crash may have come between the write and the rewrite of the files.
            if ranges and seq - ranges[-1][1] < _APART:
                ranges[-1][1] = seq
            else:
                ranges.append([seq, seq])
        store.write(batch)
    store.sync()
    places = [place for agent in sorted(agents) for place in _refolded(store, reader, agent)]
    erase(store, ranges)
    for first, last in places:
        store.compact("states", first, last)
    return Redacted(events=events, body_bytes=body_bytes, agents=frozenset(agents))


def _agent_of(framed: bytes) -> Iterator[str]:
    """The agent whose states keep text of an event, if any do."""
    meta = event_pb2.Event.FromString(payload(framed)).meta
    if meta.agent and meta.type in WITH_TEXT and meta.HasField("fact"):
        yield meta.agent


def _refolded(store: KeyValue, reader: Reader, agent: str) -> list[tuple[bytes, bytes]]:
    """Write an agent's states again as its events tell them now; where the rows lie."""
    rows = refold(store, reader, agent)
    keys: list[bytes] = []
    while some := list(islice(rows, _BATCH)):
        batch = store.batch()
        for key, value in some:
            batch.put("states", key, value)
            keys.append(key)
        store.write(batch)
    store.sync()
    return ranges_of(agent, keys)


def erase(store: KeyValue, ranges: Iterable[Iterable[int]]) -> None:
    """Rewrite the files that hold these ranges of seqs (ends included), so that no replaced value is left."""
    store.flush()
    for first, last in ranges:
        store.compact("events", pack_seq(first), pack_seq(last + 1))


def drop_old_bulk(
    store: KeyValue, reader: Reader, *, before_us: int, max_events: int = 1000, bulk: Selection | None = None
) -> Step:
    """One step of retention: bodies of bulk events recorded before a time.

    The cursor moves in the batch that takes the bodies out, so a crash repeats nothing and skips nothing.
    """
    selection = bulk or select(" OR ".join(f'type = "{name}"' for name in BULK_TYPES), now_us=before_us)
    noted = store.get("meta", CURSOR)
    after = unpack_seq(noted) if noted else 0
    up_to = reader.seek_time(before_us) - 1
    if after >= up_to:
        return Step(first_seq=after + 1, last_seq=after, bodies=0, more=False)
    page = reader.page(selection, after, up_to, max_events)
    batch = store.batch()
    bodies = 0
    for framed in page.frames:
        emptied, size = without_stored_body(framed, RETENTION)
        if size:
            batch.put("events", pack_seq(_seq(framed)), emptied)
            bodies += 1
    batch.put("meta", CURSOR, pack_seq(page.reached))
    store.write(batch)
    store.sync()
    return Step(first_seq=after + 1, last_seq=page.reached, bodies=bodies, more=not page.done)


def without_stored_body(framed: bytes, reason: event_pb2.RedactionReason) -> tuple[bytes, int]:
    """A stored value with its body replaced by the hash, and the size of the body; 0 when there was none."""
    head, meta, body, redaction = split(framed)
    if redaction or not body or body == EMPTY_BODY:
        return framed, 0
    size = len(field_content(body))
    gone = event_pb2.Redaction(body_sha256=sha256(body).digest(), reason=reason, body_bytes=size)
    return frame(head, meta, b"", redaction_field(gone.SerializeToString(deterministic=True))), size


def _seq(framed: bytes) -> int:
    return int.from_bytes(split(framed).head[1:9], "little")


def _matching(reader: Reader, selection: Selection) -> Iterator[int]:
    """Seqs of all that match now, page by page."""
    after, head = 0, reader.head
    while True:
        page = reader.page(selection, after, head, _BATCH)
        yield from map(_seq, page.frames)
        if page.done:
            return
        after = page.reached
