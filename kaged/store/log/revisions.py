"""The last accepted revision of each stream, in bounded memory. Used on the event loop only.

What is not in memory is asked of the index. So a revision may be forgotten only when the index has it: when all
events that it was made from are sealed. That is why there are two generations, and the older one goes as a whole.
"""

from collections.abc import Iterable
from typing import Final

from kaged.store.log.segments import decode_postings
from kaged.store.rows.keys import STREAM, index_row, index_segment, term
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.wire.entry import Entry

_STREAMS: Final = 32_768  # of each generation


class Revisions:
    """See the module. `heads` is open to who gives out revisions: one look-up for each event, and no call."""

    def __init__(self, store: KeyValue, tail: Iterable[Entry]) -> None:
        self._store = store
        self.heads = {entry.shape.stream: entry.revision for entry in tail}
        self._old: dict[str, int] = {}
        self._old_end = 0  # last seq that was accepted in the time of the older generation

    def last(self, stream: str) -> int:
        """Last accepted revision of a stream, 0 when it has no event."""
        head = self.heads.get(stream)
        if head is None:
            head = self.older(stream)
            if len(self.heads) < _STREAMS:  # asking for many streams must not fill the memory
                self.heads[stream] = head
        return head

    def sealed(self, seq: int, accepted_seq: int) -> None:
        """Everything up to `seq` is in the index now: the older generation may make room for the newer one."""
        if self._old_end <= seq and len(self.heads) > _STREAMS:
            self._old, self._old_end = self.heads, accepted_seq
            self.heads = {}

    def older(self, stream: str) -> int:
        """The same of a stream that is not in `heads`."""
        head = self._old.get(stream)
        return self._stored(stream) if head is None else head

    def _stored(self, stream: str) -> int:
        key = term(STREAM, stream)
        rows = self._store.scan("index", index_row(key, 2**40 - 1), prefix=key, limit=1, reverse=True)
        if not rows:
            return 0
        seqs, first_revision = decode_postings(rows[0][1], index_segment(rows[0][0]), stream=True)
        return first_revision + len(seqs) - 1
