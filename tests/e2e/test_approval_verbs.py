"""`kagectl approval`: people look at real actions and answer them, through a real daemon."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import json
import subprocess
import sys

import pytest

from kaged.api.v1 import spec_pb2
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.e2e.test_guardrails import heard, open_question, shell, spawn
from tests.e2e.test_watching import kagectl, words

pytestmark = pytest.mark.e2e
ALWAYS = spec_pb2.Guard(approve="always")
TWO_AT_ONCE = """
import json, sys
for key, command in (("a", "make one"), ("b", "make two")):
    print(json.dumps(dict(type="approval.request", id=key, title=command, tool="bash", input=dict(command=command))))
sys.stdout.flush()
for _ in range(2):
    line = json.loads(sys.stdin.readline())
    print(json.dumps(dict(type="message", text=line["id"] + ":" + line["outcome"] + ":" + line["note"])), flush=True)
"""
QUESTION = """
import json, sys
print(json.dumps(dict(type="question", id="q", text="Which colour?", choices=["red", "blue"])), flush=True)
print(json.dumps(dict(type="message", text=sys.stdin.readline())), flush=True)
"""


def test_a_page_shows_the_diff_the_rule_the_agent_and_how_to_answer(kaged, tmp_path):
    act = {"tool": "edit", "path": "a.py", "old_string": "x = 1", "new_string": "x = 2"}
    agent = spawn(kaged, tmp_path / "w", act, guard=ALWAYS)
    question = open_question(kaged, agent)
    out = kagectl(kaged, "approval", "show", question.id)[1]
    for part in (
        kaged.agent(agent).name,
        "approve.always",
        "a.py  +1 -1",
        "-x = 1",
        "+x = 2",
        f"approve {question.id}",
    ):
        assert part in out, out
    assert kagectl(kaged, "approval", "deny", question.id, "--note", "no")[0] == 0
    code, _, err = kagectl(kaged, "approval", "approve", question.id)
    assert code == 5
    assert "too late" in err
    assert "denied" in err
    assert "by the owner (no)" in err
    kaged.wait(agent)


def test_all_that_an_agent_asks_is_answered_together_and_only_its_own(kaged, tmp_path):
    other = spawn(kaged, tmp_path / "w", shell("make other"), guard=ALWAYS)
    left = open_question(kaged, other)
    agent = kaged.spawn(sys.executable, "-c", TWO_AT_ONCE, adapter="jsonl", guard=ALWAYS)
    eventually(lambda: len(kaged.agent(agent).open_approvals) == 2, "both questions")
    code, _, err = kagectl(kaged, "approval", "approve", "--all")
    assert (code, "--agent" in err) == (2, True)
    code, out, err = kagectl(kaged, "approval", "approve", "--all", "--agent", agent, "--note", "go")
    assert (code, out.count("approved")) == (0, 2)
    assert "make one" in err
    kaged.wait(agent)
    assert sorted(heard(kaged, agent)) == ["a:approved:go", "b:approved:go"]
    assert kagectl(kaged, "approval", "list", "--agent", other, "-o", "json")[1].count(left.id) == 1
    kagectl(kaged, "approval", "deny", left.id)
    kaged.wait(other)


@pytest.mark.parametrize(("said", "told"), [("2", "blue"), ("green", "green")])
def test_a_question_is_answered_by_a_number_or_in_words(kaged, tmp_path, said, told):
    agent = kaged.spawn(sys.executable, "-c", QUESTION, adapter="jsonl")
    question = open_question(kaged, agent)
    assert "2. blue" in kagectl(kaged, "approval", "show", question.id)[1]
    assert kagectl(kaged, "approval", "answer", question.id, "3")[0] == 2  # there are two
    assert kagectl(kaged, "approval", "answer", question.id, said)[0] == 0
    kaged.wait(agent)
    assert json.loads(heard(kaged, agent)[0])["note"] == told


def test_yes_for_good_is_said_listed_and_taken_back(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "w", shell("make test"), shell("make test"), guard=ALWAYS)
    question = open_question(kaged, agent)
    code, out, _ = kagectl(kaged, "approval", "approve", question.id, "--always", "--until", "2h")
    assert code == 0
    assert "from now on: allow command 'make test' for this agent, for 1h59m" in out
    kaged.wait(agent)
    (rule,) = json.loads(kagectl(kaged, "approval", "rules", "list", "--agent", agent, "-o", "json")[1])
    assert rule["command"] == "make test"
    assert rule["id"] in kagectl(kaged, "approval", "rules")[1]
    assert kagectl(kaged, "approval", "rules", "remove", rule["id"])[1].startswith("removed: allow command 'make test'")
    assert kagectl(kaged, "approval", "rules", "remove", rule["id"])[0] == 3
    assert kagectl(kaged, "approval", "approve", "x", "--until", "2h")[0] == 2


def test_a_watch_shows_what_is_open_and_what_comes_and_what_became_of_it(kaged: Kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "w", shell("make first"), shell("make second"), guard=ALWAYS)
    first = open_question(kaged, agent)
    seen = tmp_path / "seen.txt"
    command, environment = words(kaged, "approval", "watch", "--agent", agent)
    with seen.open("wb") as out:
        watching = subprocess.Popen(command, env={**environment, "PYTHONUNBUFFERED": "1"}, stdout=out, stderr=out)
    try:
        eventually(lambda: "make first" in seen.read_text("utf-8"), "the first")
        kagectl(kaged, "approval", "deny", first.id)
        eventually(lambda: "make second" in seen.read_text("utf-8"), "the second")
        kaged.end(agent)
        eventually(lambda: "withdrawn" in seen.read_text("utf-8"), "its end")
    finally:
        watching.kill()
        watching.wait(DEADLINE_S)
    text = seen.read_text("utf-8")
    assert text.count("$ make first") == 1
    assert f"{first.id} denied: bash" in text
