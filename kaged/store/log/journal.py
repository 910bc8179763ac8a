"""The journal: accepts events on the loop, makes them durable in a thread, wakes who waits. One per store.

    accept (loop) -> pending batch -> writer thread: hash, frame, index, write, sync -> done (loop) -> readers

Promises: `seq` and revisions have no gaps; a future completes, and a reader sees an event, only after its bytes
are on disk; every event of one `accept` is durable or none is; while one batch syncs the next one fills, so
there is no timer and no idle latency. What is accepted but not durable is seen by nobody but the engine.

After a failed write or sync nothing more is acknowledged: `failed` holds the error and the daemon must end (what
reached the disk is unknown). A full disk is the exception (docs/decisions/0008): the commit that it met is kept, new
ones are refused with `stalled`, and the kept one is written again, the same bytes at the same seqs, once the store
vouches for its log. A disk that is merely getting full is refused earlier, by `refuse_writes`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from time import perf_counter_ns
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from kaged.domain.errors import Bug, KageError, Precondition, Unavailable
from kaged.domain.frozen import frozen
from kaged.store.log.identities import Identities
from kaged.store.log.merkle import Frontier
from kaged.store.log.segments import SegmentBuilder, decode_postings
from kaged.store.rows.keys import (
    HEARTBEAT,
    REBUILD_CURSOR,
    SEGMENT,
    STREAM,
    Family,
    index_row,
    index_segment,
    leaves_row,
    pack_seq,
    root_row,
    segment_of,
    segment_start,
    term,
    unpack_seq,
)
from kaged.store.rows.keyvalue import DiskFull, KeyValue, StoreCorrupt, StoreTooNew
from kaged.store.wire.door import leaf_of, reread
from kaged.store.wire.entry import Entry
from kaged.store.wire.record import HEAD_BYTES, SHORT_TAGS, pack_head, split, varint

FORMAT: Final = b"kage-store-1"
_HEADS: Final = 32_768  # streams whose last revision is kept in memory, twice (see `_rotate_heads`)
_SYNC_SAMPLES: Final = 2048
_TRY_AGAIN_S: Final = 0.5  # on a full disk


class StoreReadOnly(Unavailable):
    """The disk is full, or nearly so: reads go on, writes wait for space."""

    reason = "STORE_READ_ONLY"


class StoreStalled(Unavailable):
    """The disk is full. Whether what was under way will be recorded is not known yet."""

    reason = "STORE_STALLED"

    def __init__(self, why: KageError) -> None:
        super().__init__(
            f"{why.message}: what was just accepted is recorded as soon as there is room, unless kaged ends before",
            hint="free some space; then repeat it with the same request id (or event id), or look whether it is there",
            retry_after_s=5.0,
        )


class CheckFailed(Precondition):
    """A stream is not as the caller expected; all failures are named at once."""

    reason = "CHECK_FAILED"


class _Shared(asyncio.Future[None]):
    """One future for all who wait for a commit, so that one of them cannot cancel it for the others.

    A cancelled waiter hears of it when the commit is done: what it accepted cannot be taken back anyway.
    """

    callers: list[asyncio.Future[None]] | None = None  # who would rather hear that the disk is full than wait

    def cancel(self, msg: object = None) -> bool:
        return False


@dataclass(slots=True)
class _Pending:
    done: _Shared
    entries: list[Entry] = field(default_factory=list)
    rows: list[tuple[Family, bytes, bytes | None]] = field(default_factory=list)


@frozen(kw_only=False)
class _Proof:
    done: _Shared
    row: bytes  # empty: show only that the writer's thread is alive


@dataclass(slots=True)
class Commit:
    """What became durable together."""

    first_seq: int
    frames: list[bytes]
    entries: list[Entry]
    took_ns: int
    roots: list[bytes]  # of the segments that it filled

    @property
    def sealed(self) -> bool:
        """Whether it filled a segment."""
        return bool(self.roots)


class Listener(Protocol):
    """Called on the loop after each commit, in order."""

    def committed(self, commit: Commit) -> None:
        """The events are durable."""

    def failed(self, why: KageError) -> None:
        """Nothing more will be committed."""

    def stalled(self, why: KageError | None) -> None:
        """The disk is full: commits wait for room. None: there is room again, and all that waited is durable."""


@frozen
class Counters:
    """Figures since the start."""

    commits: int
    events: int
    bytes: int
    sync_p50_us: int
    sync_p99_us: int


class Journal:
    """See the module. Construct with `open_journal`, off the loop; then `start` on it."""

    def __init__(
        self,
        store: KeyValue,
        *,
        clock_us: Callable[[], int],
        witness: Callable[[int], None] | None = None,
        try_again_s: float = _TRY_AGAIN_S,
    ) -> None:
        """`witness` hears of each durable seq in the writer's thread, before anybody else (`store/witness.py`)."""
        self.store = store
        self._try_again_s = try_again_s
        self._witness = witness
        self.failed: KageError | None = None
        self.stalled: KageError | None = None
        self._clock_us = clock_us
        self._listeners: list[Listener] = []
        self._refusal: KageError | None = None
        self._queue: SimpleQueue[_Pending | _Proof | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._busy = False
        self._samples: deque[int] = deque(maxlen=_SYNC_SAMPLES)
        self._commits = self._events = self._bytes = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._asking: list[tuple[int, asyncio.Future[bool]]] = []
        self._load()

    # --- opening ---------------------------------------------------------------------------------------------

    def _load(self) -> None:
        store = self.store
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
        self.store_id = (store.get("meta", b"store_id") or b"").decode()
        self.first_seq = int(store.get("meta", b"first_seq") or b"1")
        last = store.scan("events", b"\xff" * 8, limit=1, reverse=True)
        self.durable_seq = self.accepted_seq = unpack_seq(last[0][0]) if last else self.first_seq - 1
        sealed = segment_of(self.durable_seq + 1)  # whole segments up to the head
        self._builder = SegmentBuilder(sealed)
        self._frontier = self._sealed_frontier(sealed)
        self._asked = self._frontier.copy()  # over what `root` was last asked for
        tail = self._tail(segment_start(sealed))
        # Last accepted revisions, in two generations; see `_rotate_heads`.
        self._heads: dict[str, int] = {}
        self._old_heads: dict[str, int] = {}
        self._old_heads_end = 0
        newest = store.scan("ids", b"\xff" * 11, limit=1, reverse=True)
        floor = int.from_bytes(newest[0][0][:6], "big") + 1 if newest else 0
        self.identities = Identities(store, floor)
        self.last_recorded_us = 0
        for entry in tail:
            self._heads[entry.shape.stream] = entry.revision
        self.identities.add(tail)
        self._builder.extend(tail)
        if last:
            self.last_recorded_us = reread(last[0][1]).recorded_us
        self.tail: deque[Entry] = deque(tail)

    def _sealed_frontier(self, sealed: int) -> Frontier:
        frontier, segment = Frontier(), 0
        while segment < sealed:
            rows = self.store.scan("audit", root_row(segment), prefix=b"R", limit=min(512, sealed - segment))
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

    def _tail(self, start: int) -> list[Entry]:
        tail: list[Entry] = []
        while start <= self.durable_seq:
            for key, value in self.store.scan("events", pack_seq(start), limit=512):
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

    # --- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to commit, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._pending = _Pending(_Shared(loop=self._loop))
        self._retry: asyncio.TimerHandle | None = None
        self._thread = Thread(target=self._write_forever, name="journal", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Commit what is accepted (on a full disk: let go of it), then end the thread. The store stays open."""
        if self._thread is None:
            return
        if not self.failed:
            await self.settles(self.accepted_seq)
        if self._retry is not None:
            self._retry.cancel()
        self._queue.put(None)
        thread, self._thread = self._thread, None
        await asyncio.to_thread(thread.join)

    def listen(self, listener: Listener) -> None:
        """Tell it of every commit."""
        self._listeners.append(listener)

    def refuse_writes(self, why: KageError | None) -> None:
        """Refuse what comes from now on (None: take it again). What was accepted still becomes durable."""
        self._refusal = why

    @property
    def refusal(self) -> KageError | None:
        """Why writes are refused now, if they are."""
        return self.failed or self.stalled or self._refusal

    # --- accepting -------------------------------------------------------------------------------------------

    def revision(self, stream: str) -> int:
        """Last accepted revision of a stream, 0 when it has no event."""
        head = self._heads.get(stream)
        if head is None:
            head = self._older_revision(stream)
            if len(self._heads) < _HEADS:  # asking for many streams must not fill the memory
                self._heads[stream] = head
        return head

    def _older_revision(self, stream: str) -> int:
        head = self._old_heads.get(stream)
        return self._stored_revision(stream) if head is None else head

    def _stored_revision(self, stream: str) -> int:
        key = term(STREAM, stream)
        rows = self.store.scan("index", index_row(key, 2**40 - 1), prefix=key, limit=1, reverse=True)
        if not rows:
            return 0
        seqs, first_revision = decode_postings(rows[0][1], index_segment(rows[0][0]), stream=True)
        return first_revision + len(seqs) - 1

    def _rotate_heads(self, sealed_seq: int) -> None:
        # A revision may be forgotten only when the index has it: when all events that it was made from are
        # sealed. So the older generation goes as a whole once everything accepted in its time is.
        if self._old_heads_end <= sealed_seq and len(self._heads) > _HEADS:
            self._old_heads, self._old_heads_end = self._heads, self.accepted_seq
            self._heads = {}

    def now_us(self) -> int:
        """The time that an event accepted now would carry."""
        return max(self.last_recorded_us, self._clock_us())

    def accept(self, entries: Sequence[Entry], actor: int, recorded_us: int | None = None) -> "asyncio.Future[None]":
        """Give positions to entries and queue them; the future completes when they are durable.

        The order of calls is the order of the journal. Rows added with `add_rows` before the caller gives
        control back to the loop go into the same batch. The future is shared and cannot be cancelled; without
        entries it stands for all that was accepted before. On a full disk it waits for room; who would rather be
        told waits with `recorded`. Raises StoreReadOnly or the failure.
        """
        refusal = self.refusal
        if refusal is not None:
            raise refusal
        if not entries:
            return asyncio.ensure_future(self.wait_durable(self.accepted_seq), loop=self._loop)
        now = self.last_recorded_us = max(self.last_recorded_us, recorded_us or self._clock_us())
        seq = self.accepted_seq
        heads = self._heads
        for entry in entries:
            seq += 1
            stream = entry.shape.stream
            revision = heads.get(stream)
            revision = (self._older_revision(stream) if revision is None else revision) + 1
            heads[stream] = revision
            entry.seq = seq
            entry.recorded_us = now
            entry.revision = revision
            entry.actor = actor
        self.identities.add(entries)
        self.accepted_seq = seq
        pending = self._pending
        pending.entries += entries
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._kick)
        return pending.done

    def add_rows(self, rows: Iterable[tuple[Family, bytes, bytes | None]]) -> None:
        """Rows for the batch of the last `accept`; None as a value takes a row out."""
        self._pending.rows += rows

    async def recorded(self, done: "asyncio.Future[None]") -> None:
        """Wait for an `accept` on behalf of a caller. Raises StoreStalled when the disk is full, or the failure."""
        if done.done() or not isinstance(done, _Shared):
            await asyncio.shield(done)
            return
        if self.stalled is not None:
            raise StoreStalled(self.stalled)
        caller: asyncio.Future[None] = self._loop.create_future()
        if done.callers is None:
            done.callers = []
        done.callers.append(caller)
        await caller

    async def settles(self, seq: int) -> bool:
        """Wait like `wait_durable`, but not for room on a full disk: False when `seq` has to wait for that."""
        if seq <= self.durable_seq:
            return True
        if self.failed:
            raise self.failed
        if self.stalled is not None:
            return False
        asker: asyncio.Future[bool] = self._loop.create_future()
        self._asking.append((seq, asker))
        return await asker

    async def confirm(self, seq: int) -> None:
        """`wait_durable` on behalf of a caller. Raises StoreStalled when the disk is full, or the failure."""
        if not await self.settles(seq):
            raise StoreStalled(self.stalled or StoreReadOnly("the disk was full"))

    async def wait_durable(self, seq: int) -> None:
        """Return once everything up to `seq` is on disk, also if a full disk has to get room first.

        Raises the failure when that never comes.
        """
        if seq <= self.durable_seq:
            return
        if self.failed:
            raise self.failed
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((seq, waiter))
        await waiter

    async def prove(self) -> None:
        """Return once something that was written from now on is on disk: a heartbeat row, never an event. While
        writes are refused (a disk without room is no reason to be killed) it only shows that the writer is alive.
        Raises the failure. What the watchdog asks; it may take as long as the disk does.
        """
        if self.failed:
            raise self.failed
        proof = _Proof(_Shared(loop=self._loop), b"" if self.refusal else str(self._clock_us()).encode())
        self._queue.put(proof)
        await proof.done

    # --- committing ------------------------------------------------------------------------------------------

    def _kick(self) -> None:
        pending = self._pending
        if not pending.entries or self.failed:
            self._busy = False
            return
        self._pending = _Pending(_Shared(loop=self._loop))
        self._queue.put(pending)

    def _write_forever(self) -> None:
        while (pending := self._queue.get()) is not None:
            if isinstance(pending, _Proof):
                if not self._prove(pending):
                    return
                continue
            try:
                if self.stalled is not None:
                    self.store.resume()
                commit = self._commit(pending)
            except DiskFull as error:
                self._loop.call_soon_threadsafe(self._stall, pending, error)
                continue
            except BaseException as error:  # noqa: BLE001  every failure here ends writing; the loop must hear of it
                self._loop.call_soon_threadsafe(self._fail, pending, error)
                return
            self._loop.call_soon_threadsafe(self._done, pending, commit)

    def _prove(self, proof: _Proof) -> bool:
        try:
            if proof.row:
                batch = self.store.batch()
                batch.put("meta", HEARTBEAT, proof.row)
                self.store.write(batch)
                self.store.sync()
        except DiskFull:
            pass  # the next commit meets it too, and knows what to do
        except BaseException as error:  # noqa: BLE001  as in `_write_forever`
            self._loop.call_soon_threadsafe(self._fail, proof, error)
            return False
        self._loop.call_soon_threadsafe(proof.done.set_result, None)
        return True

    def _commit(self, pending: _Pending) -> Commit:
        started = perf_counter_ns()
        store, builder, entries = self.store, self._builder, pending.entries
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
        leaves = [entry.leaf for entry in entries]
        first, at = entries[0].seq, 0
        roots: list[bytes] = []
        while len(entries) - at >= builder.room:
            end = at + builder.room
            builder.extend(entries[at:end])
            # The sealed row replaces the rows of single commits.
            start = segment_start(builder.segment)
            batch.delete_range("audit", leaves_row(start), leaves_row(start + SEGMENT))
            roots.append(builder.seal(batch))
            at = end
        if at < len(entries):
            builder.extend(entries[at:])
            batch.put("audit", leaves_row(first + at), b"".join(leaves[at:]))
        for family, key, value in pending.rows:
            if value is None:
                batch.delete(family, key)
            else:
                batch.put(family, key, value)
        try:
            store.write(batch)
            before_sync = perf_counter_ns()
            store.sync()
        except DiskFull:
            self._take_back(entries, frames)
            raise
        now = perf_counter_ns()
        self._samples.append(now - before_sync)
        if self._witness is not None:
            self._witness(entries[-1].seq)
        return Commit(first, frames, pending.entries, now - started, roots)

    def _take_back(self, entries: Sequence[Entry], frames: Sequence[bytes]) -> None:
        """Be as before a commit, so that it can be written again: the same seqs with the same bytes.

        Whether the disk has some of it, all or nothing then does not matter: rows are only replaced by themselves.
        """
        for entry, framed in zip(entries, frames, strict=True):
            _, entry.meta, entry.body, _ = split(framed)
        self._builder = SegmentBuilder(segment_of(self.durable_seq + 1))
        self._builder.extend(self.tail)  # the loop leaves it alone while a commit is under way

    def _done(self, pending: _Pending, commit: Commit) -> None:
        last = pending.entries[-1].seq
        # Readers in threads look at the head, then the tail, then the index. So the tail grows before the head
        # moves, and shrinks after it.
        self.tail.extend(commit.entries)
        self.durable_seq = last
        self._commits += 1
        self._events += len(commit.entries)
        self._bytes += sum(map(len, commit.frames))
        if commit.roots:
            for root in commit.roots:
                self._frontier.append_subtree(root, SEGMENT)
            start = segment_start(segment_of(last + 1))
            while self.tail and self.tail[0].seq < start:
                self.tail.popleft()
            self.identities.sealed(start - 1)
            self._rotate_heads(start - 1)
        pending.done.set_result(None)
        for caller in pending.done.callers or ():
            if not caller.done():
                caller.set_result(None)
        for listener in self._listeners:
            listener.committed(commit)
        if self._waiting or self._asking:
            self._wake()
        if self._pending.entries:
            self._kick()
        else:
            self._busy = False
            if self.stalled is not None:
                self._loop.call_soon(self._go_on)  # after the effects of what became durable just now

    def _wake(self) -> None:
        still = []
        for seq, waiter in self._waiting:
            if waiter.done():
                continue
            if seq <= self.durable_seq:
                waiter.set_result(None)
            else:
                still.append((seq, waiter))
        self._waiting = still
        for seq, asker in self._asking:
            if seq <= self.durable_seq and not asker.done():
                asker.set_result(True)
        self._asking = [item for item in self._asking if not item[1].done()]

    def _stall(self, pending: _Pending, why: DiskFull) -> None:
        """The disk has no room for a commit: keep it, tell who waits, and try again until there is."""
        self._retry = self._loop.call_later(self._try_again_s, self._queue.put, pending)
        if self.stalled is not None:
            return
        self.stalled = StoreReadOnly(why.message, hint="free some space; writes then go on by themselves")
        for shared in (pending.done, self._pending.done):
            for caller in shared.callers or ():
                if not caller.done():
                    caller.set_exception(StoreStalled(why))
            shared.callers = None
        for _, asker in self._asking:
            if not asker.done():
                asker.set_result(False)
        self._asking.clear()
        for listener in self._listeners:
            listener.stalled(self.stalled)

    def _go_on(self) -> None:
        self.stalled = None
        for listener in self._listeners:
            listener.stalled(None)

    def _fail(self, pending: _Pending | _Proof, error: BaseException) -> None:
        failure = error if isinstance(error, KageError) else Bug(f"a commit failed: {error!r}")
        self.failed = failure
        for doomed in (pending, self._pending, *self._unread()):
            if not doomed.done.done():
                doomed.done.set_exception(failure)
                doomed.done.exception()  # mark as seen: not every accept is awaited
            for caller in doomed.done.callers or ():
                if not caller.done():
                    caller.set_exception(failure)
        for _, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(failure)
        self._waiting.clear()
        for _, asker in self._asking:
            if not asker.done():
                asker.set_exception(failure)
        self._asking.clear()
        for listener in self._listeners:
            listener.failed(failure)

    def _unread(self) -> list[_Pending | _Proof]:
        """What the writer's thread, which has ended, will not look at any more."""
        unread = []
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if item is not None:
                unread.append(item)
        return unread

    # --- figures ---------------------------------------------------------------------------------------------

    def root(self) -> bytes:
        """Tree head over everything durable. On the loop only."""
        # It goes on from where it stood when somebody last asked: hashing a whole tail for each question held up
        # the loop for a millisecond, and with it every other call.
        if self._asked.size < self._frontier.size:
            self._asked = self._frontier.copy()
        known = self._asked.size - self._frontier.size
        self._asked.extend([entry.leaf for entry in islice(self.tail, known, None)])
        return self._asked.root()

    def counters(self) -> Counters:
        """Figures since the start."""
        samples = sorted(self._samples)
        at = len(samples)
        return Counters(
            commits=self._commits,
            events=self._events,
            bytes=self._bytes,
            sync_p50_us=samples[at // 2] // 1000 if at else 0,
            sync_p99_us=samples[min(at - 1, at * 99 // 100)] // 1000 if at else 0,
        )


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
