"""Which request made which events: so that a repeat gets the first answer. Derived from the events' marks."""

from struct import Struct
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.domain.frozen import frozen
from kaged.store.rows.keys import Family
from kaged.store.rows.keyvalue import KeyValue

_ROW: Final = Struct(">QQI")


@frozen
class Operation:
    """One remembered request."""

    first_seq: int
    recorded_us: int
    events: int
    digest: bytes


def operation_row(mark: event_pb2.RequestMark, first_seq: int, recorded_us: int) -> tuple[Family, bytes, bytes]:
    """The row that remembers a request."""
    return "operations", mark.id.encode(), _ROW.pack(first_seq, recorded_us, mark.events) + mark.digest


def find_operation(store: KeyValue, request_id: str) -> Operation | None:
    """What a request did, if it is remembered."""
    value = store.get("operations", request_id.encode())
    if value is None:
        return None
    first_seq, recorded_us, events = _ROW.unpack_from(value)
    return Operation(first_seq=first_seq, recorded_us=recorded_us, events=events, digest=value[_ROW.size :])
