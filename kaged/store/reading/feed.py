"""Subscriptions: what is stored, then what happens. Lossless; bounded memory; a slow reader holds up nobody.

A subscriber is at the head or behind it. At the head it is served from a ring of recent commits, and all
subscribers that stand at the same place with the same filter share one joined batch. When the ring has moved on
it reads the journal from its own cursor (`long_reads`: rationed, so that catching up never starves appends), and is
told so (`FellBehind`, `CaughtUp`). The writer never waits for anybody.

Above a few subscribers wake-ups are gathered for min(5 ms, 50 us each): fan-out costs messages, not events.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from kaged.domain.errors import KageError, TooMuch
from kaged.store.log.journal import Journal
from kaged.store.log.writer import Commit
from kaged.store.reading.long_reads import LongReads
from kaged.store.reading.messages import Batch, CaughtUp, Checkpoint, FellBehind, Heartbeat, Message
from kaged.store.reading.reader import Reader
from kaged.store.reading.ring import Ring
from kaged.store.reading.selection import Selection

_RING_EVENTS: Final = 16_384
_RING_BYTES: Final = 8 << 20
_AT_ONCE: Final = 4  # subscribers that are woken without gathering
_LINGER_EACH_S: Final = 50e-6
_LINGER_MAX_S: Final = 5e-3
_CHECKPOINT_EVERY: Final = 10_000
_SHARED: Final = 64  # joined batches that are kept for others at the same place


class SubscriberLimit(TooMuch):
    """Too many subscriptions at once."""

    reason = "SUBSCRIBER_LIMIT"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"there are {limit} subscriptions already", hint="close some, or raise `max_subscribers`", limit=limit
        )


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
        self.long_reads = LongReads(reader, journal.traffic)
        self._journal = journal
        self._reader = reader
        self._max = max_subscribers
        self._ring = Ring(max_events=ring_events, max_bytes=ring_bytes)
        self._shared: dict[tuple[object, ...], Batch] = {}
        self._subscribers = 0
        self._linger: asyncio.TimerHandle | None = None
        self._waiting: dict[asyncio.Future[bool], None] = {}  # in the order of their coming
        self._error: KageError | None = None
        journal.listen(self)

    @property
    def subscribers(self) -> int:
        """How many there are."""
        return self._subscribers

    # --- from the journal --------------------------------------------------------------------------------------

    def committed(self, commit: Commit) -> None:
        self._ring.add(commit)
        if not self._waiting or self._linger is not None:
            return
        if self._subscribers <= _AT_ONCE:
            self._fire()
        else:
            delay = min(_LINGER_MAX_S, _LINGER_EACH_S * self._subscribers)
            self._linger = asyncio.get_running_loop().call_later(delay, self._fire)

    def failed(self, why: KageError) -> None:
        self._error = why
        self._fire()

    def stalled(self, why: KageError | None) -> None:
        """A full disk: subscriptions go on, and there is nothing new for a while."""

    def close(self, why: KageError) -> None:
        """End all subscriptions with an error: the daemon is about to stop."""
        self.failed(why)

    def purge(self) -> None:
        """Forget the ring: stored bytes were changed by a redaction. Subscribers re-read the journal."""
        self._ring.clear()
        self._shared.clear()
        self.long_reads.forget()

    def _fire(self) -> None:
        self._linger = None
        self._shared.clear()
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(True)

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
                stored = self._ring_start() - 1
                if cursor < stored:
                    if live:
                        live = False
                        self.fell_behind += 1
                        yield FellBehind(cursor)
                    batches = self.long_reads.batches(selection, cursor, stored, max_batch=max_batch)
                    async with aclosing(batches):
                        async for batch in batches:
                            if self._error is not None:
                                raise self._error
                            cursor = batch.last_seq
                            if batch.count:
                                yield batch
                            elif cursor - told >= _CHECKPOINT_EVERY or cursor >= stored:
                                yield Checkpoint(cursor)
                            else:
                                continue
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
        first = self._ring.first_seq
        return self._journal.durable_seq + 1 if first is None else first

    async def _wait(self, timeout_s: float) -> bool:
        """Until something is new (True) or the time is over."""
        # A future and a timer by hand: `asyncio.wait` costs five times as much, for each subscriber and commit.
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting[waiter] = None
        timer = loop.call_later(max(0.0, timeout_s), _expire, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiting.pop(waiter, None)

    def _live(self, selection: Selection, cursor: int, max_batch: int) -> Batch:
        key = (selection.key, cursor, max_batch)
        shared = self._shared.get(key)
        if shared is None:
            if len(self._shared) >= _SHARED:  # nobody waits, so nothing clears it
                self._shared.clear()
            shared = self._shared[key] = self._ring.join(selection, cursor, max_batch)
        return shared


def _expire(waiter: "asyncio.Future[bool]") -> None:
    if not waiter.done():
        waiter.set_result(False)
