"""AppendEvents and AppendStream through a real daemon: atomic, exactly once, and every refusal says why."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb
from tests.e2e.api_words import append, head, new_event, raw_call, refused, stream, uuid7
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually

pytestmark = pytest.mark.e2e


def _stored(kaged: Kaged, seq: int) -> event_pb2.Event:
    return kaged.events.GetEvent(pb.GetEventRequest(seq=seq), timeout=DEADLINE_S).event


def test_a_group_over_several_streams_gets_consecutive_seqs_and_revisions_of_each_stream(kaged):
    placed = append(kaged, new_event("a/one"), new_event("a/two"), new_event("a/one"))
    first = placed[0].seq
    assert [(item.seq, item.revision) for item in placed] == [(first, 1), (first + 1, 1), (first + 2, 2)]
    assert [_stored(kaged, item.seq).meta.stream for item in placed] == ["a/one", "a/two", "a/one"]


def test_one_bad_event_of_a_group_refuses_all_of_it(kaged):
    before = head(kaged)
    found = refused(lambda: append(kaged, new_event("b/one"), new_event("")))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert found.fields == ("events.meta.stream",)
    assert head(kaged) == before


def test_checks_hold_or_all_that_fail_are_named_at_once(kaged):
    append(kaged, new_event("c/there"))
    good = [pb.Check(stream="c/there", revision=1), pb.Check(stream="c/none", absent=True)]
    append(kaged, new_event("c/new"), checks=[*good, pb.Check(stream="c/there", exists=True)])
    before = head(kaged)
    wrong = [
        pb.Check(stream="c/there", revision=7),
        pb.Check(stream="c/there", absent=True),
        pb.Check(stream="c/none", exists=True),
    ]
    found = refused(lambda: append(kaged, new_event("c/new"), checks=[*good, *wrong]))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CHECK_FAILED")
    assert found.message.count(";") == 2
    assert found.metadata["failed"] == "3"
    assert head(kaged) == before


def test_a_check_without_what_is_expected_is_refused(kaged):
    assert refused(lambda: append(kaged, new_event("c/x"), checks=[pb.Check(stream="c/x")])).fields


def test_an_event_over_1_mib_is_refused_with_its_size(kaged):
    found = refused(lambda: append(kaged, new_event("d/big", data=bytes(1 << 20))))
    assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "EVENT_TOO_LARGE")
    assert int(found.metadata["size"]) > int(found.metadata["limit"]) == 1 << 20


def test_more_than_1000_events_in_a_group_are_refused_and_1000_are_taken(kaged):
    many = [new_event("d/many") for _ in range(1000)]
    assert append(kaged, *many)[-1].revision == 1000
    found = refused(lambda: append(kaged, *many, new_event("d/many")))
    assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE")


def test_an_append_of_nothing_is_refused(kaged):
    assert refused(lambda: append(kaged)).fields == ("events",)


def test_invalid_utf_8_is_refused_wherever_it_stands(kaged):
    stream_name = b"\x12\x03a\xff\xfe" + b"\x1a\x03a.b"
    body_type = b"\x32\x05\x0a\x03\x0a\x01\xff"
    good_meta = b"\x2a\x0a" + b"\x12\x03u/u" + b"\x1a\x03a.b"
    for event in (b"\x2a" + bytes([len(stream_name)]) + stream_name, good_meta + body_type):
        request = b"\x12" + bytes([len(event)]) + event
        assert refused(lambda request=request: raw_call(kaged, "EventService/AppendEvents", request)).fields
    assert refused(lambda: raw_call(kaged, "EventService/AppendEvents", b"\x0a\x01\xff")).fields == ("request_id",)


def test_fields_that_this_release_does_not_know_survive_byte_for_byte(kaged):
    meta = event_pb2.Meta(stream="e/unknown", type="a.b", id=uuid7(), occurred_us=5).SerializeToString()
    meta += b"\xfa\x3e\x05later"  # field 1007, a newer release's
    custom = event_pb2.CustomPayload(data=b"x").SerializeToString() + b"\xfa\x3e\x04also"
    body = b"\x0a" + bytes([len(custom)]) + custom
    event = b"\x2a" + bytes([len(meta)]) + meta + b"\x32" + bytes([len(body)]) + body
    request = b"\x12" + bytes([len(event)]) + event
    [answer] = raw_call(kaged, "EventService/AppendEvents", request)
    seq = pb.AppendEventsResponse.FromString(answer).appended[0].seq
    asked = pb.ReadEventsRequest(from_seq=seq, to_seq=seq).SerializeToString()
    assert event in b"".join(raw_call(kaged, "EventService/ReadEvents", asked))
    assert event in raw_call(kaged, "EventService/GetEvent", pb.GetEventRequest(seq=seq).SerializeToString())[0]


@pytest.mark.parametrize("kind", ["agent.spawned", "run.ended", "output.chunk", "daemon.started", "supervisor.x"])
def test_families_of_the_daemon_are_denied(kaged, kind):
    found = refused(lambda: append(kaged, new_event("f/x", kind)))
    assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "RESERVED_EVENT_TYPE")
    assert found.hint


@pytest.mark.parametrize("name", ["agents/x", "trees/t", "daemon", "store/x", "approvals"])
def test_streams_of_the_daemon_are_denied(kaged, name):
    assert refused(lambda: append(kaged, new_event(name))).reason == "RESERVED_EVENT_TYPE"


def test_nobody_writes_the_daemons_own_fields(kaged):
    forged = event_pb2.Event(seq=7, actor=1, meta=event_pb2.Meta(stream="f/y", type="a.b")).SerializeToString()
    request = b"\x12" + bytes([len(forged)]) + forged
    assert refused(lambda: raw_call(kaged, "EventService/AppendEvents", request)).code.name == "INVALID_ARGUMENT"
    marked = new_event("f/y", request=event_pb2.RequestMark(id="x"))
    assert refused(lambda: append(kaged, marked)).fields == ("events.meta",)


# --- ids ------------------------------------------------------------------------------------------------------


def test_an_id_and_a_time_are_made_when_they_are_missing(kaged):
    event = _stored(kaged, append(kaged, new_event("g/x"))[0].seq)
    assert len(event.meta.id) == 16
    assert event.meta.id[6] >> 4 == 7
    assert 0 < event.meta.occurred_us <= event.recorded_us


@pytest.mark.parametrize(
    "bad",
    [b"short", bytes(16), uuid7()[:6] + b"\x40" + uuid7()[7:], uuid7(ahead_s=3600)],
    ids=("too short", "of zeros", "version 4", "an hour ahead"),  # each worker must collect the same names
)
def test_an_id_that_is_no_uuid_7_or_too_far_ahead_is_refused(kaged, bad):
    found = refused(lambda: append(kaged, new_event("g/x", event_id=bad)))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.fields == ("events.meta.id",)


def test_the_same_event_again_is_told_where_it_stands_also_in_part_of_a_group(kaged):
    one = new_event("h/x", event_id=uuid7(), occurred_us=1)
    two = new_event("h/x", event_id=uuid7(), occurred_us=2)
    [first] = append(kaged, one)
    again = append(kaged, one, two, two)
    assert (again[0].seq, again[0].revision, again[0].deduplicated) == (first.seq, first.revision, True)
    assert [item.deduplicated for item in again] == [True, False, True]
    assert again[1].seq == again[2].seq
    assert again[1].revision == first.revision + 1


def test_the_same_id_with_other_bytes_is_refused_and_nothing_of_the_group_stays(kaged):
    taken = uuid7()
    append(kaged, new_event("h/y", event_id=taken, data=b"one"))
    before = head(kaged)
    other = new_event("h/y", event_id=taken, data=b"two")
    found = refused(lambda: append(kaged, new_event("h/z"), other))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "EVENT_ID_REUSED")
    twins = [new_event("h/z", event_id=uuid7(), data=b"one")]
    twins.append(new_event("h/z", event_id=twins[0].meta.id, data=b"two"))
    assert refused(lambda: append(kaged, *twins)).reason == "EVENT_ID_REUSED"
    assert head(kaged) == before


def test_a_repeat_by_id_is_known_although_its_check_does_not_hold_any_more(kaged):
    event = new_event("h/checked", event_id=uuid7(), occurred_us=1)
    check = [pb.Check(stream="h/checked", absent=True)]
    [first] = append(kaged, event, checks=check)
    [again] = append(kaged, event, checks=check)
    assert (again.seq, again.deduplicated) == (first.seq, True)


def test_the_same_event_from_many_callers_at_once_is_stored_once(kaged):
    event = new_event("h/race", event_id=uuid7(), occurred_us=1)
    with ThreadPoolExecutor(20) as pool:
        placed = list(pool.map(lambda _: append(kaged, event)[0], range(40)))
    assert len({item.seq for item in placed}) == 1
    assert sum(not item.deduplicated for item in placed) == 1


def test_ids_are_known_after_a_kill_9(kaged):
    event = new_event("h/killed", event_id=uuid7(), occurred_us=1)
    [first] = append(kaged, event)
    kaged.restart()
    [again] = append(kaged, event)
    assert (again.seq, again.deduplicated) == (first.seq, True)


# --- request ids ----------------------------------------------------------------------------------------------


def test_a_repeated_request_gets_the_first_answer_also_after_a_restart(kaged):
    known = new_event("i/x", event_id=uuid7(), occurred_us=1)
    append(kaged, known)
    events = [new_event("i/x"), known, new_event("i/y")]
    first = append(kaged, *events, request_id="append-1")
    before = head(kaged)
    assert append(kaged, *events, request_id="append-1") == first
    kaged.restart()
    assert append(kaged, *events, request_id="append-1") == first
    assert [event.meta.stream for event in kaged.read(f"seq > {before}")] == ["daemon"]


def test_a_request_id_with_another_body_is_refused(kaged):
    append(kaged, new_event("i/z", data=b"one"), request_id="append-2")
    found = refused(lambda: append(kaged, new_event("i/z", data=b"two"), request_id="append-2"))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert found.metadata["request_id"] == "append-2"


def test_20_clients_with_one_request_id_append_once(kaged):
    known = new_event("i/race", event_id=uuid7(), occurred_us=1)
    events = [new_event("i/race"), known]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: append(kaged, *events, request_id="append-3"), range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert len(list(kaged.read("", stream="i/race"))) == 2


@pytest.mark.parametrize("bad", ["x" * 129, "line\nbreak"])
def test_a_request_id_that_is_no_word_is_refused(kaged, bad):
    assert refused(lambda: append(kaged, new_event("i/x"), request_id=bad)).fields == ("request_id",)


# --- AppendStream ---------------------------------------------------------------------------------------------


class _Line:
    """One append stream: send a message, take an answer."""

    def __init__(self, kaged: Kaged) -> None:
        self._out: queue.Queue[pb.AppendStreamRequest | None] = queue.Queue()
        self.call = kaged.events.AppendStream(self._sending(), timeout=DEADLINE_S)

    def _sending(self) -> Iterator[pb.AppendStreamRequest]:
        while (message := self._out.get()) is not None:
            yield message

    def send(self, batch: int, *groups: pb.AppendGroup) -> None:
        self._out.put(pb.AppendStreamRequest(batch=batch, groups=groups))

    def close(self) -> None:
        self._out.put(None)


def _group(*events: event_pb2.NewEvent, checks: tuple[pb.Check, ...] = ()) -> pb.AppendGroup:
    return pb.AppendGroup(events=events, checks=checks)


def test_a_message_of_groups_appends_them_in_order(kaged):
    line = _Line(kaged)
    line.send(7, _group(new_event("s/a"), new_event("s/b")), _group(new_event("s/a")))
    answer = next(line.call)
    line.close()
    assert (answer.batch, answer.last_seq - answer.first_seq, len(answer.exceptions)) == (7, 2, 0)
    assert [_stored(kaged, answer.first_seq + at).meta.stream for at in range(3)] == ["s/a", "s/b", "s/a"]
    assert list(line.call) == []


def test_each_group_stands_or_falls_alone_and_only_exceptions_are_listed(kaged):
    known = new_event("s/known", event_id=uuid7(), occurred_us=1)
    [there] = append(kaged, known)
    line = _Line(kaged)
    line.send(
        1,
        _group(new_event("s/c")),
        _group(new_event("s/c"), new_event("agents/x")),
        _group(known),
        _group(new_event("s/c"), checks=(pb.Check(stream="s/nothing", exists=True),)),
        _group(new_event("s/c")),
    )
    answer = next(line.call)
    line.close()
    assert answer.last_seq == answer.first_seq + 1
    assert [item.group for item in answer.exceptions] == [1, 2, 3]
    denied, duplicate, failed = answer.exceptions
    assert (denied.failure.code, denied.failure.reason) == (7, "RESERVED_EVENT_TYPE")
    assert denied.failure.metadata["hint"]
    assert [(item.seq, item.deduplicated) for item in duplicate.appended] == [(there.seq, True)]
    assert (failed.failure.code, failed.failure.reason) == (9, "CHECK_FAILED")


def test_answers_come_in_the_order_of_messages_with_many_in_flight(kaged):
    line = _Line(kaged)
    for batch in range(500):
        line.send(batch, _group(new_event("s/order", data=str(batch).encode())))
    line.close()
    answers = list(line.call)
    assert [answer.batch for answer in answers] == list(range(500))
    seqs = [answer.first_seq for answer in answers]
    assert seqs == sorted(seqs)
    stored = [event.body.custom.data for event in kaged.read("", stream="s/order")]
    assert stored == [str(batch).encode() for batch in range(500)]


def test_seqs_that_follow_from_an_answer_are_right_although_others_append_meanwhile(kaged):
    known = new_event("s/mixed-known", event_id=uuid7(), occurred_us=1)
    append(kaged, known)
    over = threading.Event()

    def others() -> None:
        while not over.is_set():
            append(kaged, new_event("s/mixed-other"))

    threads = [threading.Thread(target=others) for _ in range(4)]
    for thread in threads:
        thread.start()
    line = _Line(kaged)
    for batch in range(60):
        # A duplicate in the middle makes the daemon look at the disk, and others come in between.
        twin = new_event("s/mixed", event_id=uuid7(), occurred_us=1, data=f"{batch}.2".encode())
        groups = [_group(new_event("s/mixed", data=f"{batch}.{at}".encode())) for at in (0, 1, 3, 4)]
        line.send(batch, *groups[:2], _group(known), _group(twin, twin), *groups[2:])
    line.close()
    answers = list(line.call)
    over.set()
    for thread in threads:
        thread.join()
    stored = {event.seq: event.body.custom.data.decode() for event in kaged.read("", stream="s/mixed")}
    assert len(stored) == 300
    for batch, answer in enumerate(answers):
        listed = {item.group: [placed.seq for placed in item.appended] for item in answer.exceptions}
        assert listed[2]
        following = [group for group in (0, 1, 3, 4, 5) if group not in listed]
        seqs = {group: answer.first_seq + at for at, group in enumerate(following)}
        seqs |= {group: placed[0] for group, placed in listed.items() if group != 2}
        wanted = {0: f"{batch}.0", 1: f"{batch}.1", 3: f"{batch}.2", 4: f"{batch}.3", 5: f"{batch}.4"}
        assert {group: stored.get(seq) for group, seq in seqs.items()} == wanted


def test_what_a_client_was_told_of_before_it_vanished_is_stored(kaged):
    line = _Line(kaged)
    for batch in range(50):
        line.send(batch, _group(new_event("s/vanish")))
    told = [next(line.call) for _ in range(10)]
    line.call.cancel()
    line.close()
    assert [_stored(kaged, answer.first_seq).meta.stream for answer in told] == ["s/vanish"] * 10
    append(kaged, new_event("s/after"))  # the daemon is well


@pytest.mark.parametrize("garbage", [b"\xff", b"\x08", b"\x12\x03\x0a"])
def test_garbage_ends_an_append_stream_with_a_refusal(kaged, garbage):
    found = refused(lambda: raw_call(kaged, "EventService/AppendStream", garbage, streaming=True))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("group", [b"", b"\x08\x01", b"\x0a\x02\xff\xff", b"\x0a\x00", b"\x12\x01\xff"])
def test_a_group_that_holds_no_good_event_fails_alone(kaged, group):
    request = b"\x08\x05\x12" + bytes([len(group)]) + group
    [answer] = raw_call(kaged, "EventService/AppendStream", request, streaming=True)
    parsed = pb.AppendStreamResponse.FromString(answer)
    assert parsed.batch == 5
    assert [(item.group, item.failure.reason) for item in parsed.exceptions] == [(0, "INVALID_REQUEST")]


def test_a_message_without_groups_is_answered(kaged):
    line = _Line(kaged)
    line.send(3)
    assert next(line.call) == pb.AppendStreamResponse(batch=3)
    line.close()


def test_many_append_streams_beside_each_other_lose_nothing(kaged):
    def work(number: int) -> None:
        line = _Line(kaged)
        for batch in range(50):
            line.send(batch, _group(new_event(f"s/side-{number}"), new_event("s/shared")))
        line.close()
        assert len(list(line.call)) == 50

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared = [event.revision for event in kaged.read("", stream="s/shared")]
    assert shared == list(range(1, 401))


def test_an_append_waits_no_longer_than_its_deadline(kaged):
    with stream(kaged.events.GetHead.future(pb.GetHeadRequest(min_seq=2**60), timeout=0.2)) as call:
        eventually(call.done, "the deadline")
        assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_revisions_are_told_over_a_stream_when_asked_for(kaged):
    groups = [
        pb.AppendGroup(events=[new_event("revised/a"), new_event("revised/b")]),
        pb.AppendGroup(events=[new_event("revised/a")]),
    ]
    asked = pb.AppendStreamRequest(batch=3, groups=groups, want_revisions=True)
    (raw,) = raw_call(kaged, "EventService/AppendStream", asked.SerializeToString(), streaming=True)
    answer = pb.AppendStreamResponse.FromString(raw)
    assert (answer.batch, answer.first_seq, answer.last_seq) == (3, 0, 0)
    placed = [[(item.seq, item.revision) for item in group.appended] for group in answer.exceptions]
    first = placed[0][0][0]
    assert placed == [[(first, 1), (first + 1, 1)], [(first + 2, 2)]]
