"""Long reads beside appends: each gives way to the other, and neither for ever."""

import asyncio

from kaged.store.log.waits import Traffic
from kaged.store.reading.long_reads import BESIDE_EVENTS, PAGE_EVENTS, LongReads
from kaged.store.reading.reader import Page, Reader
from kaged.store.reading.selection import Selection, select
from kaged.store.rows.inmemory import MemoryStore
from tests.fakes.journals import OpenJournal, new_event

EVENTS = 3 * PAGE_EVENTS
EVERYTHING = select("", now_us=0)
LONG_S = 600.0


class Observed(Reader):
    """Remembers how long a page was asked for."""

    def __init__(self, opened: OpenJournal) -> None:
        super().__init__(opened.journal)
        self.asked: list[int] = []

    def page(self, selection: Selection, after: int, up_to: int, limit: int, **options: object) -> Page:  # type: ignore[override]
        self.asked.append(limit)
        return super().page(selection, after, up_to, limit, **options)  # type: ignore[arg-type]


def read(observed: Observed, traffic: Traffic, opened: OpenJournal, give_way_s: float, *, ends: bool = False) -> int:
    """All events, counted. `ends`: the commit ends once the read has had its chance to begin."""

    async def count() -> int:
        long_reads = LongReads(observed, traffic, give_way_s=give_way_s)
        batches = long_reads.batches(EVERYTHING, 0, EVENTS, max_batch=PAGE_EVENTS)
        first = asyncio.ensure_future(anext(batches))
        if ends:
            for _ in range(20):
                await asyncio.sleep(0)
            assert observed.asked == []
            traffic.ends()
        return (await first).count + sum([batch.count async for batch in batches])

    return opened.run(asyncio.wait_for(count(), 60))


def filled() -> OpenJournal:
    opened = OpenJournal(MemoryStore())
    opened.append(*(new_event(number) for number in range(EVENTS)))
    return opened


def test_a_page_is_not_begun_before_the_commit_under_way_ends_and_is_short_beside_appends() -> None:
    opened, traffic = filled(), Traffic()
    observed = Observed(opened)
    traffic.begins(opened.loop.time() + LONG_S)  # as if appends went on through the whole read
    assert read(observed, traffic, opened, LONG_S, ends=True) == EVENTS
    assert set(observed.asked) == {BESIDE_EVENTS}
    opened.close()


def test_a_reader_comes_to_its_end_beside_commits_without_a_pause() -> None:
    opened, traffic = filled(), Traffic()
    observed = Observed(opened)
    traffic.begins(opened.loop.time())
    assert read(observed, traffic, opened, 0.001) == EVENTS
    assert set(observed.asked) == {PAGE_EVENTS}
    opened.close()


def test_pages_are_long_when_nobody_appends() -> None:
    opened, traffic = filled(), Traffic()
    observed = Observed(opened)
    assert read(observed, traffic, opened, LONG_S) == EVENTS
    assert set(observed.asked) == {PAGE_EVENTS}
    opened.close()


def test_the_journal_says_when_a_commit_is_under_way() -> None:
    opened = OpenJournal(MemoryStore())
    traffic = opened.journal.traffic

    async def watch() -> list[bool]:
        seen = [traffic.busy]
        done = opened.journal.accept(opened.admit([new_event(1)]), 2)
        seen.append(traffic.busy)
        seen.append(await traffic.pause(LONG_S))
        return [*seen, traffic.busy, done.done()]

    assert opened.run(watch()) == [False, True, True, False, True]
    assert traffic.quiet_s(opened.loop.time()) < LONG_S
    opened.close()
