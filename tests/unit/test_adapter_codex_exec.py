"""`codex exec`: a turn a process, its words as an argument, the thread's totals told once."""

import json
from dataclasses import replace

import pytest

from kaged.adapters.codex_exec import CodexExecAdapter
from kaged.domain.assignment import Assignment
from kaged.ports import Interrupter, Messenger

EXEC = CodexExecAdapter()
NEW = Assignment(
    run="0001.1", command=("codex", "exec", "-s", "workspace-write"), working_directory="/w", goal="- fix it"
)
RESUMED = replace(NEW, run="0001.2", session="t-1", turns=1, input_tokens=3300, output_tokens=150)


def feed(*messages, task=NEW):
    return EXEC.feed(b"", b"".join(json.dumps(message).encode() + b"\n" for message in messages), final=True, task=task)


def test_the_goal_is_its_last_argument_whatever_it_begins_with():
    assert EXEC.launch(NEW).argv == (*NEW.command, "--json", "--", "- fix it")
    assert EXEC.launch(NEW).opening == b""
    own = replace(NEW, command=("codex", "exec", "--json"))
    assert EXEC.launch(own).argv == ("codex", "exec", "--json", "--", "- fix it")


def test_a_run_that_goes_on_resumes_its_thread_with_the_options_of_the_command():
    argv = EXEC.launch(RESUMED).argv
    assert argv[:8] == (*NEW.command, "--json", "resume", "t-1", "--")
    assert argv[8] == RESUMED.words != RESUMED.goal


def test_a_threads_totals_are_counted_once():
    usage = {"input_tokens": 5400, "cached_input_tokens": 400, "output_tokens": 250}
    told = {"type": "turn.completed", "usage": usage}
    (used, ended) = feed(told, task=RESUMED).signals
    assert (used.input_tokens, used.output_tokens, ended.outcome) == (2100, 100, "ok")
    (used, _) = feed(told, task=replace(RESUMED, session="")).signals  # another thread, with totals of its own
    assert (used.input_tokens, used.output_tokens) == (5400, 250)


def test_a_plan_is_told_whole_each_time():
    items = [{"text": "a", "completed": True}, {"text": "b", "completed": False}]
    item = {"id": "item_1", "type": "todo_list", "items": items}
    signals = feed(*({"type": f"item.{when}", "item": item} for when in ("started", "updated", "completed"))).signals
    assert [(signal.kind, signal.text) for signal in signals] == [("plan", "[x] a\n[ ] b")] * 3


@pytest.mark.parametrize(
    ("item", "outcome"),
    [
        (
            {"type": "mcp_tool_call", "server": "m", "tool": "t", "error": {"message": "no"}, "status": "failed"},
            "error",
        ),
        ({"type": "mcp_tool_call", "server": "m", "tool": "t", "result": {"content": []}, "status": "completed"}, "ok"),
        ({"type": "command_execution", "command": "x", "exit_code": 3, "status": "failed"}, "error"),
        ({"type": "command_execution", "command": "x", "exit_code": None, "status": "declined"}, "denied"),
        ({"type": "something_new", "id": "i"}, "ok"),
    ],
)
def test_a_call_ends_as_its_item_tells(item, outcome):
    started, finished = feed({"type": "item.started", "item": item}, {"type": "item.completed", "item": item}).signals
    assert (started.kind, finished.kind, finished.outcome) == ("tool.started", "tool.finished", outcome)
    assert started.tool == finished.tool


def test_it_cannot_be_spoken_to_or_interrupted_and_a_run_is_its_turn():
    assert not isinstance(EXEC, Messenger | Interrupter)
    assert EXEC.measures == {"tokens"}
