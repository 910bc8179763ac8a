"""What follows from why something failed: of runs, of turns, and what an agent is told of it."""

from dataclasses import replace

import pytest

from kaged.domain.assignment import Assignment, assignment
from kaged.domain.events import facts
from kaged.domain.goal_spec import GoalLoop
from kaged.domain.machines import agent as machine
from kaged.domain.spec import AgentSpec, RestartPolicy
from kaged.runtime.goals.turns import turn_of

SPEC = AgentSpec(
    name="a", adapter="jsonl", command=("x",), working_directory="/", stdin="pipe", goal="g",
    restart=RestartPolicy(type="transient", intensity=3, backoff=None),
)  # fmt: skip


def said(kind, **fields):
    given = {
        "run": "a.1", "turn": 1, "call": "", "outcome": "", "input_tokens": 0, "output_tokens": 0, "cost_microusd": 0,
        "native_session": "", "text": "", "data_json": "", "tool": "",
    }  # fmt: skip
    return facts.SignalHeard(type=f"signal.{kind}", **{**given, **fields})


def ended(**fields):
    given = {
        "run": "a.1", "kind": "exited", "exit_code": -1, "signal": 0, "core_dumped": False, "how": "abnormal",
        "ended_us": 2, "boot_id": "b1", "cpu_us": 0, "max_rss_bytes": 0, "stdout_bytes": 0, "stderr_bytes": 0,
        "stopped_by": "", "survivors": 0, "errno": 0, "note": "",
    }  # fmt: skip
    return facts.RunEnded(**{**given, **fields})


def at_work(spec):
    """One whose first run is in the middle of its first turn."""
    first, *rest = machine.decide_spawn(spec, number=1, supervisor="", run="a.1")
    state = machine.spawn("a", first, 1)
    started = facts.RunStarted(run="a.1", shim_pid=1, shim_start_ticks=1, boot_id="b1", protocol=1)
    executed = facts.RunExecuted(run="a.1", pid=2, start_ticks=1, session=2, at_us=1)
    for event in (*rest, started, executed, said("turn.started", native_session="s")):
        state = machine.apply(state, event, 1)
    return state


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ({"signal": 9}, "was ended by SIGKILL"),
        ({"exit_code": 3}, "ended with exit code 3"),
        ({"signal": 9, "stopped_by": "memory"}, "was killed because it ran out of memory"),
        ({"kind": "lost"}, "was lost (how it ended is not known)"),
        ({"kind": "lost", "boot_id": "b2"}, "was lost with a restart of the machine"),
    ],
)
@pytest.mark.parametrize("loop", [None, GoalLoop()])
def test_the_process_that_takes_the_place_of_another_is_told_what_became_of_that(end, told, loop):
    state = at_work(replace(SPEC, loop=loop))
    for event in machine.decide_ended(state, ended(**end), next_run="a.2", now_us=2, jitter=0.0):
        state = machine.apply(state, event, 2)
    task = assignment(state, "a.2")
    assert task.words.startswith(f"Your process {told} and was started again; this is the same session.")
    begun = machine.apply(
        state, facts.RunStarted(run="a.2", shim_pid=1, shim_start_ticks=1, boot_id="b2", protocol=1), 3
    )
    assert assignment(begun, "a.2").words == task.words, "a daemon that adopts the run knows the same words"


def test_a_new_session_after_a_full_one_is_given_the_goal_and_told_why():
    words = Assignment(
        run="a.2", command=("x",), working_directory="/", goal="g", turns=2, full=True, next_words="these do not hold"
    ).words
    assert words.startswith("g\n\nYou were asked this before, and your context was full: this is a new session")
    assert words.endswith("these do not hold")


def test_one_without_a_loop_that_may_not_sign_in_is_not_started_again():
    state = at_work(SPEC)
    barred = said("turn.ended", outcome="error", failure="auth", text="the key has expired")
    state = machine.apply(state, barred, 1)
    *_, end = machine.decide_ended(state, ended(exit_code=1), next_run="a.2", now_us=2, jitter=0.0)
    assert isinstance(end, facts.Ended)
    assert (end.outcome, end.reason, end.note) == ("failed", "auth", "the key has expired")
    state = machine.apply(state, said("turn.started"), 1)
    state = machine.apply(state, said("turn.ended", outcome="error"), 1)
    *_, end = machine.decide_ended(state, ended(exit_code=1), next_run="a.2", now_us=2, jitter=0.0)
    assert isinstance(end, facts.RunWanted), "what an earlier turn failed of does not count"


def test_a_stop_by_a_person_is_stronger_than_one_that_makes_room_for_the_next_turn():
    state = at_work(replace(SPEC, loop=GoalLoop()))
    for event in machine.decide_stop(state, cause="turn"):
        state = machine.apply(state, event, 2)
    (stop,) = machine.decide_stop(state, cause="user")
    assert stop.cause == "user"
    state = machine.apply(state, stop, 2)
    assert machine.decide_stop(state, cause="turn") == ()


LIMIT = said("rate_limit", outcome="rejected", resets_us=7)


@pytest.mark.parametrize(
    ("events", "refused"),
    [
        ([said("turn.started"), LIMIT, said("turn.ended")], True),
        ([LIMIT, said("turn.started"), said("turn.ended")], True),
        ([LIMIT, said("turn.ended"), said("turn.started"), said("turn.ended")], False),
        ([LIMIT, said("turn.started"), said("turn.started"), said("turn.ended")], False),
        ([LIMIT, ended(), said("turn.started"), said("turn.ended")], False),
        ([LIMIT, said("turn.ended")], True),
        ([said("turn.started"), said("turn.ended"), LIMIT], True),
    ],
)
def test_a_limit_counts_for_the_turn_that_it_was_told_in_or_before(events, refused):
    turn = turn_of(reversed(events))
    assert (turn.refused, turn.resets_us) == (refused, 7 if refused else 0)


def test_what_was_said_before_a_turn_began_is_no_part_of_it():
    turn = turn_of(reversed([said("message", text="old"), said("turn.started"), said("message", text="new")]))
    assert turn.said == "new"


def test_of_a_limit_that_refused_nobody_yet_the_last_told_end_counts():
    told = [said("rate_limit", outcome="allowed", resets_us=5), said("rate_limit", outcome="allowed", resets_us=6)]
    assert turn_of(reversed(told)).resets_us == 6
