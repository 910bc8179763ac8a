"""Ending the turn that is under way: held against what recorders said to real agents at the same place."""

import json

import pytest

from kaged.adapters.registry import ADAPTERS
from kaged.domain.assignment import UNASSIGNED, Assignment
from kaged.domain.signals import Ask, Heard, Unask
from kaged.ports import Interrupter
from tests.golden.agents import recorded

GOAL = Assignment(run="0001.1", command=("x",), working_directory="/work", goal="fix it")
LOOP = Assignment(run="0001.1", command=("x",), working_directory="/work", goal="fix it", loop=True)
INTERRUPTERS = {name: adapter for name, adapter in ADAPTERS.items() if isinstance(adapter, Interrupter)}


def lines(data):
    return [json.loads(line) for line in data.splitlines()]


def heard(name):
    """Of a recorded run, message by message: what was said to the agent, and what is known by then."""
    adapter = ADAPTERS[recorded.adapter_of(name)]
    state, signals = b"", []
    for way, message in recorded.messages(name):
        if way == "out":
            data = json.dumps(message).encode() + b"\n"
            fed = adapter.feed(state, data, final=False, task=recorded.task_of(name))
            state = fed.state
            signals += fed.signals
        yield way, message, state, signals


def in_turn(signals):
    kinds = [s.kind for s in signals if isinstance(s, Heard) and s.kind in ("turn.started", "turn.ended")]
    return kinds[-1:] == ["turn.started"]


def open_keys(signals):
    asked = [s.key for s in signals if isinstance(s, Ask)]
    return [key for key in asked if key not in {s.key for s in signals if isinstance(s, Unask)}]


def test_every_kind_that_has_turns_can_be_interrupted():
    assert set(INTERRUPTERS) == {name for name, adapter in ADAPTERS.items() if "turns" in adapter.measures}


@pytest.mark.parametrize("name", [name for name in recorded.names() if recorded.adapter_of(name) in INTERRUPTERS])
def test_a_recorded_run_can_be_interrupted_exactly_while_it_is_in_a_turn(name):
    adapter = INTERRUPTERS[recorded.adapter_of(name)]
    for _, _, state, signals in heard(name):
        said = adapter.interrupt(state, task=recorded.task_of(name), number=0)
        assert bool(said) == in_turn(signals)
        assert said == adapter.interrupt(state, task=recorded.task_of(name), number=0)


@pytest.mark.parametrize("name", ["acp-claude", "acp-codex", "acp-copilot", "acp-gemini", "acp-opencode"])
def test_an_acp_agent_is_told_what_the_recorder_told_it_and_its_open_questions_are_cancelled(name):
    adapter, found = INTERRUPTERS["acp"], 0
    for way, message, state, signals in heard(name):
        if way == "in" and message.get("method") == "session/cancel":
            cancel, *answers = lines(adapter.interrupt(state, task=GOAL, number=0, expected=not in_turn(signals)))
            assert cancel == message
            asks = [json.loads(key)[0] for key in open_keys(signals)]
            assert [answer["id"] for answer in answers if answer["id"] in asks] == asks
            assert {json.dumps(answer["result"]) for answer in answers} <= {'{"outcome": {"outcome": "cancelled"}}'}
            found += 1
    assert found == 2


def test_codex_is_told_what_the_recorder_told_it():
    (expected,) = [
        (message["method"], message["params"], json.loads(json.dumps(message)), state)
        for way, message, state, _ in heard("codex-app-interrupt-resume-1")
        if way == "in" and message.get("method") == "turn/interrupt"
    ]
    method, params, _, state = expected
    numbers = set()
    for number in (0, 1, 7):
        (said,) = lines(INTERRUPTERS["codex"].interrupt(state, task=GOAL, number=number))
        assert (said["method"], said["params"]) == (method, params)
        assert said["id"] < 0  # our other requests count upwards
        numbers.add(said["id"])
    assert len(numbers) == 3


def test_claude_is_told_what_the_recorder_told_it():
    (state,) = [
        state
        for way, message, state, _ in heard("claude-stdio-interrupt")
        if way == "in" and message.get("request", {}).get("subtype") == "interrupt"
    ]
    said = [lines(INTERRUPTERS["claude-code"].interrupt(state, task=GOAL, number=number))[0] for number in (0, 1)]
    assert {(each["type"], each["request"]["subtype"]) for each in said} == {("control_request", "interrupt")}
    assert said[0]["request_id"] != said[1]["request_id"]


def test_a_script_is_told_in_a_line_of_its_own_and_only_between_its_turns_start_and_end():
    jsonl = INTERRUPTERS["jsonl"]
    started = jsonl.feed(b"", b'{"type":"turn.started"}\n', final=False, task=GOAL).state
    assert jsonl.interrupt(b"", task=GOAL, number=0) == b""
    assert lines(jsonl.interrupt(started, task=GOAL, number=0)) == [{"type": "interrupt"}]
    ended = jsonl.feed(started, b'{"type":"turn.ended","outcome":"cancelled"}\n', final=False, task=GOAL).state
    assert jsonl.interrupt(ended, task=GOAL, number=1) == b""


@pytest.mark.parametrize("name", INTERRUPTERS)
@pytest.mark.parametrize("state", [b"", b"[]", b"\xff", b'{"in_turn":1}', b'{"in_turn":true,"session":7,"asks":3}'])
def test_no_state_makes_an_interrupt_raise(name, state):
    said = INTERRUPTERS[name].interrupt(state, task=UNASSIGNED, number=3)
    assert not said or said.endswith(b"\n")


@pytest.mark.parametrize("name", recorded.names())
def test_the_end_of_a_turn_is_the_end_of_a_goals_run_but_not_where_kage_decides(name):
    adapter, task = ADAPTERS[recorded.adapter_of(name)], recorded.task_of(name)
    outcomes = [s.outcome for s in recorded.hear(name).signals if isinstance(s, Heard) and s.kind == "turn.ended"]
    assert recorded.hear(name).done == bool(set(outcomes) - {"cancelled"})
    looping = Assignment(
        run=task.run, command=task.command, working_directory="/work", goal="x", session=task.session, loop=True
    )
    fed = adapter.feed(b"", recorded.output(name), final=True, task=looping)
    has_session = any(isinstance(s, Heard) and s.kind == "session.started" for s in fed.signals)
    assert fed.done == (not has_session and adapter.name == "acp")  # nobody could ever speak with it


@pytest.mark.parametrize("name", ["acp", "codex"])
def test_an_agent_that_cannot_open_its_session_is_done_for_a_goal_of_any_kind(name):
    refused = b'{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":"no"}}\n'
    for task in (GOAL, LOOP):
        assert ADAPTERS[name].feed(b"", refused, final=False, task=task).done
    prompt = refused.replace(b'"id":2', b'"id":3')
    assert ADAPTERS[name].feed(b"", prompt, final=False, task=GOAL).done
    assert not ADAPTERS[name].feed(b"", prompt, final=False, task=LOOP).done
