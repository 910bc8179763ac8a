"""The writer: one thread that makes batches durable, in order: hash, frame, index, write, sync.

It tells the loop what became of each batch (`Outcomes`) and takes the next. After a failure it ends: what reached
the disk is unknown. After a full disk it is as before the batch, which comes again (docs/decisions/0008).
Deliberately not here: positions, who waits, when to try again (`journal`).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from queue import SimpleQueue
from threading import Thread
from time import perf_counter_ns
from typing import Final, Protocol

from kaged.crash_points import Point, passed
from kaged.domain.frozen import frozen
from kaged.store.log.segments import SegmentBuilder
from kaged.store.log.waits import Shared
from kaged.store.rows.keys import HEARTBEAT, SEGMENT, Family, leaves_row, pack_seq, segment_of, segment_start
from kaged.store.rows.keyvalue import Batch, DiskFull, KeyValue
from kaged.store.wire.entry import Entry
from kaged.store.wire.record import HEAD_BYTES, SHORT_TAGS, pack_head, split, varint

_SYNC_SAMPLES: Final = 2048


@dataclass(slots=True)
class Pending:
    """What goes to the disk together."""

    done: Shared
    entries: list[Entry] = field(default_factory=list)
    rows: list[tuple[Family, bytes, bytes | None]] = field(default_factory=list)


@frozen(kw_only=False)
class Proof:
    """A wish to see something written from now on on the disk: a heartbeat row."""

    done: Shared
    row: bytes  # empty: show only that the writer's thread is alive


@dataclass(slots=True)
class Commit:
    """What became durable together."""

    first_seq: int
    frames: list[bytes]
    entries: list[Entry]
    roots: list[bytes]  # of the segments that it filled


class Outcomes(Protocol):
    """What the loop hears, in order."""

    def done(self, pending: Pending, commit: Commit) -> None:
        """It is durable."""

    def stall(self, pending: Pending, why: DiskFull) -> None:
        """There is no room for it; nothing of it counts."""

    def fail(self, lost: Pending | Proof, error: BaseException) -> None:
        """It will never be durable, and the writer has ended."""


class Writer:
    """See the module. `tail` is the journal's: the durable events of the open segment. While a batch is with the
    writer the loop leaves it alone."""

    def __init__(
        self, store: KeyValue, tail: deque[Entry], durable_seq: int, witness: Callable[[int], None] | None
    ) -> None:
        self._store = store
        self._tail = tail
        self._durable_seq = durable_seq
        self._witness = witness
        self._builder = self._open_segment()
        self._stalled = False
        self._queue: SimpleQueue[Pending | Proof | None] = SimpleQueue()
        self._samples: deque[int] = deque(maxlen=_SYNC_SAMPLES)
        self._thread: Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop, outcomes: Outcomes) -> None:
        """Begin to take batches."""
        self._loop = loop
        self._outcomes = outcomes
        self._thread = Thread(target=self._write_forever, name="journal", daemon=True)
        self._thread.start()

    def put(self, batch: Pending | Proof) -> None:
        """Take this one next."""
        self._queue.put(batch)

    def unread(self) -> list[Pending | Proof]:
        """What a writer that has ended will not look at any more."""
        items = []
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if item is not None:
                items.append(item)
        return items

    async def stop(self) -> None:
        """End the thread when it has seen what is queued. Repeatable."""
        if self._thread is not None:
            self._queue.put(None)
            thread, self._thread = self._thread, None
            await asyncio.to_thread(thread.join)

    def sync_us(self) -> tuple[int, int]:
        """Median and 99th percentile of the last syncs."""
        samples = sorted(self._samples)
        if not samples:
            return 0, 0
        return samples[len(samples) // 2] // 1000, samples[len(samples) * 99 // 100] // 1000

    # --- in the thread -----------------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        tell = self._loop.call_soon_threadsafe
        while (item := self._queue.get()) is not None:
            try:
                if isinstance(item, Proof):
                    self._prove(item)
                    tell(item.done.succeed)
                else:
                    self._write(item)
            except BaseException as error:  # noqa: BLE001  every failure ends writing; the loop must hear of it
                tell(self._outcomes.fail, item, error)
                return

    def _write(self, pending: Pending) -> None:
        tell, outcomes = self._loop.call_soon_threadsafe, self._outcomes
        try:
            if self._stalled:
                self._store.resume()
            commit = self._commit(pending)
        except DiskFull as error:
            self._stalled = True
            tell(outcomes.stall, pending, error)
        else:
            self._stalled = False
            tell(outcomes.done, pending, commit)

    def _prove(self, proof: Proof) -> None:
        if not proof.row:
            return
        batch = self._store.batch()
        batch.put("meta", HEARTBEAT, proof.row)
        try:
            self._store.write(batch)
            self._store.sync()
        except DiskFull:
            self._stalled = True  # the next commit must not trust the log either

    def _commit(self, pending: Pending) -> Commit:
        store, entries = self._store, pending.entries
        batch = store.batch()
        frames: list[bytes] = []
        short = len(SHORT_TAGS)
        for entry in entries:
            meta, body = entry.meta, entry.body
            head = pack_head(0x09, entry.seq, 0x11, entry.recorded_us, 0x19, entry.revision, 0x25, entry.actor)
            entry.leaf = sha256(b"\0" + sha256(head + meta).digest() + sha256(body).digest()).digest()
            entry.meta = entry.body = b""
            size = HEAD_BYTES + len(meta) + len(body)
            frames.append(b"".join((SHORT_TAGS[size] if size < short else b"\n" + varint(size), head, meta, body)))
        batch.put_all("events", zip([pack_seq(entry.seq) for entry in entries], frames, strict=True))
        roots = self._index(batch, entries)
        for family, key, value in pending.rows:
            if value is None:
                batch.delete(family, key)
            else:
                batch.put(family, key, value)
        try:
            store.write(batch)
            passed(Point.COMMIT_WRITTEN)
            before_sync = perf_counter_ns()
            store.sync()
        except DiskFull:
            self._take_back(entries, frames)
            raise
        self._samples.append(perf_counter_ns() - before_sync)
        passed(Point.COMMIT_SYNCED)
        self._durable_seq = entries[-1].seq
        if self._witness is not None:
            self._witness(self._durable_seq)
        return Commit(entries[0].seq, frames, entries, roots)

    def _index(self, batch: Batch, entries: list[Entry]) -> list[bytes]:
        """Rows of the segments that these fill, leaves of the rest; the roots of those segments."""
        builder, at = self._builder, 0
        roots: list[bytes] = []
        while len(entries) - at >= builder.room:
            end = at + builder.room
            builder.extend(entries[at:end])
            # The sealed row replaces the rows of single commits.
            start = segment_start(builder.segment)
            batch.delete_range("audit", leaves_row(start), leaves_row(start + SEGMENT))
            roots.append(builder.seal(batch))
            at = end
        rest = entries[at:]
        if rest:
            builder.extend(rest)
            batch.put("audit", leaves_row(rest[0].seq), b"".join([entry.leaf for entry in rest]))
        return roots

    def _take_back(self, entries: Sequence[Entry], frames: Sequence[bytes]) -> None:
        """Be as before a commit, so that it can be written again: the same seqs with the same bytes.

        Whether the disk has some of it, all or nothing then does not matter: rows are only replaced by themselves.
        """
        for entry, framed in zip(entries, frames, strict=True):
            _, entry.meta, entry.body, _ = split(framed)
        self._builder = self._open_segment()

    def _open_segment(self) -> SegmentBuilder:
        builder = SegmentBuilder(segment_of(self._durable_seq + 1))
        builder.extend(self._tail)
        return builder
