"""SubscribeEvents through a real daemon: from any place, without a gap, told of everything a reader must know."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kaged.api.v1 import daemon_service_pb2 as daemon_pb
from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb
from tests.e2e.api_words import append, details, head, new_event, raw_call, refused, stream, uuid7
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually

pytestmark = pytest.mark.e2e


def _subscribe(kaged: Kaged, **request: object):
    asked = pb.SubscribeEventsRequest(**request)  # type: ignore[arg-type]  # names are checked by protobuf
    return stream(kaged.events.SubscribeEvents(asked, timeout=DEADLINE_S))


def _until_caught_up(call: Iterator[pb.SubscribeEventsResponse]) -> list[event_pb2.Event]:
    """Events before the first CaughtUp; the confirmation must have come first."""
    first = next(call)
    assert first.WhichOneof("message") == "confirmed"
    found: list[event_pb2.Event] = []
    for message in call:
        match message.WhichOneof("message"):
            case "batch":
                found += message.batch.events
            case "caught_up":
                return found
    raise AssertionError("ended before it caught up")


def _take(call: Iterator[pb.SubscribeEventsResponse], count: int) -> list[event_pb2.Event]:
    found: list[event_pb2.Event] = []
    while len(found) < count:
        found += next(call).batch.events
    return found


def _subscribers(kaged: Kaged) -> int:
    return int(kaged.daemon.GetStatus(daemon_pb.GetStatusRequest(), timeout=DEADLINE_S).status.subscribers)


def test_the_first_message_confirms_where_the_subscription_stands(kaged):
    append(kaged, new_event("a/x"))
    told = kaged.events.GetHead(pb.GetHeadRequest(), timeout=DEADLINE_S)
    with _subscribe(kaged, after_seq=1) as call:
        confirmed = next(call).confirmed
    assert confirmed.after_seq == 1
    assert confirmed.store_id == told.store_id
    assert confirmed.head_seq >= told.head_seq


def test_from_a_cursor_nothing_is_missing_and_nothing_comes_twice(kaged):
    append(kaged, *(new_event("b/x") for _ in range(100)))
    cursor = head(kaged) - 50
    with _subscribe(kaged, after_seq=cursor, max_batch=7) as call:
        stored = _until_caught_up(call)
        append(kaged, *(new_event("b/x") for _ in range(20)))
        live = _take(call, 20)
    assert [event.seq for event in [*stored, *live]] == list(range(cursor + 1, cursor + 71))


def test_from_the_beginning_everything_comes(kaged):
    with _subscribe(kaged, after_seq=0) as call:
        assert [event.seq for event in _until_caught_up(call)] == list(range(1, head(kaged) + 1))


def test_from_now_only_what_happens_from_now_on_comes(kaged):
    append(kaged, new_event("c/before"))
    for request in ({"now": True}, {}):
        with _subscribe(kaged, **request) as call:
            assert _until_caught_up(call) == []
            [placed] = append(kaged, new_event("c/after"))
            assert [event.seq for event in _take(call, 1)] == [placed.seq]


def test_from_a_time_it_begins_at_the_first_event_recorded_then(kaged):
    [placed] = append(kaged, new_event("d/time"))
    [event] = kaged.read("", from_seq=placed.seq, to_seq=placed.seq)
    time.sleep(0.002)  # not a wait for anything: times shall differ
    append(kaged, new_event("d/time"))
    at = Timestamp(seconds=event.recorded_us // 1_000_000, nanos=event.recorded_us % 1_000_000 * 1000)
    with _subscribe(kaged, from_time=at, filter='stream = "d/time"') as call:
        assert _until_caught_up(call)[0].seq == placed.seq
    later = Timestamp(seconds=at.seconds + 10_000)
    with _subscribe(kaged, from_time=later) as call:
        assert _until_caught_up(call) == []


def test_a_filter_chooses_and_a_quiet_reader_learns_how_far_the_journal_is(kaged):
    with _subscribe(kaged, now=True, filter='stream = "e/wanted"', heartbeat_s=0.1) as call:
        _until_caught_up(call)
        append(kaged, *(new_event("e/other") for _ in range(10)))
        [placed] = append(kaged, new_event("e/wanted"))
        assert [event.seq for event in _take(call, 1)] == [placed.seq]
        append(kaged, *(new_event("e/other") for _ in range(10)))
        wanted = head(kaged)
        seqs = (getattr(message, message.WhichOneof("message")).seq for message in call)
        assert wanted in seqs


def test_a_long_stretch_without_a_match_gives_a_checkpoint(kaged):
    for _ in range(11):
        append(kaged, *(new_event("f/noise") for _ in range(1000)))
    with _subscribe(kaged, after_seq=0, filter='type = "nothing.like.it" OR tags.none = "x"') as call:
        kinds = []
        for message in call:
            kinds.append(message.WhichOneof("message"))
            if kinds[-1] == "caught_up":
                break
            if kinds[-1] == "checkpoint":
                assert 0 < message.checkpoint.seq <= message.checkpoint.head_seq
    assert "checkpoint" in kinds
    assert "batch" not in kinds


def test_silence_is_broken_by_heartbeats(kaged):
    with _subscribe(kaged, now=True, heartbeat_s=0.05) as call:
        _until_caught_up(call)
        beats = [next(call).heartbeat for _ in range(3)]
    assert all(beat.seq == beat.head_seq == head(kaged) for beat in beats)
    assert all(beat.HasField("time") for beat in beats)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), 1e9])
def test_a_heartbeat_that_is_no_time_is_refused(kaged, bad):
    found = refused(lambda: kaged.events.SubscribeEvents(pb.SubscribeEventsRequest(heartbeat_s=bad)))
    assert found.fields == ("heartbeat_s",)


def test_a_position_after_the_head_is_refused_before_anything_is_confirmed(kaged):
    with _subscribe(kaged, after_seq=2**60) as call:
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        found = details(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.OUT_OF_RANGE, "POSITION_IN_FUTURE")


def test_heads_come_without_bodies(kaged):
    with _subscribe(kaged, now=True, head_only=True) as call:
        _until_caught_up(call)
        append(kaged, new_event("g/x", data=b"text"))
        [event] = _take(call, 1)
    assert not event.HasField("body")


def test_a_slow_reader_is_told_that_it_fell_behind_and_loses_nothing(kaged):
    """The live ring holds 8 MiB; a reader that takes nothing for 30 MiB is out of it, and re-reads the journal."""
    with _subscribe(kaged, now=True, filter='stream = "h/slow"') as call:
        _until_caught_up(call)
        for _ in range(40):
            append(kaged, *(new_event("h/slow", data=bytes(250_000)) for _ in range(4)))
        kinds, revisions = [], []
        for message in call:
            kinds.append(message.WhichOneof("message"))
            revisions += [event.revision for event in message.batch.events]
            if len(revisions) >= 160 and kinds[-1] == "caught_up":
                break
    assert revisions == list(range(1, 161))
    assert "fell_behind" in kinds
    assert kinds.index("fell_behind") < kinds.index("caught_up")


def test_large_live_batches_come_in_messages_that_a_default_client_takes(kaged):
    asked = pb.SubscribeEventsRequest(after_seq=head(kaged), filter='stream = "h/large"')
    append(kaged, *(new_event("h/large", data=bytes(900_000)) for _ in range(12)))
    with grpc.insecure_channel(f"unix:{kaged.socket}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        method = channel.unary_stream("/kaged.api.v1.EventService/SubscribeEvents")  # type: ignore[call-arg]
        call = method(
            asked.SerializeToString(), timeout=DEADLINE_S, metadata=[("authorization", f"Bearer {kaged.token}")]
        )
        found: list[int] = []
        for message in call:
            found += [event.revision for event in pb.SubscribeEventsResponse.FromString(message).batch.events]
            if len(found) == 12:
                break
        call.cancel()
    assert found == list(range(1, 13))


def test_a_cancelled_subscriber_is_let_go_of(kaged):
    eventually(lambda: _subscribers(kaged) == 0, "earlier subscribers to go")
    calls = [kaged.events.SubscribeEvents(pb.SubscribeEventsRequest()) for _ in range(5)]
    for call in calls:
        next(call)
    assert _subscribers(kaged) == 5
    for call in calls:
        call.cancel()
    eventually(lambda: _subscribers(kaged) == 0, "cancelled subscribers to go")


def test_a_subscription_over_the_limit_is_refused_politely_and_taken_when_one_is_gone(tmp_path: Path):
    with Kaged(tmp_path, environment={"KAGED_MAX_SUBSCRIBERS": "3"}) as kaged:
        calls = [kaged.events.SubscribeEvents(pb.SubscribeEventsRequest()) for _ in range(3)]
        for call in calls:
            next(call)
        found = refused(lambda: kaged.events.SubscribeEvents(pb.SubscribeEventsRequest()))
        assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SUBSCRIBER_LIMIT")
        assert found.metadata["limit"] == "3"
        assert found.hint
        calls.pop().cancel()
        eventually(lambda: _subscribers(kaged) == 2, "the cancelled one to go")
        with _subscribe(kaged) as call:
            assert next(call).HasField("confirmed")
        append(kaged, new_event("x/y"))  # the daemon is well
        for call in calls:
            call.cancel()


def test_a_stopping_daemon_ends_subscriptions_and_says_to_come_again(tmp_path: Path):
    with Kaged(tmp_path) as kaged:
        call = kaged.events.SubscribeEvents(pb.SubscribeEventsRequest())
        next(call)
        next(call)
        kaged.daemon.Shutdown(daemon_pb.ShutdownRequest(), timeout=DEADLINE_S)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        found = details(caught.value)
        assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert kaged.exit_code() == 0


def test_a_reader_that_stops_reading_does_not_hold_up_appends(kaged):
    with _subscribe(kaged, after_seq=0) as stuck:
        next(stuck)
        for _ in range(20):
            append(kaged, *(new_event("i/x", data=bytes(200_000)) for _ in range(10)))
        before = time.monotonic()
        append(kaged, new_event("i/x"))
        assert time.monotonic() - before < 5


def test_many_subscribers_all_get_every_event(kaged):
    calls = [kaged.events.SubscribeEvents(pb.SubscribeEventsRequest(filter='stream = "j/x"')) for _ in range(30)]
    for call in calls:
        _until_caught_up(call)
    for _ in range(50):
        append(kaged, new_event("j/x"), new_event("j/y"))
    for call in calls:
        assert [event.revision for event in _take(call, 50)] == list(range(1, 51))
        call.cancel()


def test_stored_bytes_are_the_same_for_every_kind_of_reader(kaged):
    [placed] = append(kaged, new_event("k/x", data=b"the very bytes", event_id=uuid7(), occurred_us=1))
    read = raw_call(
        kaged,
        "EventService/ReadEvents",
        pb.ReadEventsRequest(from_seq=placed.seq, to_seq=placed.seq).SerializeToString(),
    )[0]
    got = raw_call(kaged, "EventService/GetEvent", pb.GetEventRequest(seq=placed.seq).SerializeToString())[0]
    assert got == read
    with _subscribe(kaged, after_seq=placed.seq - 1) as call:
        [event] = _until_caught_up(call)
    assert event.SerializeToString() in got
