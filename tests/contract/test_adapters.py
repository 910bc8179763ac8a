"""What runtime relies on with every adapter: chunking is invisible, state is small and complete, nothing raises."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kaged.adapters.clipping import MAX_JSON_BYTES, MAX_TEXT_BYTES
from kaged.adapters.jsonl import JsonlAdapter
from kaged.adapters.registry import ADAPTERS
from kaged.domain.signals import Ask, Heard, Signal
from kaged.ports import Adapter
from tests.search import examples

SHORT_LINES = JsonlAdapter(max_line_bytes=40)  # so that long lines are cheap to make
UNDER_TEST = [
    *(pytest.param(adapter, id=name) for name, adapter in ADAPTERS.items()),
    pytest.param(SHORT_LINES, id="short"),
]

TYPES = [
    *("session", "turn.started", "turn.ended", "message", "thinking", "plan", "tool.started", "tool.finished", "usage"),
    *("progress", "approval.request", "question", "approval.withdraw", "error", "log", "something.new"),
]
NAMES = [
    *("id", "version", "text", "items", "tool", "input", "output", "outcome", "error", "input_tokens", "output_tokens"),
    *("cost_usd", "why", "timeout_s", "title", "choices"),
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
lines = objects | st.binary(max_size=100) | st.sampled_from([b"", b"\r", b"[" * 5000, b"{}", b"1e999", b"x" * 200])
transcripts = st.builds(
    lambda parts, end: b"\n".join(parts) + end, st.lists(lines, max_size=8), st.sampled_from([b"", b"\n"])
)


@dataclass
class Outcome:
    """All that came of a transcript."""

    signals: list[Signal]
    sends: bytes
    state: bytes


def hear(adapter: Adapter, pieces: list[bytes]) -> Outcome:
    """As runtime does it: what was not consumed comes back in front of what follows."""
    signals: list[Signal] = []
    sends, state, rest = b"", b"", b""
    for number, piece in enumerate(pieces, 1):
        data = rest + piece
        fed = adapter.feed(state, data, final=number == len(pieces))
        assert 0 <= fed.consumed <= len(data)
        assert len(fed.state) <= 8 << 10
        state, rest = fed.state, data[fed.consumed :]
        signals += fed.signals
        sends += fed.sends
    assert rest == b""
    return Outcome(signals, sends, state)


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
    fed = adapter.feed(state, data, final=final)
    assert fed.consumed == len(data) or not final


@pytest.mark.parametrize("adapter", UNDER_TEST)
@settings(max_examples=examples(150), deadline=None)
@given(transcript=transcripts)
def test_every_signal_can_be_stored_as_utf_8_and_is_bounded(adapter, transcript):
    for signal in hear(adapter, [transcript]).signals:
        if isinstance(signal, Heard):
            assert len(signal.text.encode()) <= MAX_TEXT_BYTES
            assert (
                max(len(word.encode()) for word in (signal.tool, signal.call, signal.outcome, signal.native_session))
                <= 256
            )
            assert 0 <= signal.turn < 2**32
            assert all(0 <= n < 2**63 for n in (signal.input_tokens, signal.output_tokens, signal.cost_microusd))
        if isinstance(signal, Ask):
            assert signal.key
            assert len((signal.title + signal.why).encode()) <= 2 * MAX_TEXT_BYTES
            assert 0 <= signal.timeout_s < 1e9
        if isinstance(signal, (Heard, Ask)) and signal.data_json:
            assert len(signal.data_json.encode()) <= MAX_JSON_BYTES
            json.loads(signal.data_json)


@pytest.mark.parametrize("adapter", UNDER_TEST)
@given(key=st.text(), outcome=st.sampled_from(["approved", "denied", "expired"]), note=st.text())
def test_an_answer_is_nothing_or_whole_lines_and_always_the_same_bytes(adapter, key, outcome, note):
    line = adapter.answer(key, outcome, note)
    assert line == adapter.answer(key, outcome, note)
    assert not line or (line.endswith(b"\n") and line.count(b"\n") == 1)


@pytest.mark.parametrize("adapter", UNDER_TEST)
def test_an_adapter_that_does_not_listen_consumes_everything_silently(adapter):
    if not adapter.listens:
        fed = adapter.feed(b"", b'{"type":"log","text":"x"}\n', final=False)
        assert (fed.consumed, fed.signals, fed.sends, fed.state) == (26, (), b"", b"")


def test_every_adapter_is_registered_under_its_own_name():
    assert {name: adapter.name for name, adapter in ADAPTERS.items()} == {"command": "command", "jsonl": "jsonl"}
