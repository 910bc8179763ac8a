"""A journal whose beginning was cut off: every read that would need it says where the journal begins."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from collections.abc import Iterator

import grpc
import pytest

from kaged.api.v1 import event_service_pb2 as pb
from kaged.store.rows.rocks import RocksStore
from tests.e2e.api_words import append, new_event, refused, stream
from tests.e2e.daemon_kit import DEADLINE_S, Kaged

pytestmark = pytest.mark.e2e
FIRST = 8


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kaged]:
    """Nothing trims a prefix yet: the store is told by hand where it begins."""
    with Kaged(tmp_path_factory.mktemp("trimmed")) as kaged:
        append(kaged, *(new_event("t/x") for _ in range(30)))
        assert kaged.stop() == 0
        store = RocksStore(kaged.state / "db")
        batch = store.batch()
        batch.put("meta", b"first_seq", str(FIRST).encode())
        store.write(batch)
        store.sync()
        store.close()
        yield kaged.start()


def test_the_head_says_where_the_journal_begins(trimmed):
    assert trimmed.events.GetHead(pb.GetHeadRequest(), timeout=DEADLINE_S).first_seq == FIRST


def test_a_position_before_the_beginning_is_out_of_range_and_names_the_first_seq(trimmed):
    for call in (
        lambda: trimmed.events.SubscribeEvents(pb.SubscribeEventsRequest(after_seq=3)),
        lambda: trimmed.events.SubscribeEvents(pb.SubscribeEventsRequest(after_seq=0)),
        lambda: trimmed.events.ReadEvents(pb.ReadEventsRequest(from_seq=3)),
        lambda: trimmed.events.GetEvent(pb.GetEventRequest(seq=3)),
    ):
        found = refused(call)
        assert (found.code, found.reason) == (grpc.StatusCode.OUT_OF_RANGE, "POSITION_TRIMMED")
        assert found.metadata["first_seq"] == str(FIRST)
        assert found.hint


def test_what_is_left_is_read_from_its_beginning(trimmed):
    assert next(trimmed.read("")).seq == FIRST
    page = trimmed.events.ListEvents(pb.ListEventsRequest(page_size=3), timeout=DEADLINE_S)
    assert [event.seq for event in page.events] == [FIRST, FIRST + 1, FIRST + 2]
    asked = pb.SubscribeEventsRequest(after_seq=FIRST - 1)
    with stream(trimmed.events.SubscribeEvents(asked, timeout=DEADLINE_S)) as call:
        assert next(call).confirmed.after_seq == FIRST - 1
        assert next(call).batch.events[0].seq == FIRST
