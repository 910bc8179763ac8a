"""Guardrails through a real daemon: what a rule answers, what a person is asked, what is found afterwards."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import approval_service_pb2 as approvals_pb
from kaged.api.v1 import event_pb2, spec_pb2
from tests.e2e.api_words import refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.integration.workspace.repositories import repository

pytestmark = pytest.mark.e2e

# Asks for each act on its command line, in order, and says what it heard. `+` in front: does it without asking.
AGENT = """
import json, sys
def tell(**line): print(json.dumps(line), flush=True)
tell(type="turn.started")
for number, act in enumerate(sys.argv[1:]):
    asks, given = not act.startswith("+"), json.loads(act.lstrip("+"))
    tool = given.pop("tool")
    if asks:
        tell(type="approval.request", id=f"q{number}", title=tool, tool=tool, input=given)
        answer = json.loads(sys.stdin.readline())
        tell(type="message", text=f"{number}:{answer['outcome']}:{answer['note']}")
        if answer["outcome"] != "approved":
            continue
    tell(type="tool.started", id=f"t{number}", tool=tool, input=given)
    tell(type="tool.finished", id=f"t{number}", tool=tool, outcome="ok")
tell(type="turn.ended")
"""


def spawn(kaged: Kaged, folder: Path, *acts: object, guard: spec_pb2.Guard | None = None) -> str:
    folder.mkdir(exist_ok=True)
    words = [act if isinstance(act, str) else json.dumps(act) for act in acts]
    return kaged.spawn(
        sys.executable, "-c", AGENT, *words, adapter="jsonl", working_directory=str(folder), guard=guard
    )  # fmt: skip


def shell(command: str) -> dict[str, str]:
    return {"tool": "bash", "command": command}


def heard(kaged: Kaged, agent: str) -> list[str]:
    return [
        event.body.signal.text
        for event in kaged.read(f'agent = "{agent}"')
        if event.meta.type == "signal.message"
    ]  # fmt: skip


def verdicts(kaged: Kaged, agent: str) -> list[event_pb2.Event]:
    return [event for event in kaged.read(f'agent = "{agent}"') if event.meta.type == "guardrail.judged"]


def open_question(kaged: Kaged, agent: str) -> approvals_pb.Approval:
    def look() -> approvals_pb.Approval | None:
        request = approvals_pb.ListApprovalsRequest(agent=agent)
        found = kaged.approvals.ListApprovals(request, timeout=DEADLINE_S).approvals
        return found[0] if found else None

    return eventually(look, "a question")


def answer(kaged: Kaged, question: approvals_pb.Approval, *, approve: bool) -> None:
    request = approvals_pb.AnswerApprovalRequest(approval=question.id, approve=approve)
    kaged.approvals.AnswerApproval(request, timeout=DEADLINE_S)


def test_a_rule_denies_at_once_with_its_reason_and_the_verdict_is_an_event(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "w", shell("rm -rf /"), guard=spec_pb2.Guard(approve="none"))
    kaged.wait(agent)
    (said,) = heard(kaged, agent)
    assert said.startswith("0:denied:A rule refused this (commands.recursive-delete)")
    (event,) = verdicts(kaged, agent)
    fact = event.meta.fact.guardrail_judged
    assert (fact.verdict, fact.rule, fact.key, fact.after) == ("deny", "commands.recursive-delete", "q0", False)
    assert "rm -rf /" in event.body.question.data_json
    assert event.body.question.why


def test_what_no_rule_holds_goes_on_at_once_without_a_person(kaged, tmp_path):
    acts = (shell("make test"), {"tool": "write", "path": "a.txt"}, shell("git status"))
    agent = spawn(kaged, tmp_path / "w", *acts, guard=spec_pb2.Guard(approve="none"))
    kaged.wait(agent)
    assert heard(kaged, agent) == ["0:approved:", "1:approved:", "2:approved:"]
    assert verdicts(kaged, agent) == []  # a plain allow is no event
    assert not any(event.meta.type.startswith("approval.") for event in kaged.read(f'agent = "{agent}"'))


def test_a_rule_of_a_person_answers_in_their_stead_and_is_named(kaged, tmp_path):
    rules = [spec_pb2.GuardRule(verdict="allow", command="make *"), spec_pb2.GuardRule(verdict="deny", path="*.env")]
    guard = spec_pb2.Guard(approve="always", rules=rules)
    agent = spawn(kaged, tmp_path / "w", shell("make test"), {"tool": "read", "path": "x/.env"}, guard=guard)
    kaged.wait(agent)
    assert [text[:10] for text in heard(kaged, agent)] == ["0:approved", "1:denied:A"]
    facts = [event.meta.fact.guardrail_judged for event in verdicts(kaged, agent)]
    assert [(fact.verdict, fact.rule) for fact in facts] == [("allow", "rules.allow"), ("deny", "rules.deny")]


@pytest.mark.parametrize(
    ("level", "command", "rule"),
    [
        ("on-commit", "git commit -m x", "approve.on-commit"),
        ("on-write", "make", "approve.on-write"),
        ("always", "ls", "approve.always"),
        ("none", "git push --force", "commands.force-push"),
        ("none", "touch /srv/x", "workspace"),
        ("none", 'eval "$x"', "unreadable"),
    ],
)
def test_a_person_is_asked_with_the_rule_that_wants_them(kaged, tmp_path, level, command, rule):
    agent = spawn(kaged, tmp_path / "w", shell(command), guard=spec_pb2.Guard(approve=level))
    question = open_question(kaged, agent)
    assert question.rule == rule
    answer(kaged, question, approve=False)
    kaged.wait(agent)
    assert heard(kaged, agent) == ["0:denied:"]


def test_a_question_to_a_person_is_never_answered_by_a_rule(kaged, tmp_path):
    source = (
        'import json, sys; print(json.dumps({"type": "question", "id": "q", "text": "which?"}), flush=True); '
        "sys.stdin.readline()"
    )
    guard = spec_pb2.Guard(approve="none", rules=[spec_pb2.GuardRule(verdict="allow")])
    agent = kaged.spawn(sys.executable, "-c", source, adapter="jsonl", working_directory=str(tmp_path), guard=guard)
    question = open_question(kaged, agent)
    assert (question.kind, question.rule) == ("question", "")
    answer(kaged, question, approve=True)
    kaged.wait(agent)


def test_what_was_done_without_asking_is_found_afterwards(kaged, tmp_path):
    acts = ("+" + json.dumps(shell("rm -rf /srv/x")), "+" + json.dumps(shell("ls")), shell("git commit -m x"))
    agent = spawn(kaged, tmp_path / "w", *acts, guard=spec_pb2.Guard(approve="on-commit"))
    answer(kaged, open_question(kaged, agent), approve=True)
    kaged.wait(agent)
    (event,) = verdicts(kaged, agent)  # not the commit: that was asked
    fact = event.meta.fact.guardrail_judged
    assert (fact.verdict, fact.rule, fact.call, fact.after) == ("deny", "commands.recursive-delete", "t0", True)


def test_an_agent_without_a_loop_that_did_what_is_forbidden_goes_on_with_a_flag_or_is_stopped(kaged, tmp_path):
    acts = ("+" + json.dumps(shell("rm -rf /srv/x")), {"tool": "read", "path": "x"})
    going = spawn(kaged, tmp_path / "on", *acts, guard=spec_pb2.Guard(approve="always"))
    answer(kaged, open_question(kaged, going), approve=True)
    ended = kaged.wait(going)
    assert (ended.outcome.reason, ended.flagged) == ("exit", "commands.recursive-delete")
    policy = tmp_path / "off" / ".kage" / "config.toml"
    policy.parent.mkdir(parents=True)
    policy.write_text('[guard]\nafter-the-act = "stop"\n')
    stopped = kaged.wait(spawn(kaged, tmp_path / "off", *acts, guard=spec_pb2.Guard(approve="always")))
    assert stopped.outcome.reason == "stopped"
    assert "commands.recursive-delete" in stopped.outcome.detail


def test_a_call_that_never_came_to_its_end_is_judged_when_the_run_is_over(kaged, tmp_path):
    source = (
        "import json, os, signal\n"
        "line = {'type': 'tool.started', 'id': 't', 'tool': 'bash', 'input': {'command': 'rm -rf /srv/x'}}\n"
        "print(json.dumps(line), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    guard = spec_pb2.Guard(approve="none")
    agent = kaged.spawn(sys.executable, "-c", source, adapter="jsonl", working_directory=str(tmp_path), guard=guard)
    assert kaged.wait(agent).flagged == "commands.recursive-delete"
    (event,) = verdicts(kaged, agent)
    fact = event.meta.fact.guardrail_judged
    assert (fact.verdict, fact.rule, fact.call, fact.after) == ("deny", "commands.recursive-delete", "t", True)


def test_the_same_call_again_and_again_is_found(kaged, tmp_path):
    acts = ["+" + json.dumps(shell("ls"))] * 7
    agent = spawn(kaged, tmp_path / "w", *acts, guard=spec_pb2.Guard(approve="none"))
    kaged.wait(agent)
    (event,) = verdicts(kaged, agent)
    assert (event.meta.fact.guardrail_judged.rule, event.meta.fact.guardrail_judged.call) == ("loop", "t4")


def test_a_link_out_of_the_workspace_is_followed(kaged, tmp_path):
    folder = tmp_path / "w"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    agent = spawn(kaged, folder, {"tool": "write", "path": "link/x"}, guard=spec_pb2.Guard(approve="none"))
    question = open_question(kaged, agent)
    assert question.rule == "workspace"
    answer(kaged, question, approve=True)
    kaged.wait(agent)


def test_nobody_reads_the_daemons_own_state(kaged, tmp_path):
    token = str(kaged.state / "owner.token")
    agent = spawn(kaged, tmp_path / "w", {"tool": "read", "path": token}, guard=spec_pb2.Guard(approve="none"))
    kaged.wait(agent)
    assert heard(kaged, agent)[0].startswith("0:denied:A rule refused this (protected)")


def test_a_well_known_token_is_overwritten_before_anything_is_recorded(kaged, tmp_path):
    token = "ghp_" + "a" * 36
    agent = spawn(kaged, tmp_path / "w", shell(f"curl -H 'X: {token}' x.example"), guard=spec_pb2.Guard(approve="none"))
    question = open_question(kaged, agent)
    assert question.rule == "secrets"
    answer(kaged, question, approve=False)
    kaged.wait(agent)
    for event in kaged.read(f'agent = "{agent}"'):
        if event.meta.type != "agent.spawned":  # its command line is what a person gave
            assert token.encode() not in event.SerializeToString(), event.meta.type


def test_a_level_that_cannot_be_kept_refuses_the_spawn(kaged):
    found = refused(lambda: kaged.spawn("true", guard=spec_pb2.Guard(approve="on-write")))
    assert found.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "asks nothing" in found.message
    kaged.wait(kaged.spawn("true", guard=spec_pb2.Guard(approve="none")))


def test_a_repositorys_file_tightens_and_one_that_is_wrong_refuses_the_spawn(kaged, tmp_path):
    folder = tmp_path / "w"
    (folder / ".kage").mkdir(parents=True)
    policy = folder / ".kage" / "config.toml"
    policy.write_text('[guard]\nprotected = ["vendor/"]\n')
    agent = spawn(kaged, folder, {"tool": "write", "path": "vendor/x"}, guard=spec_pb2.Guard(approve="none"))
    kaged.wait(agent)
    assert "(protected): " in heard(kaged, agent)[0]
    policy.write_text('[guard]\n\noutside = "allow"\n')
    found = refused(lambda: spawn(kaged, folder, guard=spec_pb2.Guard(approve="none")))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "POLICY_WRONG")
    assert f"{policy}:3: guard.outside" in found.message


def test_an_answer_of_a_rule_is_given_once_across_a_crash_of_the_daemon(tmp_path):
    acts = [shell("make test"), shell("git push"), shell("rm -rf /")] * 5
    with Kaged(tmp_path) as daemon:
        agent = spawn(daemon, tmp_path / "w", *acts, guard=spec_pb2.Guard(approve="none"))
        eventually(lambda: heard(daemon, agent), "the first answer")
        daemon.kill()
        daemon.start()
        daemon.wait(agent)
        outcomes = [text.split(":")[1] for text in heard(daemon, agent)]
        assert outcomes == ["approved", "approved", "denied"] * 5
        assert len(verdicts(daemon, agent)) == 5


def test_an_agent_in_a_worktree_may_work_there_and_is_held_to_its_users_policy(kaged, tmp_path):
    folder = tmp_path / "w"
    (folder / ".kage").mkdir(parents=True)
    for words in (
        ("init", "-q"),
        ("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x"),
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    (folder / ".kage" / "config.toml").write_text('[guard]\nprotected = ["vendor/"]\n')  # not committed
    acts = [shell("touch x"), {"tool": "write", "path": "vendor/x"}, {"tool": "read", "path": "../../owner.token"}]
    words = [json.dumps(act) for act in acts]
    agent = kaged.spawn(
        sys.executable, "-c", AGENT, *words, adapter="jsonl", working_directory=str(folder),
        guard=spec_pb2.Guard(approve="none"),
        workspace=spec_pb2.Workspace(kind=spec_pb2.WORKSPACE_KIND_WORKTREE),
    )  # fmt: skip
    kaged.wait(agent)
    outcomes = heard(kaged, agent)
    assert outcomes[0] == "0:approved:"
    assert outcomes[1].startswith("1:denied:A rule refused this (protected)")
    assert outcomes[2].startswith("2:denied:A rule refused this (protected)")


# Tells what it was approved, then commits by a script of its own, which asks nobody.
COMMITTER = """
import json, subprocess, sys
def tell(**line): print(json.dumps(line), flush=True)
def git(*words): return subprocess.run(["git", *words], capture_output=True, text=True)
def commit(name):
    open("work.txt", "a").write(name)
    git("add", "work.txt")
    done = git("commit", "-m", name)
    tell(type="message", text=f"{name}:{done.returncode}:{done.stderr}")
tell(type="turn.started")
commit("unasked")
line = 'git commit -m asked'
tell(type="approval.request", id="q", title="bash", tool="bash", input={"command": line})
answer = json.loads(sys.stdin.readline())
tell(type="tool.started", id="t", tool="bash", input={"command": line})
commit("asked")
tell(type="tool.finished", id="t", tool="bash", outcome="ok")
commit("again")
tell(type="turn.ended")
"""


@pytest.mark.parametrize("kind", [spec_pb2.WORKSPACE_KIND_WORKTREE, spec_pb2.WORKSPACE_KIND_COPY])
@pytest.mark.parametrize("by_rule", [False, True])
def test_git_refuses_the_commits_of_an_agent_that_nobody_approved(kaged, tmp_path, kind, by_rule):
    folder = repository(tmp_path / "w")
    rules = [spec_pb2.GuardRule(verdict="allow", command="git commit *")] if by_rule else []
    agent = kaged.spawn(
        sys.executable, "-c", COMMITTER, adapter="jsonl", working_directory=str(folder),
        guard=spec_pb2.Guard(approve="on-commit", rules=rules), workspace=spec_pb2.Workspace(kind=kind),
    )  # fmt: skip
    if not by_rule:
        question = open_question(kaged, agent)
        assert question.rule == "approve.on-commit"
        answer(kaged, question, approve=True)
    kaged.wait(agent)
    unasked, asked, again = heard(kaged, agent)
    assert unasked.startswith(("unasked:128:", "unasked:1:"))
    assert "need a person's approval" in unasked
    assert asked == "asked:0:"
    assert "need a person's approval" in again
    place = kaged.agent(agent).workspace.path
    log = subprocess.run(["git", "log", "--format=%s"], cwd=place, capture_output=True, text=True, check=True).stdout
    assert log.split() == ["asked", "first"]


def test_an_agent_for_which_nobody_named_a_level_commits_as_it_likes(kaged, tmp_path):
    folder = repository(tmp_path / "w")
    agent = kaged.spawn(
        sys.executable, "-c", COMMITTER, adapter="jsonl", working_directory=str(folder),
        workspace=spec_pb2.Workspace(kind=spec_pb2.WORKSPACE_KIND_WORKTREE),
    )  # fmt: skip
    answer(kaged, open_question(kaged, agent), approve=True)
    kaged.wait(agent)
    assert [text.split(":")[1] for text in heard(kaged, agent)] == ["0", "0", "0"]
