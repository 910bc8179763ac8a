"""Whatever comes in: each refusal tells code, reason, domain and hint, and no request takes the daemon down."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import random

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import approval_service_pb2 as approvals_pb
from kaged.api.v1 import daemon_service_pb2 as daemon_pb
from kaged.api.v1 import event_service_pb2 as events_pb
from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as trees_pb
from tests.e2e.api_words import append, details, new_event, raw_call, refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually

pytestmark = pytest.mark.e2e

MODULES = (agents_pb, approvals_pb, daemon_pb, events_pb, trees_pb)
SERVICES = [service for module in MODULES for service in module.DESCRIPTOR.services_by_name.values()]
METHODS = [method for service in SERVICES for method in service.methods if method.name != "Shutdown"]
_WORDS = ["", "a", "agents/x", "x" * 300, "é\u202e", "\0", "agent-1", "type =", '"', "9" * 30, "TERM", "/"]
_NUMBERS = [0, 1, 2, 7, 255, 2**31 - 1]


def _name(method: MethodDescriptor) -> str:
    return f"{method.containing_service.name}/{method.name}"


def _alive(kaged: Kaged) -> None:
    assert kaged.process is not None
    assert kaged.process.poll() is None, kaged.words()
    append(kaged, new_event("alive/x"))


def _throw(channel: grpc.Channel, kaged: Kaged, method: MethodDescriptor, request: bytes) -> None:
    """Call and take what comes; a stream is left after a moment. Whatever is refused must be refused well."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    metadata = [("authorization", f"Bearer {kaged.token}")]
    if method.client_streaming:
        call = channel.stream_stream(path)(iter([request]), timeout=0.3, metadata=metadata)  # type: ignore[call-arg]
    else:
        call = channel.unary_stream(path)(request, timeout=0.3, metadata=metadata)  # type: ignore[call-arg]
    try:
        for _ in zip(range(3), call, strict=False):
            pass
    except grpc.RpcError as error:
        if error.code() not in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
            found = details(error)
            assert found.code is not grpc.StatusCode.INTERNAL, f"{_name(method)} {request!r}: {found}"
            assert found.code is not grpc.StatusCode.UNKNOWN
    finally:
        call.cancel()


def _random_bytes(chance: random.Random) -> bytes:
    """Bytes that begin like messages: a few fields with tags of low numbers, cut somewhere."""
    data = b""
    for _ in range(chance.randrange(4)):
        wire = chance.choice([0, 1, 2, 5, 2, 2, 3, 7])
        data += bytes([chance.randrange(1, 16) << 3 | wire]) + chance.randbytes(chance.randrange(9))
    return data


def _fill(message: Message, chance: random.Random, depth: int = 0) -> None:
    """A message that parses, with values nobody expects."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.4 or depth > 4 or (field.name in ("command", "request_id") and chance.random() < 0.7):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        count = chance.randrange(3) if field.label == FieldDescriptor.LABEL_REPEATED else 1
        for _ in range(count):
            _put(message, field, chance, depth)


def _put(message: Message, field: FieldDescriptor, chance: random.Random, depth: int) -> None:
    repeated = field.label == FieldDescriptor.LABEL_REPEATED
    if field.message_type is not None:
        inner = getattr(message, field.name).add() if repeated else getattr(message, field.name)
        inner.SetInParent()
        _fill(inner, chance, depth + 1)
        return
    kinds = FieldDescriptor
    value: object
    match field.cpp_type:
        case kinds.CPPTYPE_STRING if field.type == kinds.TYPE_BYTES:
            value = chance.randbytes(chance.choice([0, 1, 16]))
        case kinds.CPPTYPE_STRING:
            value = chance.choice(_WORDS)
        case kinds.CPPTYPE_DOUBLE | kinds.CPPTYPE_FLOAT:
            value = chance.choice([0.0, -1.0, float("nan"), float("inf"), 1e308, 0.01])
        case kinds.CPPTYPE_BOOL:
            value = chance.random() < 0.5
        case kinds.CPPTYPE_UINT64 | kinds.CPPTYPE_INT64:
            value = chance.choice([*_NUMBERS, 2**63 - 1])
        case _:
            value = chance.choice(_NUMBERS)
    if repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


@pytest.mark.parametrize("method", METHODS, ids=_name)
def test_no_bytes_take_the_daemon_down(kaged, method):
    chance = random.Random(method.full_name)  # the same each time, so that a failure can be looked at
    kind = GetMessageClass(method.input_type)
    with grpc.insecure_channel(f"unix:{kaged.socket}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        for _ in range(40):
            _throw(channel, kaged, method, _random_bytes(chance))
        for _ in range(20):
            message = kind()
            _fill(message, chance)
            _throw(channel, kaged, method, message.SerializeToString())
    _alive(kaged)
    assert "bug method=" not in kaged.words(10**9)


@pytest.mark.parametrize("method", METHODS, ids=_name)
def test_what_does_not_parse_is_an_invalid_argument(kaged, method):
    found = refused(
        lambda: raw_call(kaged, _name(method), b"\x0a\xff\xff\xff\xff\xff", streaming=method.client_streaming)
    )
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


def test_a_method_that_does_not_exist_says_so(kaged):
    for path in ("EventService/Nonsense", "NoSuchService/Method"):
        found = refused(lambda path=path: raw_call(kaged, path, b""))
        assert (found.code, found.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")
        assert found.hint


def test_a_refusal_that_quotes_a_megabyte_still_arrives(kaged):
    for text in ("x" * 1_000_000, "é€😀" * 100_000, "\n" * 100_000):
        found = refused(lambda text=text: kaged.agent(text))
        assert found.code is grpc.StatusCode.NOT_FOUND
        assert len(found.message) < 1000
        labels = {text[:200] + str(at): "x" for at in range(500)}
        assert refused(lambda labels=labels: kaged.spawn("true", labels=labels)).fields


def test_an_invalid_request_has_its_fields_a_hint_and_one_line(kaged):
    found = refused(lambda: kaged.agents.SendInput(agents_pb.SendInputRequest(agent="x", data=bytes((1 << 20) + 1))))
    assert found.fields == ("data",)
    assert found.hint
    assert "\n" not in found.message


def test_a_request_over_16_mib_is_refused_and_one_below_is_taken(kaged):
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(kaged, "EventService/AppendEvents", bytes(17 << 20))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    placed = append(kaged, *(new_event("size/x", data=bytes(1_000_000)) for _ in range(16)))
    assert placed[-1].revision == 16


def test_a_deadline_is_kept_by_every_method_that_waits(kaged):
    agent = kaged.spawn("sleep", "1000")
    for call in (
        lambda: kaged.events.GetHead(events_pb.GetHeadRequest(min_seq=2**60), timeout=0.2),
        lambda: list(kaged.events.ReadEvents(events_pb.ReadEventsRequest(min_seq=2**60), timeout=0.2)),
        lambda: list(kaged.events.SubscribeEvents(events_pb.SubscribeEventsRequest(), timeout=0.2)),
        lambda: kaged.agents.WaitAgent(agents_pb.WaitAgentRequest(agent=agent), timeout=0.2),
        lambda: list(kaged.agents.WatchAgents(agents_pb.WatchAgentsRequest(), timeout=0.2)),
        lambda: list(kaged.agents.StreamLogs(agents_pb.StreamLogsRequest(agent=agent, follow=True), timeout=0.2)),
        lambda: list(kaged.daemon.WatchStatus(daemon_pb.WatchStatusRequest(), timeout=0.2)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    status = daemon_pb.GetStatusRequest()
    eventually(lambda: kaged.daemon.GetStatus(status).status.subscribers == 0, "subscriptions to be let go of")
    kaged.end(agent)


def test_unknown_fields_of_a_request_are_ignored(kaged):
    request = events_pb.GetHeadRequest().SerializeToString() + b"\xfa\x3e\x05later"
    [answer] = raw_call(kaged, "EventService/GetHead", request)
    assert events_pb.GetHeadResponse.FromString(answer).head_seq


# --- health, reflection ---------------------------------------------------------------------------------------


def test_health_tells_of_the_whole_and_of_each_service(kaged):
    stub = health_pb2_grpc.HealthStub(kaged.channel)
    for name in ("", *(service.full_name for service in SERVICES)):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=DEADLINE_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=DEADLINE_S)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_all_services_and_gives_their_messages(kaged):
    stub = reflection_pb2_grpc.ServerReflectionStub(kaged.channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="kaged.api.v1.AgentService"),
    ]
    listed, file = stub.ServerReflectionInfo(iter(asked), timeout=DEADLINE_S)
    names = {service.name for service in listed.list_services_response.service}
    assert {service.full_name for service in SERVICES} <= names
    assert {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= names
    assert file.file_descriptor_response.file_descriptor_proto


def test_a_daemon_that_recovers_serves_its_status_only_and_says_when_to_come_again(tmp_path):
    """Many runs to adopt make the recovery long enough to be seen; a line that is asked all the time sees it."""
    with Kaged(tmp_path) as kaged:
        for _ in range(12):
            kaged.spawn("sleep", "1000")
        kaged.kill()
        kaged.launch()
        seen = []

        def look() -> bool:
            try:
                phase = kaged.daemon.GetStatus(daemon_pb.GetStatusRequest(), timeout=1).status.phase
            except grpc.RpcError:
                kaged._close_channel()
                return False
            try:
                kaged.events.GetHead(events_pb.GetHeadRequest(), timeout=5)
            except grpc.RpcError as error:
                seen.append((phase, kaged.health(), details(error)))
                return False
            return phase == daemon_pb.DAEMON_PHASE_SERVING

        eventually(look, "the daemon to serve")
        assert seen, "the recovery was over before it could be seen"
        phase, health, found = seen[0]
        assert phase == daemon_pb.DAEMON_PHASE_RECOVERING
        assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "RECOVERING")
        assert found.retry_s is not None
        assert 0 < found.retry_s <= 1
        assert health in (health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING)
        assert kaged.health() == health_pb2.HealthCheckResponse.SERVING


# --- the daemon -----------------------------------------------------------------------------------------------


def test_the_status_tells_what_the_daemon_is_and_has(kaged):
    append(kaged, new_event("status/x"))
    status = kaged.daemon.GetStatus(daemon_pb.GetStatusRequest(), timeout=DEADLINE_S).status
    assert status.phase == daemon_pb.DAEMON_PHASE_SERVING
    assert kaged.process is not None
    assert (status.pid, status.socket, status.state_dir) == (kaged.process.pid, str(kaged.socket), str(kaged.state))
    assert status.head_seq >= 1
    assert status.fsync_p50_us <= status.fsync_p99_us
    stats = kaged.daemon.GetStats(daemon_pb.GetStatsRequest(), timeout=DEADLINE_S)
    assert stats.events_appended >= 1
    assert stats.rss_bytes > 10 << 20
    assert stats.store_bytes > 0


def test_a_watch_of_the_status_tells_of_changes(kaged):
    call = kaged.daemon.WatchStatus(daemon_pb.WatchStatusRequest(min_interval_s=0.05), timeout=DEADLINE_S)
    before = next(call).status.head_seq
    append(kaged, new_event("status/y"))
    assert next(message.status.head_seq for message in call if message.status.head_seq > before)
    call.cancel()
    bad = daemon_pb.WatchStatusRequest(min_interval_s=float("nan"))
    assert refused(lambda: kaged.daemon.WatchStatus(bad)).fields == ("min_interval_s",)


def test_a_reload_takes_over_what_it_can_and_names_the_rest(tmp_path):
    with Kaged(tmp_path) as kaged:
        (kaged.state / "kaged.toml").write_text('log_level = "debug"\nmax_subscribers = 7\n')
        answer = kaged.daemon.Reload(daemon_pb.ReloadRequest(), timeout=DEADLINE_S)
        assert (list(answer.applied), list(answer.needs_restart)) == (["log_level"], ["max_subscribers"])
        (kaged.state / "kaged.toml").write_text("nonsense = 1\n")
        assert refused(lambda: kaged.daemon.Reload(daemon_pb.ReloadRequest())).fields
        assert kaged.health() == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("mode", [daemon_pb.SHUTDOWN_MODE_KEEP_AGENTS, daemon_pb.SHUTDOWN_MODE_STOP_AGENTS])
def test_a_shutdown_keeps_or_stops_agents_as_told(tmp_path, mode):
    stops = mode == daemon_pb.SHUTDOWN_MODE_STOP_AGENTS
    with Kaged(tmp_path) as kaged:
        agent = kaged.spawn("sleep", "1000", stop=spec_pb2.StopPolicy(grace_s=0.5))
        kaged.wait_state(agent, agents_pb.AGENT_STATE_RUNNING)
        pid = kaged.agent(agent).run.pid
        bad = daemon_pb.ShutdownRequest(timeout_s=float("nan"))
        assert refused(lambda: kaged.daemon.Shutdown(bad)).fields == ("timeout_s",)
        answer = kaged.daemon.Shutdown(daemon_pb.ShutdownRequest(mode=mode), timeout=DEADLINE_S)
        assert (answer.agents_kept, answer.agents_stopping) == ((0, 1) if stops else (1, 0))
        assert kaged.exit_code() == 0
        assert not kaged.socket.exists()
        assert bool(kaged.live_runs()) is not stops
        kaged.start()
        after = kaged.agent(agent)
        if stops:
            assert after.state == agents_pb.AGENT_STATE_CANCELLED
        else:
            assert (after.state, after.run.pid) == (agents_pb.AGENT_STATE_RUNNING, pid)
