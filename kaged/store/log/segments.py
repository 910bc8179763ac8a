"""Indexes in segments of 1024 events: which stream, type, agent, tag and id stands where.

A segment's rows are a pure function of its events, written once, in the commit that fills it. So they are the
same bytes whether they were made live, after a crash or by `kaged reindex`. The unsealed rest (at most one
segment and what is in flight) is in memory and read again at start.

    postings = [first revision u64, streams only], width u8, first offset u16, deltas (u8 or u16 each)
"""

from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from operator import sub
from struct import Struct, pack, unpack
from typing import Final

from kaged.store.log.merkle import root_of
from kaged.store.rows.keys import (
    AGENT,
    SEGMENT,
    STREAM,
    TAG,
    TYPE,
    id_bucket,
    id_row,
    index_row,
    root_row,
    sealed_row,
    segment_start,
    term,
)
from kaged.store.rows.keyvalue import Batch
from kaged.store.wire.entry import Entry, Shape

_REVISION: Final = Struct("<Q")
_START: Final = Struct("<BH")
ID_ROW_BYTES: Final = 18
_ALL: Final = _START.pack(1, 0) + b"\1" * (SEGMENT - 1)  # postings of what every event of a segment has
_OFFSETS: Final = tuple(offset.to_bytes(2, "big") for offset in range(SEGMENT))


def encode_postings(offsets: list[int], first_revision: int | None = None) -> bytes:
    """Offsets within a segment, rising, as bytes."""
    head = b"" if first_revision is None else _REVISION.pack(first_revision)
    if len(offsets) == SEGMENT:
        return head + _ALL
    try:
        return head + _START.pack(1, offsets[0]) + bytes(map(sub, offsets[1:], offsets))
    except ValueError:  # a distance of 256 or more
        deltas = map(sub, offsets[1:], offsets)
        return head + _START.pack(2, offsets[0]) + pack(f"<{len(offsets) - 1}H", *deltas)


def decode_postings(value: bytes, segment: int, *, stream: bool = False) -> tuple[list[int], int]:
    """Seqs of a posting row, and its first revision (0 when it is not a stream's)."""
    revision = _REVISION.unpack_from(value)[0] if stream else 0
    at = 8 if stream else 0
    width, offset = _START.unpack_from(value, at)
    rest = value[at + 3 :]
    deltas: Iterable[int] = rest if width == 1 else unpack(f"<{len(rest) // 2}H", rest)
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
        # By identity of the shape: most events of a segment share a few, and comparing them would cost more.
        self._shapes: dict[int, tuple[Shape, int, list[int]]] = {}
        self._ids: list[bytes] = []
        self._leaves: list[bytes] = []

    @property
    def room(self) -> int:
        """How many events the open segment still takes."""
        return SEGMENT - len(self._leaves)

    def extend(self, entries: Sequence[Entry]) -> None:
        """Take events in order, at most `room`. When `room` is then 0, `seal` before the next."""
        shapes, ids = self._shapes, self._ids
        offset = len(self._leaves)
        for entry in entries:
            shape = entry.shape
            known = shapes.get(id(shape))
            if known is None:
                shapes[id(shape)] = (shape, entry.revision, [offset])
            else:
                known[2].append(offset)
            ids.append(entry.id + _OFFSETS[offset])
            offset += 1
        self._leaves += [entry.leaf for entry in entries]

    def seal(self, batch: Batch) -> bytes:
        """Write the rows of the full segment, open the next, and return the root over its leaves."""
        self._write_index(batch)
        root = root_of(self._leaves)
        batch.put("audit", sealed_row(self.segment), b"".join(self._leaves))
        batch.put("audit", root_row(self.segment), root)
        self.segment += 1
        self._clear()
        return root

    def _write_index(self, batch: Batch) -> None:
        segment = self.segment
        streams: dict[str, tuple[int, list[list[int]]]] = {}
        terms: dict[tuple[bytes, str], list[list[int]]] = {}
        for shape, revision, offsets in self._shapes.values():
            first, held = streams.setdefault(shape.stream, (revision, []))
            held.append(offsets)
            if revision < first:
                streams[shape.stream] = (revision, held)
            words = [(TYPE, shape.type), *((TAG, tag) for tag in set(shape.tags))]
            if shape.agent:
                words.append((AGENT, shape.agent))
            for word in words:
                terms.setdefault(word, []).append(offsets)
        for stream, (first, lists) in streams.items():
            batch.put("index", index_row(term(STREAM, stream), segment), encode_postings(_merged(lists), first))
        for (kind, text), lists in terms.items():
            batch.put("index", index_row(term(kind, text), segment), encode_postings(_merged(lists)))
        self._ids.sort()
        if id_bucket(self._ids[0]) == id_bucket(self._ids[-1]):  # a busy segment: no need to look between
            batch.put("ids", id_row(id_bucket(self._ids[0]), segment), b"".join(self._ids))
            return
        for bucket, ids in groupby(self._ids, key=id_bucket):
            batch.put("ids", id_row(bucket, segment), b"".join(ids))


def _merged(lists: list[list[int]]) -> list[int]:
    return lists[0] if len(lists) == 1 else sorted(chain.from_iterable(lists))
