"""What a store holds when it is opened: checked, and read as far as the journal goes on from it.

That is little, whatever the length of the history: a root for each whole segment, and the events after the last one.
"""

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from kaged.store.log.merkle import Frontier
from kaged.store.rows.keys import REBUILD_CURSOR, SEGMENT, pack_seq, root_row, segment_of, segment_start, unpack_seq
from kaged.store.rows.keyvalue import KeyValue, StoreCorrupt, StoreTooNew
from kaged.store.wire.door import leaf_of, reread
from kaged.store.wire.entry import Entry

FORMAT: Final = b"kage-store-1"


@dataclass(slots=True)
class Found:
    """The end of a journal as it lies on the disk."""

    store_id: str
    first_seq: int
    head: int  # last seq; `first_seq - 1` when there is no event
    frontier: Frontier  # over the whole segments
    tail: list[Entry]  # the events after them, with their leaves
    last_recorded_us: int
    ids_floor: int  # bucket from which on no id is in the `ids` family


def create_store(store: KeyValue, store_id: str) -> bool:
    """Write the first rows of a new store; False when it is one already."""
    if store.get("meta", b"format") is not None:
        return False
    batch = store.batch()
    batch.put("meta", b"format", FORMAT)
    batch.put("meta", b"store_id", store_id.encode())
    batch.put("meta", b"first_seq", b"1")
    store.write(batch)
    store.sync()
    return True


def look(store: KeyValue) -> Found:
    """Read the end. Raises StoreTooNew (another format, or none), StoreCorrupt (with what to do)."""
    written = store.get("meta", b"format")
    if written is None:
        raise StoreTooNew("this folder holds no Kage store", hint="use another --state-dir")
    if written != FORMAT:
        raise StoreTooNew(
            f"the store has format {written.decode(errors='replace')}, this release reads {FORMAT.decode()}",
            hint="use the release that wrote it",
        )
    if store.get("meta", REBUILD_CURSOR) is not None:
        raise StoreCorrupt("a rebuild of the indexes was cut off", hint="run `kaged reindex` again")
    first_seq = int(store.get("meta", b"first_seq") or b"1")
    last = store.scan("events", b"\xff" * 8, limit=1, reverse=True)
    head = unpack_seq(last[0][0]) if last else first_seq - 1
    sealed = segment_of(head + 1)  # whole segments up to the head
    frontier = _frontier(store, sealed)
    tail = _tail(store, segment_start(sealed), head)
    newest = store.scan("ids", b"\xff" * 11, limit=1, reverse=True)
    return Found(
        store_id=(store.get("meta", b"store_id") or b"").decode(),
        first_seq=first_seq,
        head=head,
        frontier=frontier,
        tail=tail,
        last_recorded_us=reread(last[0][1]).recorded_us if last else 0,
        ids_floor=int.from_bytes(newest[0][0][:6], "big") + 1 if newest else 0,
    )


def _frontier(store: KeyValue, sealed: int) -> Frontier:
    frontier, segment = Frontier(), 0
    while segment < sealed:
        rows = store.scan("audit", root_row(segment), prefix=b"R", limit=min(512, sealed - segment))
        for key, root in rows:
            if key != root_row(segment):
                break
            frontier.append_subtree(root, SEGMENT)
            segment += 1
        else:
            if rows:
                continue
        raise StoreCorrupt(f"hash rows are missing after seq {frontier.size}", hint="run `kaged fsck`")
    return frontier


def _tail(store: KeyValue, start: int, head: int) -> list[Entry]:
    tail: list[Entry] = []
    while start <= head:
        for key, value in store.scan("events", pack_seq(start), limit=512):
            try:
                entry = reread(value)
                entry.leaf = leaf_of(value)
            except (ValueError, DecodeError) as error:
                raise StoreCorrupt(f"event {start} is damaged: {error}", hint="run `kaged fsck`") from error
            if entry.seq != start or key != pack_seq(start):
                raise StoreCorrupt(f"event {start} is missing", hint="run `kaged fsck`")
            tail.append(entry)
            start += 1
    return tail
