"""States as they are kept: what is written is what is read, also where a field is one of several dataclasses."""

from typing import get_args

import pytest

from kaged.domain import goal_spec
from kaged.domain.goal_spec import AgentSaysDone, CommandHolds, FileContains, FileExists, GoalLoop, OutputMatches
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.approval import ApprovalState
from kaged.domain.plain import from_json, to_json

CRITERIA = (
    CommandHolds(command="make test"),
    FileExists(path="a"),
    FileContains(path="a", pattern="b"),
    OutputMatches(pattern="done"),
    goal_spec.TestsPass(),
    AgentSaysDone(),
)


def test_every_kind_of_criterion_is_tried_here():
    assert {type(each) for each in CRITERIA} == set(get_args(goal_spec.Criterion))
    assert len({each.stored_as for each in CRITERIA}) == len(CRITERIA)


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda each: each.stored_as)
def test_a_loop_is_read_with_the_criteria_that_it_was_kept_with(criterion):
    loop = GoalLoop(success=(criterion, *CRITERIA, criterion), any=True)
    assert from_json(GoalLoop, to_json(loop)) == loop


@pytest.mark.parametrize("kind", [AgentState, ApprovalState])
def test_every_field_of_a_state_can_be_read(kind):
    with pytest.raises((KeyError, TypeError), match=r"required|missing"):  # and not: no reader for a field
        from_json(kind, b"{}")
