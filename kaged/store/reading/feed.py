"""Subscriptions: what is stored, then what happens. Lossless; bounded memory; a slow reader holds up nobody.

A subscriber is at the head or behind it. At the head it is served from a ring of recent commits, and all
subscribers that stand at the same place with the same filter share one joined batch. When the ring has moved on
it reads the journal from its own cursor, one page at a time under a semaphore so that catching up never starves
appends, and is told so (`FellBehind`, `CaughtUp`). The writer never waits for anybody.

Above a few subscribers wake-ups are gathered for min(5 ms, 50 us each): fan-out costs messages, not events.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from kaged.domain.errors import KageError, TooMuch
from kaged.domain.frozen import frozen
from kaged.store.log.journal import Commit, Journal
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import Selection
from kaged.store.wire.door import without_body

_RING_EVENTS: Final = 16_384
_RING_BYTES: Final = 8 << 20
_AT_ONCE: Final = 4  # subscribers that are woken without gathering
_LINGER_EACH_S: Final = 50e-6
_LINGER_MAX_S: Final = 5e-3
_CATCH_UP_PAGE: Final = 1024
_CHECKPOINT_EVERY: Final = 10_000
_SHARED: Final = 64  # joined batches that are kept for others at the same place


class SubscriberLimit(TooMuch):
    """Too many subscriptions at once."""

    reason = "SUBSCRIBER_LIMIT"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"there are {limit} subscriptions already", hint="close some, or raise `max_subscribers`", limit=limit
        )


@frozen(kw_only=False)
class Batch:
    """Joined framed events; everything up to `last_seq` was looked at."""

    joined: bytes
    last_seq: int
    count: int


@frozen(kw_only=False)
class CaughtUp:
    """What follows is live."""

    seq: int


@frozen(kw_only=False)
class FellBehind:
    """What follows is read from the journal again."""

    seq: int


@frozen(kw_only=False)
class Checkpoint:
    """Nothing matched up to here."""

    seq: int


@frozen(kw_only=False)
class Heartbeat:
    """Nothing happened."""

    seq: int


Message = Batch | CaughtUp | FellBehind | Checkpoint | Heartbeat


class Feed:
    """The live ring and its subscribers. Used on the event loop only."""

    def __init__(
        self,
        journal: Journal,
        reader: Reader,
        *,
        max_subscribers: int,
        ring_events: int = _RING_EVENTS,
        ring_bytes: int = _RING_BYTES,
    ) -> None:
        self.fell_behind = 0
        self._max_ring_events = ring_events
        self._max_ring_bytes = ring_bytes
        self._journal = journal
        self._reader = reader
        self._max = max_subscribers
        self._ring: deque[Commit] = deque()
        self._ring_events = self._ring_bytes = 0
        self._shared: dict[tuple[object, ...], Batch] = {}
        self._subscribers = 0
        self._linger: asyncio.TimerHandle | None = None
        self._wake: asyncio.Future[None] | None = None
        self._catch_up = asyncio.Semaphore(1)
        self._error: KageError | None = None
        journal.listen(self)

    @property
    def subscribers(self) -> int:
        """How many there are."""
        return self._subscribers

    # --- from the journal --------------------------------------------------------------------------------------

    def committed(self, commit: Commit) -> None:
        self._ring.append(commit)
        self._ring_events += len(commit.frames)
        self._ring_bytes += sum(map(len, commit.frames))
        while len(self._ring) > 1 and (
            self._ring_events > self._max_ring_events or self._ring_bytes > self._max_ring_bytes
        ):
            gone = self._ring.popleft()
            self._ring_events -= len(gone.frames)
            self._ring_bytes -= sum(map(len, gone.frames))
        if self._wake is None or self._linger is not None:
            return
        if self._subscribers <= _AT_ONCE:
            self._fire()
        else:
            delay = min(_LINGER_MAX_S, _LINGER_EACH_S * self._subscribers)
            self._linger = asyncio.get_running_loop().call_later(delay, self._fire)

    def failed(self, why: KageError) -> None:
        self._error = why
        self._fire()

    def close(self, why: KageError) -> None:
        """End all subscriptions with an error: the daemon is about to stop."""
        self.failed(why)

    def purge(self) -> None:
        """Forget the ring: stored bytes were changed by a redaction. Subscribers re-read the journal."""
        self._ring.clear()
        self._ring_events = self._ring_bytes = 0
        self._shared.clear()

    def _fire(self) -> None:
        self._linger = None
        self._shared.clear()
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)

    # --- to subscribers ----------------------------------------------------------------------------------------

    async def subscribe(
        self, selection: Selection, after: int, *, max_batch: int, heartbeat_s: float
    ) -> AsyncGenerator[Message, None]:
        """Messages from `after` on, for ever. Raises SubscriberLimit, PositionTrimmed, PositionInFuture."""
        if self._subscribers >= self._max:
            raise SubscriberLimit(self._max)
        self._reader.check_position(after)
        self._subscribers += 1
        clock = asyncio.get_running_loop().time
        try:
            cursor, live = after, False
            told, told_at = after, clock()  # the last position that the subscriber heard of
            while True:
                if self._error is not None:
                    raise self._error
                if cursor < self._ring_start() - 1:
                    if live:
                        live = False
                        self.fell_behind += 1
                        yield FellBehind(cursor)
                    async for message in self._stored(selection, cursor, max_batch):
                        cursor = message.last_seq if isinstance(message, Batch) else message.seq
                        yield message
                    told, told_at = cursor, clock()
                    continue
                head = self._journal.durable_seq
                if cursor < head:
                    batch = self._live(selection, cursor, max_batch)
                    cursor = batch.last_seq
                    if batch.count:
                        yield batch
                        told, told_at = cursor, clock()
                    elif cursor - told >= _CHECKPOINT_EVERY or clock() - told_at >= heartbeat_s:
                        yield Checkpoint(cursor)
                        told, told_at = cursor, clock()
                    continue
                if not live:
                    live = True
                    yield CaughtUp(cursor)
                    told, told_at = cursor, clock()
                    continue  # something may have come while it was sent
                if not await self._wait(told_at + heartbeat_s - clock()):
                    yield Heartbeat(cursor)
                    told, told_at = cursor, clock()
        finally:
            self._subscribers -= 1

    def _ring_start(self) -> int:
        return self._ring[0].first_seq if self._ring else self._journal.durable_seq + 1

    async def _wait(self, timeout_s: float) -> bool:
        if self._wake is None:
            self._wake = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait((self._wake,), timeout=max(0.0, timeout_s))
        return bool(done)

    def _live(self, selection: Selection, cursor: int, max_batch: int) -> Batch:
        key = (selection.key, cursor, max_batch)
        shared = self._shared.get(key)
        if shared is None:
            if len(self._shared) >= _SHARED:  # nobody waits, so nothing clears it
                self._shared.clear()
            shared = self._shared[key] = self._join(selection, cursor, max_batch)
        return shared

    def _join(self, selection: Selection, cursor: int, max_batch: int) -> Batch:
        frames: list[bytes] = []
        last = cursor
        for commit in self._commits_after(cursor):
            start = max(0, cursor + 1 - commit.first_seq)
            end = min(len(commit.frames), start + max_batch - len(frames)) if selection.everything else None
            for framed, entry in zip(commit.frames[start:end], commit.entries[start:end], strict=True):
                last = entry.seq
                if selection.everything or selection.matches(entry):
                    frames.append(without_body(framed) if selection.head_only else framed)
                    if len(frames) >= max_batch:
                        return Batch(b"".join(frames), last, len(frames))
        return Batch(b"".join(frames), last, len(frames))

    def _commits_after(self, cursor: int) -> list[Commit]:
        wanted: list[Commit] = []
        for commit in reversed(self._ring):
            if commit.first_seq + len(commit.frames) - 1 <= cursor:
                break
            wanted.append(commit)
        wanted.reverse()
        return wanted

    async def _stored(
        self, selection: Selection, cursor: int, max_batch: int
    ) -> AsyncGenerator[Batch | Checkpoint, None]:
        """One page from the journal, in batches; the semaphore is let go before each is sent."""
        quiet_since = cursor
        limit = _CATCH_UP_PAGE if selection.everything else max_batch
        while cursor < self._ring_start() - 1:
            async with self._catch_up:
                page = await asyncio.to_thread(self._reader.page, selection, cursor, self._journal.durable_seq, limit)
            if selection.everything:
                for at in range(0, len(page.frames), max_batch):
                    frames = page.frames[at : at + max_batch]
                    yield Batch(b"".join(frames), cursor + at + len(frames), len(frames))
            elif page.frames:
                yield Batch(b"".join(page.frames), page.reached, len(page.frames))
            if page.frames:
                quiet_since = page.reached
            elif page.reached - quiet_since >= _CHECKPOINT_EVERY:
                quiet_since = page.reached
                yield Checkpoint(page.reached)
            cursor = page.reached
        if quiet_since < cursor:
            yield Checkpoint(cursor)
