"""All rules over one action; the strictest verdict wins (deny, then ask, then allow).

An allow with a name is a person's rule that let it through. A new rule is a file in `rules/` and a line here: it can
make a verdict stricter and never looser.
"""

from collections.abc import Callable, Iterator
from typing import Final

from kaged.guardrails.action import Action
from kaged.guardrails.context import Context
from kaged.guardrails.rules import (
    commands,
    flood,
    level,
    loops,
    network,
    people,
    protected,
    secrets,
    unreadable,
    workspace,
)
from kaged.guardrails.verdict import Verdict, strictest

Judge = Callable[[Action, Context], Verdict]

RULES: Final[tuple[Judge, ...]] = (
    protected.judge,
    commands.judge,
    workspace.judge,
    network.judge,
    secrets.judge,
    loops.judge,
    unreadable.judge,
    people.judge,
    level.judge,
)
"""Rules about an act, those that say most first: of equally strict verdicts the first is the one that is told."""


def judge(action: Action, context: Context, rules: tuple[Judge, ...] = RULES) -> Verdict:
    """What becomes of an action. Never raises on what an agent says."""
    return strictest(verdicts(action, context, rules))


def verdicts(action: Action, context: Context, rules: tuple[Judge, ...] = RULES) -> Iterator[Verdict]:
    """What each rule says."""
    for rule in rules:
        yield rule(action, context)


def judge_output(context: Context) -> Verdict:
    """What becomes of an agent that prints; the only rule about that is how much."""
    return flood.judge(Action(), context)
