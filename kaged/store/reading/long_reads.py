"""Long reads of what is stored: batch after batch, rationed, and one page ahead of whoever takes them.

    page read and joined in a thread (one reader at a time) -> its batches are sent, while the next page is read

Promises: a reader that stops taking holds two pages at most; all long readers together read one page at a time,
begun while no commit is under way, so they never starve appends; a page waits for that a few milliseconds at most,
so appends never starve readers; after `forget` no byte that was read before it is handed out. Reading ahead is what
keeps both ends busy: without it the client waits for the disk and the daemon for the client, in turns.
Deliberately not here: where a subscription goes on when it has read all (`feed`).
"""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from kaged.domain.frozen import frozen
from kaged.store.log.waits import Traffic
from kaged.store.reading.messages import Batch
from kaged.store.reading.reader import Page, Reader
from kaged.store.reading.selection import Selection

PAGE_EVENTS: Final = 1024  # some 0.5 ms, in which RocksDB holds the interpreter
# Beside appends a page is shorter and waits for a pause between two commits: a caller that appends needs the
# interpreter five times in a row, and each time it waited for a page, or for the sending of one. Appends that never
# pause get pages of full length after each wait: some 200,000 events a second, so catching up always comes to its end.
BESIDE_EVENTS: Final = 256
GIVE_WAY_S: Final = 0.004
_BESIDE_S: Final = 0.1  # appends that are longer ago than this are over
PAGE_BYTES: Final = 384 << 10  # 1024 events of the usual size; the last one of a page may be larger than that


@frozen(kw_only=False)
class _Range:
    """What is still to be read: at most `left` events of (after, up_to]."""

    after: int
    up_to: int
    left: int

    @property
    def empty(self) -> bool:
        return self.left <= 0 or self.after >= self.up_to

    def beyond(self, seq: int, count: int, *, reverse: bool) -> "_Range":
        """The rest when everything up to `seq` was seen and `count` events were taken."""
        if reverse:
            return _Range(self.after, seq - 1, self.left - count)
        return _Range(seq, self.up_to, self.left - count)


@frozen(kw_only=False)
class _Read:
    """A page as batches, and when it was read."""

    batches: list[Batch]
    rest: _Range
    generation: int


class LongReads:
    """Long reads of one journal. Used on the event loop only."""

    def __init__(self, reader: Reader, traffic: Traffic, *, give_way_s: float = GIVE_WAY_S) -> None:
        """`traffic` is what is being appended to the same journal."""
        self._reader = reader
        self._traffic = traffic
        self._give_way_s = give_way_s
        self._turn = asyncio.Semaphore(1)
        # A thread of its own: pages that wander through the shared pool, each thread of which has cold caches and
        # memory of its own, took some 15 % more CPU to read (1.9 us an event against 1.5 to 1.8, on a busy machine).
        # It is started by the first read and ends with this object.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="long-reads")
        self._generation = 0

    def forget(self) -> None:
        """Stored bytes were changed: what was read before and not handed out yet is read again."""
        self._generation += 1

    async def batches(
        self,
        selection: Selection,
        after: int,
        up_to: int,
        *,
        max_batch: int,
        limit: int = 1 << 63,
        reverse: bool = False,
    ) -> AsyncGenerator[Batch, None]:
        """Matching events of (after, up_to], at most `limit`; batches without events say how far the look went."""
        rest = _Range(after, up_to, limit)
        while not rest.empty:
            ahead = self._begin(selection, rest, max_batch, reverse=reverse)
            try:
                while not rest.empty:
                    read = await ahead
                    if not read.rest.empty:
                        ahead = self._begin(selection, read.rest, max_batch, reverse=reverse)
                    for batch in read.batches:
                        if read.generation != self._generation:
                            break
                        rest = rest.beyond(batch.last_seq, batch.count, reverse=reverse)
                        yield batch
                    else:
                        rest = read.rest
                        continue
                    break  # begin again from `rest`
            finally:
                ahead.cancel()

    def _begin(self, selection: Selection, wanted: _Range, max_batch: int, *, reverse: bool) -> "asyncio.Task[_Read]":
        task = asyncio.ensure_future(self._read(selection, wanted, max_batch, reverse=reverse))
        task.add_done_callback(_seen)
        return task

    async def _read(self, selection: Selection, wanted: _Range, max_batch: int, *, reverse: bool) -> _Read:
        loop = asyncio.get_running_loop()
        async with self._turn:
            paused = await self._traffic.pause(self._give_way_s)
            beside = paused and self._traffic.quiet_s(loop.time()) < _BESIDE_S
            most = BESIDE_EVENTS if beside else PAGE_EVENTS
            generation = self._generation
            page = partial(self._page, selection, wanted, max_batch, most, reverse=reverse)
            batches, rest = await loop.run_in_executor(self._thread, page)
        return _Read(batches, rest, generation)

    def _page(
        self, selection: Selection, wanted: _Range, max_batch: int, most: int, *, reverse: bool
    ) -> tuple[list[Batch], _Range]:
        """One page of at most so many events, joined, in a thread."""
        # Positions inside a filtered page are known at its end only, so it is one batch.
        limit = min(wanted.left, most if selection.everything else min(most, max_batch))
        page = self._reader.page(
            selection, wanted.after, wanted.up_to, limit, reverse=reverse, max_bytes=PAGE_BYTES, max_rows=most
        )
        rest = wanted.beyond(page.reached, len(page.frames), reverse=reverse)
        if page.done:
            rest = _Range(wanted.up_to, wanted.up_to, 0)
        if not selection.everything:
            return [Batch(b"".join(page.frames), page.reached, len(page.frames))], rest
        return _cut(page, wanted, max_batch, reverse=reverse), rest


def _cut(page: Page, wanted: _Range, max_batch: int, *, reverse: bool) -> list[Batch]:
    """The batches of a page of everything: its seqs have no gaps."""
    first = page.reached + len(page.frames) - 1 if reverse else page.reached - len(page.frames) + 1
    batches = []
    for at in range(0, len(page.frames), max_batch):
        frames = page.frames[at : at + max_batch]
        seen = at + len(frames) - 1
        batches.append(Batch(b"".join(frames), first - seen if reverse else first + seen, len(frames)))
    return batches


def _seen(task: "asyncio.Task[_Read]") -> None:
    """A page that nobody came back for may have failed: that is nobody's error."""
    if not task.cancelled():
        task.exception()
