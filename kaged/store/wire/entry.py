"""One event in memory between the way in and the disk, and what its id may be."""

from typing import Final, NamedTuple

from kaged.domain.errors import Invalid

_MAX_AHEAD_MS: Final = 5 * 60 * 1000


class Shape(NamedTuple):
    """What an event is about, without its id, time and body; shared by many events."""

    stream: str
    type: str
    agent: str
    run: str
    tags: tuple[str, ...]
    correlation: str
    causation: bytes


class Entry:
    """What the journal remembers of one event while it is fresh."""

    __slots__ = ("actor", "body", "id", "leaf", "meta", "occurred_us", "recorded_us", "revision", "seq", "shape")

    seq: int
    recorded_us: int
    revision: int
    actor: int
    meta: bytes
    body: bytes
    leaf: bytes
    id: bytes
    occurred_us: int
    shape: Shape

    @property
    def stream(self) -> str:
        """The stream that it belongs to."""
        return self.shape.stream

    @property
    def type(self) -> str:
        """Its type."""
        return self.shape.type


def check_id(event_id: bytes, now_us: int) -> None:
    """Only UUIDv7 of at most five minutes ahead. Raises Invalid."""
    if len(event_id) != 16 or event_id[6] >> 4 != 7 or event_id[8] >> 6 != 2:
        raise Invalid(("events.meta.id", "not a UUIDv7 of 16 bytes"), hint="leave it empty and one is made")
    if int.from_bytes(event_id[:6], "big") > now_us // 1000 + _MAX_AHEAD_MS:
        raise Invalid(("events.meta.id", "its time is more than 5 minutes ahead"), hint="check the clock")


def latest_id_time(now_us: int) -> bytes:
    """The largest first six bytes that an id may have now."""
    return (now_us // 1000 + _MAX_AHEAD_MS).to_bytes(6, "big")
