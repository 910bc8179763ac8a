"""A store in memory whose disk fills up as it is told to: before a write, after it, in a sync, or still at `resume`.

As RocksDB does it: after a refusal nothing is taken until `resume` has worked, and a refused batch is there or not.
"""

from collections.abc import Iterator
from typing import Literal

from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keyvalue import Batch, DiskFull, StoreFailed

Fault = Literal["", "write", "written", "sync", "resume", "broken"]


class FullDiskStore(MemoryStore):
    """`full` refuses all; otherwise one of `faults` is taken for each write and resume while there are any."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.faults: Iterator[Fault] = iter(())
        self.refused = 0
        self._torn = False
        self._sync_fails = False

    def write(self, batch: Batch) -> None:
        assert not self._torn, "a write behind half a record"
        fault = self._fault()
        if fault == "broken":
            raise StoreFailed("the disk is broken")
        self._sync_fails = fault == "sync"
        if fault != "write":
            super().write(batch)
        if fault in ("write", "written"):
            self._refuse()

    def sync(self) -> None:
        assert not self._torn, "a sync that proves nothing"
        if self._sync_fails:
            self._sync_fails = False
            self._refuse()
        super().sync()

    def resume(self) -> None:
        if self.full or self._fault() == "resume":
            self._refuse()
        self._torn = False

    def _fault(self) -> Fault:
        return "write" if self.full else next(self.faults, "")

    def _refuse(self) -> None:
        self._torn = True
        self.refused += 1
        raise DiskFull("the disk is full")
