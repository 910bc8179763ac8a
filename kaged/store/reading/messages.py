"""What a long read and a subscription deliver. A batch is bytes that go out as they are: nobody parses it here."""

from kaged.domain.frozen import frozen


@frozen(kw_only=False)
class Batch:
    """Joined framed events; everything up to `last_seq` was looked at (down to it, in a read in reverse)."""

    joined: bytes
    last_seq: int
    count: int


@frozen(kw_only=False)
class CaughtUp:
    """What follows is live."""

    seq: int


@frozen(kw_only=False)
class FellBehind:
    """What follows is read from the journal again."""

    seq: int


@frozen(kw_only=False)
class Checkpoint:
    """Nothing matched up to here."""

    seq: int


@frozen(kw_only=False)
class Heartbeat:
    """Nothing happened."""

    seq: int


Message = Batch | CaughtUp | FellBehind | Checkpoint | Heartbeat
