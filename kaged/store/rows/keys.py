"""Column families and every byte key. Keys sort as their meaning does.

Truth: `events`, `audit`, `secrets` and the `store` rows of `meta`. All other families are derived from events
and rebuilt by `kaged reindex`; a test compares the rebuilt bytes with the live ones.

| family     | key                              | value                                             |
|------------|----------------------------------|---------------------------------------------------|
| meta       | word                             | store id, format, first seq, cursor, heartbeat    |
| events     | seq u64                          | one framed `Event` (store/record.py)              |
| audit      | `L` seq u64 / `S` segment u40    | leaf hashes of one commit / of one sealed segment |
|            | `R` segment u40                  | root over the leaves of one sealed segment        |
| secrets    | agent id                         | secret environment                                |
| index      | kind, term, NUL, segment u40     | postings of that term in that segment             |
| ids        | time bucket u48, segment u40     | (event id 16 bytes, offset u16) sorted            |
| states     | kind, id, NUL, ~seq u64          | state of one thing as of seq                      |
| operations | request id                       | seq, count, digest, recorded time                 |
"""

from struct import Struct
from typing import Final, Literal

Family = Literal["meta", "events", "audit", "secrets", "index", "ids", "states", "operations"]
FAMILIES: Final[tuple[Family, ...]] = (
    "meta",
    "events",
    "audit",
    "secrets",
    "index",
    "ids",
    "states",
    "operations",
)
DERIVED: Final[tuple[Family, ...]] = ("index", "ids", "states", "operations")

SEGMENT: Final = 1024  # events in a segment: the unit of indexes, of leaf hash rows and of their byte-exact rebuild
MAX_SEQ: Final = 2**64 - 1

_U64: Final = Struct(">Q")

pack_seq = _U64.pack


def unpack_seq(key: bytes) -> int:
    """Read back what `pack_seq` wrote."""
    value: int = _U64.unpack(key)[0]
    return value


def segment_of(seq: int) -> int:
    """Segment 0 holds seq 1 to SEGMENT."""
    return (seq - 1) // SEGMENT


def segment_start(segment: int) -> int:
    """First seq of a segment."""
    return segment * SEGMENT + 1


# --- index ---------------------------------------------------------------------------------------------------

STREAM: Final = b"s"
TYPE: Final = b"t"
AGENT: Final = b"a"
TAG: Final = b"g"


def term(kind: bytes, text: str) -> bytes:
    """What an index row is about. Texts hold no NUL: the door refuses control characters."""
    return kind + text.encode() + b"\0"


def index_row(term_key: bytes, segment: int) -> bytes:
    """Key of a term's postings in a segment."""
    return term_key + segment.to_bytes(5, "big")


def index_segment(key: bytes) -> int:
    """Segment of an index row."""
    return int.from_bytes(key[-5:], "big")


# --- ids -----------------------------------------------------------------------------------------------------

BUCKET_SHIFT: Final = 8  # ids are grouped by 256 ms of their own time, so a bulk load of old ids stays local


def id_bucket(event_id: bytes) -> int:
    """Time bucket of a UUIDv7: its 48 bits of milliseconds, shortened."""
    return int.from_bytes(event_id[:6], "big") >> BUCKET_SHIFT


def id_row(bucket: int, segment: int) -> bytes:
    """Key of the ids of one bucket in one segment."""
    return bucket.to_bytes(6, "big") + segment.to_bytes(5, "big")


REBUILD_CURSOR: Final = b"reindex_from"  # in meta: first seq of its next step; absent when none is under way
HEARTBEAT: Final = b"heartbeat"  # in meta: when the watchdog last saw a write reach the disk, us since 1970


# --- states --------------------------------------------------------------------------------------------------

AGENT_STATE: Final = b"a"
TREE_STATE: Final = b"t"
APPROVAL_STATE: Final = b"p"
AGENT_NAME: Final = b"n"
TREE_KNOWN: Final = b"k"  # one row for each tree that was not deleted
TREE_LIVE: Final = b"v"  # one row for each tree of which something runs or may run of itself


def state_prefix(kind: bytes, key: str) -> bytes:
    """All rows of one thing start with this; the newest comes first."""
    return kind + key.encode() + b"\0"


def state_row(kind: bytes, key: str, seq: int) -> bytes:
    """Key of a thing's state as of a seq; newest first."""
    return state_prefix(kind, key) + pack_seq(MAX_SEQ - seq)


def state_seq(key: bytes) -> int:
    """Seq that a state row is as of."""
    return MAX_SEQ - unpack_seq(key[-8:])


# --- audit ---------------------------------------------------------------------------------------------------


def leaves_row(first_seq: int) -> bytes:
    """Leaf hashes of one commit, 32 bytes each, from this seq on."""
    return b"L" + pack_seq(first_seq)


def sealed_row(segment: int) -> bytes:
    """Leaf hashes of one whole segment."""
    return b"S" + segment.to_bytes(5, "big")


def root_row(segment: int) -> bytes:
    """Root over the leaves of one whole segment: 32 bytes, so that opening a long journal reads little."""
    return b"R" + segment.to_bytes(5, "big")
