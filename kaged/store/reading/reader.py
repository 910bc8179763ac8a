"""Reading what is durable: by seq, id, time, revision, and by selection through the indexes.

Every call is short (a bounded number of rows) and clipped to the durable head, so nobody sees what a power cut
could still take back. Calls are synchronous; those that may touch many rows are made in a thread by the caller.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final

from kaged.domain.errors import NotFound, OutOfRange
from kaged.store.log.journal import Journal
from kaged.store.log.segments import decode_postings
from kaged.store.reading.selection import Selection
from kaged.store.rows.keys import (
    STREAM,
    TYPE,
    index_row,
    index_segment,
    pack_seq,
    segment_of,
    segment_start,
    term,
)
from kaged.store.wire.door import reread, without_body
from kaged.store.wire.entry import Entry
from kaged.store.wire.record import decode_head, split

SCAN_ROWS: Final = 1024  # rows looked at in one call: some 2 ms
_PAGE_BYTES: Final = 4 << 20
_SCAN_BYTES: Final = 4 << 20  # of rows that are looked at and mostly thrown away
_GET_ROWS: Final = 128  # fetched at once through the index; the largest fill a page with four
_POSTING_ROWS: Final = 32


class PositionTrimmed(OutOfRange):
    """The position lies before what is kept."""

    reason = "POSITION_TRIMMED"

    def __init__(self, seq: int, first_seq: int) -> None:
        super().__init__(
            f"seq {seq} is trimmed; the journal begins at {first_seq}",
            hint=f"read from {first_seq}",
            seq=seq,
            first_seq=first_seq,
        )


class PositionInFuture(OutOfRange):
    """The position lies after the head: probably a cursor of another store."""

    reason = "POSITION_IN_FUTURE"

    def __init__(self, seq: int, head_seq: int) -> None:
        super().__init__(
            f"seq {seq} is after the head {head_seq}",
            hint="is this cursor from another store?",
            seq=seq,
            head_seq=head_seq,
        )


class EventNotFound(NotFound):
    """No event has this seq or id."""

    reason = "EVENT_NOT_FOUND"


@dataclass(slots=True)
class Page:
    """Framed events in order, and how far the look went: everything up to `reached` (inclusive) was seen.

    The next page begins there: `after=reached` forward, `up_to=reached - 1` in reverse. `last_seq` is that of
    the last frame, 0 without one. `done` says that nothing is left in the range that was asked for.
    """

    frames: list[bytes]
    reached: int
    last_seq: int
    done: bool


class Reader:
    """Reads of one journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._store = journal.store

    @property
    def head(self) -> int:
        """Last durable seq."""
        return self._journal.durable_seq

    def check_position(self, seq: int) -> None:
        """Refuse to read after a position that is trimmed or that never was."""
        if seq + 1 < self._journal.first_seq:
            raise PositionTrimmed(seq, self._journal.first_seq)
        if seq > self.head:
            raise PositionInFuture(seq, self.head)

    def get(self, seq: int) -> bytes:
        """One framed event. Raises PositionTrimmed, EventNotFound."""
        if 0 < seq < self._journal.first_seq:
            raise PositionTrimmed(seq, self._journal.first_seq)
        framed = self._store.get("events", pack_seq(seq)) if 0 < seq <= self.head else None
        if framed is None:
            raise EventNotFound(f"no event has seq {seq}", hint=f"the head is {self.head}", head_seq=self.head)
        return framed

    def find(self, event_id: bytes) -> bytes:
        """One framed event by its id. Raises EventNotFound."""
        seq = self._journal.identities.find(event_id)
        if not seq or seq > self.head:
            raise EventNotFound(f"no event has id {event_id.hex()}")
        return self.get(seq)

    def seek_time(self, recorded_us: int) -> int:
        """First seq recorded at or after a time; head + 1 when there is none. About 23 reads in 10 M events."""
        low, high = self._journal.first_seq, self.head + 1
        while low < high:
            middle = (low + high) // 2
            if self._recorded_us(middle) >= recorded_us:
                high = middle
            else:
                low = middle + 1
        return low

    def _recorded_us(self, seq: int) -> int:
        return decode_head(split(self.get(seq)).head).recorded_us

    def at_time(self, recorded_us: int) -> int:
        """Last seq recorded at or before a time; 0 when there is none."""
        return self.seek_time(recorded_us + 1) - 1

    # --- pages -------------------------------------------------------------------------------------------------

    def page(
        self,
        selection: Selection,
        after: int,
        up_to: int,
        limit: int,
        *,
        reverse: bool = False,
        max_bytes: int = _PAGE_BYTES,
        max_rows: int = SCAN_ROWS,
    ) -> Page:
        """At most `limit` matching events of (after, up_to], from one end; looks at a bounded number of rows.

        Ends with the event that reaches `max_bytes`. `max_rows`: a closer bound, for who must not take long.
        """
        up_to = min(up_to, self.head)
        after = max(after, self._journal.first_seq - 1)
        if after >= up_to:
            return Page([], after + 1 if reverse else after, 0, done=True)
        # The filter's own range narrows where to look, not what `reached` says: beyond it nothing matches.
        low = max(after, (selection.seqs.low or 1) - 1)
        high = up_to if selection.seqs.high is None else min(up_to, selection.seqs.high)
        if low < high and selection.recorded.low is not None and self._recorded_us(low + 1) < selection.recorded.low:
            low = self.seek_time(selection.recorded.low) - 1
        if low < high and selection.recorded.high is not None and self._recorded_us(high) > selection.recorded.high:
            high = self.at_time(selection.recorded.high)
        if low >= high:
            page = Page([], 0, 0, done=True)
        elif selection.everything:
            page = self._range(selection, low, high, limit, max_bytes, reverse=reverse)
        elif selection.terms:
            page = self._indexed(selection, low, high, limit, max_bytes, reverse=reverse)
        else:
            page = self._scanned(selection, low, high, limit, max_bytes, min(max_rows, SCAN_ROWS), reverse=reverse)
        if page.done:
            page.reached = after + 1 if reverse else up_to
        return page

    def _range(
        self, selection: Selection, after: int, up_to: int, limit: int, max_bytes: int, *, reverse: bool
    ) -> Page:
        taken = self._rows(after, up_to, limit, max_bytes, reverse=reverse)
        reached = up_to - len(taken) + 1 if reverse else after + len(taken)
        done = reached <= after + 1 if reverse else reached >= up_to
        if selection.head_only:
            taken = [without_body(framed) for framed in taken]
        return Page(taken, reached, reached, done)

    def _rows(self, after: int, up_to: int, limit: int, max_bytes: int, *, reverse: bool) -> list[bytes]:
        count = min(limit, up_to - after, SCAN_ROWS)
        if reverse:
            rows = self._store.scan("events", pack_seq(up_to), limit=count, reverse=True, max_bytes=max_bytes)
            return [value for _, value in rows]
        return self._store.values("events", pack_seq(after + 1), count, max_bytes=max_bytes)

    def _scanned(
        self, selection: Selection, after: int, up_to: int, limit: int, max_bytes: int, max_rows: int, *, reverse: bool
    ) -> Page:
        rows = self._rows(after, up_to, max_rows, _SCAN_BYTES, reverse=reverse)
        exhausted = len(rows) == up_to - after
        return self._filter(selection, rows, after, up_to, limit, max_bytes, reverse=reverse, exhausted=exhausted)

    def _indexed(
        self, selection: Selection, after: int, up_to: int, limit: int, max_bytes: int, *, reverse: bool
    ) -> Page:
        # Not more than asked for: each may lie in a block of its own, and mostly all of them match.
        most = min(SCAN_ROWS, limit if selection.exact else max(64, limit))
        candidates = self._candidates(selection, after, up_to, reverse=reverse)
        found: list[tuple[int, bytes]] = []
        size, exhausted = 0, False
        while len(found) < most and size < max_bytes and not exhausted:
            wanted = min(_GET_ROWS, most - len(found))
            seqs = list(islice(candidates, wanted))
            values = self._store.get_many("events", [pack_seq(seq) for seq in seqs])
            some = [(seq, value) for seq, value in zip(seqs, values, strict=True) if value]
            size += sum(len(value) for _, value in some)
            found += some
            exhausted = len(seqs) < wanted
        rows = [value for _, value in found]
        if not selection.exact:
            return self._filter(selection, rows, after, up_to, limit, max_bytes, reverse=reverse, exhausted=exhausted)
        taken = _within_bytes(rows, max_bytes)
        last_seq = found[taken - 1][0] if taken else 0
        frames = [without_body(framed) for framed in rows[:taken]] if selection.head_only else rows[:taken]
        return Page(frames, last_seq, last_seq, done=exhausted and taken == len(rows))

    def _filter(
        self,
        selection: Selection,
        rows: list[bytes],
        after: int,
        up_to: int,
        limit: int,
        max_bytes: int,
        *,
        reverse: bool,
        exhausted: bool,
    ) -> Page:
        frames: list[bytes] = []
        size = last_seq = 0
        seq = up_to + 1 if reverse else after
        for framed in rows:
            entry = reread(framed)
            seq = entry.seq
            if selection.matches(entry):
                frames.append(without_body(framed) if selection.head_only else framed)
                last_seq = seq
                size += len(framed)
                if len(frames) >= limit or size >= max_bytes:
                    done = exhausted and framed is rows[-1]
                    return Page(frames, seq, last_seq, done)
        return Page(frames, seq, last_seq, done=exhausted)

    # --- through the index -------------------------------------------------------------------------------------

    def _candidates(self, selection: Selection, after: int, up_to: int, *, reverse: bool) -> Iterator[int]:
        """Seqs of (after, up_to] that hold one of the selection's terms, in order, without repeats."""
        tail = [entry.seq for entry in self._journal.tail.copy() if entry.seq <= up_to and selection.matches(entry)]
        tail_start = tail[0] if tail else up_to + 1
        sealed_end = min(up_to, segment_start(segment_of(self.head + 1)) - 1)
        sources = [
            self._postings(term_key, after, min(sealed_end, tail_start - 1), reverse=reverse)
            for kind, text, prefix in selection.terms
            for term_key in (self._expand(text) if prefix else [term(kind, text)])
        ]
        merged = heapq.merge(*sources, reverse=reverse)
        fresh = [seq for seq in tail if seq > after]
        previous = 0
        if reverse:
            yield from reversed(fresh)
        for seq in merged:
            if seq != previous:
                previous = seq
                yield seq
        if not reverse:
            yield from fresh

    def _expand(self, type_prefix: str) -> list[bytes]:
        """Terms of all event types that begin with a prefix: one seek for each."""
        start = TYPE + type_prefix.encode()
        found: list[bytes] = []
        seek = start
        while rows := self._store.scan("index", seek, prefix=start, limit=1):
            term_key = rows[0][0][:-5]
            found.append(term_key)
            seek = term_key[:-1] + b"\x01"
        return found

    def _postings(self, term_key: bytes, after: int, up_to: int, *, reverse: bool) -> Iterator[int]:
        if up_to <= after:
            return
        stream = term_key.startswith(STREAM)
        segment = segment_of(up_to if reverse else after + 1)
        start = index_row(term_key, segment)
        while True:
            rows = self._store.scan("index", start, prefix=term_key, limit=_POSTING_ROWS, reverse=reverse)
            for key, value in rows:
                seqs, _ = decode_postings(value, index_segment(key), stream=stream)
                if reverse:
                    yield from takewhile(lambda seq: seq > after, (seq for seq in reversed(seqs) if seq <= up_to))
                    if seqs[0] <= after:
                        return
                else:
                    yield from takewhile(lambda seq: seq <= up_to, (seq for seq in seqs if seq > after))
                    if seqs[-1] >= up_to:
                        return
            if len(rows) < _POSTING_ROWS:
                return
            following = index_segment(rows[-1][0]) + (-1 if reverse else 1)
            if following < 0:
                return
            start = index_row(term_key, following)

    def seq_of_revision(self, stream: str, revision: int) -> int:
        """Seq of the first event of a stream at or after a revision; head + 1 when there is none."""
        head = self.head  # before the tail: what leaves the tail afterwards is in the index by then
        fresh = [entry for entry in self._journal.tail.copy() if entry.seq <= head and entry.stream == stream]
        if not fresh or revision < fresh[0].revision:
            seq = self._sealed_revision(term(STREAM, stream), revision)
            if 0 < seq <= head:
                return seq
        # Revisions have no gaps, and the tail is the stream's end.
        offset = max(0, revision - fresh[0].revision) if fresh else 0
        return fresh[offset].seq if offset < len(fresh) else head + 1

    def _sealed_revision(self, term_key: bytes, revision: int) -> int:
        """The same among index rows; 0 when there is none. One seek for each halving."""
        low, high = segment_of(self._journal.first_seq), segment_of(self.head) + 1
        found = 0
        while low < high:
            middle = (low + high) // 2
            rows = self._store.scan("index", index_row(term_key, middle), prefix=term_key, limit=1)
            if not rows:
                high = middle
                continue
            segment = index_segment(rows[0][0])
            seqs, first = decode_postings(rows[0][1], segment, stream=True)
            if first + len(seqs) <= revision:
                low = segment + 1
                continue
            found = seqs[max(0, revision - first)]
            if first <= revision:
                break
            high = middle  # this row is the answer unless an earlier one has the revision
        return found

    def last_of(self, stream: str, up_to: int | None = None) -> Entry | None:
        """The newest event of a stream at or before a seq, as an entry; use `get` for its bytes."""
        limit = self.head if up_to is None else min(up_to, self.head)
        for entry in reversed(self._journal.tail.copy()):
            if entry.seq <= limit and entry.stream == stream:
                return entry
        for seq in self._postings(term(STREAM, stream), self._journal.first_seq - 1, limit, reverse=True):
            return reread(self.get(seq))
        return None


def _within_bytes(frames: list[bytes], max_bytes: int) -> int:
    """How many of them there are up to the one that reaches `max_bytes`."""
    size = 0
    for at, framed in enumerate(frames, 1):
        size += len(framed)
        if size >= max_bytes:
            return at
    return len(frames)
