"""The jsonl protocol as its document promises it. What holds for every adapter: tests/contract/test_adapters.py."""

import json
from dataclasses import replace

import pytest

from kaged.adapters.jsonl import MAX_LINE_BYTES, JsonlAdapter
from kaged.adapters.wire.clipping import MAX_JSON_BYTES
from kaged.domain.assignment import Assignment
from kaged.domain.signals import Ask, Heard, Unask

JSONL = JsonlAdapter()


def hear(*objects, state=b""):
    data = b"".join(json.dumps(item).encode() + b"\n" for item in objects)
    fed = JSONL.feed(state, data, final=False)
    assert fed.consumed == len(data)
    return fed.signals


@pytest.mark.parametrize(
    ("line", "signal"),
    [
        ({"type": "session", "version": 1, "id": "s-1"}, Heard(kind="session.started", native_session="s-1")),
        ({"type": "message", "text": "hi\n  you"}, Heard(kind="message", text="hi\n  you")),
        ({"type": "thinking", "text": "hm"}, Heard(kind="thinking", text="hm")),
        ({"type": "progress", "text": "3 of 5"}, Heard(kind="progress", text="3 of 5")),
        ({"type": "error", "text": "no"}, Heard(kind="error", text="no")),
        (
            {"type": "rate_limit", "outcome": "rejected", "text": "5 h", "resets_at": 1_795_340_000.5},
            Heard(kind="rate_limit", outcome="rejected", text="5 h", resets_us=1_795_340_000_500_000),
        ),
        ({"type": "rate_limit", "resets_at": -1e300}, Heard(kind="rate_limit")),
        ({"type": "rate_limit", "resets_at": "soon"}, Heard(kind="rate_limit")),
        ({"type": "log", "text": "x"}, Heard(kind="log", text="x")),
        ({"type": "log"}, Heard(kind="log")),
        ({"type": "log", "text": {"a": [1.5]}}, Heard(kind="log", text='{"a":[1.5]}')),
        (
            {"type": "plan", "items": [{"text": "a", "done": True}, {"text": "b"}, "c"]},
            Heard(
                kind="plan",
                text="[x] a\n[ ] b\n[ ] c",
                data_json='[{"text":"a","done":true},{"text":"b","done":false},{"text":"c","done":false}]',
            ),
        ),
        (
            {"type": "tool.started", "id": "t1", "tool": "bash", "input": {"command": "ls"}},
            Heard(kind="tool.started", call="t1", tool="bash", data_json='{"command":"ls"}'),
        ),
        (
            {"type": "tool.finished", "id": "t1", "outcome": "denied", "output": "no"},
            Heard(kind="tool.finished", call="t1", outcome="denied", text="no"),
        ),
        (
            {"type": "tool.finished", "id": "t1", "tool": "bash", "output": {"lines": 3}},
            Heard(kind="tool.finished", call="t1", tool="bash", outcome="ok", data_json='{"lines":3}'),
        ),
        (
            {
                "type": "approval.request",
                "id": "q",
                "title": "push",
                "tool": "git",
                "input": [1],
                "why": "w",
                "timeout_s": 90,
            },
            Ask(key="q", title="push", tool="git", data_json="[1]", why="w", timeout_s=90),
        ),
        (
            {"type": "question", "id": "q", "text": "which?", "choices": ["a", 2]},
            Ask(key="q", kind="question", title="which?", data_json='{"choices":["a","2"]}'),
        ),
        ({"type": "question", "id": " q ", "text": "free"}, Ask(key=" q ", kind="question", title="free")),
        ({"type": "approval.withdraw", "id": "q"}, Unask(key="q")),
        ({"type": "log", "text": "half \ud83d"}, Heard(kind="log", text="half \ufffd")),
    ],
)
def test_a_line_becomes_its_signal(line, signal):
    assert hear(line) == (signal,)


@pytest.mark.parametrize(
    ("usd", "millionths"),
    [(0.1, 100_000), (0.000001, 1), (1.1, 1_100_000), (4.35, 4_350_000), (0.0000005, 0), (0.0000015, 2), (3, 3_000_000),
     (-1, 0), (1e300, 0), ("0.1", 0), (True, 0), (None, 0)],
)  # fmt: skip
def test_a_cost_is_exact_in_decimal_and_nonsense_costs_nothing(usd, millionths):
    (usage,) = hear({"type": "usage", "input_tokens": 12, "output_tokens": 3, "cost_usd": usd})
    assert usage == Heard(kind="usage", input_tokens=12, output_tokens=3, cost_microusd=millionths)


def test_turns_are_counted_and_every_signal_says_which_one_it_belongs_to():
    signals = hear(
        {"type": "log", "text": "before"},
        {"type": "turn.started"},
        {"type": "message", "text": "one"},
        {"type": "turn.ended", "outcome": "ok"},
        {"type": "log", "text": "between"},
        {"type": "turn.ended", "error": "lost the model"},
    )
    assert [(s.kind, s.turn, s.outcome) for s in signals] == [
        ("log", 0, ""), ("turn.started", 1, ""), ("message", 1, ""), ("turn.ended", 1, "ok"), ("log", 1, ""),
        ("turn.ended", 2, "error"),
    ]  # fmt: skip


def test_the_turn_counter_survives_in_the_state():
    first = JSONL.feed(b"", b'{"type":"turn.started"}\n', final=False)
    (ended,) = JSONL.feed(first.state, b'{"type":"turn.ended"}\n', final=False).signals
    assert ended.turn == 1


def test_an_unknown_type_is_kept_with_its_line():
    raw = b'{"type":"telepathy", "depth": 3}'
    assert JSONL.feed(b"", raw + b"\r\n", final=False).signals == (
        Heard(kind="unknown", text="telepathy", data_json=raw.decode()),
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"Traceback (most recent call last):",
        b"[1]",
        b"17",
        b'"text"',
        b"{",
        b'{"a":NaN}',
        b'{"a":1e999}',
        b"[" * 60_000,
        b"1" * 5000,
    ],
)
def test_what_is_no_object_is_heard_as_garbled(raw):
    assert JSONL.feed(b"", raw + b"\n", final=False).signals == (Heard(kind="garbled", text=raw.decode()),)


def test_bytes_that_are_no_utf_8_are_heard_with_replacement_characters():
    assert JSONL.feed(b"", b"caf\xe9\n", final=False).signals == (Heard(kind="garbled", text="caf\ufffd"),)


def test_blank_lines_say_nothing():
    assert JSONL.feed(b"", b"\n \r\n\t\n", final=False).signals == ()


@pytest.mark.parametrize("bad", [None, "", 7, ["a"], "x" * 257, "é" * 129, "\ud800"])
def test_a_question_without_a_usable_id_is_denied_at_once_so_that_nobody_waits_forever(bad):
    raw = json.dumps({"type": "approval.request", "id": bad, "title": "drop the table"}).encode() + b"\n"
    fed = JSONL.feed(b"", raw, final=False)
    answer = json.loads(fed.sends)
    assert (answer["type"], answer["outcome"], answer["id"]) == ("approval.answer", "denied", 7 if bad == 7 else None)
    (heard,) = fed.signals
    assert heard.kind == "error"
    assert "drop the table" in heard.text


def test_a_withdrawal_without_a_usable_id_is_garbled():
    assert [s.kind for s in hear({"type": "approval.withdraw"})] == ["garbled"]


def test_another_version_is_an_error_but_heard_as_well_as_possible():
    started, error = hear({"type": "session", "version": 2, "id": "s"})
    assert started.native_session == "s"
    assert (error.kind, error.text) == ("error", "the agent speaks jsonl 2, Kage speaks 1")


@pytest.mark.parametrize(("seconds", "timeout_s"), [(0, 0), (-1, 0), (1e300, 366 * 86_400), ("5", 0), (0.5, 0.5)])
def test_a_timeout_is_bounded_and_nonsense_is_none(seconds, timeout_s):
    (ask,) = hear({"type": "question", "id": "q", "timeout_s": seconds})
    assert ask.timeout_s == timeout_s


def test_a_line_of_exactly_one_mebibyte_is_understood_and_a_byte_more_is_garbled_in_pieces():
    def line(size):
        frame = b'{"type":"log","text":"%s"}'
        return frame % (b"x" * (size - len(frame) + 2))

    (heard,) = JSONL.feed(b"", line(MAX_LINE_BYTES) + b"\n", final=False).signals
    assert heard.kind == "log"
    assert heard.text.endswith("bytes in all]")

    fed = JSONL.feed(b"", line(2 * MAX_LINE_BYTES + 5) + b'\n{"type":"log","text":"after"}\n', final=False)
    assert [s.kind for s in fed.signals] == ["garbled", "garbled", "garbled", "log"]
    assert fed.signals[2].text == 'xxx"}'


def test_an_endless_line_is_consumed_while_it_comes():
    fed = JSONL.feed(b"", b"x" * (MAX_LINE_BYTES + 1), final=False)
    assert fed.consumed == MAX_LINE_BYTES
    rest = JSONL.feed(fed.state, b"x", final=True)
    assert [s.text for s in rest.signals] == ["x"]
    assert rest.state == b""


def test_a_large_input_of_a_tool_is_cut_but_still_json():
    (ask,) = hear({"type": "approval.request", "id": "q", "tool": "write", "input": {"content": '"\\é' * 100_000}})
    cut = json.loads(ask.data_json)
    assert cut["cut"] is True
    assert cut["bytes"] > MAX_JSON_BYTES
    assert cut["head"].startswith('{"content":"')
    assert len(ask.data_json.encode()) <= MAX_JSON_BYTES


def test_the_answer_is_one_line_of_ascii():
    assert (
        JSONL.answer(Ask(key="q\u2028"), "denied", "no\nnever")
        == b'{"type":"approval.answer","id":"q\\u2028","outcome":"denied","note":"no\\nnever"}\n'
    )


def test_a_later_run_is_told_the_session_that_the_script_told_of():
    task = Assignment(run="1.2", command=("x",), working_directory="/", session="s-1", turns=1)
    assert JSONL.launch(task).environment == {"KAGE_SESSION": "s-1"}
    assert JSONL.launch(replace(task, session="")).environment == {}


def test_a_users_words_are_one_line_as_well():
    assert JsonlAdapter.message("go\non") == b'{"type":"message","text":"go\\non"}\n'
