"""Facts about an agent's loop towards its goal. `machines/goal` says what they mean.

Fields marked "text" go into the event's body and may be redacted.
"""

from typing import ClassVar, Literal, TypeAlias

from kaged.domain.frozen import frozen

Verdict = Literal["next", "succeeded", "failed"]
Why = Literal[
    "criteria",
    "agent",
    "errors",
    "repeats",
    "no_progress",
    "output_matches",
    "rate_limit",
    "cancelled",
    "auth",
    "context_exhausted",
]
PauseCause = Literal["limit", "user", "rate_limit", "guard", "failure"]


@frozen
class CheckResult:
    """What one success criterion came to; its output is in the note of the judgement."""

    passed: bool
    exit_code: int = -1
    took_us: int = 0
    timed_out: bool = False


@frozen
class Judged:
    """A turn was judged. `said`, `tried` (tool calls) and `files` are fingerprints, empty: nothing, or not known.

    `note` is what the agent is told next, if it goes on; otherwise what the checks printed.
    """

    type_name: ClassVar[str] = "goal.judged"

    iteration: int
    verdict: Verdict
    why: Why
    checks: tuple[CheckResult, ...]
    turn_failed: bool
    said: str
    tried: str
    files: str
    ended_us: int
    files_changed: int
    lines_added: int
    lines_removed: int
    note: str  # text


@frozen
class PauseWanted:
    """The loop is to be held at the end of the turn; `now`: the turn is to be interrupted for it, `sent`: it was.

    `rule`: the guardrail's that wants it; empty: a person, or a limit.
    """

    type_name: ClassVar[str] = "goal.pause_wanted"

    now: bool
    sent: bool
    note: str  # text
    rule: str = ""


@frozen
class Paused:
    """No next prompt until it is resumed or, if that is not 0, until `until_us`. `limit`, `rule`, `failure`: which."""

    type_name: ClassVar[str] = "goal.paused"

    cause: PauseCause
    limit: str
    until_us: int
    rule: str = ""
    failure: str = ""


@frozen
class Resumed:
    """It goes on, with so much more. `note` is what the agent is told."""

    type_name: ClassVar[str] = "goal.resumed"

    add_iterations: int
    add_tokens: int
    add_cost_microusd: int
    add_time_us: int
    note: str  # text


GoalEvent: TypeAlias = Judged | PauseWanted | Paused | Resumed
