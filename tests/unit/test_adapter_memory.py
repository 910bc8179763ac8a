"""What adapters remember between two pieces of output: bounded, exact, and the same however the output was cut."""

import json

from hypothesis import given
from hypothesis import strategies as st

from kaged.adapters.registry import ADAPTERS
from kaged.adapters.wire.memory import Memory
from kaged.domain.assignment import UNASSIGNED

texts = st.text(max_size=40)
keys = st.sampled_from(["b", "a", "d", "c", ""])
steps = st.lists(
    st.tuples(st.just("keep"), st.sampled_from("abc"), st.one_of(texts, st.booleans(), st.integers(0, 2**40)))
    | st.tuples(
        st.just("add"), st.sampled_from(["calls", "asks"]), st.tuples(keys, st.text(min_size=100, max_size=900))
    )
    | st.tuples(st.just("drop"), st.sampled_from(["calls", "asks"]), keys),
    max_size=30,
)


def take(memory, step):
    match step:
        case ("keep", name, value):
            memory.keep(name, value)
        case ("add", name, (key, value)):
            memory.add(name, key, value)
        case ("drop", name, key):
            memory.drop(name, key)


@given(steps=steps)
def test_a_memory_that_is_put_away_after_each_step_is_the_same_as_one_that_is_not(steps):
    held, state = Memory(b""), b""
    for step in steps:
        held.mark()
        take(held, step)
        put_away = Memory(state)
        take(put_away, step)
        state = put_away.as_bytes()
        assert held.as_bytes() == state
        assert len(state) <= 8 << 10


@given(before=steps, after=steps)
def test_what_is_taken_back_was_never_there(before, after):
    memory = Memory(b"")
    for step in before:
        take(memory, step)
    state = memory.as_bytes()
    memory.mark()
    for step in after:
        take(memory, step)
    memory.go_back()
    assert memory.as_bytes() == state
    assert Memory(state).as_bytes() == state


def test_a_state_that_is_not_ours_is_as_good_as_none():
    for state in (b"[1]", b"{", b"\xff", b"[" * 5000):
        memory = Memory(state)
        assert memory.as_bytes() == b""
        memory.keep("turn", 1)
        assert memory.as_bytes() == b'{"turn":1}'


def test_of_too_many_open_calls_the_oldest_are_forgotten_however_the_output_was_cut():
    def call(number):
        given = f"{'x' * 200}{number:02}"
        update = {"sessionUpdate": "tool_call", "toolCallId": given, "status": "in_progress", "kind": "execute"}
        return json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": {"update": update}}).encode() + b"\n"

    acp, lines = ADAPTERS["acp"], [call(number) for number in reversed(range(20))]
    at_once = acp.feed(b"", b"".join(lines), final=False, task=UNASSIGNED).state
    state = b""
    for line in lines:
        state = acp.feed(state, line, final=False, task=UNASSIGNED).state
    assert state == at_once
    assert [key[-2:] for key in json.loads(state)["calls"]][-1] == "00"
