"""The journal: accepts events on the loop, makes them durable in a thread, wakes who waits. One per store.

    accept (loop) -> pending batch -> writer's thread: hash, frame, index, write, sync -> done (loop) -> readers

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
from itertools import islice
from typing import Final, Protocol

from kaged.domain.errors import Bug, KageError, Precondition, Unavailable
from kaged.domain.frozen import frozen
from kaged.store.log import opening
from kaged.store.log.identities import Identities
from kaged.store.log.revisions import Revisions
from kaged.store.log.waits import Shared, StoreStalled, Traffic, Waits
from kaged.store.log.writer import Commit, Pending, Proof, Writer
from kaged.store.rows.keys import SEGMENT, Family, segment_of, segment_start
from kaged.store.rows.keyvalue import DiskFull, KeyValue
from kaged.store.wire.entry import Entry

_TRY_AGAIN_S: Final = 0.5  # on a full disk


class StoreReadOnly(Unavailable):
    """The disk is full, or nearly so: reads go on, writes wait for space."""

    reason = "STORE_READ_ONLY"


class CheckFailed(Precondition):
    """A stream is not as the caller expected; all failures are named at once."""

    reason = "CHECK_FAILED"


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
    """See the module. Construct it off the loop (it reads); then `start` on it."""

    def __init__(
        self,
        store: KeyValue,
        *,
        clock_us: Callable[[], int],
        witness: Callable[[int], None] | None = None,
        try_again_s: float = _TRY_AGAIN_S,
    ) -> None:
        """`witness` hears of each durable seq in the writer's thread, before anybody else (`witness.py`)."""
        found = opening.look(store)
        self.store = store
        self.store_id = found.store_id
        self.first_seq = found.first_seq
        self.durable_seq = self.accepted_seq = found.head
        self.last_recorded_us = found.last_recorded_us
        self.tail: deque[Entry] = deque(found.tail)  # the durable events of the open segment
        self.identities = Identities(store, found.ids_floor)
        self.identities.add(found.tail)
        self.failed: KageError | None = None
        self.stalled: KageError | None = None
        self.traffic = Traffic()  # busy: a batch is with the writer, or on its way there
        self._clock_us = clock_us
        self._try_again_s = try_again_s
        self._frontier = found.frontier
        self._asked = found.frontier.copy()  # over what `root` was last asked for
        self._revisions = Revisions(store, found.tail)
        self._writer = Writer(store, self.tail, found.head, witness)
        self._waits = Waits()
        self._listeners: list[Listener] = []
        self._refusal: KageError | None = None
        self._kept: Pending | None = None  # that a full disk had no room for
        self._retry: asyncio.TimerHandle | None = None
        self._commits = self._events = self._bytes = 0

    # --- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to commit, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._pending = Pending(Shared(loop=self._loop))
        self._writer.start(self._loop, self)

    async def stop(self) -> None:
        """Commit what is accepted (on a full disk: let go of it), then end the thread. The store stays open."""
        if not self.failed:
            await self.settles(self.accepted_seq)
        if self._retry is not None:
            self._retry.cancel()
        await self._writer.stop()

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
        return self._revisions.last(stream)

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
        heads, older = self._revisions.heads, self._revisions.older
        for entry in entries:
            seq += 1
            stream = entry.shape.stream
            revision = heads.get(stream)
            revision = (older(stream) if revision is None else revision) + 1
            heads[stream] = revision
            entry.seq = seq
            entry.recorded_us = now
            entry.revision = revision
            entry.actor = actor
        self.identities.add(entries)
        self.accepted_seq = seq
        pending = self._pending
        pending.entries += entries
        if not self.traffic.busy:
            self.traffic.busy = True
            self._loop.call_soon(self._kick)
        return pending.done

    def add_rows(self, rows: Iterable[tuple[Family, bytes, bytes | None]]) -> None:
        """Rows for the batch of the last `accept`; None as a value takes a row out."""
        self._pending.rows += rows

    async def recorded(self, done: "asyncio.Future[None]") -> None:
        """Wait for an `accept` on behalf of a caller. Raises StoreStalled when the disk is full, or the failure."""
        if done.done() or not isinstance(done, Shared):
            await asyncio.shield(done)
            return
        if self.stalled is not None:
            raise StoreStalled(self.stalled)
        await done.caller()

    async def settles(self, seq: int) -> bool:
        """Wait like `wait_durable`, but not for room on a full disk: False when `seq` has to wait for that."""
        if seq <= self.durable_seq:
            return True
        if self.failed:
            raise self.failed
        if self.stalled is not None:
            return False
        return await self._waits.ask(seq)

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
        await self._waits.reach(seq)

    async def prove(self) -> None:
        """Return once something that was written from now on is on disk: a heartbeat row, never an event. While
        writes are refused (a disk without room is no reason to be killed) it only shows that the writer is alive.
        Raises the failure. What the watchdog asks; it may take as long as the disk does.
        """
        if self.failed:
            raise self.failed
        proof = Proof(Shared(loop=self._loop), b"" if self.refusal else str(self._clock_us()).encode())
        self._writer.put(proof)
        await proof.done

    # --- committing ------------------------------------------------------------------------------------------

    def _kick(self) -> None:
        pending = self._pending
        if not pending.entries or self.failed:
            self.traffic.ends()
            return
        self._pending = Pending(Shared(loop=self._loop))
        self.traffic.begins(self._loop.time())
        self._writer.put(pending)

    # What the writer tells (`Outcomes`):

    def done(self, pending: Pending, commit: Commit) -> None:
        """A batch is durable."""
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
            self._revisions.sealed(start - 1, self.accepted_seq)
        self._kept = None
        pending.done.succeed()
        for listener in self._listeners:
            listener.committed(commit)
        self._waits.reached(last)
        if self._pending.entries:
            self._kick()
        else:
            self.traffic.ends()
            if self.stalled is not None:
                self._loop.call_soon(self._go_on)  # after the effects of what became durable just now

    def stall(self, pending: Pending, why: DiskFull) -> None:
        """The disk has no room for a commit: keep it, tell who waits, and try again until there is."""
        self._kept = pending
        self._retry = self._loop.call_later(self._try_again_s, self._writer.put, pending)
        if self.stalled is not None:
            return
        self.stalled = StoreReadOnly(why.message, hint="free some space; writes then go on by themselves")
        pending.done.stall(why)
        self._pending.done.stall(why)
        self._waits.stall()
        for listener in self._listeners:
            listener.stalled(self.stalled)

    def _go_on(self) -> None:
        self.stalled = None
        for listener in self._listeners:
            listener.stalled(None)

    def fail(self, lost: Pending | Proof, error: BaseException) -> None:
        """The writer has ended: nothing that was accepted will be durable."""
        failure = self.failed = error if isinstance(error, KageError) else Bug(f"a commit failed: {error!r}")
        if self._retry is not None:
            self._retry.cancel()
        for doomed in (lost, self._kept, self._pending, *self._writer.unread()):
            if doomed is not None:
                doomed.done.fail(failure)
        self._waits.fail(failure)
        for listener in self._listeners:
            listener.failed(failure)

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
        p50_us, p99_us = self._writer.sync_us()
        return Counters(
            commits=self._commits,
            events=self._events,
            bytes=self._bytes,
            sync_p50_us=p50_us,
            sync_p99_us=p99_us,
        )
