"""What recorded runs do not show of the adapters for agent programs: rare lines, resumed sessions, refusals."""

import json

import pytest

from kaged.adapters.acp.adapter import AcpAdapter
from kaged.adapters.claude_code import words as claude_words
from kaged.adapters.claude_code.adapter import ClaudeCodeAdapter
from kaged.adapters.codex.adapter import CodexAdapter
from kaged.adapters.wire import json_rpc
from kaged.domain.assignment import Assignment
from kaged.domain.signals import Ask, Heard

CLAUDE, CODEX, ACP = ClaudeCodeAdapter(), CodexAdapter(), AcpAdapter()
NEW = Assignment(run="0001.1", command=("claude",), working_directory="/work", goal="fix it")
RESUMED = Assignment(run="0001.2", command=("claude",), working_directory="/work", goal="fix it", session="s1", turns=2)


def feed(adapter, *messages, state=b"", task=NEW):
    data = b"".join(json.dumps(message).encode() + b"\n" for message in messages)
    return adapter.feed(state, data, final=False, task=task)


def sent(fed):
    return [json.loads(line) for line in fed.sends.splitlines()]


# --- Claude Code -------------------------------------------------------------------------------------------------


def test_claude_is_given_its_session_and_the_flags_of_the_protocol_and_its_own_flags_win():
    argv = CLAUDE.launch(NEW).argv
    assert argv[0] == "claude"
    assert argv[argv.index("--session-id") + 1] == claude_words.session_of("0001.1")
    own = Assignment(run="1.1", command=("claude", "--continue", "--permission-prompt-tool=mcp"), working_directory="/")
    argv = CLAUDE.launch(own).argv
    assert "--session-id" not in argv
    assert "--permission-prompt-tool" not in argv
    assert "--verbose" in argv


def test_a_resumed_claude_gets_its_session_and_what_happened_and_never_its_goal_again():
    launch = CLAUDE.launch(RESUMED)
    assert launch.argv[launch.argv.index("--resume") + 1] == "s1"
    assert b"started again" in launch.opening
    assert b"fix it" not in launch.opening


def test_an_agent_that_died_before_its_first_turn_is_told_its_goal():
    task = Assignment(run="0001.2", command=("claude",), working_directory="/work", goal="fix it", session="s1")
    assert b"fix it" in CLAUDE.launch(task).opening


def test_a_claude_without_a_goal_is_greeted_and_told_nothing_and_its_turns_do_not_end_it():
    task = Assignment(run="0001.1", command=("claude",), working_directory="/work")
    assert b'"type":"user"' not in CLAUDE.launch(task).opening
    assert not feed(CLAUDE, {"type": "result", "subtype": "success", "is_error": False}, task=task).done
    assert feed(CLAUDE, {"type": "result", "subtype": "success", "is_error": False}).done


def test_what_a_resumed_session_had_used_before_is_not_counted_again():
    models = {"opus": {"inputTokens": 3000, "outputTokens": 150}}
    session = {"total_cost_usd": 0.5, "model_usage": models}
    before = {"request_id": claude_words.BASELINE, "subtype": "success", "response": {"session": session}}
    models = {"opus": {"inputTokens": 4000, "outputTokens": 200, "cacheReadInputTokens": 10}}
    result = {"type": "result", "subtype": "success", "total_cost_usd": 0.75, "modelUsage": models}
    fed = feed(CLAUDE, {"type": "control_response", "response": before}, result)
    (usage,) = [signal for signal in fed.signals if signal.kind == "usage"]
    assert (usage.input_tokens, usage.output_tokens, usage.cost_microusd) == (1010, 50, 250_000)


def test_a_rate_limit_tells_when_it_ends():
    info = {"status": "rejected", "rateLimitType": "five_hour", "resetsAt": 1_795_340_000}
    (heard,) = feed(CLAUDE, {"type": "rate_limit_event", "rate_limit_info": info}).signals
    assert (heard.kind, heard.outcome, heard.resets_us) == ("rate_limit", "rejected", 1_795_340_000_000_000)


def test_what_a_subagent_says_carries_the_call_that_started_it():
    said = {"id": "m1", "content": [{"type": "text", "text": "looking"}], "usage": {"input_tokens": 5}}
    (heard,) = feed(CLAUDE, {"type": "assistant", "message": said, "parent_tool_use_id": "toolu_7"}).signals
    assert (heard.kind, heard.parent) == ("message", "toolu_7")


def test_a_todo_list_is_a_plan_and_a_call():
    todos = [{"content": "a", "status": "completed"}, {"content": "b", "status": "in_progress"}]
    call = {"type": "tool_use", "id": "t", "name": "TodoWrite", "input": {"todos": todos}}
    requested, plan = feed(CLAUDE, {"type": "assistant", "message": {"id": "m", "content": [call]}}).signals
    assert (requested.kind, plan.kind, plan.text) == ("tool.requested", "plan", "[x] a\n[ ] b")


def test_a_request_that_nobody_can_answer_is_refused_at_once():
    fed = feed(CLAUDE, {"type": "control_request", "request_id": "r", "request": {"subtype": "hook_callback"}})
    (answer,) = sent(fed)
    assert (answer["response"]["subtype"], answer["response"]["request_id"]) == ("error", "r")
    assert fed.signals[0].kind == "unknown"


@pytest.mark.parametrize(
    ("outcome", "words"), [("denied", "A person refused this. not now"), ("expired", "Nobody answered in time.")]
)
def test_denied_and_expired_are_not_the_same_to_claude(outcome, words):
    answer = json.loads(CLAUDE.answer(Ask(key="r"), outcome, "not now"))["response"]["response"]
    assert answer["behavior"] == "deny"
    assert answer["message"].startswith(words)


def test_the_answer_to_a_question_whose_text_was_redacted_reaches_claude_in_words():
    answer = json.loads(CLAUDE.answer(Ask(key="r", kind="question"), "approved", "pg"))["response"]["response"]
    assert answer == {"behavior": "deny", "message": "A person answered: pg"}


def test_an_edit_is_a_diff():
    hunk = {"oldStart": 1, "oldLines": 1, "newStart": 1, "newLines": 1, "lines": ["-a", "+b"]}
    result = {"type": "update", "filePath": "/w/x", "structuredPatch": [hunk]}
    blocks = [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]
    fed = feed(CLAUDE, {"type": "user", "message": {"content": blocks}, "tool_use_result": result})
    edited = json.loads(fed.signals[-1].data_json)
    assert edited == {"path": "/w/x", "change": "update", "diff": "@@ -1,1 +1,1 @@\n-a\n+b"}


# --- Codex -------------------------------------------------------------------------------------------------------


def test_codex_begins_a_thread_or_goes_on_with_one():
    hello = {"id": json_rpc.HELLO, "result": {}}
    assert sent(feed(CODEX, hello))[1]["method"] == "thread/start"
    resume = sent(feed(CODEX, hello, task=RESUMED))[1]
    assert (resume["method"], resume["params"]["threadId"]) == ("thread/resume", "s1")
    (turn,) = sent(feed(CODEX, {"id": json_rpc.SESSION, "result": {"thread": {"id": "s1"}}}, task=RESUMED))
    assert "started again" in turn["params"]["input"][0]["text"]


def test_a_thread_that_cannot_be_resumed_is_a_failed_turn_and_the_end():
    fed = feed(CODEX, {"id": json_rpc.SESSION, "error": {"code": -1, "message": "not now"}}, task=RESUMED)
    (ended,) = fed.signals
    assert (ended.kind, ended.outcome, ended.text, fed.done) == ("turn.ended", "error", "not now", True)


@pytest.mark.parametrize(
    ("adapter", "answer"),
    [
        (CODEX, {"id": json_rpc.SESSION, "error": {"code": -32600, "message": "no rollout found for thread id s1"}}),
        (ACP, {"id": json_rpc.SESSION, "error": {"code": -32603, "message": "Internal error: service failure"}}),
        (
            CLAUDE,
            {"type": "result", "subtype": "error_during_execution", "is_error": True, "session_id": "s1",
             "errors": ["No conversation found with session ID: s1"]},
        ),
    ],
)  # fmt: skip
def test_a_session_that_the_agent_does_not_know_any_more_is_lost_and_the_next_run_begins_another(adapter, answer):
    fed = feed(adapter, answer, task=RESUMED)
    assert [signal.kind for signal in fed.signals] == ["session.lost", "turn.ended"]
    afresh = Assignment(run="0001.3", command=("x",), working_directory="/work", goal="fix it", turns=2)
    assert afresh.words.startswith("fix it\n")
    assert "look before you repeat it" in afresh.words


def test_an_agent_that_wants_a_sign_in_has_not_lost_its_session():
    error = {"code": -32000, "message": "Authentication required"}
    fed = feed(ACP, {"id": json_rpc.SESSION, "error": error}, task=RESUMED)
    assert [signal.kind for signal in fed.signals] == ["turn.ended"]


def test_a_question_of_codex_is_answered_with_a_persons_words():
    asked = {"questions": [{"id": "q", "header": "h", "question": "Which?", "options": [{"label": "a"}]}]}
    (ask,) = feed(CODEX, {"id": 7, "method": "item/tool/requestUserInput", "params": asked}).signals
    assert (ask.kind, ask.title, json.loads(ask.data_json)["choices"]) == ("question", "Which?", ["a"])
    assert json.loads(CODEX.answer(ask, "approved", "a")) == {"id": 7, "result": {"answers": {"q": {"answers": ["a"]}}}}
    assert json.loads(CODEX.answer(ask, "denied", "a")) == {"id": 7, "result": {"answers": {"q": {"answers": []}}}}


def test_usage_that_codex_tells_twice_is_counted_once():
    usage = {"total": {"inputTokens": 10}, "last": {"inputTokens": 10, "outputTokens": 1}}
    told = {"method": "thread/tokenUsage/updated", "params": {"threadId": "t", "tokenUsage": usage}}
    assert len(feed(CODEX, told, told).signals) == 1


def test_the_fullest_window_of_codex_tells_the_reset():
    limits = {
        "primary": {"usedPercent": 100, "resetsAt": 1_795_340_000},
        "secondary": {"usedPercent": 3, "resetsAt": 5},
        "rateLimitReachedType": "primary",
    }
    (heard,) = feed(CODEX, {"method": "account/rateLimits/updated", "params": {"rateLimits": limits}}).signals
    assert (heard.kind, heard.outcome, heard.resets_us) == ("rate_limit", "rejected", 1_795_340_000_000_000)


# --- ACP ---------------------------------------------------------------------------------------------------------


def update(kind, **fields):
    return {"jsonrpc": "2.0", "method": "session/update", "params": {"update": {"sessionUpdate": kind, **fields}}}


def chunk(text, said="m"):
    return update("agent_message_chunk", content={"type": "text", "text": text}, messageId=said)


def ask_for(*options, given=1):
    listed = [{"optionId": name, "kind": kind} for name, kind in options]
    params = {"toolCall": {"toolCallId": "t", "title": "do it"}, "options": listed}
    return {"jsonrpc": "2.0", "id": given, "method": "session/request_permission", "params": params}


def outcome_of(adapter, ask, outcome):
    return json.loads(adapter.answer(ask, outcome, ""))["result"]["outcome"]


def test_an_acp_session_is_loaded_where_the_agent_can_and_its_replay_is_not_heard_again():
    hello = {"id": json_rpc.HELLO, "result": {"agentCapabilities": {"loadSession": True}}}
    fed = feed(ACP, hello, chunk("long ago"), task=RESUMED)
    (load,) = sent(fed)
    assert (load["method"], load["params"]["sessionId"]) == ("session/load", "s1")
    assert fed.signals == ()
    after = feed(ACP, {"id": json_rpc.SESSION, "result": {}}, state=fed.state, task=RESUMED)
    assert [signal.kind for signal in after.signals] == ["session.started", "turn.started"]
    assert after.signals[0].native_session == "s1"


def test_an_acp_agent_that_cannot_load_begins_a_new_session_and_that_is_said():
    fed = feed(ACP, {"id": json_rpc.HELLO, "result": {"agentCapabilities": {}}}, task=RESUMED)
    assert sent(fed)[0]["method"] == "session/new"
    assert fed.signals[0].kind == "error"


def test_options_are_chosen_by_kind_once_before_always():
    (ask,) = feed(ACP, ask_for(("a", "allow_always"), ("b", "allow_once"), ("c", "reject_once"))).signals
    assert outcome_of(ACP, ask, "approved") == {"outcome": "selected", "optionId": "b"}
    assert outcome_of(ACP, ask, "denied") == {"outcome": "selected", "optionId": "c"}
    assert outcome_of(ACP, ask, "expired") == {"outcome": "selected", "optionId": "c"}


def test_where_no_option_says_no_the_question_is_cancelled():
    (ask,) = feed(ACP, ask_for(("a", "allow_once"))).signals
    assert outcome_of(ACP, ask, "denied") == {"outcome": "cancelled"}


def test_a_question_that_cannot_be_given_back_is_cancelled_at_once():
    fed = feed(ACP, ask_for(("x" * 300, "allow_once")))
    assert sent(fed) == [{"jsonrpc": "2.0", "id": 1, "result": {"outcome": {"outcome": "cancelled"}}}]
    assert isinstance(fed.signals[0], Heard)


def test_pieces_of_one_message_are_one_signal_and_another_message_is_another():
    fed = feed(ACP, chunk("a"), chunk("b"), chunk("c", said="n"), {"id": 3, "result": {"stopReason": "end_turn"}})
    assert [signal.text for signal in fed.signals if signal.kind == "message"] == ["ab", "c"]


def test_a_message_that_never_ends_is_told_in_parts():
    fed = feed(ACP, *(chunk("x" * 500) for _ in range(20)))
    parts = [signal.text for signal in fed.signals if signal.kind == "message"]
    assert len(parts) == 4
    assert "".join(parts) == "x" * 10_000


@pytest.mark.parametrize("adapter", [CODEX, ACP])
def test_nobody_can_be_spoken_to_before_there_is_a_session(adapter):
    assert adapter.message("hello") == b""
    one, other = (json.loads(adapter.message("hello", session="s", number=number)) for number in (0, 40))
    assert one["id"] != other["id"]
    assert min(one["id"], other["id"]) > json_rpc.PROMPT


@pytest.mark.parametrize(("name", "used"), [("Copilot", [(100, 10), (50, 5)]), ("another", [(100, 10), (150, 15)])])
def test_usage_is_counted_once_from_agents_that_tell_their_turn_and_from_those_that_tell_their_sum(name, used):
    hello = {"id": json_rpc.HELLO, "result": {"agentInfo": {"name": name, "version": "1"}}}
    sums = [{"inputTokens": 100, "outputTokens": 10}, {"inputTokens": 150, "outputTokens": 15}]
    ends = [{"id": n, "result": {"stopReason": "end_turn", "usage": usage}} for n, usage in enumerate(sums, 3)]
    told = [signal for signal in feed(ACP, hello, *ends).signals if signal.kind == "usage"]
    assert [(signal.input_tokens, signal.output_tokens) for signal in told] == used
