"""A hundred thousand crashes in virtual time: everything is restarted, and the state does not grow."""

import pytest

from kaged.domain.machines import tree as t

EXITS = 100_000


@pytest.mark.timeout(600)  # some 10 s of work on an idle machine; the machines are shared
def test_a_storm_of_exits_leaves_no_trace_but_its_last_period() -> None:
    children = tuple(t.ChildSpec(id=name, work=name) for name in "abcd")
    spec = t.SupervisorSpec(id="main", intensity=60, period_s=1.0, children=children)
    _, state = t.step(t.initial("main"), t.ApplySpec(spec=spec, at_us=0, jitter=0.5))
    now_us = exits = 0
    largest = 0
    while exits < EXITS:
        effects = t.outstanding(state)
        if effects:
            (start,) = effects
            assert isinstance(start, t.StartChild)
            report: t.Command = t.ChildStarted(path=start.path, ordinal=start.ordinal, at_us=now_us, jitter=0.5)
        else:
            path = "abcd"[exits % 4]
            exits, now_us = exits + 1, now_us + 20_000
            ordinal = state.nodes[path].ordinal
            report = t.ChildExited(path=path, ordinal=ordinal, how="abnormal", at_us=now_us, jitter=0.5)
        _, state = t.step(state, report)
        if exits % 10_000 == 0:
            largest = max(largest, len(t.state_to_json(state)))
    assert state.phase == "running"
    assert sum(node.restarts for node in state.nodes.values()) == EXITS
    root = state.nodes[""]
    assert isinstance(root, t.Branch)
    assert len(root.window) == 51  # one a 20 ms, both ends of the second
    assert not root.inbox
    assert largest < 4_000


def test_a_storm_that_is_too_strong_ends_the_tree_instead_of_turning_for_ever() -> None:
    child = t.ChildSpec(id="a", work="a")
    spec = t.SupervisorSpec(id="main", intensity=10, period_s=1.0, children=(child,))
    _, state = t.step(t.initial("main"), t.ApplySpec(spec=spec, at_us=0, jitter=0.5))
    tries = 0
    while effects := t.outstanding(state):
        (start,) = effects
        assert isinstance(start, t.StartChild)
        tries += 1
        _, state = t.step(state, t.ChildStarted(path="a", ordinal=start.ordinal, at_us=tries, jitter=0.5))
        _, state = t.step(
            state, t.ChildExited(path="a", ordinal=start.ordinal, how="abnormal", at_us=tries, jitter=0.5)
        )
    assert (state.phase, tries) == ("failed", 11)
