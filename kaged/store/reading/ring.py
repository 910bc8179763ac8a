"""The live ring: the newest commits in memory, bounded by events and by bytes, joined for whoever is near the head.

Pure: no clock, no loop. The newest commit always stays, however large it is.
"""

from bisect import bisect_right
from typing import Final

from kaged.store.log.writer import Commit
from kaged.store.reading.messages import Batch
from kaged.store.reading.selection import Selection
from kaged.store.wire.door import without_body

_TIDY: Final = 1024  # commits that may be forgotten and still in the lists
MESSAGE_BYTES: Final = 512 << 10  # a batch ends with the event that reaches it


class Ring:
    """See the module."""

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._commits: list[Commit] = []
        self._firsts: list[int] = []  # the first seq of each, to find a place by halving
        self._sizes: list[int] = []
        self._gone = 0  # commits at the front that are forgotten; cut off in one go now and then
        self._events = self._bytes = 0

    @property
    def first_seq(self) -> int | None:
        """The oldest position that is held."""
        return self._firsts[self._gone] if self._gone < len(self._firsts) else None

    def add(self, commit: Commit) -> None:
        """Take what became durable, let go of what is too much."""
        size = sum(map(len, commit.frames))
        self._commits.append(commit)
        self._firsts.append(commit.first_seq)
        self._sizes.append(size)
        self._events += len(commit.frames)
        self._bytes += size
        gone = self._gone
        while (self._events > self._max_events or self._bytes > self._max_bytes) and gone < len(self._commits) - 1:
            self._events -= len(self._commits[gone].frames)
            self._bytes -= self._sizes[gone]
            gone += 1
        for at in range(self._gone, gone):
            self._commits[at] = _NOTHING  # its bytes go now, its place in the lists later
        self._gone = gone
        if gone > _TIDY:
            del self._commits[:gone], self._firsts[:gone], self._sizes[:gone]
            self._gone = 0

    def join(self, selection: Selection, cursor: int, max_batch: int) -> Batch:
        """What matches after `cursor`, which must not lie before the ring; ends at the first bound that is reached."""
        if selection.everything and not selection.head_only:
            return self._everything(cursor, max_batch)
        frames: list[bytes] = []
        last, size = cursor, 0
        for at in range(self._place(cursor), len(self._commits)):
            commit = self._commits[at]
            start = max(0, cursor + 1 - commit.first_seq)
            for framed, entry in zip(commit.frames[start:], commit.entries[start:], strict=True):
                last = entry.seq
                if selection.matches(entry):
                    frames.append(without_body(framed) if selection.head_only else framed)
                    size += len(frames[-1])
                    if len(frames) >= max_batch or size >= MESSAGE_BYTES:
                        return Batch(b"".join(frames), last, len(frames))
        return Batch(b"".join(frames), last, len(frames))

    def _everything(self, cursor: int, max_batch: int) -> Batch:
        frames: list[bytes] = []
        size = 0
        for at in range(self._place(cursor), len(self._commits)):
            commit = self._commits[at]
            start = max(0, cursor + 1 - commit.first_seq)
            some = commit.frames[start : start + max_batch - len(frames)]
            if size + self._sizes[at] < MESSAGE_BYTES:
                frames += some
                size += self._sizes[at]
            else:
                for framed in some:
                    frames.append(framed)
                    size += len(framed)
                    if size >= MESSAGE_BYTES:
                        break
            if len(frames) >= max_batch or size >= MESSAGE_BYTES:
                break
        return Batch(b"".join(frames), cursor + len(frames), len(frames))

    def _place(self, cursor: int) -> int:
        """The commit that holds the event after `cursor`."""
        return max(self._gone, bisect_right(self._firsts, cursor + 1, lo=self._gone) - 1)


_NOTHING: Final = Commit(0, [], [], [])
