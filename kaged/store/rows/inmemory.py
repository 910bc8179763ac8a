"""The in-memory twin of `rocks.RocksStore`: same contract, for tests and for models. Not for production."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from kaged.store.rows.keys import FAMILIES, Family
from kaged.store.rows.keyvalue import NO_LIMIT, Batch
from kaged.store.rows.remembered import Remembered


class _Table:
    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.order: list[bytes] = []

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self.rows:
            insort(self.order, key)
        self.rows[key] = value

    def delete(self, key: bytes) -> None:
        if self.rows.pop(key, None) is not None:
            self.order.pop(bisect_left(self.order, key))


class MemoryStore:
    """Families as sorted lists."""

    def __init__(self) -> None:
        self._tables: dict[Family, _Table] = {family: _Table() for family in FAMILIES}
        self.syncs = 0

    def batch(self) -> Batch:
        return Remembered()

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, Remembered)
        for step, family, key, value in batch.steps:
            table = self._tables[family]
            if step == "put":
                table.put(key, value)
            elif step == "delete":
                table.delete(key)
            else:
                low, high = bisect_left(table.order, key), bisect_left(table.order, value)
                for gone in table.order[low:high]:
                    del table.rows[gone]
                del table.order[low:high]

    def sync(self) -> None:
        self.syncs += 1

    def resume(self) -> None:
        pass

    def get(self, family: Family, key: bytes) -> bytes | None:
        return self._tables[family].rows.get(key)

    def get_many(self, family: Family, keys: Sequence[bytes]) -> list[bytes | None]:
        rows = self._tables[family].rows
        return [rows.get(key) for key in keys]

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
        table = self._tables[family]
        if reverse:
            keys = table.order[max(0, bisect_right(table.order, start) - limit) : bisect_right(table.order, start)]
            keys = keys[::-1]
        else:
            at = bisect_left(table.order, start)
            keys = table.order[at : at + limit]
        found = []
        size = 0
        for key in keys:
            if not key.startswith(prefix):
                break
            value = table.rows[key]
            found.append((key, value))
            size += len(value)
            if size >= max_bytes:
                break
        return found

    def values(self, family: Family, start: bytes, limit: int, *, max_bytes: int = NO_LIMIT) -> list[bytes]:
        return [value for _, value in self.scan(family, start, limit=limit, max_bytes=max_bytes)]

    def flush(self) -> None:
        pass

    def compact(self, family: Family, start: bytes, end: bytes) -> None:
        pass

    def property(self, family: Family, name: str) -> str:
        return ""

    def close(self) -> None:
        pass
