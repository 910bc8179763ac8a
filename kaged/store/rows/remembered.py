"""A batch that is only remembered: what a store in memory applies, and what sealing a segment would write."""

from collections.abc import Iterable
from typing import Literal

from kaged.store.rows.keys import Family


class Remembered:
    """See `keyvalue.Batch`. `steps`: (kind, family, key, value) in order; of a range, value is where it ends."""

    def __init__(self) -> None:
        self.steps: list[tuple[Literal["put", "delete", "range"], Family, bytes, bytes]] = []

    def put(self, family: Family, key: bytes, value: bytes) -> None:
        self.steps.append(("put", family, key, value))

    def put_all(self, family: Family, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.steps += [("put", family, key, value) for key, value in rows]

    def delete(self, family: Family, key: bytes) -> None:
        self.steps.append(("delete", family, key, b""))

    def delete_range(self, family: Family, start: bytes, end: bytes) -> None:
        self.steps.append(("range", family, start, end))
