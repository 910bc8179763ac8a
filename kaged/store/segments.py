"""Indexes in segments of 1024 events: which stream, type, agent, tag and id stands where.

A segment's rows are a pure function of its events, written once, in the commit that fills it. So they are the
same bytes whether they were made live, after a crash or by `kaged reindex`. The unsealed rest (at most one
segment and what is in flight) is in memory and read again at start.

    postings = [first revision u64, streams only], width u8, first offset u16, deltas (u8 or u16 each)
"""

from array import array
from collections.abc import Iterable
from itertools import pairwise
from struct import Struct
from typing import Final

from kaged.store.keys import (
    AGENT,
    SEGMENT,
    STREAM,
    TAG,
    TYPE,
    id_bucket,
    id_row,
    index_row,
    sealed_row,
    segment_start,
    term,
)
from kaged.store.keyvalue import Batch
from kaged.store.merkle import root_of

_REVISION: Final = Struct("<Q")
_START: Final = Struct("<BH")
ID_ROW_BYTES: Final = 18


class Entry:
    """What the journal remembers of one event while it is fresh. Made by the journal only."""

    __slots__ = (
        "actor",
        "agent",
        "body",
        "causation",
        "correlation",
        "id",
        "leaf",
        "meta",
        "occurred_us",
        "recorded_us",
        "revision",
        "run",
        "seq",
        "stream",
        "tags",
        "type",
    )  # fmt: skip

    seq: int
    recorded_us: int
    revision: int
    actor: int
    meta: bytes
    body: bytes
    leaf: bytes
    id: bytes
    stream: str
    type: str
    agent: str
    run: str
    tags: tuple[str, ...]
    occurred_us: int
    correlation: str
    causation: bytes


def encode_postings(offsets: list[int], first_revision: int | None = None) -> bytes:
    """Offsets within a segment, rising, as bytes."""
    deltas = [after - before for before, after in pairwise(offsets)]
    head = b"" if first_revision is None else _REVISION.pack(first_revision)
    if not deltas or max(deltas) < 256:
        return head + _START.pack(1, offsets[0]) + bytes(deltas)
    return head + _START.pack(2, offsets[0]) + array("H", deltas).tobytes()


def decode_postings(value: bytes, segment: int, *, stream: bool = False) -> tuple[list[int], int]:
    """Seqs of a posting row, and its first revision (0 when it is not a stream's)."""
    revision = _REVISION.unpack_from(value)[0] if stream else 0
    at = 8 if stream else 0
    width, offset = _START.unpack_from(value, at)
    rest = value[at + 3 :]
    deltas: Iterable[int] = rest if width == 1 else array("H", rest)
    seq = segment_start(segment) + offset
    seqs = [seq]
    for delta in deltas:
        seq += delta
        seqs.append(seq)
    return seqs, revision


class SegmentBuilder:
    """Collects the open segment's postings; owned by the writer thread."""

    def __init__(self, segment: int) -> None:
        self.segment = segment
        self._clear()

    def _clear(self) -> None:
        self._streams: dict[str, list[int]] = {}
        self._types: dict[str, list[int]] = {}
        self._agents: dict[str, list[int]] = {}
        self._tags: dict[str, list[int]] = {}
        self._ids: list[tuple[bytes, int]] = []
        self._leaves: list[bytes] = []
        self._commits: list[int] = []

    def add(self, entry: Entry) -> bool:
        """Take one event; True when the segment is full and must be sealed before the next."""
        offset = len(self._leaves)
        postings = self._streams.get(entry.stream)
        if postings is None:
            self._streams[entry.stream] = [entry.revision, offset]
        else:
            postings.append(offset)
        postings = self._types.get(entry.type)
        if postings is None:
            self._types[entry.type] = [offset]
        else:
            postings.append(offset)
        if entry.agent:
            self._agents.setdefault(entry.agent, []).append(offset)
        for tag in entry.tags:
            postings = self._tags.setdefault(tag, [])
            if not postings or postings[-1] != offset:
                postings.append(offset)
        self._ids.append((entry.id, offset))
        self._leaves.append(entry.leaf)
        return offset + 1 == SEGMENT

    def seal(self, batch: Batch) -> None:
        """Write the rows of the full segment and open the next."""
        self._write_index(batch)
        leaves = self._leaves
        batch.put("audit", sealed_row(self.segment), b"".join(leaves) + root_of(leaves))
        self.segment += 1
        self._clear()

    def _write_index(self, batch: Batch) -> None:
        segment = self.segment
        for stream, postings in self._streams.items():
            batch.put("index", index_row(term(STREAM, stream), segment), encode_postings(postings[1:], postings[0]))
        for kind, terms in ((TYPE, self._types), (AGENT, self._agents), (TAG, self._tags)):
            for text, offsets in terms.items():
                batch.put("index", index_row(term(kind, text), segment), encode_postings(offsets))
        buckets: dict[int, list[tuple[bytes, int]]] = {}
        for pair in self._ids:
            buckets.setdefault(id_bucket(pair[0]), []).append(pair)
        for bucket, pairs in buckets.items():
            pairs.sort()
            value = b"".join([event_id + offset.to_bytes(2, "big") for event_id, offset in pairs])
            batch.put("ids", id_row(bucket, segment), value)
