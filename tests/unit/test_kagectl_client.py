"""The client library's pure parts: frames, ids, addresses, cursors, what output was seen, error details."""

import os
import socket
import threading

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagectl.client.address import Address, default_socket, find_address, probe, read_token, state_dir
from kagectl.client.channel import OPTIONS, target
from kagectl.client.cursor import Cursor
from kagectl.client.failures import ClientError, Unavailable, code_word, from_status
from kagectl.client.frames import frame_alone, frame_event, frame_group, frame_request, varint
from kagectl.client.http2 import _headers
from kagectl.client.ids import shown, uuid7, uuid7_bytes
from kagectl.client.repeatable import mark_repeatable
from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb

ID = bytes(range(16))
TEXT = st.text(max_size=300)

# --- frames ---------------------------------------------------------------------------------------------------


@given(
    stream=TEXT,
    event_type=TEXT,
    data=st.binary(max_size=5000),
    content_type=TEXT,
    schema=TEXT,
    version=st.integers(0, 2**32 - 1),
    agent=TEXT,
    run=TEXT,
    tags=st.dictionaries(TEXT, TEXT, max_size=4),
    correlation=TEXT,
    causation=st.binary(max_size=16),
    traceparent=TEXT,
    ignorable=st.booleans(),
    occurred_us=st.integers(0, 2**64 - 1),
)
def test_a_framed_event_is_what_protobuf_would_read(**given_):
    framed = event_pb2.NewEvent.FromString(frame_event(event_id=ID, **given_))
    meta, custom = framed.meta, framed.body.custom
    assert (meta.id, meta.stream, meta.type) == (ID, given_["stream"], given_["event_type"])
    for name in ("version", "agent", "run", "correlation", "causation", "traceparent", "ignorable", "occurred_us"):
        assert getattr(meta, name) == given_[name]
    assert {tag.key: tag.value for tag in meta.tags} == given_["tags"]
    assert (custom.content_type, custom.schema, custom.data) == (
        given_["content_type"],
        given_["schema"],
        given_["data"],
    )


@given(
    stream=TEXT,
    event_type=TEXT,
    data=st.binary(max_size=70_000),
    content_type=TEXT,
    tags=st.dictionaries(TEXT, TEXT, max_size=5),
)
def test_the_fast_frame_of_one_event_is_the_same_bytes_as_the_long_way(stream, event_type, data, content_type, tags):
    alone = frame_alone(ID, 77, stream, event_type, content_type, data, tags)
    event = frame_event(
        event_id=ID, occurred_us=77, stream=stream, event_type=event_type, data=data, content_type=content_type,
        tags=tags,
    )  # fmt: skip
    assert alone == frame_group([event])


def test_an_event_holds_meta_then_body_once_each_even_without_data():
    raw = frame_event(event_id=ID, occurred_us=1, stream="s", event_type="t.x", data=b"", content_type="")
    assert raw[0] == 0x2A
    assert raw[2 + raw[1]] == 0x32
    assert event_pb2.NewEvent.FromString(raw).body.WhichOneof("content") == "custom"


@given(st.lists(st.lists(st.binary(max_size=400), min_size=1, max_size=4), max_size=5), st.integers(1, 2**40))
def test_a_framed_request_is_what_protobuf_would_read(groups, batch):
    check = pb.Check(stream="s", revision=3).SerializeToString()
    framed = [
        frame_group(
            [frame_event(event_id=ID, occurred_us=1, stream="s", event_type="t", data=data) for data in group],
            [check],
        )
        for group in groups
    ]
    request = pb.AppendStreamRequest.FromString(frame_request(batch, framed))
    assert request.batch == batch
    assert [[event.body.custom.data for event in group.events] for group in request.groups] == groups
    assert all(group.checks[0].revision == 3 for group in request.groups)


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_read_back_by_protobuf(number):
    assert pb.AppendStreamRequest.FromString(b"\x08" + varint(number)).batch == number


# --- ids ------------------------------------------------------------------------------------------------------


def test_ids_only_grow_and_are_version_7():
    ids = [uuid7_bytes() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert all(raw[6] >> 4 == 7 and raw[8] >> 6 == 2 for raw in ids)
    assert len(uuid7()) == 36


def test_ids_of_several_threads_are_all_different():
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.extend([uuid7_bytes() for _ in range(2000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8000


def test_an_id_is_shown_as_a_uuid_and_other_bytes_as_hex():
    assert shown(ID) == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert shown(b"\x01\x02") == "0102"


def test_a_mutating_request_gets_an_id_and_keeps_the_one_it_has():
    request = agents_pb.StopAgentRequest(agent="a")
    mark_repeatable(request)
    first = request.request_id
    mark_repeatable(request)
    assert request.request_id == first
    assert first
    mark_repeatable(agents_pb.GetAgentRequest(agent="a"))


# --- addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/h"}, "/run/user/7/kage/kaged.sock"),
        ({"HOME": "/h"}, "/h/.local/state/kage/run/kaged.sock"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/s"}, "/s/kage/run/kaged.sock"),
        ({"HOME": "/h", "KAGE_STATE_DIR": "/k"}, "/k/run/kaged.sock"),
    ],
)
def test_the_socket_is_where_the_environment_says(env, expected):
    assert default_socket(env) == expected
    assert find_address(env=env).socket == expected


def test_what_is_asked_for_goes_before_the_environment():
    env = {"KAGE_SOCKET": "/a/k.sock", "HOME": "/h"}
    assert find_address(env=env).socket == "/a/k.sock"
    assert find_address("unix:/b/k.sock", env=env) == Address(socket="/b/k.sock", token_file="/b/owner.token")
    assert find_address("unix:///b/k.sock", env=env).socket == "/b/k.sock"
    assert find_address(env=env | {"KAGE_TOKEN_FILE": "/t"}).token_file == "/t"
    assert state_dir({"HOME": "/h"}) == "/h/.local/state/kage"


def test_inside_a_run_the_owners_files_are_never_used():
    with pytest.raises(ClientError) as caught:
        find_address(env={"KAGE_RUN_ID": "r", "HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"})
    assert caught.value.reason == "NO_AGENT_DOOR"
    with pytest.raises(ClientError):
        find_address("/a/k.sock", env={"KAGE_RUN_ID": "r"})
    env = {"KAGE_RUN_ID": "r", "KAGE_SOCKET": "/a/k.sock", "KAGE_TOKEN_FILE": "/r/token"}
    assert find_address(env=env) == Address(socket="/a/k.sock", token_file="/r/token")


def test_a_path_that_is_too_long_for_a_socket_is_refused_before_dialing():
    with pytest.raises(ClientError, match="at most 107") as caught:
        find_address("/" + "x" * 107, env={})
    assert caught.value.code == "INVALID_ARGUMENT"
    assert find_address("/" + "x" * 106, env={})


def test_probing_says_what_is_wrong_with_a_socket(tmp_path):
    def at(name):
        return Address(socket=str(tmp_path / name), token_file=None)

    with pytest.raises(Unavailable, match="no socket at"):
        probe(at("none.sock"))
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="is not a socket"):
        probe(at("file"))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale.sock"))
    with pytest.raises(Unavailable, match="stale socket") as caught:
        probe(at("stale.sock"))
    assert "kagectl daemon start" in caught.value.hint


def test_a_daemon_that_is_slow_to_say_hello_is_waited_for(tmp_path):
    # It listens, and is too busy to answer within the pause between two attempts: slow, not gone.
    address = Address(socket=str(tmp_path / "s"), token_file="")
    with socket.socket(socket.AF_UNIX) as listener, grpc.insecure_channel(target(address), options=OPTIONS) as line:
        listener.bind(address.socket)
        listener.listen()
        with pytest.raises(grpc.RpcError) as caught:
            line.unary_unary("/kaged.api.v1.EventService/GetHead")(b"", timeout=0.5)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_token_is_read_or_its_absence_explained(tmp_path):
    path = tmp_path / "owner.token"
    address = Address(socket="/s", token_file=str(path))
    with pytest.raises(ClientError, match="no token at"):
        read_token(address)
    path.write_text("  abc\n")
    assert read_token(address) == "abc"
    if os.geteuid() != 0:
        path.chmod(0)
        with pytest.raises(ClientError, match="cannot read the token"):
            read_token(address)
    with pytest.raises(ClientError, match="no token"):
        read_token(Address(socket="/s", token_file=None))


# --- positions ------------------------------------------------------------------------------------------------


def batch(*seqs):
    return pb.SubscribeEventsResponse(batch=pb.EventBatch(events=[event_pb2.Event(seq=seq) for seq in seqs]))


def confirmed(store, after):
    return pb.SubscribeEventsResponse(confirmed=pb.Confirmed(store_id=store, after_seq=after))


def test_a_cursor_asks_first_as_wanted_and_then_from_where_it_stands():
    cursor = Cursor(pb.SubscribeEventsRequest(now=True, filter="type = a"))
    assert cursor.request().now
    cursor.take(confirmed("s", 40))
    assert cursor.request().after_seq == 40
    cursor.take(batch(41, 44))
    cursor.take(pb.SubscribeEventsResponse(checkpoint=pb.Position(seq=60)))
    cursor.take(pb.SubscribeEventsResponse(fell_behind=pb.FellBehind(seq=44)))
    cursor.take(pb.SubscribeEventsResponse(heartbeat=pb.Position(seq=50)))
    assert cursor.request().after_seq == 60
    assert cursor.request().filter == "type = a"


def test_a_cursor_is_never_used_on_another_store():
    cursor = Cursor(pb.SubscribeEventsRequest(after_seq=0))
    cursor.take(confirmed("one", 0))
    cursor.take(confirmed("one", 7))
    with pytest.raises(ClientError) as caught:
        cursor.take(confirmed("two", 0))
    assert caught.value.reason == "STORE_CHANGED"


# --- errors ---------------------------------------------------------------------------------------------------


def test_a_failure_without_details_still_has_its_code():
    error = from_status("NOT_FOUND", "no such thing", None)
    assert (error.code, error.message) == ("NOT_FOUND", "no such thing")
    assert isinstance(from_status("UNAVAILABLE", "", None), Unavailable)
    assert from_status("UNAVAILABLE", "", None).passing
    assert from_status("CANCELLED", "cancelled on the server side", None).passing
    assert not Unavailable("the disk is full", reason="STORE_READ_ONLY").passing
    assert not error.passing
    assert code_word(5) == "NOT_FOUND"
    assert code_word(99) == "UNKNOWN"


@pytest.mark.parametrize("length", [10, 126, 127, 128, 300, 5000])
def test_header_texts_of_any_length_are_framed(length):
    block = _headers("/m", "x" * length, 5.0)
    assert b"x" * length in block
    assert b"5000m" in block
