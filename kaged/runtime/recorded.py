"""The daemon's own facts, read back from the journal. What they are in bytes: `store/wire/codec.py`."""

from kaged.api.v1 import event_pb2
from kaged.domain.events.every import DomainEvent
from kaged.store.reading.reader import Reader
from kaged.store.wire.codec import decode
from kaged.store.wire.record import payload


def event_in(framed: bytes) -> event_pb2.Event:
    """The event in a stored value."""
    return event_pb2.Event.FromString(payload(framed))


def fact_in(framed: bytes) -> DomainEvent | None:
    """The daemon's fact in a stored value, or None when it is none of ours."""
    return decode(event_in(framed))


def event_at(reader: Reader, seq: int) -> event_pb2.Event:
    """The event at a seq. Raises what `Reader.get` does."""
    return event_in(reader.get(seq))


def fact_at(reader: Reader, seq: int) -> DomainEvent | None:
    """The daemon's fact at a seq, or None when it is none of ours. Raises what `Reader.get` does."""
    return fact_in(reader.get(seq))
