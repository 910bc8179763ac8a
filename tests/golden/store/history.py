"""The histories behind the golden files. Changing one of them changes nothing in the format: add, do not edit.

`python -m tests.golden.store.rewrite` writes the files anew. A difference in git is then a change of the stored
format: it needs an issue, a new FORMAT word and a way for old stores.
"""

import json
from hashlib import sha256

from kaged.api.v1 import event_pb2
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import FAMILIES, SEGMENT, pack_seq
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.upkeep.retention import REQUESTED, redact
from kaged.store.wire.door import engine_entry
from kaged.store.wire.record import body_field, meta_field, varint
from tests.fakes.journals import START_US, OpenJournal, event_id, new_event

_WHOLE_BYTES = 200  # longer values are shown by their beginning, length and hash


def small() -> KeyValue:
    """One event of each shape that the format knows."""
    opened = OpenJournal(MemoryStore())
    opened.append(new_event(1), actor=2)
    opened.clock.now_us += 1
    opened.append(new_event(2, stream="notes/ä", agent="one", tags=[("k", "v"), ("empty", "")], data=b""), actor=16)
    opened.append(new_event(3, data=b"x" * 100), new_event(4, data=b"y" * 20_000), actor=17)
    # Without a body; with fields that nobody knows yet; without id and time.
    plain = event_pb2.Meta(id=event_id(5), stream="notes/b", type="a", occurred_us=START_US).SerializeToString()
    unknown = varint(99 << 3 | 2) + b"\x03new"
    opened.append(meta_field(plain.replace(event_id(5), event_id(6))))
    opened.append(
        meta_field(plain + unknown) + body_field(b"\x0a\x0a\x1a\x01d" + varint(50 << 3 | 2) + b"\x02hi" + b"\x0a\x00")
    )
    opened.append(meta_field(b"\x12\x01s\x1a\x01t"))
    # The daemon's own: every field of meta.
    opened.append_entries(
        [
            engine_entry(
                event_pb2.Meta(
                    id=event_id(7),
                    stream="agents/one",
                    type="agent.stopped",
                    occurred_us=START_US - 5,
                    version=2,
                    agent="one",
                    run="run-1",
                    correlation="job",
                    causation=event_id(1),
                    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                    ignorable=True,
                    request=event_pb2.RequestMark(id="request", digest=b"\1" * 32, events=1),
                ),
                event_pb2.Body(note="a word"),
            )
        ],
        actor=1,
    )
    opened.append(new_event(8, data=b"secret"))
    redact(opened.store, opened.reader, [9], REQUESTED)
    opened.close()
    return opened.store


def segment() -> KeyValue:
    """One full segment and a bit, with near and far postings, and ids in several buckets."""
    opened = OpenJournal(MemoryStore())
    number = 0
    while number < SEGMENT + 6:
        count = min(25, SEGMENT + 6 - number)
        raws = []
        for one in range(number + 1, number + count + 1):
            rare = one in (2, 600, 1024)
            raws.append(
                new_event(
                    one,
                    stream="rare" if rare else f"s/{one % 2}",
                    type_name="rare.one" if rare else "usual.one",
                    agent="one" if one % 300 == 0 else "",
                    tags=[("third", "yes")] if one % 341 == 0 else (),
                    time_us=START_US - one % 3 * 300_000,
                )
            )
        opened.append(*raws)
        opened.clock.now_us += 1000
        number += count
    opened.close()
    return opened.store


def shown(store: KeyValue, *, whole: bool) -> str:
    """A store as text that git can compare."""
    root = OpenJournal(store).journal.root().hex()
    lines = [json.dumps({"root": root})]
    for family in FAMILIES:
        for key, value in store.scan(family, b"", limit=1 << 20):
            row = {"family": family, "key": key.hex()}
            if whole or len(value) <= _WHOLE_BYTES:
                row["value"] = value.hex()
            else:
                row |= {"begins": value[:64].hex(), "bytes": str(len(value)), "sha256": sha256(value).hexdigest()}
            if whole or family != "events" or key in map(pack_seq, (1, 2, SEGMENT, SEGMENT + 6)):
                lines.append(json.dumps(row))
    return "\n".join(lines) + "\n"
