"""Where a loop stands, and facts folded into that. Never refuses: what it hears has happened."""

from dataclasses import replace
from typing import Literal, assert_never

from kaged.domain.events.goal import GoalEvent, Judged, Paused, PauseWanted, Resumed
from kaged.domain.frozen import frozen
from kaged.domain.goal_spec import GoalLimits, GoalLoop

GoalPhase = Literal["working", "judging", "paused", "over"]


@frozen
class GoalState:
    """Times are microseconds since 1970 UTC, 0: not yet.

    `words`: what the agent was or will be told next and has not begun on; kept so that a run that dies before it
    began does not lose them, and dropped when a turn begins, so that no prompt is given twice.
    """

    iterations: int = 0
    turn_began_us: int = 0  # 0: no turn is under way
    turn_ended_us: int = 0  # 0: no turn waits to be judged
    turn_outcome: str = ""
    failure: str = ""  # why its last turn failed, if its adapter could tell
    failure_detail: str = ""  # in its own words
    anew: bool = False  # what comes next needs another process: this one cannot sign in, or its context is full
    words: str = ""
    pause_wanted: bool = False
    interrupt_wanted: bool = False
    interrupted: bool = False
    rule: str = ""  # the guardrail's that wants it held, or holds it
    paused: str = ""
    limit: str = ""
    until_us: int = 0
    over: Literal["", "succeeded", "failed"] = ""
    over_us: int = 0
    why: str = ""
    added: GoalLimits = GoalLimits()
    worked_us: int = 0
    errors: int = 0  # in a row, as are the next two
    repeats: int = 0
    idle_turns: int = 0
    said: str = ""
    tried: str = ""
    files: str = ""
    parked: int = 0  # times in a row that an account's limit ended the turn
    plan_done: int = 0
    plan_items: int = 0
    files_changed: int = 0
    lines_added: int = 0
    lines_removed: int = 0
    last_action: str = ""

    @property
    def phase(self) -> GoalPhase:
        """In one word."""
        if self.over:
            return "over"
        if self.turn_ended_us:
            return "judging"
        return "paused" if self.paused else "working"

    def limits(self, loop: GoalLoop) -> GoalLimits:
        """What it may use in all: nothing is added to what was not limited."""
        given, more = loop.limits, self.added
        return GoalLimits(
            iterations=given.iterations and given.iterations + more.iterations,
            tokens=given.tokens and given.tokens + more.tokens,
            cost_microusd=given.cost_microusd and given.cost_microusd + more.cost_microusd,
            time_us=given.time_us and given.time_us + more.time_us,
        )


def turn_began(state: GoalState, at_us: int) -> GoalState:
    """The agent is at work."""
    return replace(state, turn_began_us=state.turn_began_us or at_us, words="")


def turn_ended(state: GoalState, outcome: str, at_us: int, *, failure: str = "", detail: str = "") -> GoalState:
    """A turn is over and waits to be judged; one that a person began while the loop is held does not."""
    worked = state.worked_us + (max(0, at_us - state.turn_began_us) if state.turn_began_us else 0)
    state = replace(state, turn_began_us=0, worked_us=worked, failure=failure, failure_detail=detail)
    if state.over or (state.paused and not state.pause_wanted):
        return state
    return replace(state, turn_ended_us=at_us, turn_outcome=outcome, words="")


def turn_lost(state: GoalState, at_us: int) -> GoalState:
    """The process that was at work is gone; its turn never came to an end."""
    worked = state.worked_us + (max(0, at_us - state.turn_began_us) if state.turn_began_us else 0)
    return replace(state, turn_began_us=0, worked_us=worked, interrupted=False)


def told_first(state: GoalState, note: str) -> GoalState:
    """Something happened that the agent must know before it goes on."""
    return replace(state, words=f"{note}\n\n{state.words}" if state.words else note)


def begun_anew(state: GoalState) -> GoalState:
    """A person started the agent again: what held it or had ended it does so no more."""
    return replace(
        state, over="", over_us=0, why="", paused="", limit="", until_us=0, pause_wanted=False,
        interrupt_wanted=False, interrupted=False, rule="", turn_began_us=0, turn_ended_us=0,
        errors=0, repeats=0, idle_turns=0, parked=0,
    )  # fmt: skip


def apply(state: GoalState, event: GoalEvent, at_us: int) -> GoalState:
    """The state after a fact that was recorded at `at_us`."""
    match event:
        case Judged():
            return _judged(state, event, at_us)
        case PauseWanted():
            return replace(
                state, pause_wanted=True, interrupt_wanted=state.interrupt_wanted or event.now,
                interrupted=state.interrupted or event.sent, rule=event.rule or state.rule,
            )  # fmt: skip
        case Paused():
            return replace(
                state, paused=event.cause, limit=event.limit, until_us=event.until_us, rule=event.rule,
                pause_wanted=False, interrupt_wanted=False, interrupted=False,
            )  # fmt: skip
        case Resumed():
            more = state.added
            added = GoalLimits(
                iterations=more.iterations + event.add_iterations,
                tokens=more.tokens + event.add_tokens,
                cost_microusd=more.cost_microusd + event.add_cost_microusd,
                time_us=more.time_us + event.add_time_us,
            )
            return replace(
                state, paused="", limit="", until_us=0, pause_wanted=False, interrupt_wanted=False, interrupted=False,
                rule="", added=added, words=event.note,
            )  # fmt: skip
        case _:
            assert_never(event)


def _judged(state: GoalState, event: Judged, at_us: int) -> GoalState:
    same_calls = event.tried == state.tried
    repeats = state.repeats + 1 if event.said and event.said == state.said and same_calls else 0
    # Words alone are no progress: nothing changed, and nothing was tried that was not tried the turn before.
    still = same_calls and bool(event.files) and event.files == state.files
    counted = event.iteration > state.iterations
    return replace(
        state,
        iterations=event.iteration,
        turn_ended_us=0,
        turn_outcome="",
        words=event.note if event.verdict == "next" else "",
        over="" if event.verdict == "next" else event.verdict,
        over_us=0 if event.verdict == "next" else at_us,
        why=event.why,
        anew=event.verdict == "next" and event.why in ("auth", "context_exhausted"),
        worked_us=state.worked_us + max(0, at_us - event.ended_us),
        errors=(state.errors + 1 if event.turn_failed else 0) if counted else state.errors,
        repeats=repeats if counted else state.repeats,
        idle_turns=(state.idle_turns + 1 if still else 0) if counted else state.idle_turns,
        said=event.said,
        tried=event.tried,
        files=event.files,
        parked=state.parked + 1 if event.why == "rate_limit" else 0,
        files_changed=event.files_changed,
        lines_added=event.lines_added,
        lines_removed=event.lines_removed,
    )
