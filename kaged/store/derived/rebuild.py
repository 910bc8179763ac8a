"""Makes everything derived again from the events alone, byte for byte: `kaged reindex`.

`index` and `ids` are functions of whole segments, so they are made here. What the engine derives (states,
operations) it makes itself, from the same pass: a `Rebuilder` gets every event in order and gives the rows that
the engine would have written with it.

The pass is in steps, each one batch, with a cursor row: after a crash `reindex` begins where it was. The journal
must not run meanwhile. Truth (`events`, `audit`, `secrets`, the other rows of `meta`) is never touched.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol, runtime_checkable

from google.protobuf.message import DecodeError

from kaged.api.v1 import event_pb2
from kaged.store.log.segments import SegmentBuilder
from kaged.store.rows.keys import (
    DERIVED,
    REBUILD_CURSOR,
    SEGMENT,
    Family,
    pack_seq,
    segment_of,
    segment_start,
    unpack_seq,
)
from kaged.store.rows.keyvalue import KeyValue, StoreCorrupt
from kaged.store.rows.remembered import Remembered
from kaged.store.wire.door import reread
from kaged.store.wire.entry import Entry
from kaged.store.wire.record import payload

_AFTER_ALL: Final = b"\xff" * 64

Row = tuple[Family, bytes, bytes | None]


class Rebuilder(Protocol):
    """The engine's half. Made anew for each rebuild."""

    def rows(self, entry: Entry, event: event_pb2.Event) -> Iterable[Row]:
        """Rows of derived families that belong to this event's batch. Called once for each event, in order."""


@runtime_checkable
class Resumable(Rebuilder, Protocol):
    """One that is also good for the rest of a rebuild that was cut off."""

    def resume(self, store: KeyValue, seq: int) -> None:
        """Everything before `seq` was given and its rows are in the store: be as after it. Not called for the first."""


def segment_rows(segment: int, entries: Sequence[Entry]) -> Iterator[Row]:
    """All rows (index, ids, audit) of one full segment; the entries need their leaf only for those of `audit`."""
    assert len(entries) == SEGMENT
    builder, batch = SegmentBuilder(segment), Remembered()
    builder.extend(entries)
    builder.seal(batch)
    for kind, family, key, value in batch.steps:
        assert kind == "put", "sealing a segment takes nothing out"
        yield family, key, value


def reindex(
    store: KeyValue,
    rebuilders: Sequence[Rebuilder] = (),
    *,
    progress: Callable[[int, int], None] | None = None,
    restart: bool = False,
) -> int:
    """Rebuild all derived families; returns how many events were read. `progress` hears (seq, head).

    Continues a rebuild that was cut off if all of them are `Resumable`, unless `restart`. Raises StoreCorrupt when an
    event is missing or damaged: run `kaged fsck` then.
    """
    last = store.scan("events", b"\xff" * 8, limit=1, reverse=True)
    head = unpack_seq(last[0][0]) if last else 0
    first_seq = int(store.get("meta", b"first_seq") or b"1")
    cursor = store.get("meta", REBUILD_CURSOR)
    seq = first_seq
    resumable = [each for each in rebuilders if isinstance(each, Resumable)]
    if cursor is not None and not restart and len(resumable) == len(rebuilders):
        seq = unpack_seq(cursor)
        if seq > first_seq:
            for each in resumable:
                each.resume(store, seq)
    else:
        batch = store.batch()
        for family in DERIVED:
            batch.delete_range(family, b"", _AFTER_ALL)
        batch.put("meta", REBUILD_CURSOR, pack_seq(seq))
        store.write(batch)
        store.sync()
    read = 0
    while seq <= head:
        values = store.values("events", pack_seq(seq), min(segment_start(segment_of(seq) + 1), head + 1) - seq)
        entries = _entries(values, seq)
        batch = store.batch()
        if len(entries) == SEGMENT:
            for family, key, value in segment_rows(segment_of(seq), entries):
                if family != "audit" and value is not None:
                    batch.put(family, key, value)
        for entry, framed in zip(entries, values, strict=True):
            event = event_pb2.Event.FromString(payload(framed)) if rebuilders else event_pb2.Event()
            for rebuilder in rebuilders:
                for family, key, value in rebuilder.rows(entry, event):
                    if family not in DERIVED:
                        raise ValueError(f"{family} is not derived")
                    if value is None:
                        batch.delete(family, key)
                    else:
                        batch.put(family, key, value)
        seq += len(entries)
        read += len(entries)
        batch.put("meta", REBUILD_CURSOR, pack_seq(seq))
        store.write(batch)
        if progress is not None:
            progress(seq - 1, head)
    batch = store.batch()
    batch.delete("meta", REBUILD_CURSOR)
    store.write(batch)
    store.sync()
    return read


def _entries(values: list[bytes], first: int) -> list[Entry]:
    entries = []
    for at, framed in enumerate(values):
        try:
            entry = reread(framed)
        except (ValueError, DecodeError) as error:
            raise StoreCorrupt(f"event {first + at} is damaged: {error}", hint="run `kaged fsck`") from error
        if entry.seq != first + at:
            raise StoreCorrupt(f"event {first + at} is missing", hint="run `kaged fsck`")
        entry.leaf = b""
        entries.append(entry)
    if not entries:
        raise StoreCorrupt(f"event {first} is missing", hint="run `kaged fsck`")
    return entries
