"""Exact de-duplication by event id over the whole history, without a row per event.

Ids are UUIDv7, so they rise with their own time. A window in memory holds every stored id whose time is at or
above `floor`: for those (all of normal life) no disk is touched. Older ids are looked up in the `ids` family, by
their 256 ms bucket; a few buckets are kept, so a bulk load of old ids stays quick.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from kaged.store.log.segments import ID_ROW_BYTES
from kaged.store.rows.keys import id_bucket, segment_start
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.wire.entry import Entry

_WINDOW_IDS: Final = 65_536  # some 12 MiB when full; only a daemon under load fills it
_CACHED_BUCKETS: Final = 16


class Identities:
    """Which ids are stored, and at which seq. Used on the event loop only."""

    def __init__(self, store: KeyValue, floor_bucket: int) -> None:
        self._store = store
        self._floor = floor_bucket
        self._window: dict[int, dict[bytes, int]] = {}
        self._count = 0
        self._cache: OrderedDict[int, dict[bytes, int]] = OrderedDict()

    def find(self, event_id: bytes) -> int:
        """Seq of a stored or accepted id, 0 when it is new."""
        bucket = id_bucket(event_id)
        held = self._window.get(bucket)
        if held is not None:
            seq = held.get(event_id, 0)
            if seq or bucket >= self._floor:
                return seq
        elif bucket >= self._floor:
            return 0
        return self._stored(bucket).get(event_id, 0)

    def all_new(self, entries: Sequence[Entry]) -> bool:
        """Whether no id of these is stored or accepted; whether they differ among themselves is not looked at."""
        floor, of_bucket = self._floor, b""
        held: dict[bytes, int] | None = None
        for entry in entries:
            event_id = entry.id
            if event_id[:5] != of_bucket:  # neighbours nearly always share one
                of_bucket = event_id[:5]
                bucket = id_bucket(event_id)
                held = self._window.get(bucket)
            if held is not None and event_id in held:
                return False
            if bucket < floor and event_id in self._stored(bucket):
                return False
        return True

    def add(self, entries: Iterable[Entry]) -> None:
        """Remember ids of events that were just accepted."""
        window, of_bucket, count = self._window, b"", 0
        held: dict[bytes, int] = {}
        for entry in entries:
            event_id = entry.id
            if event_id[:5] != of_bucket:
                of_bucket = event_id[:5]
                bucket = id_bucket(event_id)
                found = window.get(bucket)
                if found is None:
                    found = window[bucket] = {}
                held = found
            held[event_id] = entry.seq
            count += 1
        self._count += count

    def sealed(self, up_to_seq: int) -> None:
        """Everything up to here is in the family now: the window may shrink to its bound, oldest ids first."""
        self._cache.clear()
        if self._count <= _WINDOW_IDS:
            return
        for bucket in sorted(self._window):
            held = self._window[bucket]
            kept = {event_id: seq for event_id, seq in held.items() if seq > up_to_seq}
            self._count -= len(held) - len(kept)
            self._floor = max(self._floor, bucket + 1)
            if kept:
                self._window[bucket] = kept
            else:
                del self._window[bucket]
            if self._count <= _WINDOW_IDS // 2:
                break

    def _stored(self, bucket: int) -> dict[bytes, int]:
        cached = self._cache.get(bucket)
        if cached is not None:
            self._cache.move_to_end(bucket)
            return cached
        ids = load_bucket(self._store, bucket)
        self._cache[bucket] = ids
        if len(self._cache) > _CACHED_BUCKETS:
            self._cache.popitem(last=False)
        return ids


def load_bucket(store: KeyValue, bucket: int) -> dict[bytes, int]:
    """All sealed ids of one time bucket."""
    prefix = bucket.to_bytes(6, "big")
    ids: dict[bytes, int] = {}
    start = prefix
    while True:
        rows = store.scan("ids", start, prefix=prefix, limit=64)
        for key, value in rows:
            first = segment_start(int.from_bytes(key[6:], "big"))
            for at in range(0, len(value), ID_ROW_BYTES):
                ids[value[at : at + 16]] = first + int.from_bytes(value[at + 16 : at + 18], "big")
        if len(rows) < 64:
            return ids
        start = rows[-1][0] + b"\0"
