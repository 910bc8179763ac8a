"""What a turn comes to: abort before success before limits; words and counts as docs/goals.md says."""

from dataclasses import replace

import pytest

from kaged.domain.events.goal import CheckResult
from kaged.domain.goal_spec import (
    AbortCriteria,
    AgentSaysDone,
    CommandHolds,
    FileExists,
    GoalLimits,
    GoalLoop,
    OutputMatches,
    terms,
    violations,
)
from kaged.domain.machines.goal.judge import Checked, Evidence, by_words, limit_reached, verdict_of
from kaged.domain.machines.goal.state import GoalState, apply

LOOP = GoalLoop(success=(CommandHolds(command="make test"), FileExists(path="out.txt")))
WAITING = GoalState(turn_ended_us=5, turn_outcome="ok")
YES = Checked(result=CheckResult(passed=True, exit_code=0))
NO = Checked(result=CheckResult(passed=False, exit_code=2), output="1 failed\n")


def judged(loop: GoalLoop = LOOP, state: GoalState = WAITING, **evidence: object):
    return verdict_of(loop, state, Evidence(**evidence))  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("any_", "checks", "verdict"),
    [
        (False, (YES, YES), "succeeded"),
        (False, (YES, NO), "next"),
        (False, (YES,), "next"),
        (True, (NO, YES), "succeeded"),
        (True, (YES,), "succeeded"),
        (True, (NO, NO), "next"),
        (True, (), "next"),
    ],
)
def test_all_criteria_must_hold_or_one_where_one_is_enough(any_, checks, verdict):
    assert judged(replace(LOOP, any=any_), checks=checks).verdict == verdict


def test_the_next_prompt_names_the_checks_that_fail_and_what_they_printed():
    loop = replace(LOOP, limits=GoalLimits(iterations=20))
    note = judged(loop, replace(WAITING, iterations=6), checks=(NO, YES)).note
    assert "turn 7 of 20" in note
    assert "cmd: make test (exit code 2)\n\n1 failed" in note
    assert "out.txt" not in note


def test_without_criteria_a_turn_that_ends_well_is_the_end_and_one_that_fails_is_not():
    assert judged(GoalLoop()).verdict == "succeeded"
    failed = judged(GoalLoop(), failed=True)
    assert (failed.verdict, failed.turn_failed) == ("next", True)


def test_an_abort_comes_before_success():
    loop = replace(LOOP, abort=AbortCriteria(output_matches="cannot"))
    assert judged(loop, said="I cannot", checks=(YES, YES)).why == "output_matches"


def test_counts_in_a_row_start_again_when_a_turn_is_different():
    loop, state, whys = (
        GoalLoop(success=LOOP.success, abort=AbortCriteria(errors=2, repeats=0, no_progress=0)),
        WAITING,
        [],
    )
    for failed in (True, False, True, True):
        fact = judged(loop, state, failed=failed, checks=(NO, NO))
        whys.append(fact.why)
        state = replace(apply(state, fact, 9), turn_ended_us=5)
    assert whys == ["criteria", "criteria", "criteria", "errors"]


@pytest.mark.parametrize(
    ("marks", "why"),
    [
        ([("a", "x", "1"), ("a", "x", "2"), ("a", "x", "3")], "repeats"),  # the same words and calls
        ([("a", "x", "1"), ("b", "x", "1"), ("c", "x", "1"), ("d", "x", "1")], "no_progress"),  # words alone are none
        ([("a", "x", "1"), ("b", "y", "1"), ("c", "z", "1"), ("d", "w", "1")], "criteria"),  # something else is tried
        ([("", "", ""), ("", "", ""), ("", "", ""), ("", "", "")], "criteria"),  # nothing is known
    ],
)
def test_repeats_and_standstill_are_told_apart(marks, why):
    loop, state = GoalLoop(success=LOOP.success, abort=AbortCriteria(errors=0, repeats=3, no_progress=3)), WAITING
    for said, tried, files in marks:
        fact = judged(loop, state, said_mark=said, tried=tried, files=files, checks=(NO, NO))
        state = replace(apply(state, fact, 9), turn_ended_us=5)
    assert fact.why == why


def test_a_turn_that_the_account_ended_is_not_counted_and_nothing_else_of_it_is():
    fact = judged(parked_until_us=99, failed=True)
    assert (fact.why, fact.iteration, fact.turn_failed) == ("rate_limit", 0, False)
    state = apply(WAITING, fact, 9)
    assert (state.iterations, state.errors, state.parked) == (0, 0, 1)


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ("all well\nGOAL REACHED", True),
        ("**GOAL REACHED**", True),
        ("  GOAL REACHED.  \nbye", True),
        ("is the GOAL REACHED? no", False),
        ("goal reached", False),
        ("", False),
    ],
)
def test_an_agent_says_that_it_is_done_by_a_line_of_its_own(said, holds):
    assert by_words(AgentSaysDone(), said) is holds


def test_a_pattern_is_looked_for_in_lines():
    assert by_words(OutputMatches(pattern="^done$"), "not yet\ndone\n")
    assert not by_words(OutputMatches(pattern="^done$"), "not done")
    assert by_words(CommandHolds(command="x"), "x") is None


@pytest.mark.parametrize(
    ("limits", "state", "used", "word"),
    [
        (GoalLimits(iterations=3), GoalState(iterations=3), (0, 0), "iterations"),
        (GoalLimits(iterations=3), GoalState(iterations=2), (0, 0), ""),
        (GoalLimits(iterations=3), GoalState(iterations=3, added=GoalLimits(iterations=1)), (0, 0), ""),
        (GoalLimits(tokens=10), GoalState(), (10, 0), "tokens"),
        (GoalLimits(cost_microusd=10), GoalState(), (99, 9), ""),
        (GoalLimits(time_us=10), GoalState(worked_us=10), (0, 0), "time"),
        (GoalLimits(), GoalState(iterations=10**6, worked_us=10**15, added=GoalLimits(tokens=1)), (10**9, 10**9), ""),
    ],
)
def test_a_limit_is_reached_when_it_is_used_up_and_adding_to_none_makes_none(limits, state, used, word):
    tokens, cost = used
    assert limit_reached(GoalLoop(limits=limits), state, tokens=tokens, cost_microusd=cost) == word


def test_an_agent_is_told_by_what_its_work_is_judged():
    told = terms(GoalLoop(success=(CommandHolds(command="make test"), AgentSaysDone())))
    assert "cmd: make test" in told
    assert "GOAL REACHED" in told
    assert terms(GoalLoop()) == ""


def test_what_is_wrong_with_a_loop_is_named_by_field():
    loop = GoalLoop(
        success=(CommandHolds(command=" "), OutputMatches(pattern="(")),
        abort=AbortCriteria(repeats=1, output_matches="["),
        limits=GoalLimits(tokens=1, cost_microusd=1),
        check_timeout_s=0,
    )
    assert {field for field, _ in violations(loop, "codex", frozenset({"turns", "tokens"}))} == {
        "spec.loop.success[0]",
        "spec.loop.success[1]",
        "spec.loop.abort.repeats",
        "spec.loop.abort.output_matches",
        "spec.loop.check_timeout_s",
        "spec.loop.limits.cost_microusd",
    }
