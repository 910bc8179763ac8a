"""Deadlines, sizes and masks: what a caller sets or oversteps, and what it is told."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import event_service_pb2
from kaged.rpc.methods import MESSAGE_BYTES
from tests.e2e.api_words import details, known_fields, raw_call, refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged

pytestmark = pytest.mark.e2e


# --- deadlines --------------------------------------------------------------------------------------------------


def test_a_wait_that_outlasts_its_deadline_is_told_so_with_a_reason(kaged):
    agent = kaged.spawn("sleep", "1000")
    late = refused(lambda: kaged.wait(agent, deadline_s=0.6))
    assert (late.code, late.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert late.metadata["method"] == "AgentService.WaitAgent"
    assert "request_id" in late.hint
    kaged.end(agent)


def test_a_stream_that_outlasts_its_deadline_is_told_so_after_what_it_had_to_say(kaged):
    request = event_service_pb2.SubscribeEventsRequest(after_seq=0)
    told = []
    with pytest.raises(grpc.RpcError) as caught:
        told.extend(kaged.events.SubscribeEvents(request, timeout=0.8))
    assert details(caught.value).reason == "DEADLINE_EXCEEDED"
    assert told


# --- sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "streaming"),
    [
        ("AgentService/GetAgent", False),
        ("EventService/AppendEvents", False),
        ("EventService/AppendStream", True),
    ],
)
def test_a_request_over_16_mib_is_refused_with_words(kaged, method, streaming):
    found = refused(lambda: raw_call(kaged, method, b"\0" * (MESSAGE_BYTES + 1), streaming=streaming))
    assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert found.metadata["max_bytes"] == str(MESSAGE_BYTES)


def test_a_request_of_16_mib_is_read(kaged):
    found = refused(
        lambda: raw_call(kaged, "AgentService/GetAgent", b"\x0a" + b"\xfb\xff\xff\x07" + b"x" * ((16 << 20) - 5))
    )
    assert found.reason == "AGENT_NOT_FOUND"


# --- masks ------------------------------------------------------------------------------------------------------


def _get(kaged: Kaged, agent: str, *paths: str, at_seq: int = 0) -> agents_pb.Agent:
    request = agents_pb.GetAgentRequest(agent=agent, at_seq=at_seq, read_mask=FieldMask(paths=paths))
    return kaged.agents.GetAgent(request, timeout=DEADLINE_S).agent


def test_a_read_mask_answers_what_it_names_and_nothing_else(kaged):
    agent = kaged.spawn("sh", "-c", "exit 3", labels={"a": "b"})
    whole = kaged.wait(agent)
    some = _get(kaged, agent, "id", "state", "run.exit_code", "spec.labels")
    assert known_fields(some) == ["id", "state", "spec", "run"]
    assert known_fields(some.run) == ["exit_code"]
    assert known_fields(some.spec) == ["labels"]
    assert (some.id, some.state, some.run.exit_code) == (agent, whole.state, 3)
    assert _get(kaged, agent, "id", at_seq=whole.as_of_seq) == agents_pb.Agent(id=agent)
    assert _get(kaged, agent, "*").spec == _get(kaged, agent).spec == whole.spec


def test_a_page_of_agents_holds_what_the_mask_names(kaged):
    agent = kaged.spawn("sleep", "1000")
    for show_ended in (False, True):
        request = agents_pb.ListAgentsRequest(show_ended=show_ended, read_mask=FieldMask(paths=["id", "name"]))
        page = kaged.agents.ListAgents(request, timeout=DEADLINE_S).agents
        assert agent in [found.id for found in page]
        assert {tuple(known_fields(found)) for found in page} == {("id", "name")}
    kaged.end(agent)


@pytest.mark.parametrize("path", ["nonsense", "run.nonsense", "spec.labels.a", "id.x", "", "runExitCode", "run."])
def test_a_mask_that_names_no_field_is_refused(kaged, path):
    agent = kaged.spawn("true")
    found = refused(lambda: _get(kaged, agent, "id", path))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("read_mask",))
    listed = agents_pb.ListAgentsRequest(read_mask=FieldMask(paths=[path]))
    assert refused(lambda: kaged.agents.ListAgents(listed, timeout=DEADLINE_S)).fields == ("read_mask",)
