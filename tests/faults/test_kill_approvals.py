"""A question to a person is durable: whatever dies around it, the agent hears one answer, once, or it is withdrawn."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import agent_service_pb2
from kaged.api.v1 import approval_service_pb2 as pb
from tests.e2e.daemon_kit import ENDED, Kaged, eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

# Asks, tells each answer that it hears, and goes on listening for a second one until it is told to go.
ASKS = """
import json, sys
def tell(**fields): print(json.dumps(fields), flush=True)
tell(type="approval.request", id="q1", title="push?", tool="git", input={"args": ["push"]}, why="done", timeout_s=%s)
for line in sys.stdin:
    heard = json.loads(line)
    if heard["type"] == "message": break
    tell(type="message", text="heard " + heard["outcome"] + " " + heard["note"])
"""


@pytest.fixture
def kaged(tmp_path: Path) -> Iterator[Kaged]:
    with Kaged(tmp_path) as daemon:
        yield daemon


def ask(kaged: Kaged, timeout_s: float = 0) -> tuple[str, pb.Approval]:
    """Spawn an agent that asks; its id and the open question."""
    python = getattr(sys, "_base_executable", sys.executable)
    agent = kaged.spawn(python, "-I", "-S", "-c", ASKS % timeout_s, adapter="jsonl")
    return agent, eventually(lambda: asked(kaged, agent), "the question")


def asked(kaged: Kaged, agent: str, *, all_of_them: bool = False) -> pb.Approval | None:
    request = pb.ListApprovalsRequest(agent=agent, show_answered=all_of_them)
    found = kaged.approvals.ListApprovals(request, timeout=10).approvals
    assert len(found) <= 1, "asked twice"
    return found[0] if found else None


def answer(kaged: Kaged, approval: str, *, approve: bool, note: str, request_id: str) -> pb.Approval:
    request = pb.AnswerApprovalRequest(approval=approval, approve=approve, note=note, request_id=request_id)
    return kaged.approvals.AnswerApproval(request, timeout=10).approval


def heard(kaged: Kaged, agent: str) -> list[str]:
    """What the agent said that it heard."""
    lines = kaged.output(agent).splitlines()
    return [json.loads(line)["text"] for line in lines if b"heard" in line]


def dismiss(kaged: Kaged, agent: str) -> agent_service_pb2.Agent:
    """Let the agent go; whatever came before is heard by then."""
    kaged.send(agent, b'{"type":"message","text":"go"}\n')
    return kaged.wait(agent)


def types(kaged: Kaged, agent: str) -> list[str]:
    return [event.meta.type for event in kaged.read(f'agent = "{agent}"') if event.meta.type.startswith("approval")]


def test_a_question_survives_a_kill_and_its_answer_reaches_the_agent_once(kaged: Kaged) -> None:
    agent, before = ask(kaged)
    kaged.restart()
    after = asked(kaged, agent)
    assert after == before
    said = answer(kaged, before.id, approve=True, note="go on", request_id="a1")
    assert said.state == pb.APPROVAL_STATE_APPROVED
    eventually(lambda: heard(kaged, agent), "the answer")
    kaged.restart()
    assert dismiss(kaged, agent).state == agent_service_pb2.AGENT_STATE_SUCCEEDED
    assert heard(kaged, agent) == ["heard approved go on"]
    assert types(kaged, agent) == ["approval.requested", "approval.answered"]


def test_an_answer_that_was_acknowledged_just_before_a_kill_reaches_the_agent_once(kaged: Kaged) -> None:
    for number in range(5):
        agent, approval = ask(kaged)
        said = answer(kaged, approval.id, approve=False, note=f"no {number}", request_id=f"a{number}")
        kaged.kill()
        kaged.start()
        again = answer(kaged, approval.id, approve=False, note=f"no {number}", request_id=f"a{number}")
        assert (again.state, again.note) == (said.state, said.note)
        eventually(lambda agent=agent: heard(kaged, agent), "the answer")  # type: ignore[misc]
        dismiss(kaged, agent)
        assert heard(kaged, agent) == [f"heard denied no {number}"]
        assert types(kaged, agent) == ["approval.requested", "approval.answered"]


def test_a_question_that_was_asked_while_no_daemon_was_there_is_found(kaged: Kaged) -> None:
    python = getattr(sys, "_base_executable", sys.executable)
    agent = kaged.spawn(python, "-I", "-S", "-c", "import sys; sys.stdin.readline()\n" + ASKS % 0, adapter="jsonl")
    kaged.wait_state(agent, agent_service_pb2.AGENT_STATE_RUNNING)
    kaged.send(agent, b"now\n")
    kaged.kill()
    kaged.start()
    approval = eventually(lambda: asked(kaged, agent), "the question")
    answer(kaged, approval.id, approve=True, note="", request_id="a1")
    eventually(lambda: heard(kaged, agent), "the answer")
    dismiss(kaged, agent)
    assert types(kaged, agent) == ["approval.requested", "approval.answered"]


def test_the_second_to_answer_is_told_who_was_first_also_after_a_kill(kaged: Kaged) -> None:
    _, approval = ask(kaged)
    answer(kaged, approval.id, approve=True, note="", request_id="first")
    kaged.restart()
    with pytest.raises(grpc.RpcError) as refused:
        answer(kaged, approval.id, approve=False, note="", request_id="second")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_a_question_is_withdrawn_when_its_agent_dies_while_no_daemon_is_there(kaged: Kaged) -> None:
    agent, approval = ask(kaged)
    pid = kaged.agent(agent).run.pid
    kaged.kill()

    os.kill(pid, signal.SIGKILL)
    kaged.start()
    assert kaged.wait(agent).outcome.signal == signal.SIGKILL
    found = asked(kaged, agent, all_of_them=True)
    assert found is not None
    assert found.state == pb.APPROVAL_STATE_WITHDRAWN
    assert types(kaged, agent) == ["approval.requested", "approval.withdrawn"]
    with pytest.raises(grpc.RpcError) as refused:
        answer(kaged, approval.id, approve=True, note="", request_id="late")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_a_deadline_that_passes_while_no_daemon_is_there_expires_the_question(kaged: Kaged) -> None:
    agent, _ = ask(kaged, timeout_s=0.4)
    kaged.kill()
    kaged.start()  # takes longer than the deadline
    eventually(lambda: heard(kaged, agent), "the answer")
    assert heard(kaged, agent)[0].startswith("heard expired")
    found = asked(kaged, agent, all_of_them=True)
    assert found is not None
    assert found.state == pb.APPROVAL_STATE_EXPIRED
    assert dismiss(kaged, agent).state in ENDED
    assert types(kaged, agent) == ["approval.requested", "approval.answered"]
