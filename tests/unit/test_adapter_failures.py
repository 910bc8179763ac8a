"""Why a turn failed, as each kind of agent tells it."""

import json

import pytest

from kaged.adapters.acp.adapter import AcpAdapter
from kaged.adapters.claude_code.adapter import ClaudeCodeAdapter
from kaged.adapters.codex.adapter import CodexAdapter
from kaged.adapters.codex_exec import CodexExecAdapter
from kaged.adapters.jsonl import JsonlAdapter
from kaged.adapters.wire import json_rpc
from kaged.domain.assignment import Assignment

TASK = Assignment(run="0001.1", command=("x",), working_directory="/work", goal="fix it", session="s1", turns=1)


def end_of(adapter, *messages):
    """The last signal: the end of the turn."""
    data = b"".join(json.dumps(message).encode() + b"\n" for message in messages)
    ended = adapter.feed(b"", data, final=False, task=TASK).signals[-1]
    assert ended.kind == "turn.ended"
    return ended


def result(said, **more):
    about = {"type": "result", "subtype": "success", "is_error": True, "session_id": "s1", "result": said}
    return {**about, "terminal_reason": "api_error", **more}


def no_answer(word):
    """What Claude Code puts in the place of a message when the model's API refused."""
    return {"type": "assistant", "message": {"id": "m", "content": [{"type": "text", "text": "no"}]}, "error": word}


@pytest.mark.parametrize(
    ("messages", "failure"),
    [
        ([no_answer("authentication_failed"), result("Something went wrong")], "auth"),
        ([no_answer("billing_error"), result("no")], "auth"),
        ([result("no", api_error_type="authentication_error")], "auth"),
        ([result("no", api_error_status=401)], "auth"),
        ([result("Invalid API key · Please run /login", terminal_reason="completed")], "auth"),
        ([result("no", terminal_reason="prompt_too_long")], "context_exhausted"),
        ([result("Prompt is too long")], "context_exhausted"),
        ([result("no", api_error_status=429)], "rate_limit"),
        ([no_answer("rate_limit"), result("no")], "rate_limit"),
        ([no_answer("server_error"), result("Overloaded", api_error_status=529)], "other"),
        # What was refused in an earlier message is not why the turn failed in the end.
        ([no_answer("authentication_failed"), no_answer(""), result("the pipe broke")], "other"),
    ],
)
def test_claude_tells_why_in_words_and_numbers_of_its_own(messages, failure):
    assert end_of(ClaudeCodeAdapter(), *messages).failure == failure


def test_a_turn_that_did_not_fail_has_no_failure_whatever_was_said_in_it():
    fine = {"type": "result", "subtype": "success", "is_error": False, "session_id": "s1", "result": "401 unauthorized"}
    assert end_of(ClaudeCodeAdapter(), no_answer("authentication_failed"), fine).failure == ""
    cut = {**fine, "subtype": "error_during_execution", "is_error": True, "terminal_reason": "aborted_tools"}
    assert end_of(ClaudeCodeAdapter(), cut).failure == ""


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"message": "no", "codexErrorInfo": "unauthorized"}, "auth"),
        ({"message": "no", "codexErrorInfo": "usageLimitExceeded"}, "rate_limit"),
        ({"message": "no", "codexErrorInfo": "contextWindowExceeded"}, "context_exhausted"),
        ({"message": "no", "codexErrorInfo": {"responseStreamConnectionFailed": {"httpStatusCode": 401}}}, "auth"),
        ({"message": "no", "codexErrorInfo": {"responseTooManyFailedAttempts": {"httpStatusCode": 500}}}, "other"),
        ({"message": "unexpected status 401 Unauthorized: no", "codexErrorInfo": "other"}, "auth"),
        ({"message": "We're currently experiencing high demand", "codexErrorInfo": None}, "other"),
    ],
)
def test_codex_tells_why_in_a_word_of_its_own(error, failure):
    turn = {"id": "t", "status": "failed", "error": error}
    message = {"method": "turn/completed", "params": {"threadId": "", "turn": turn}}
    assert end_of(CodexAdapter(), message).failure == failure


def test_codex_without_its_server_tells_why_in_a_text():
    said = "Codex ran out of room in the model's context window. Start a new thread."
    assert (
        end_of(CodexExecAdapter(), {"type": "turn.failed", "error": {"message": said}}).failure == "context_exhausted"
    )


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"code": -32000, "message": "sign in, please"}, "auth"),
        ({"code": -32603, "message": "Internal error: quota exceeded for this project"}, "rate_limit"),
        ({"code": -32603, "message": "Internal error"}, "other"),
    ],
)
def test_acp_has_a_number_for_who_is_not_signed_in(error, failure):
    assert end_of(AcpAdapter(), {"jsonrpc": "2.0", "id": json_rpc.PROMPT, "error": error}).failure == failure


def test_a_session_is_not_lost_because_the_account_cannot_be_used_now():
    for error in ({"code": -32000, "message": "sign in, please"}, {"code": -32603, "message": "too many requests"}):
        data = json.dumps({"jsonrpc": "2.0", "id": json_rpc.SESSION, "error": error}).encode() + b"\n"
        fed = AcpAdapter().feed(b"", data, final=False, task=TASK)
        assert [signal.kind for signal in fed.signals] == ["turn.ended"]


@pytest.mark.parametrize(
    ("line", "outcome", "failure"),
    [
        ({"failure": "auth"}, "error", "auth"),
        ({"failure": "context_exhausted", "error": "full"}, "error", "context_exhausted"),
        ({"outcome": "error", "failure": "something new"}, "error", "other"),
        ({"outcome": "ok", "failure": "auth"}, "ok", ""),
        ({"error": "401 unauthorized"}, "error", ""),
    ],
)
def test_a_script_says_why_in_a_field(line, outcome, failure):
    ended = end_of(JsonlAdapter(), {"type": "turn.ended", **line})
    assert (ended.outcome, ended.failure) == (outcome, failure)
