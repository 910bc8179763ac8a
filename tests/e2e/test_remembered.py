"""Yes, and more of the same: rules that people add with an answer, through a real daemon."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import json
import sys

import grpc
import pytest

from kaged.api.v1 import approval_service_pb2 as pb
from kaged.api.v1 import spec_pb2
from tests.e2e.api_words import refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.e2e.test_guardrails import heard, open_question, shell, spawn

pytestmark = pytest.mark.e2e
ALWAYS = spec_pb2.Guard(approve="always")


def remember(kaged: Kaged, question: pb.Approval, **wish: object) -> list[pb.ApprovalRule]:
    request = pb.AnswerApprovalRequest(approval=question.id, approve=True, remember=pb.Remember(**wish))  # type: ignore[arg-type]
    return list(kaged.approvals.AnswerApproval(request, timeout=DEADLINE_S).rules)


def deny(kaged: Kaged, question: pb.Approval) -> None:
    kaged.approvals.AnswerApproval(pb.AnswerApprovalRequest(approval=question.id), timeout=DEADLINE_S)


def rules(kaged: Kaged, agent: str = "") -> list[pb.ApprovalRule]:
    return list(kaged.approvals.ListApprovalRules(pb.ListApprovalRulesRequest(agent=agent), timeout=DEADLINE_S).rules)


def outcomes(kaged: Kaged, agent: str) -> list[str]:
    return [text.split(":")[1] for text in heard(kaged, agent)]


def test_the_same_again_goes_on_without_a_person_and_anything_else_is_asked(kaged, tmp_path):
    acts = (shell("make test && git status"), shell("git status && make test"), shell("make deploy"))
    agent = spawn(kaged, tmp_path / "w", *acts, guard=ALWAYS)
    added = remember(kaged, open_question(kaged, agent))
    assert [rule.command for rule in added] == ["make test", "git status"]
    assert {(rule.scope, rule.owner) for rule in added} == {(pb.RULE_SCOPE_AGENT, agent)}
    asked = open_question(kaged, agent)
    assert asked.title == "bash"
    assert "make deploy" in asked.data_json
    deny(kaged, asked)
    kaged.wait(agent)
    assert outcomes(kaged, agent) == ["approved", "approved", "denied"]
    assert [rule.id for rule in rules(kaged, agent)] == [rule.id for rule in added]


def test_a_file_that_was_let_through_is_this_file_alone(kaged, tmp_path):
    acts = ({"tool": "write", "path": "a.txt"}, {"tool": "edit", "path": "a.txt"}, {"tool": "write", "path": "x/a.txt"})
    agent = spawn(kaged, tmp_path / "w", *acts, guard=ALWAYS)
    (rule,) = remember(kaged, open_question(kaged, agent))
    assert (rule.tool, rule.path) == ("write", "./a.txt")
    asked = open_question(kaged, agent)
    assert "x/a.txt" in asked.data_json
    deny(kaged, asked)
    kaged.wait(agent)


def test_a_pattern_for_a_namespace_holds_for_all_of_it_until_it_is_taken_back_and_over_a_kill(tmp_path):
    with Kaged(tmp_path) as kaged:
        first = spawn(kaged, tmp_path / "a", shell("git commit -m one"), guard=ALWAYS)
        (rule,) = remember(kaged, open_question(kaged, first), scope="RULE_SCOPE_NAMESPACE", command="git commit *")
        assert (rule.scope, rule.owner) == (pb.RULE_SCOPE_NAMESPACE, "default")
        kaged.wait(first)
        kaged.restart()
        assert [each.id for each in rules(kaged)] == [rule.id]
        second = spawn(kaged, tmp_path / "b", shell("git commit -m two"), guard=ALWAYS)
        kaged.wait(second)
        assert outcomes(kaged, second) == ["approved"]
        request = pb.RemoveApprovalRuleRequest(rule=rule.id[:4], request_id="take it back")
        assert kaged.approvals.RemoveApprovalRule(request, timeout=DEADLINE_S).rule.id == rule.id
        assert kaged.approvals.RemoveApprovalRule(request, timeout=DEADLINE_S).rule.id == rule.id  # the same request
        again = pb.RemoveApprovalRuleRequest(rule=rule.id)
        found = refused(lambda: kaged.approvals.RemoveApprovalRule(again, timeout=DEADLINE_S))
        assert found.reason == "APPROVAL_RULE_NOT_FOUND"
        kaged.restart()
        assert rules(kaged) == []
        third = spawn(kaged, tmp_path / "c", shell("git commit -m three"), guard=ALWAYS)
        deny(kaged, open_question(kaged, third))
        kaged.wait(third)


def test_a_rule_that_is_over_lets_nothing_through(kaged, tmp_path):
    first = spawn(kaged, tmp_path / "a", shell("make test"), guard=ALWAYS)
    (rule,) = remember(kaged, open_question(kaged, first), for_s=1, scope="RULE_SCOPE_NAMESPACE")
    assert rule.expire_time.ToMicroseconds() - rule.create_time.ToMicroseconds() <= 1_000_000
    eventually(lambda: rule.id not in [each.id for each in rules(kaged)], "the rule's end")
    second = spawn(kaged, tmp_path / "b", shell("make test"), guard=ALWAYS)
    deny(kaged, open_question(kaged, second))
    kaged.wait(second)


@pytest.mark.parametrize(
    ("command", "wish"),
    [
        ("git push --force", {}),  # a rule asks, not the level
        ("eval $x", {}),
        ("grep 'a*' f", {}),  # as a pattern it would fit more
        ("make test", {"command": "make lint"}),
        ("make test", {"path": "src/**"}),
        ("make test", {"for_s": -1}),
    ],
)
def test_a_wish_that_would_not_do_what_it_says_is_refused_and_nothing_is_answered(kaged, tmp_path, command, wish):
    agent = spawn(kaged, tmp_path / "w", shell(command), guard=ALWAYS)
    question = open_question(kaged, agent)
    assert refused(lambda: remember(kaged, question, **wish)).code == grpc.StatusCode.INVALID_ARGUMENT
    assert open_question(kaged, agent).id == question.id
    assert rules(kaged, agent) == []
    deny(kaged, question)
    kaged.wait(agent)


def test_a_no_is_not_remembered_and_a_late_yes_neither(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "w", shell("make test"), guard=ALWAYS)
    question = open_question(kaged, agent)
    request = pb.AnswerApprovalRequest(approval=question.id, remember=pb.Remember())
    assert refused(lambda: kaged.approvals.AnswerApproval(request, timeout=DEADLINE_S)).fields == ("remember",)
    deny(kaged, question)
    assert refused(lambda: remember(kaged, question)).reason == "APPROVAL_ANSWERED"
    assert rules(kaged, agent) == []
    kaged.wait(agent)


ASKS_FOR_ITSELF = """
import json, os, sys
sys.path[:0] = json.loads(sys.argv[1])
import grpc
from kaged.api.v1 import approval_service_pb2 as pb, approval_service_pb2_grpc as stubs
print(json.dumps(dict(type="approval.request", id="q", title="t", tool="bash", input=dict(command="make"))), flush=True)
socket, token = os.environ["KAGE_SOCKET"], open(os.environ["KAGE_TOKEN_FILE"]).read().strip()
stub = stubs.ApprovalServiceStub(grpc.insecure_channel(socket if ":" in socket else "unix:" + socket))
for request in (pb.ListApprovalRulesRequest(), pb.RemoveApprovalRuleRequest(rule="x"),
                pb.AnswerApprovalRequest(approval="any", approve=True, remember=pb.Remember())):
    name = type(request).__name__.removesuffix("Request")
    try:
        getattr(stub, name)(request, metadata=[("authorization", "Bearer " + token)], timeout=20)
        print(json.dumps(dict(type="message", text=name + ":OK")), flush=True)
    except grpc.RpcError as error:
        print(json.dumps(dict(type="message", text=name + ":" + error.code().name)), flush=True)
"""


def test_an_agent_can_neither_answer_nor_add_a_rule_nor_see_any(kaged, tmp_path):
    agent = kaged.spawn(
        sys.executable, "-c", ASKS_FOR_ITSELF, json.dumps(sys.path), adapter="jsonl", guard=ALWAYS,
        environment={"GRPC_ENABLE_FORK_SUPPORT": "0"},
    )  # fmt: skip
    kaged.wait(agent)
    assert heard(kaged, agent) == [
        f"{name}:PERMISSION_DENIED" for name in ("ListApprovalRules", "RemoveApprovalRule", "AnswerApproval")
    ]
    assert rules(kaged) == [each for each in rules(kaged) if each.owner != agent]


def test_rules_are_listed_by_pages(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "w", shell("make a && make b && make c"), guard=ALWAYS)
    added = [rule.id for rule in remember(kaged, open_question(kaged, agent))]
    kaged.wait(agent)
    request = pb.ListApprovalRulesRequest(agent=agent, page_size=2)
    first = kaged.approvals.ListApprovalRules(request, timeout=DEADLINE_S)
    request.page_token = first.next_page_token
    second = kaged.approvals.ListApprovalRules(request, timeout=DEADLINE_S)
    assert ([rule.id for rule in (*first.rules, *second.rules)], second.next_page_token) == (added, "")
