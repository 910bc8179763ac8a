"""How an agent works towards its goal, checked: what ends the work, what stops it, what it may cost. Pure.

The loop itself is `machines/goal`. Not here: running the checks (an executor's work) and what an adapter can measure
(`Adapter.measures`, which the caller passes in).
"""

import re
from collections.abc import Iterator
from typing import ClassVar, Final, Literal, TypeAlias

from kaged.domain.frozen import frozen

MAX_CRITERIA: Final = 32
MAX_PATTERN: Final = 1000
DONE_WORDS: Final = "GOAL REACHED"
LimitWord = Literal["", "iterations", "tokens", "cost", "time"]


@frozen
class CommandHolds:
    """A line for /bin/sh, run in the agent's folder; exit code 0 holds."""

    stored_as: ClassVar[str] = "command"
    command: str


@frozen
class FileExists:
    """A path relative to the agent's folder."""

    stored_as: ClassVar[str] = "file_exists"
    path: str


@frozen
class FileContains:
    """A file and a regular expression that must be found in it."""

    stored_as: ClassVar[str] = "file_contains"
    path: str
    pattern: str


@frozen
class OutputMatches:
    """A regular expression that must be found in what the agent said in its last turn."""

    stored_as: ClassVar[str] = "output_matches"
    pattern: str


@frozen
class TestsPass:
    """The project's own tests, found by its files."""

    stored_as: ClassVar[str] = "tests"


@frozen
class AgentSaysDone:
    """A line of the agent's last message reads `GOAL REACHED`."""

    stored_as: ClassVar[str] = "agent_says_done"


Criterion: TypeAlias = CommandHolds | FileExists | FileContains | OutputMatches | TestsPass | AgentSaysDone


@frozen
class AbortCriteria:
    """Turns in a row, 0: never. `output_matches`: a regular expression over what was said."""

    errors: int = 3
    repeats: int = 3
    no_progress: int = 5
    output_matches: str = ""


@frozen
class GoalLimits:
    """What pauses the work when it is used up; 0: no limit. Time is time at work, not waits for people."""

    iterations: int = 0
    tokens: int = 0
    cost_microusd: int = 0
    time_us: int = 0


@frozen
class GoalLoop:
    """See the module. `run_is_turn`: the adapter hears of no turns, or of one in each run."""

    success: tuple[Criterion, ...] = ()
    any: bool = False
    abort: AbortCriteria = AbortCriteria()
    limits: GoalLimits = GoalLimits()
    check_timeout_s: float = 600
    checkpoint_every: int = 0
    run_is_turn: bool = False


def describe(criterion: Criterion) -> str:
    """A criterion as people write it on the command line."""
    match criterion:
        case CommandHolds(command=command):
            return f"cmd: {command}"
        case FileExists(path=path):
            return f"file-exists: {path}"
        case FileContains(path=path, pattern=pattern):
            return f"file-contains: {path} {pattern}"
        case OutputMatches(pattern=pattern):
            return f"output: {pattern}"
        case TestsPass():
            return "tests"
        case AgentSaysDone():
            return "agent-says-done"


def terms(loop: GoalLoop) -> str:
    """What an agent is told about how the end of its work is recognised; empty when a turn that ends well is enough."""
    if not loop.success:
        return ""
    how = "one of these holds" if loop.any else "all of these hold"
    say_so = f"you end your message with a line that reads {DONE_WORDS}"
    lines = [f"- {say_so if isinstance(each, AgentSaysDone) else describe(each)}" for each in loop.success]
    return "\n".join((f"The work is done when {how}; this is checked after each of your turns:", *lines))


def violations(loop: GoalLoop, adapter: str, measures: frozenset[str]) -> Iterator[tuple[str, str]]:
    """All that is wrong with a loop: (field path, what). `measures`: what the adapter can count of its agent."""
    if len(loop.success) > MAX_CRITERIA:
        yield "spec.loop.success", f"has {len(loop.success)} criteria; at most {MAX_CRITERIA}"
    for index, criterion in enumerate(loop.success):
        if problem := _criterion_problem(criterion):
            yield f"spec.loop.success[{index}]", problem
    if problem := _pattern_problem(loop.abort.output_matches):
        yield "spec.loop.abort.output_matches", problem
    if loop.abort.repeats == 1:
        yield "spec.loop.abort.repeats", "must be 0 (never) or at least 2"
    if not 0 < loop.check_timeout_s <= 86_400:
        yield "spec.loop.check_timeout_s", "must lie between 0 and 86400"
    limits = loop.limits
    wanted = (("tokens", limits.tokens, "tokens"), ("cost_microusd", limits.cost_microusd, "cost"))
    for field, value, word in wanted:
        if value and word not in measures:
            why = f"agents of kind {adapter} do not tell their {word}, so this could not be kept"
            yield f"spec.loop.limits.{field}", f"{why}; limit iterations or time instead"


def _criterion_problem(criterion: Criterion) -> str:
    match criterion:
        case CommandHolds(command=text) | FileExists(path=text):
            return _text_problem(text)
        case FileContains(path=path, pattern=pattern):
            return _text_problem(path) or _pattern_problem(pattern) or ("has no pattern" if not pattern else "")
        case OutputMatches(pattern=pattern):
            return _pattern_problem(pattern) or ("has no pattern" if not pattern else "")
        case _:
            return ""


def _text_problem(text: str) -> str:
    if not text.strip():
        return "is empty"
    return "holds a NUL" if "\0" in text else ""


def _pattern_problem(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN:
        return f"is longer than {MAX_PATTERN} characters"
    try:
        re.compile(pattern)
    except re.error as error:
        return f"is not a regular expression: {error}"
    return ""
