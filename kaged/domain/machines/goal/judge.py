"""What a turn comes to: abort criteria, then success criteria, then limits. Pure.

The evidence is gathered by whoever reads the journal and runs the checks; the verdict is decided here, so that it can
be tested without either.
"""

import re
from typing import Final

from kaged.domain.events.goal import CheckResult, Judged, Verdict, Why
from kaged.domain.frozen import frozen
from kaged.domain.goal_spec import DONE_WORDS, AgentSaysDone, Criterion, GoalLoop, LimitWord, OutputMatches, describe
from kaged.domain.machines.goal.state import GoalState, apply
from kaged.domain.signals import FAILED_TURNS

_GO_ON: Final = "Go on with what you were asked to do."
_NOTE_CHARS: Final = 48_000
_OUTPUT_CHARS: Final = 8_000


UNCOUNTED: Final[frozenset[Why]] = frozenset({"rate_limit", "auth"})
"""Turns in which the agent could not work at all: none of its limits pays for them."""


@frozen
class Checked:
    """A check that was made: its result and the last of what it printed."""

    result: CheckResult
    output: str = ""


@frozen
class Evidence:
    """What is known of a turn. `said` is its text, oldest first; `tried` marks its tool calls, `files` the folder.

    `checks` stand beside the loop's success criteria, fewer when the others were not needed.
    """

    said: str = ""
    said_mark: str = ""
    tried: str = ""
    files: str = ""
    failed: bool = False
    parked_until_us: int = 0  # the account's limit ended the turn
    files_changed: int = 0
    lines_added: int = 0
    lines_removed: int = 0
    checks: tuple[Checked, ...] = ()


def aborts(loop: GoalLoop, state: GoalState, evidence: Evidence) -> Why | None:
    """The abort criterion that this turn fulfils, if there is one."""
    after = apply(state, _judged(state, evidence, "next", "criteria", ""), 0)
    abort = loop.abort
    if abort.errors and after.errors >= abort.errors:
        return "errors"
    if abort.repeats and after.repeats + 1 >= abort.repeats > 1:
        return "repeats"
    if abort.no_progress and after.idle_turns >= abort.no_progress:
        return "no_progress"
    if abort.output_matches and found(abort.output_matches, evidence.said):
        return "output_matches"
    return None


def found(pattern: str, text: str) -> bool:
    """Whether a regular expression is found in a text; `^` and `$` are ends of lines."""
    return re.search(pattern, text, re.MULTILINE) is not None


def by_words(criterion: Criterion, said: str) -> bool | None:
    """Whether a criterion holds by what was said; None: that does not tell."""
    match criterion:
        case OutputMatches(pattern=pattern):
            return found(pattern, said)
        case AgentSaysDone():
            return any(line.strip().strip("*_`# .!") == DONE_WORDS for line in said.splitlines())
        case _:
            return None


def verdict_of(loop: GoalLoop, state: GoalState, evidence: Evidence) -> Judged:
    """The judgement of the turn that waits for it. The fact says all that the state needs."""
    if evidence.parked_until_us:
        return _judged(state, evidence, "next", "rate_limit", f"The limit of your account is over. {_GO_ON}")
    failure = state.failure if evidence.failed else ""
    if failure == "auth":
        return _judged(state, evidence, "next", "auth", f"You can sign in again. {_GO_ON}")
    why = aborts(loop, state, evidence)
    if why is not None:
        return _judged(state, evidence, "failed", why, _said(loop, evidence))
    if state.turn_outcome == "cancelled":
        return _judged(state, evidence, "next", "cancelled", f"Your turn was interrupted. {_GO_ON}")
    if loop.success:
        holds = [each.result.passed for each in evidence.checks]
        if any(holds) if loop.any else len(holds) == len(loop.success) and all(holds):
            return _judged(state, evidence, "succeeded", "criteria", _said(loop, evidence))
        full: Why = "context_exhausted" if failure == "context_exhausted" else "criteria"
        return _judged(state, evidence, "next", full, feedback(loop, state, evidence))
    if failure == "context_exhausted":
        return _judged(state, evidence, "next", "context_exhausted", _GO_ON)
    if evidence.failed:
        return _judged(state, evidence, "next", "agent", f"Your last turn ended with an error. {_GO_ON}")
    return _judged(state, evidence, "succeeded", "agent", "")


def limit_reached(loop: GoalLoop, state: GoalState, *, tokens: int, cost_microusd: int) -> LimitWord:
    """The limit that is used up, if there is one: looked at before each next turn."""
    limits = state.limits(loop)
    if limits.iterations and state.iterations >= limits.iterations:
        return "iterations"
    if limits.tokens and tokens >= limits.tokens:
        return "tokens"
    if limits.cost_microusd and cost_microusd >= limits.cost_microusd:
        return "cost"
    if limits.time_us and state.worked_us >= limits.time_us:
        return "time"
    return ""


def feedback(loop: GoalLoop, state: GoalState, evidence: Evidence) -> str:
    """What an agent is told whose goal is not reached: which checks fail, and what they printed."""
    limit = state.limits(loop).iterations
    turn = f"turn {state.iterations + 1} of {limit}" if limit else f"turn {state.iterations + 1}"
    failed = "Your last turn ended with an error. " if evidence.failed else ""
    how = "one of these checks must hold" if loop.any else "these checks do not hold yet"
    return f"{failed}The goal is not reached ({turn}): {how}.\n\n{_said(loop, evidence)}\n\nGo on until they do."


def _said(loop: GoalLoop, evidence: Evidence) -> str:
    """The checks that do not hold, with the end of their output."""
    parts = []
    for criterion, each in zip(loop.success, evidence.checks, strict=False):
        if each.result.passed:
            continue
        if isinstance(criterion, AgentSaysDone):
            parts.append(f"- you have not said so: when it is reached, end with a line that reads {DONE_WORDS}")
            continue
        how = "took too long" if each.result.timed_out else f"exit code {each.result.exit_code}"
        what = f" ({how})" if each.result.timed_out or each.result.exit_code >= 0 else ""
        output = each.output.strip()[-_OUTPUT_CHARS:]
        parts.append(f"- {describe(criterion)}{what}" + (f"\n\n{output}\n" if output else ""))
    return "\n".join(parts)[:_NOTE_CHARS]


def _judged(state: GoalState, evidence: Evidence, verdict: Verdict, why: Why, note: str) -> Judged:
    uncounted = why in UNCOUNTED
    return Judged(
        iteration=state.iterations if uncounted else state.iterations + 1,
        verdict=verdict,
        why=why,
        checks=tuple(each.result for each in evidence.checks),
        turn_failed=evidence.failed and not uncounted,
        said=state.said if uncounted else evidence.said_mark,
        tried=state.tried if uncounted else evidence.tried,
        files=evidence.files,
        ended_us=state.turn_ended_us,
        files_changed=evidence.files_changed,
        lines_added=evidence.lines_added,
        lines_removed=evidence.lines_removed,
        note=note,
    )


def turn_failed(outcome: str) -> bool:
    """Whether a turn with this outcome, in the words of its adapter, failed."""
    return outcome in FAILED_TURNS
