"""ApprovalService through a real daemon: a question is answered once, by whoever was first, and the agent hears it."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import approval_service_pb2 as pb
from kaged.api.v1 import spec_pb2
from tests.e2e.api_words import refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually

pytestmark = pytest.mark.e2e
ASKS = str(Path(__file__).parents[2] / "examples" / "agent.py")


def _asking(kaged: Kaged) -> tuple[str, pb.Approval]:
    agent = kaged.spawn(sys.executable, ASKS, adapter="jsonl")

    def look() -> pb.Approval | None:
        found = kaged.approvals.ListApprovals(pb.ListApprovalsRequest(agent=agent), timeout=DEADLINE_S).approvals
        return found[0] if found else None

    return agent, eventually(look, "the question")


def _answer(kaged: Kaged, **request: object) -> pb.Approval:
    asked = pb.AnswerApprovalRequest(**request)  # type: ignore[arg-type]  # names are checked by protobuf
    return kaged.approvals.AnswerApproval(asked, timeout=DEADLINE_S).approval


@pytest.mark.parametrize(("approve", "word"), [(True, b"approved"), (False, b"denied")])
def test_an_answer_reaches_the_agent_and_a_second_one_is_told_who_was_first(kaged, approve, word):
    agent, question = _asking(kaged)
    waiting = kaged.agent(agent)
    assert (waiting.state, waiting.waiting_for) == (agents_pb.AGENT_STATE_WAITING, "approval")
    assert list(waiting.open_approvals) == [question.id]
    assert (question.state, question.title, question.tool) == (pb.APPROVAL_STATE_OPEN, "write notes.txt", "write")
    answered = _answer(kaged, approval=question.id[:6], approve=approve, note="my words")
    assert (answered.note, answered.answered_by) == ("my words", 2)
    kaged.wait(agent)
    assert b"The answer was " + word in kaged.output(agent)
    found = refused(lambda: _answer(kaged, approval=question.id, approve=not approve))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "APPROVAL_ANSWERED")
    assert found.metadata["state"] == word.decode()
    request = pb.ListApprovalsRequest(agent=agent, show_answered=True)
    assert kaged.approvals.ListApprovals(request, timeout=DEADLINE_S).approvals == [answered]
    assert not kaged.approvals.ListApprovals(pb.ListApprovalsRequest(agent=agent), timeout=DEADLINE_S).approvals


def test_a_repeated_answer_is_one_answer_also_from_many_and_after_a_restart(kaged):
    agent, question = _asking(kaged)
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda _: _answer(kaged, approval=question.id, approve=True, request_id="answer-1"), range(20))
        )
    assert all(answer == answers[0] for answer in answers)
    assert len(list(kaged.read(f'agent = "{agent}" AND type = "approval.answered"'))) == 1
    kaged.wait(agent)
    kaged.restart()
    assert _answer(kaged, approval=question.id, approve=True, request_id="answer-1") == answers[0]
    found = refused(lambda: _answer(kaged, approval=question.id, approve=False, request_id="answer-1"))
    assert found.reason == "REQUEST_ID_REUSED"


def test_a_question_outlives_the_daemon_and_dies_with_its_run(kaged):
    agent, question = _asking(kaged)
    kaged.restart()
    there = kaged.approvals.GetApproval(pb.GetApprovalRequest(approval=question.id), timeout=DEADLINE_S).approval
    assert there == question
    kaged.end(agent)
    gone = kaged.approvals.GetApproval(pb.GetApprovalRequest(approval=question.id), timeout=DEADLINE_S).approval
    assert gone.state == pb.APPROVAL_STATE_WITHDRAWN
    assert refused(lambda: _answer(kaged, approval=question.id, approve=True)).reason == "APPROVAL_ANSWERED"


def test_pages_of_questions_are_whole(kaged):
    asked = [_asking(kaged) for _ in range(5)]
    wanted = {question.id for _, question in asked}
    found: list[str] = []
    token = ""
    while not found or token:
        page = kaged.approvals.ListApprovals(pb.ListApprovalsRequest(page_size=2, page_token=token), timeout=DEADLINE_S)
        found += [item.id for item in page.approvals]
        token = page.next_page_token
    assert len(found) == len(set(found))
    assert wanted <= set(found)
    for agent, _ in asked:
        kaged.end(agent)


@pytest.mark.parametrize("unknown", ["nobody", "a\0b", "x" * 4000])
def test_a_question_that_nobody_asked_is_not_found(kaged, unknown):
    found = refused(lambda: _answer(kaged, approval=unknown, approve=True))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "APPROVAL_NOT_FOUND")
    assert refused(lambda: _answer(kaged, approve=True)).fields == ("approval",)


# --- words of a person ----------------------------------------------------------------------------------------------


def test_a_message_reaches_a_jsonl_agent_as_a_line_of_its_protocol_once(kaged):
    agent = kaged.spawn("sh", "-c", "IFS= read -r line; printf '%s\\n' \"$line\"", adapter="jsonl")
    request = agents_pb.SendInputRequest(agent=agent, message="use the\ntest database", request_id="words")
    first = kaged.agents.SendInput(request, timeout=DEADLINE_S)
    assert kaged.agents.SendInput(request, timeout=DEADLINE_S) == first
    kaged.wait(agent)
    assert json.loads(kaged.output(agent)) == {"type": "message", "text": "use the\ntest database"}
    (accepted,) = kaged.read(f'agent = "{agent}" AND type = "input.accepted"')
    assert (accepted.seq, accepted.body.input) == (first.seq, kaged.output(agent))


def test_a_message_that_nobody_could_read_is_refused(kaged):
    agent = kaged.spawn("cat", stdin=spec_pb2.STDIN_MODE_PIPE)
    found = refused(lambda: kaged.agents.SendInput(agents_pb.SendInputRequest(agent=agent, message="hi")))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ADAPTER_TAKES_NO_MESSAGES")
    both = agents_pb.SendInputRequest(agent=agent, message="hi", data=b"x")
    long = agents_pb.SendInputRequest(agent=agent, message="x" * (128 << 10) + "y")
    for bad in (both, long):
        assert refused(lambda bad=bad: kaged.agents.SendInput(bad)).fields == ("message",)
    kaged.end(agent)
