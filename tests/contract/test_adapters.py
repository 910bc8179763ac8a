"""What runtime relies on with every adapter: chunking is invisible, state is small and complete, nothing raises.

Lines are made from what the protocols can say, from recorded runs of real agents, and from those with a value put
out of place.
"""

import json
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kaged.adapters.acp.adapter import AcpAdapter
from kaged.adapters.claude_code.adapter import ClaudeCodeAdapter
from kaged.adapters.codex.adapter import CodexAdapter
from kaged.adapters.codex_exec import CodexExecAdapter
from kaged.adapters.jsonl import JsonlAdapter
from kaged.adapters.registry import ADAPTERS
from kaged.adapters.wire.clipping import MAX_JSON_BYTES, MAX_TEXT_BYTES
from kaged.domain.assignment import Assignment
from kaged.domain.signals import Ask, Heard, Signal
from kaged.ports import Adapter
from tests.golden.agents import recorded
from tests.search import examples

# Short lines, so that long ones are cheap to make.
UNDER_TEST = [
    *(pytest.param(adapter, id=name) for name, adapter in ADAPTERS.items()),
    pytest.param(JsonlAdapter(max_line_bytes=40), id="jsonl-short"),
    pytest.param(ClaudeCodeAdapter(max_line_bytes=90), id="claude-code-short"),
    pytest.param(CodexAdapter(max_line_bytes=90), id="codex-short"),
    pytest.param(CodexExecAdapter(max_line_bytes=90), id="codex-exec-short"),
    pytest.param(AcpAdapter(max_line_bytes=90), id="acp-short"),
]

TYPES = [
    *("session", "turn.started", "turn.ended", "message", "thinking", "plan", "tool.started", "tool.finished", "usage"),
    *("rate_limit", "progress", "approval.request", "question", "approval.withdraw", "error", "log", "something.new"),
]
NAMES = [
    *("id", "version", "text", "items", "tool", "input", "output", "outcome", "error", "input_tokens", "output_tokens"),
    *("cost_usd", "why", "timeout_s", "title", "choices", "resets_at"),
]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "1", "ok"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "done", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
objects = st.builds(
    lambda kind, rest: json.dumps({"type": kind, **rest}).encode(),
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(NAMES), json_values, max_size=5),
)
MESSAGES = [msg for name in recorded.names() for way, msg in recorded.messages(name) if way == "out"]


@st.composite
def mangled(draw):
    """A recorded message with one value replaced, at any depth."""
    message = json.loads(json.dumps(draw(st.sampled_from(MESSAGES))))
    place = message
    while True:
        names = sorted(place) if isinstance(place, dict) else range(len(place))
        name = draw(st.sampled_from(names))
        if isinstance(place[name], dict | list) and place[name] and draw(st.booleans()):
            place = place[name]
            continue
        place[name] = draw(json_values)
        return json.dumps(message).encode()


real = st.sampled_from(MESSAGES).map(lambda message: json.dumps(message).encode()) | mangled()
lines = (
    objects | real | st.binary(max_size=100) | st.sampled_from([b"", b"\r", b"[" * 5000, b"{}", b"1e999", b"x" * 200])
)
transcripts = st.builds(
    lambda parts, end: b"\n".join(parts) + end, st.lists(lines, max_size=8), st.sampled_from([b"", b"\n"])
)
TASK = Assignment(run="0001.1", command=("agent",), working_directory="/work", goal="make it so", turns=3)


@dataclass
class Outcome:
    """All that came of a transcript."""

    signals: list[Signal]
    sends: bytes
    state: bytes
    done: bool


def hear(adapter: Adapter, pieces: list[bytes]) -> Outcome:
    """As runtime does it: what was not consumed comes back in front of what follows."""
    signals: list[Signal] = []
    sends, state, rest, done = b"", b"", b"", False
    for number, piece in enumerate(pieces, 1):
        data = rest + piece
        fed = adapter.feed(state, data, final=number == len(pieces), task=TASK)
        assert 0 <= fed.consumed <= len(data)
        assert len(fed.state) <= 8 << 10
        state, rest = fed.state, data[fed.consumed :]
        signals += fed.signals
        sends += fed.sends
        done = done or fed.done
    assert rest == b""
    return Outcome(signals, sends, state, done)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, some of them empty."""
    edges = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]


@pytest.mark.parametrize("adapter", UNDER_TEST)
@settings(max_examples=examples(150), deadline=None)
@given(transcript=transcripts, places=st.lists(st.integers(min_value=0), max_size=12))
def test_any_chunking_gives_the_same_signals_the_same_answers_and_the_same_state(adapter, transcript, places):
    assert hear(adapter, cut(transcript, places)) == hear(adapter, [transcript])


@pytest.mark.parametrize("adapter", UNDER_TEST)
@settings(max_examples=examples(40), deadline=None)
@given(transcript=transcripts)
def test_one_byte_at_a_time_gives_the_same_as_all_at_once(adapter, transcript):
    assert hear(adapter, [bytes([byte]) for byte in transcript] + [b""]) == hear(adapter, [transcript])


@pytest.mark.parametrize("adapter", UNDER_TEST)
@settings(max_examples=examples(150), deadline=None)
@given(state=st.binary(max_size=60), data=transcripts | st.binary(max_size=500), final=st.booleans())
@example(state=b'{"turn":1e300,"in_turn":3}', data=b"\xff", final=True)
@example(state=b"[1]", data=b'{"type":["log"]}', final=True)
def test_no_bytes_and_no_state_make_it_raise(adapter, state, data, final):
    fed = adapter.feed(state, data, final=final, task=TASK)
    assert fed.consumed == len(data) or not final


@pytest.mark.parametrize("adapter", UNDER_TEST)
@settings(max_examples=examples(150), deadline=None)
@given(transcript=transcripts)
def test_every_signal_can_be_stored_as_utf_8_and_is_bounded(adapter, transcript):
    for signal in hear(adapter, [transcript]).signals:
        if isinstance(signal, Heard):
            assert len(signal.text.encode()) <= MAX_TEXT_BYTES
            assert (
                max(
                    len(word.encode())
                    for word in (signal.tool, signal.call, signal.outcome, signal.native_session, signal.parent)
                )
                <= 256
            )
            assert 0 <= signal.turn < 2**32
            assert all(0 <= n < 2**63 for n in _numbers(signal))
        if isinstance(signal, Ask):
            assert signal.key
            assert len((signal.title + signal.why).encode()) <= 2 * MAX_TEXT_BYTES
            assert 0 <= signal.timeout_s < 1e9
        if isinstance(signal, (Heard, Ask)) and signal.data_json:
            assert len(signal.data_json.encode()) <= MAX_JSON_BYTES
            json.loads(signal.data_json)


def _numbers(signal: Heard) -> tuple[int, ...]:
    return signal.input_tokens, signal.output_tokens, signal.cost_microusd, signal.resets_us


@pytest.mark.parametrize("adapter", UNDER_TEST)
@given(
    ask=st.builds(
        Ask,
        key=st.text(),
        kind=st.sampled_from(["action", "question"]),
        data_json=st.just("") | st.text() | st.dictionaries(st.just("questions"), json_values).map(json.dumps),
    ),
    outcome=st.sampled_from(["approved", "denied", "expired"]),
    note=st.text(),
)
def test_an_answer_is_nothing_or_whole_lines_and_always_the_same_bytes(adapter, ask, outcome, note):
    line = adapter.answer(ask, outcome, note)
    assert line == adapter.answer(ask, outcome, note)
    assert not line or (line.endswith(b"\n") and line.count(b"\n") == 1)


@pytest.mark.parametrize("adapter", UNDER_TEST)
def test_an_adapter_that_does_not_listen_consumes_everything_silently(adapter):
    if not adapter.listens:
        fed = adapter.feed(b"", b'{"type":"log","text":"x"}\n', final=False, task=TASK)
        assert (fed.consumed, fed.signals, fed.sends, fed.state) == (26, (), b"", b"")


def test_every_adapter_is_registered_under_its_own_name():
    assert {name: adapter.name for name, adapter in ADAPTERS.items()} == {
        name: name for name in ("acp", "claude-code", "codex", "codex-exec", "command", "jsonl")
    }


@pytest.mark.parametrize("adapter", UNDER_TEST)
@pytest.mark.parametrize("session", ["", "an-old-session"])
def test_a_run_starts_with_its_command_first_and_with_whole_lines(adapter, session):
    task = Assignment(run="0001.2", command=("prog", "--own"), working_directory="/w", goal="go", session=session)
    launch = adapter.launch(task)
    assert launch == adapter.launch(task)
    assert launch.argv[:2] == ("prog", "--own")
    assert not launch.opening or launch.opening.endswith(b"\n")


@pytest.mark.parametrize("name", recorded.names())
def test_a_recorded_run_of_a_real_agent_is_heard_as_it_was(name):
    assert recorded.shown(recorded.hear(name)) == (recorded.HERE / f"{name}.heard").read_text()


@pytest.mark.parametrize("name", recorded.names())
@settings(max_examples=examples(20), deadline=None)
@given(places=st.lists(st.integers(min_value=0), max_size=12))
def test_a_recorded_run_is_heard_the_same_in_any_pieces(name, places):
    adapter = ADAPTERS[recorded.adapter_of(name)]
    assert hear(adapter, cut(recorded.output(name), places)) == hear(adapter, [recorded.output(name)])
