"""ReadEvents, ListEvents, GetEvent and GetHead through a real daemon: what was appended, in every order and cut."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import threading
import time
from hashlib import sha256

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb
from tests.e2e.api_words import append, head, new_event, raw_call, refused, uuid7
from tests.e2e.daemon_kit import DEADLINE_S, Kaged

pytestmark = pytest.mark.e2e


def _read(kaged: Kaged, **request: object) -> list[pb.ReadEventsResponse]:
    asked = pb.ReadEventsRequest(**request)  # type: ignore[arg-type]  # names are checked by protobuf
    return list(kaged.events.ReadEvents(asked, timeout=DEADLINE_S))


def _events(kaged: Kaged, **request: object) -> list[event_pb2.Event]:
    return [event for answer in _read(kaged, **request) for event in answer.events]


def _time(microseconds: int) -> Timestamp:
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


# --- ReadEvents -----------------------------------------------------------------------------------------------


def test_a_range_is_read_in_both_directions_and_its_bounds_belong_to_it(kaged):
    first = append(kaged, *(new_event("r/range", data=bytes([at])) for at in range(10)))[0].seq
    forwards = _events(kaged, from_seq=first + 2, to_seq=first + 5)
    assert [event.seq - first for event in forwards] == [2, 3, 4, 5]
    backwards = _events(kaged, from_seq=first + 2, to_seq=first + 5, direction=pb.DIRECTION_BACKWARDS)
    assert backwards == forwards[::-1]


def test_the_last_message_of_a_read_names_the_head(kaged):
    append(kaged, new_event("r/head"))
    answers = _read(kaged)
    assert answers[-1].head_seq == head(kaged)
    assert [answer.head_seq for answer in answers[:-1]] == [0] * (len(answers) - 1)
    assert [event.seq for answer in answers for event in answer.events] == list(range(1, answers[-1].head_seq + 1))


def test_revisions_of_a_stream_are_a_range_too(kaged):
    append(kaged, *(new_event("r/rev", data=bytes([at])) for at in range(9)), new_event("r/other"))
    found = _events(kaged, stream="r/rev", from_revision=3, to_revision=6)
    assert [event.revision for event in found] == [3, 4, 5, 6]
    assert [event.revision for event in _events(kaged, stream="r/rev", from_revision=8)] == [8, 9]
    assert _events(kaged, stream="r/rev", from_revision=10) == []
    back = _events(kaged, stream="r/rev", to_revision=2, direction=pb.DIRECTION_BACKWARDS)
    assert [event.revision for event in back] == [2, 1]
    assert refused(lambda: _read(kaged, from_revision=3)).fields == ("stream",)


def test_times_are_a_range_too(kaged):
    placed = []
    for at in range(5):
        placed += append(kaged, new_event("r/time", data=bytes([at])))
        time.sleep(0.002)  # not a wait for anything: times shall differ
    stored = {event.seq: event for event in _events(kaged, stream="r/time")}
    second, fourth = stored[placed[1].seq], stored[placed[3].seq]
    found = _events(kaged, stream="r/time", from_time=_time(second.recorded_us), to_time=_time(fourth.recorded_us))
    assert [event.seq for event in found] == [item.seq for item in placed[1:4]]
    assert _events(kaged, from_time=_time(stored[placed[4].seq].recorded_us + 1), stream="r/time") == []
    assert _events(kaged, to_time=_time(1)) == []


def test_a_limit_and_a_batch_size_are_kept(kaged):
    append(kaged, *(new_event("r/limit") for _ in range(20)))
    answers = _read(kaged, stream="r/limit", limit=7, max_batch=3)
    assert [len(answer.events) for answer in answers] == [3, 3, 1, 0]
    assert answers[-1].head_seq


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ('type = "color.red"', [0]),
        ('type = "color.*"', [0, 1]),
        ('stream = "r/filter" AND NOT type = "color.red"', [1, 2]),
        ('agent = "some-agent-of-filters"', [2]),
        ('tags.shape = "round" AND stream = "r/filter"', [1]),
        ('actor = owner AND stream = "r/filter"', [0, 1, 2]),
    ],
)
def test_filters_choose_by_type_stream_agent_tag_and_actor(kaged, where, wanted):
    events = [
        new_event("r/filter", "color.red"),
        new_event("r/filter", "color.green", tags=[event_pb2.Tag(key="shape", value="round")]),
        new_event("r/filter", "sound.loud", agent="some-agent-of-filters"),
    ]
    first = append(kaged, *events)[0].seq
    assert [event.seq - first for event in _events(kaged, filter=where, from_seq=first)] == wanted
    back = _events(kaged, filter=where, from_seq=first, direction=pb.DIRECTION_BACKWARDS)
    assert [event.seq - first for event in back] == wanted[::-1]


def test_filters_choose_by_time(kaged):
    [placed] = append(kaged, new_event("r/filtertime"))
    event = _events(kaged, stream="r/filtertime")[-1]
    assert _events(kaged, filter='stream = "r/filtertime" AND recorded > "1h"')[-1].seq == placed.seq
    assert _events(kaged, filter='stream = "r/filtertime" AND recorded < "2001-01-01T00:00:00Z"') == []
    assert event.recorded_us


@pytest.mark.parametrize("bad", ["type =", "nonsense = 3", "((((", 'type = "x', "recorded > banana", "a" * 20_000])
def test_a_filter_that_means_nothing_is_refused_in_every_method(kaged, bad):
    assert refused(lambda: _read(kaged, filter=bad)).fields == ("filter",)
    assert refused(lambda: kaged.events.ListEvents(pb.ListEventsRequest(filter=bad))).fields == ("filter",)
    assert refused(lambda: kaged.events.SubscribeEvents(pb.SubscribeEventsRequest(filter=bad))).fields == ("filter",)


def test_heads_come_without_bodies(kaged):
    append(kaged, new_event("r/heads", data=b"the text"))
    [event] = _events(kaged, stream="r/heads", head_only=True)
    assert event.meta.stream == "r/heads"
    assert not event.HasField("body")


def test_a_read_after_the_head_is_out_of_range_and_says_where_the_head_is(kaged):
    found = refused(lambda: _read(kaged, from_seq=head(kaged) + 1000))
    assert (found.code, found.reason) == (grpc.StatusCode.OUT_OF_RANGE, "POSITION_IN_FUTURE")
    assert int(found.metadata["head_seq"]) == head(kaged)
    assert _events(kaged, from_seq=head(kaged) + 1) == []


def test_a_read_waits_until_the_journal_has_reached_a_seq(kaged):
    wanted = head(kaged) + 1
    answers: list[event_pb2.Event] = []
    reading = threading.Thread(target=lambda: answers.extend(_events(kaged, min_seq=wanted, from_seq=wanted)))
    reading.start()
    [placed] = append(kaged, new_event("r/wait"))
    reading.join(DEADLINE_S)
    assert [event.seq for event in answers][:1] == [placed.seq] == [wanted]


def test_large_events_come_in_messages_that_a_default_client_takes(kaged):
    big = [new_event("r/large", data=bytes(900_000)) for _ in range(12)]
    append(kaged, *big)
    for asked, method in (
        (pb.ReadEventsRequest(stream="r/large"), "ReadEvents"),
        (pb.ReadEventsRequest(filter='stream = "r/large"', direction=pb.DIRECTION_BACKWARDS), "ReadEvents"),
        (pb.ListEventsRequest(filter='stream = "r/large"', page_size=1000), "ListEvents"),
    ):
        answers = raw_call(kaged, f"EventService/{method}", asked.SerializeToString())
        assert max(map(len, answers)) < 4 << 20
    pages, token = [], ""
    while not pages or token:
        page = kaged.events.ListEvents(
            pb.ListEventsRequest(filter='stream = "r/large"', page_size=1000, page_token=token), timeout=DEADLINE_S
        )
        pages += page.events
        token = page.next_page_token
    assert [event.revision for event in pages] == list(range(1, 13))


# --- ListEvents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["", "seq", "seq desc"])
def test_pages_are_whole_and_steady_while_events_are_appended(kaged, order):
    name = f"l/pages{len(order)}"
    placed = append(kaged, *(new_event(name, data=bytes([at])) for at in range(25)))
    seqs: list[int] = []
    token = ""
    while True:
        request = pb.ListEventsRequest(filter=f'stream = "{name}"', page_size=4, page_token=token, order_by=order)
        page = kaged.events.ListEvents(request, timeout=DEADLINE_S)
        assert len(page.events) <= 4
        seqs += [event.seq for event in page.events]
        append(kaged, new_event(name), new_event("l/else"))
        token = page.next_page_token
        if not token:
            break
    wanted = [item.seq for item in placed]
    assert seqs == (wanted[::-1] if order == "seq desc" else wanted)


def test_a_page_token_belongs_to_its_question(kaged):
    append(kaged, *(new_event("l/token") for _ in range(5)))
    page = kaged.events.ListEvents(pb.ListEventsRequest(filter='stream = "l/token"', page_size=2), timeout=DEADLINE_S)
    for other in (
        pb.ListEventsRequest(filter='stream = "l/pages"', page_token=page.next_page_token),
        pb.ListEventsRequest(filter='stream = "l/token"', page_token=page.next_page_token, order_by="seq desc"),
        pb.ListEventsRequest(filter='stream = "l/token"', page_token=page.next_page_token[:-2]),
        pb.ListEventsRequest(page_token="nonsense"),
    ):
        assert refused(lambda other=other: kaged.events.ListEvents(other)).fields == ("page_token",)


def test_wrong_arguments_of_a_list_are_refused(kaged):
    assert refused(lambda: kaged.events.ListEvents(pb.ListEventsRequest(page_size=-1))).fields == ("page_size",)
    assert refused(lambda: kaged.events.ListEvents(pb.ListEventsRequest(order_by="time"))).fields == ("order_by",)


# --- GetEvent, GetHead ----------------------------------------------------------------------------------------


def test_an_event_is_found_by_seq_and_by_id(kaged):
    event_id = uuid7()
    [placed] = append(kaged, new_event("o/one", event_id=event_id, data=b"one"))
    by_seq = kaged.events.GetEvent(pb.GetEventRequest(seq=placed.seq), timeout=DEADLINE_S).event
    by_id = kaged.events.GetEvent(pb.GetEventRequest(id=event_id), timeout=DEADLINE_S).event
    assert by_seq == by_id
    assert (by_id.seq, by_id.revision, by_id.actor, by_id.body.custom.data) == (placed.seq, placed.revision, 2, b"one")


def test_an_event_that_is_not_there_is_not_found(kaged):
    for request in (pb.GetEventRequest(seq=2**60), pb.GetEventRequest(seq=0), pb.GetEventRequest(id=uuid7())):
        found = refused(lambda request=request: kaged.events.GetEvent(request))
        assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "EVENT_NOT_FOUND")
    assert refused(lambda: kaged.events.GetEvent(pb.GetEventRequest())).fields == ("key",)
    assert refused(lambda: kaged.events.GetEvent(pb.GetEventRequest(id=b"x"))).fields == ("id",)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _field(data: bytes, at: int, tag: int) -> int:
    """Where the field that begins at `at` ends."""
    assert data[at] == tag
    size, at = _varint(data, at + 1)
    return at + size


def _leaf(event: bytes) -> bytes:
    """As docs/decisions/0001 has it, from the bytes of an event on the wire."""
    meta_end = _field(event, 32, 0x2A)
    body_end = _field(event, meta_end, 0x32) if event[meta_end : meta_end + 1] == b"\x32" else meta_end
    first, second = event[:meta_end], event[meta_end:body_end]
    return sha256(b"\0" + sha256(first).digest() + sha256(second).digest()).digest()


def _root(leaves: list[bytes]) -> bytes:
    """RFC 6962, the plain definition."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + _root(leaves[:half]) + _root(leaves[half:])).digest()


def test_the_head_is_the_root_of_all_events_as_anybody_can_compute_it(kaged):
    append(kaged, *(new_event(f"m/{at % 7}", data=bytes(at)) for at in range(900)))
    append(kaged, *(new_event(f"m/{at % 7}", data=bytes(at)) for at in range(300)))
    agent = kaged.spawn("sh", "-c", "echo out; echo err >&2")
    kaged.wait(agent)
    told = kaged.events.GetHead(pb.GetHeadRequest(), timeout=DEADLINE_S)
    leaves = []
    for answer in raw_call(
        kaged, "EventService/ReadEvents", pb.ReadEventsRequest(to_seq=told.head_seq).SerializeToString()
    ):
        at = 0
        while at < len(answer) and answer[at] == 0x0A:
            end = _field(answer, at, 0x0A)
            _, start = _varint(answer, at + 1)
            leaves.append(_leaf(answer[start:end]))
            at = end
    assert len(leaves) == told.head_seq
    assert told.root_hash == _root(leaves)
    kaged.restart()
    again = kaged.events.GetHead(pb.GetHeadRequest(), timeout=DEADLINE_S)
    assert again.store_id == told.store_id
    assert again.head_seq >= told.head_seq
    assert again.first_seq == 1
