"""Checks a store against its own hashes, and names what does not fit. Reads only; works on a closed journal too.

For each event of the range: its leaf is recomputed from the stored bytes and compared with `audit`; its position,
revision and time follow those before; its id is there once. For each full segment: the root and the index rows are
those of its events. What cannot be seen: a whole store that was replaced together with its hashes. For that, keep
a signed root elsewhere and ask for a consistency proof (`proofs`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from google.protobuf.message import DecodeError

from kaged.api.v1 import event_pb2
from kaged.domain.frozen import frozen
from kaged.store.derived.rebuild import segment_rows
from kaged.store.log.identities import load_bucket
from kaged.store.log.merkle import Frontier, RangeRoot, root_of
from kaged.store.rows.keys import (
    SEGMENT,
    Family,
    id_bucket,
    leaves_row,
    pack_seq,
    root_row,
    sealed_row,
    segment_of,
    segment_start,
    unpack_seq,
)
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.wire.door import leaf_of, reread
from kaged.store.wire.entry import Entry
from kaged.store.wire.record import field_content, split

_MAX_FINDINGS: Final = 1000

Kind = Literal["event", "hash", "order", "identity", "index"]


@frozen
class Finding:
    """One thing that does not fit. `index` is mended by `kaged reindex`; the others need a backup."""

    seq: int
    kind: Kind
    what: str


@dataclass(slots=True, kw_only=True)
class Report:
    """What `verify` saw. `root` is over all hashes from the first to the last seq of the store."""

    from_seq: int
    to_seq: int
    events: int = 0
    findings: list[Finding] = field(default_factory=list)
    root: bytes = b""

    @property
    def good(self) -> bool:
        """Nothing was found."""
        return not self.findings

    def add(self, seq: int, kind: Kind, what: str) -> None:
        """Note a finding; only the first thousand are kept."""
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(Finding(seq=seq, kind=kind, what=what))


def verify(
    store: KeyValue, from_seq: int = 1, to_seq: int | None = None, *, progress: Callable[[int], None] | None = None
) -> Report:
    """Check the events of a range (both ends included); `progress` hears of the last seq of each segment.

    Some 15 us an event, at most one segment in memory. Raises StoreCorrupt when the files cannot be read.
    """
    last = store.scan("events", b"\xff" * 8, limit=1, reverse=True)
    head = unpack_seq(last[0][0]) if last else 0
    first_seq = int(store.get("meta", b"first_seq") or b"1")
    report = Report(from_seq=max(from_seq, first_seq), to_seq=head if to_seq is None else min(to_seq, head))
    before = _Order()
    for segment in range(segment_of(report.from_seq), segment_of(max(1, report.to_seq)) + 1):
        _check_segment(store, segment, head, report, before)
        if progress is not None:
            progress(min(segment_start(segment + 1) - 1, report.to_seq))
    _check_identities(store, report)
    report.root = _root(store, head)
    return report


class _Order:
    """What the next event must follow."""

    def __init__(self) -> None:
        self.recorded_us = 0
        self.skipped = 0  # events whose stream is not known: each may explain one missing revision
        self.revisions: dict[str, int] = {}


def _check_segment(store: KeyValue, segment: int, head: int, report: Report, before: _Order) -> None:
    start = segment_start(segment)
    first, end = max(start, report.from_seq), min(start + SEGMENT, report.to_seq + 1)
    sealed = start + SEGMENT <= head + 1
    hashes = _hashes(store, segment, sealed=sealed)
    stored = dict(store.scan("events", pack_seq(first), limit=max(0, end - first)))
    fresh: dict[int, bytes] = {}
    entries: list[Entry] = []
    for seq in range(first, end):
        framed = stored.get(pack_seq(seq))
        if framed is None:
            report.add(seq, "event", "is missing")
            before.skipped += 1
            continue
        report.events += 1
        try:
            fresh[seq] = leaf_of(framed)
            entry = reread(framed)
            entry.leaf = fresh[seq]
            _check_redaction(framed)
        except (ValueError, DecodeError) as error:
            report.add(seq, "event", f"cannot be read: {error}")
            fresh.pop(seq, None)
            before.skipped += 1
            continue
        if seq not in hashes:
            report.add(seq, "hash", "has no hash")
        elif hashes[seq] != fresh[seq]:  # named below; what it says is not to be trusted
            before.skipped += 1
            continue
        entries.append(entry)
        _check_order(seq, entry, report, before)
    wrong = [seq for seq, leaf in fresh.items() if seq in hashes and hashes[seq] != leaf]
    if sealed:
        _blame_sealed(store, segment, hashes, fresh, wrong, report)
        if not wrong and len(entries) == SEGMENT:
            _check_rows(store, segment, entries, report)
    else:
        for seq in wrong:
            report.add(seq, "event", "does not fit its hash")


def _hashes(store: KeyValue, segment: int, *, sealed: bool) -> dict[int, bytes]:
    start = segment_start(segment)
    if sealed:
        rows = [(start, store.get("audit", sealed_row(segment)) or b"")]
    else:
        found = store.scan("audit", leaves_row(start), prefix=b"L", limit=SEGMENT)
        rows = [(unpack_seq(key[1:]), value) for key, value in found]
    return {
        seq + at: value[at * 32 : at * 32 + 32]
        for seq, value in rows
        for at in range(len(value) // 32)
        if segment_of(seq + at) == segment
    }


def _check_redaction(framed: bytes) -> None:
    redaction = split(framed).redaction
    if redaction:
        gone = event_pb2.Redaction.FromString(field_content(redaction))
        known = event_pb2.RedactionReason.values()
        if len(gone.body_sha256) != 32 or gone.reason not in known[1:] or not gone.body_bytes:
            raise ValueError("its redaction is damaged")


def _check_order(seq: int, entry: Entry, report: Report, before: _Order) -> None:
    if entry.seq != seq:
        report.add(seq, "order", f"says it is {entry.seq}")
    if entry.recorded_us < before.recorded_us:
        report.add(seq, "order", "was recorded before the event before it")
    before.recorded_us = entry.recorded_us
    known = before.revisions.get(entry.stream)
    if known is None and report.from_seq == 1:
        known = 0
    if known is not None and not 0 <= entry.revision - known - 1 <= before.skipped:
        report.add(seq, "order", f"has revision {entry.revision} of {entry.stream!r} after {known}")
    before.revisions[entry.stream] = entry.revision


def _blame_sealed(
    store: KeyValue,
    segment: int,
    hashes: dict[int, bytes],
    fresh: dict[int, bytes],
    wrong: list[int],
    report: Report,
) -> None:
    """The segment's root tells whether an event or its hash was changed."""
    start = segment_start(segment)
    seqs = range(start, start + SEGMENT)
    root = store.get("audit", root_row(segment))
    if len(hashes) == SEGMENT and root == root_of([hashes[seq] for seq in seqs]):
        for seq in wrong:
            report.add(seq, "event", "does not fit its hash")
        return
    mended = [fresh.get(seq, hashes.get(seq, b"")) for seq in seqs]
    if root == root_of(mended):
        for seq in wrong or [seq for seq in seqs if seq not in hashes]:
            report.add(seq, "hash", "was changed; the event fits the root of its segment")
        return
    if not wrong:
        report.add(start, "hash", f"the root over the {SEGMENT} events from here is missing or was changed")
    for seq in wrong:
        report.add(seq, "event", "does not fit its hash, and neither fits the root of the segment")


def _check_rows(store: KeyValue, segment: int, entries: list[Entry], report: Report) -> None:
    families: tuple[Family, ...] = ("index", "ids")
    for family, key, value in segment_rows(segment, entries):
        if family in families and store.get(family, key) != value:
            report.add(entries[0].seq, "index", f"the {family} row {key!r} is missing or was changed")


def _check_identities(store: KeyValue, report: Report) -> None:
    inside = range(report.from_seq, report.to_seq + 1)
    for bucket, rows in _buckets(store):
        seen: dict[bytes, int] = {}
        for event_id, seq in rows:
            other = seen.setdefault(event_id, seq)
            if other != seq and (seq in inside or other in inside):
                report.add(seq, "identity", f"has the id of event {other}: {event_id.hex()} ({bucket})")
    last = store.scan("events", b"\xff" * 8, limit=1, reverse=True)
    head = unpack_seq(last[0][0]) if last else 0
    fresh: dict[bytes, int] = {}
    for framed in store.values("events", pack_seq(segment_start(segment_of(head + 1))), SEGMENT):
        try:
            entry = reread(framed)
        except (ValueError, DecodeError):
            continue
        other = fresh.setdefault(entry.id, entry.seq)
        if other == entry.seq:
            other = load_bucket(store, id_bucket(entry.id)).get(entry.id, entry.seq)
        if other != entry.seq and entry.seq in inside:
            report.add(entry.seq, "identity", f"has the id of event {other}: {entry.id.hex()}")


def _buckets(store: KeyValue) -> Iterator[tuple[int, list[tuple[bytes, int]]]]:
    """All sealed ids, one time bucket after the other."""
    bucket, held = -1, list[tuple[bytes, int]]()
    start = b""
    while True:
        rows = store.scan("ids", start, limit=256)
        for key, value in rows:
            if int.from_bytes(key[:6], "big") != bucket:
                if held:
                    yield bucket, held
                bucket, held = int.from_bytes(key[:6], "big"), []
            first = segment_start(int.from_bytes(key[6:], "big"))
            held += [
                (value[at : at + 16], first + int.from_bytes(value[at + 16 : at + 18], "big"))
                for at in range(0, len(value) - 17, 18)
            ]
        if len(rows) < 256:
            if held:
                yield bucket, held
            return
        start = rows[-1][0] + b"\0"


# --- roots and proofs ----------------------------------------------------------------------------------------------


def stored_roots(store: KeyValue, head: int) -> RangeRoot:
    """Range roots of a whole store up to `head`: from the roots of segments, and leaves where a range cuts one.

    Pass it to `merkle.inclusion_proof` and `merkle.consistency_proof`; event `seq` is leaf `seq - 1`.
    """

    def root(start: int, end: int) -> bytes:
        frontier = Frontier()
        while start < end:
            segment, offset = divmod(start, SEGMENT)
            if not offset and start + SEGMENT <= end:
                frontier.append_subtree(store.get("audit", root_row(segment)) or b"", SEGMENT)
                start += SEGMENT
                continue
            hashes = _hashes(store, segment, sealed=(segment + 1) * SEGMENT <= head)
            stop = min(end, (segment + 1) * SEGMENT)
            for at in range(start, stop):
                frontier.append(hashes.get(at + 1, b""))
            start = stop
        return frontier.root()

    return root


def _root(store: KeyValue, head: int) -> bytes:
    return stored_roots(store, head)(0, head)
