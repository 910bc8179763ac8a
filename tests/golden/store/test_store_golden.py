"""The stored format does not change by accident, and stores of this format can be read for ever."""

import json
from pathlib import Path
from typing import cast

import pytest

from kaged.api.v1 import event_pb2, event_service_pb2
from kaged.store.log.journal import Journal
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import Family
from kaged.store.upkeep.integrity import verify
from kaged.store.wire.record import payload
from tests.fakes.journals import START_US, Clock, event_id
from tests.golden.store.history import segment, shown, small

HERE = Path(__file__).parent
HINT = "the stored format changed: see tests/golden/store/history.py"


@pytest.mark.parametrize("name", ["small", "segment"])
def test_the_same_history_gives_the_bytes_of_the_golden_file(name: str) -> None:
    fresh = shown(small(), whole=True) if name == "small" else shown(segment(), whole=False)
    for line, golden in zip(fresh.splitlines(), (HERE / f"{name}.jsonl").read_text().splitlines(), strict=True):
        assert line == golden, HINT


def test_a_store_of_the_golden_rows_opens_and_reads() -> None:
    first, *rows = map(json.loads, (HERE / "small.jsonl").read_text().splitlines())
    store = MemoryStore()
    batch = store.batch()
    for row in rows:
        batch.put(cast("Family", row["family"]), bytes.fromhex(row["key"]), bytes.fromhex(row["value"]))
    store.write(batch)
    assert verify(store).good
    journal = Journal(store, clock_us=Clock())
    assert journal.root().hex() == first["root"]
    reader = Reader(journal)
    page = reader.page(select("", now_us=START_US), 0, 99, 99)
    events = event_service_pb2.EventBatch.FromString(b"".join(page.frames)).events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.actor for event in events][:4] == [2, 16, 17, 17]
    assert [event.revision for event in events if event.meta.stream == "notes/a"] == [1, 2, 3, 4]
    assert [tag.key for tag in events[1].meta.tags] == ["k", "empty"]
    assert len(events[3].body.custom.data) == 20_000
    assert events[8].redaction.reason == event_pb2.REDACTION_REASON_REQUESTED
    assert events[7].meta.request.id == "request"
    assert event_pb2.Event.FromString(payload(reader.find(event_id(2)))) == events[1]
