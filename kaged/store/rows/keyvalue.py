"""The seam below the journal: an ordered key-value store with families and atomic batches.

Two implementations pass the same contract tests: `rocks.RocksStore` and `inmemory.MemoryStore`.
`write` is atomic and survives a kill of the process; only `sync` makes it survive a power cut. Reads see what
was written, synced or not: it is the journal that clips to what is durable.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, Protocol

from kaged.domain.errors import Broken, Refusal
from kaged.store.rows.keys import Family

NO_LIMIT: Final = sys.maxsize


class DiskFull(Broken):
    """No room on the disk of the state folder. The write may be there or not; `resume` comes before the next."""

    reason: ClassVar[str] = "DISK_FULL"


class StoreFailed(Broken):
    """The disk refused a write or a sync: what reached it is unknown, so nothing more is acknowledged."""

    reason: ClassVar[str] = "STORE_FAILED"


class StoreCorrupt(Broken):
    """Stored bytes are not what was written."""

    reason: ClassVar[str] = "STORE_CORRUPT"


class StoreBusy(Refusal):
    """Another process has the store open."""

    reason: ClassVar[str] = "STORE_BUSY"


class StoreTooNew(Refusal):
    """The store was written by a newer release, or is not one of ours."""

    reason: ClassVar[str] = "STORE_FORMAT"


class Batch(Protocol):
    """Writes that happen together. Used once."""

    def put(self, family: Family, key: bytes, value: bytes) -> None:
        """Set a row."""

    def put_all(self, family: Family, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Set rows: the fast path of a commit."""

    def delete(self, family: Family, key: bytes) -> None:
        """Take a row out."""

    def delete_range(self, family: Family, start: bytes, end: bytes) -> None:
        """Take out all rows from `start` up to, not including, `end`."""


class KeyValue(Protocol):
    """An open store. Safe to use from several threads; `close` only when they are done."""

    def batch(self) -> Batch:
        """An empty batch."""

    def write(self, batch: Batch) -> None:
        """Apply a batch, all or nothing. Raises DiskFull, StoreFailed."""

    def sync(self) -> None:
        """Make everything written so far survive a power cut. Raises DiskFull, StoreFailed."""

    def resume(self) -> None:
        """After DiskFull: make sure that writes are safe again, whatever of the failed ones reached the disk.

        When this returns, all that was written is in synced tables and the next write begins a log of its own.
        Raises DiskFull while there is no room for that, StoreFailed.
        """

    def get(self, family: Family, key: bytes) -> bytes | None:
        """One value."""

    def get_many(self, family: Family, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of the keys."""

    def scan(
        self,
        family: Family,
        start: bytes,
        *,
        prefix: bytes = b"",
        limit: int,
        reverse: bool = False,
        max_bytes: int = NO_LIMIT,
    ) -> list[tuple[bytes, bytes]]:
        """Rows from `start` on (inclusive; towards smaller keys when `reverse`) that begin with `prefix`.

        Ends with the row whose value reaches `max_bytes` in all; a few more rows may be held for a moment.
        """

    def values(self, family: Family, start: bytes, limit: int, *, max_bytes: int = NO_LIMIT) -> list[bytes]:
        """Values from `start` on, bounded as those of `scan`: the fast path of catching up."""

    def flush(self) -> None:
        """Write memory tables to files, so that the next open is quick."""

    def compact(self, family: Family, start: bytes, end: bytes) -> None:
        """Rewrite the files of a range, so that what was deleted or replaced is really gone."""

    def property(self, family: Family, name: str) -> str:
        """A figure of the engine, or an empty text."""

    def close(self) -> None:
        """Let go of the files."""
