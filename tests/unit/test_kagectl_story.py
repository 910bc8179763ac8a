"""What `kagectl watch NAME` tells of events: lines for people, and never more than they need."""

import json
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagectl.render.agents import agent_table, live_table, state_cell
from kagectl.render.changes import changes_in, loaded
from kagectl.render.gist import gist
from kagectl.render.story import Story
from kaged.api.v1 import agent_service_pb2 as agents
from kaged.api.v1 import event_pb2, fact_pb2, goal_pb2, spec_pb2


def an_agent(**limits):
    loop = goal_pb2.GoalLoop(success=[goal_pb2.Criterion(command="make test")], limits=goal_pb2.GoalLimits(**limits))
    spec = spec_pb2.AgentSpec(adapter="claude-code", working_directory="/srv/w", loop=loop)
    return agents.Agent(id="a1", name="fix", spec=spec, progress=agents.Progress(limits=loop.limits))


def story(**limits):
    return Story(an_agent(**limits), width=100, zone=UTC)


def signal(kind, *, at_s=0.0, text="", data="", tool="", **fact):
    return event_pb2.Event(
        recorded_us=int((1_790_000_000 + at_s) * 1e6),
        meta=event_pb2.Meta(type=f"signal.{kind}", fact=fact_pb2.Fact(signal=fact_pb2.SignalFact(**fact))),
        body=event_pb2.Body(
            signal=spec_pb2.SignalText(text=text, data_json=json.dumps(data) if data else "", tool=tool)
        ),
    )


def fact(note="", question=None, **kind):
    body = event_pb2.Body(note=note) if note else event_pb2.Body(question=question) if question else None
    return event_pb2.Event(
        recorded_us=1_790_000_000_000_000, meta=event_pb2.Meta(fact=fact_pb2.Fact(**kind)), body=body
    )


def told(teller, *events):
    return [line[10:] for event in events for line in teller.tell(event)]


def test_a_turn_is_told_with_its_number_its_calls_and_what_was_used():
    lines = told(
        story(iterations=20),
        signal("turn.started", turn=2),
        signal("message", text="I look.\nThen I write.", turn=2),
        signal("tool.requested", tool="Bash", data={"command": "make test"}, call="c1", turn=2),
        signal("usage", input_tokens=1000, output_tokens=200, cost_microusd=30_000),
        signal("tool.finished", at_s=3.2, tool="Bash", text="x\n2 failed\n", call="c1", outcome="error", turn=2),
        signal("turn.ended", at_s=60, turn=2, outcome="ok"),
    )
    assert lines == [
        "turn    2 of 20",
        "says    I look.",
        "        Then I write.",
        "tool    Bash: make test",
        "failed  Bash: make test  3.2s  2 failed",
        "turn    2 of 20 over · 1m · so far 1.2k tokens · $0.03",
    ]


def test_a_call_that_is_told_twice_is_shown_once_unless_more_is_known():
    lines = told(
        story(),
        signal("tool.requested", tool="edit", call="c"),
        signal("tool.started", tool="edit", call="c", data={"path": "/srv/w/a.py", "newText": "x"}),
        signal("tool.started", tool="edit", call="c", data={"path": "/srv/w/a.py", "newText": "x"}),
    )
    assert lines == ["tool    edit", "tool    edit: a.py"]


def test_an_edit_says_which_lines_came_and_went():
    event = signal("file.edited", data={"path": "/srv/w/a.py", "change": "update", "diff": "@@ -1 +1,2 @@\n-a\n+b\n+c"})
    assert told(story(), event) == ["edit    a.py  +2 -1"]


def test_a_plan_shows_what_was_ticked_since():
    lines = told(
        story(),
        signal("plan", text="[ ] one\n[ ] two", plan_items=2),
        signal("plan", text="[x] one\n[ ] two", plan_items=2, plan_done=1),
        signal("plan", text="[x] one\n[ ] two", plan_items=2, plan_done=1),
    )
    assert lines == [
        "plan    0 of 2 done", "        [ ] one", "        [ ] two", "plan    1 of 2 done", "        [x] one",
    ]  # fmt: skip


def test_a_judgement_says_which_check_failed():
    judged = fact_pb2.GoalJudged(
        iteration=3, verdict="next", why="criteria", checks=[fact_pb2.CheckResult(exit_code=2)],
        files_changed=2, lines_added=5, lines_removed=1,
    )  # fmt: skip
    assert told(story(iterations=20), fact(goal_judged=judged)) == [
        "judged  turn 3/20: make test failed (exit 2) · 2 files, +5 -1"
    ]


def test_a_question_names_the_command_that_answers_it_and_each_end_of_it_reads_differently():
    teller = story()
    question = spec_pb2.QuestionText(title="Bash: git push", tool="Bash")
    asked = fact(
        question=question, approval_requested=fact_pb2.ApprovalRequested(approval="k3x9", rule="approve.on-commit")
    )
    assert told(teller, asked) == [
        "asks    Bash: git push  [approve.on-commit]",
        "        waits for you: kagectl approval approve k3x9 (or deny, show)",
    ]
    ends = []
    for end in (
        {"approval_answered": fact_pb2.ApprovalAnswered(approval="k3x9", outcome="approved")},
        {"approval_answered": fact_pb2.ApprovalAnswered(approval="k3x9", outcome="denied"), "note": "no"},
        {"approval_answered": fact_pb2.ApprovalAnswered(approval="k3x9", outcome="expired")},
        {"approval_withdrawn": fact_pb2.ApprovalWithdrawn(approval="k3x9", cause="run_ended")},
    ):
        told(teller, asked)
        ends.append(told(teller, fact(**end)))
    assert ends == [
        ["answer  approved: Bash: git push"],
        ["answer  denied: Bash: git push", "        no"],
        ["answer  expired: nobody answered in time: Bash: git push"],
        ["asks    withdrawn (its run ended): Bash: git push"],
    ]


def test_a_question_to_a_person_lists_its_choices():
    question = spec_pb2.QuestionText(title="Which?", data_json='{"choices": ["red", "blue"]}')
    asked = fact(question=question, approval_requested=fact_pb2.ApprovalRequested(approval="q", kind="question"))
    assert told(story(), asked) == [
        "asks    Which?", "        1. red", "        2. blue", "        kagectl approval answer q NUMBER",
    ]  # fmt: skip


def test_a_pause_says_what_lets_it_go_on_and_more_turns_count_from_then_on():
    teller = story(iterations=2)
    lines = told(
        teller,
        fact(goal_paused=fact_pb2.GoalPaused(cause="limit", limit="iterations")),
        fact(goal_resumed=fact_pb2.GoalResumed(add_iterations=3), note="look again"),
        signal("turn.started", turn=3),
    )
    assert lines == [
        "paused  its limit of iterations is used up",
        "        kagectl agent resume fix --add-iterations 5",
        "resumed goes on, up to turn 5",
        "        look again",
        "turn    3 of 5",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"command": "/bin/bash -lc 'touch b.txt'"}, "touch b.txt"),
        ({"command": ["bash", "-lc", "a; b"]}, "a; b"),
        ({"command": "one\ntwo"}, "one …"),
        ({"changes": [{"path": "/srv/w/p.txt", "kind": {"type": "add"}, "diff": "x\n"}]}, "p.txt"),
        ({"pattern": "TODO"}, "TODO"),
        ({"odd": 1}, "its title"),
        ({}, "its title"),
    ],
)
def test_the_gist_of_a_call_is_its_command_or_its_file(data, expected):
    assert gist("its title", data, folder="/srv/w") == expected


@pytest.mark.parametrize(
    ("data", "totals"),
    [
        ({"file_path": "a", "content": "1\n2\n"}, ["+2 -0"]),
        ({"file_path": "a", "old_string": "1\n2", "new_string": "1\n3"}, ["+1 -1"]),
        ({"file_path": "a", "edits": [{"old_string": "x", "new_string": "y"}, {"old_string": "", "new_string": "z"}]},
         ["+1 -1", "+1 -0"]),
        ({"changes": [{"path": "a", "kind": {"type": "delete"}, "diff": "x\ny\n"}]}, ["+0 -2"]),
        ({"content": [{"type": "diff", "path": "a", "oldText": "", "newText": "hi"}]}, ["+1 -0"]),
        ({"content": [{"type": "content", "content": {"type": "text", "text": "x"}}]}, []),
    ],
)  # fmt: skip
def test_changes_are_found_in_the_arguments_of_every_adapter(data, totals):
    assert [change.totals() for change in changes_in(data)] == totals


@pytest.mark.parametrize("data", ["", "[", "[1]", '"x"', "[" * 100_000])
def test_arguments_that_are_no_object_are_no_arguments(data):
    assert loaded(data) == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["command", "path", "edits", "content", "changes", "diff", "kind", "newText"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["command", "path", "edits", "content", "changes", "cmd"]), json_values), st.text()
)
def test_whatever_an_agent_says_gives_lines_that_are_safe_to_show(data, text):
    lines = told(
        story(), signal("tool.requested", data=data, text=text, tool=text, call="c"), signal("message", text=text),
        signal("file.edited", data=data, text=text), signal("tool.finished", call="c", text=text, outcome=text),
    )  # fmt: skip
    for line in lines:
        assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in line)


def test_the_table_of_agents_has_turns_and_cost_when_one_works_towards_a_goal():
    looping = an_agent(iterations=20)
    looping.progress.iterations = 7
    looping.usage.cost_microusd = 1_250_000
    plain = agents.Agent(id="b", name="plain")
    assert agent_table([plain], now_s=0).splitlines()[0].split()[:4] == ["NAME", "ID", "STATE", "AGE"]
    head, first, second = agent_table([looping, plain], now_s=0).splitlines()
    assert head.split()[3:5] == ["TURN", "COST"]
    assert first.split()[3:5] == ["7/20", "$1.25"]
    assert second.split()[3:5] == ["-", "-"]


def test_the_live_table_puts_those_first_that_wait_for_a_person():
    quiet, asks = an_agent(iterations=5), an_agent()
    quiet.id, quiet.name, asks.name = "a0", "quiet", "asks"
    asks.open_approvals.append("k3x9")
    lines = live_table([quiet, asks], now_s=0).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["asks", "quiet"]
    assert "asks (1)" in lines[1]


def test_lines_of_a_program_without_an_adapter_are_put_together():
    teller = story()
    chunks = [
        event_pb2.Event(
            meta=event_pb2.Meta(fact=fact_pb2.Fact(output_chunk=fact_pb2.OutputChunk(channel=1))),
            body=event_pb2.Body(output=text),
        )
        for text in (b"on", b"e\ntwo\nth")
    ]
    assert told(teller, *chunks) == ["out     one", "out     two"]
    assert told(teller, fact(run_ended=fact_pb2.RunEnded(kind="exited")))[0] == "out     th"


@pytest.mark.parametrize(
    ("paused_for", "limit", "told"),
    [
        ("limit", "iterations", "paused (limit: iterations)"),
        ("user", "", "paused (user)"),
        ("guard", "", "paused (guard)"),
    ],
)
def test_a_paused_agent_says_what_for_in_every_list(paused_for, limit, told):
    progress = agents.Progress(paused_for=paused_for, limit=limit)
    agent = agents.Agent(id="a1", name="fix", state=agents.AGENT_STATE_PAUSED, progress=progress)
    assert state_cell(agent).text == told
