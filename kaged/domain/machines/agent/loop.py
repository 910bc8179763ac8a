"""What an agent's loop and its runs have to do with each other. Pure; `machines/goal` knows the loop alone.

A turn that ended is judged while its process waits, or after it has gone. The next prompt goes to a process that is
there, or begins a run. A process that dies in mid-turn is a crash, which the restart policy answers; what the agent
was to be told is told to the next run. A loop that is over lets its process go: input ends, then it is stopped.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal

from kaged.domain.errors import Invalid, Precondition
from kaged.domain.events.facts import AgentEvent, InputAccepted, RunEnded, RunWanted
from kaged.domain.events.goal import Judged, Paused, PauseWanted, Resumed
from kaged.domain.goal_spec import GoalLimits
from kaged.domain.machines.agent.fold import apply
from kaged.domain.machines.agent.outcome import detail_of, ended_as, reason_of
from kaged.domain.machines.agent.state import AgentNotRunning, AgentState, next_attempt
from kaged.domain.machines.agent.wishes import decide_stop
from kaged.domain.machines.goal.judge import Evidence, limit_reached, verdict_of
from kaged.domain.machines.goal.state import GoalState

Speak = Callable[[AgentState, str], bytes]
"""Words in the form of the agent's adapter; empty: it cannot be spoken to now."""

_RETRIES: Final = 5


class NoLoop(Precondition):
    """The agent has no loop that could be held."""

    reason = "AGENT_HAS_NO_LOOP"

    def __init__(self, agent: AgentState) -> None:
        super().__init__(
            f"agent {agent.spec.name} works without a loop: there is nothing to pause or resume",
            hint=f"kagectl agent stop {agent.spec.name}, or spawn with --until or --max-iterations",
            agent=agent.id,
        )


class AgentNotPaused(Precondition):
    """It is at work already."""

    reason = "AGENT_NOT_PAUSED"

    def __init__(self, agent: AgentState) -> None:
        super().__init__(
            f"agent {agent.spec.name} is {agent.word}, not paused",
            hint=f"kagectl agent show {agent.spec.name}",
            agent=agent.id,
            state=agent.word,
        )


def decide_judged(
    state: AgentState, evidence: Evidence, *, next_run: str, speak: Speak, at_us: int, closed_until_us: int = 0
) -> tuple[AgentEvent, ...]:
    """The turn that waits is judged, and what follows from that. Of a turn that does not wait any more: nothing.

    `closed_until_us`: until then the limit of its account, which another agent met, holds it as well.
    """
    if state.loop is None or state.phase in ("ended", "stopping") or state.loop[1].phase != "judging":
        return ()
    loop, goal = state.loop
    judged = verdict_of(loop, goal, evidence)
    after = apply(state, judged, at_us)
    if judged.verdict != "next":
        return (judged, *conclude(after))
    held = _held_by(after, judged, evidence.parked_until_us or closed_until_us)
    return (judged, held) if held is not None else (judged, *go_on(after, next_run=next_run, speak=speak, cause="turn"))


def _held_by(after: AgentState, judged: Judged, closed_until_us: int) -> Paused | None:
    limit = spent(after)
    if after.goal is not None and after.goal.rule:
        return _wished(after.goal)
    if judged.why == "auth":
        return Paused(cause="failure", limit="", until_us=0, failure="auth")
    if limit:
        return Paused(cause="limit", limit=limit, until_us=0)
    if after.goal is not None and (after.goal.pause_wanted or judged.why == "cancelled"):
        return _wished(after.goal)
    if closed_until_us:
        return Paused(cause="rate_limit", limit="", until_us=closed_until_us)
    return None


def _wished(goal: GoalState) -> Paused:
    """Held because a guardrail or, if none does, a person wants it."""
    return Paused(cause="guard" if goal.rule else "user", limit="", until_us=0, rule=goal.rule)


def spent(state: AgentState) -> str:
    """The limit of its loop that is used up, or an empty text."""
    if state.loop is None:
        return ""
    usage = state.usage
    tokens = usage.input_tokens + usage.output_tokens
    return limit_reached(*state.loop, tokens=tokens, cost_microusd=usage.cost_microusd)


def conclude(state: AgentState) -> tuple[AgentEvent, ...]:
    """The loop is over: the end, or the end of input for a process that is still there."""
    run = state.live_run
    if run is None:
        return (_over(state),)
    if run.input_closed or state.spec.stdin == "null":
        return ()
    return (InputAccepted(run=run.id, offset=run.input_end, length=0, eof=True, data=b""),)


def _over(state: AgentState) -> AgentEvent:
    assert state.goal is not None
    if state.goal.over == "succeeded":
        return ended_as(state, "succeeded", "goal")
    return ended_as(state, "failed", "aborted", note=_ABORTS.get(state.goal.why, state.goal.why))


_ABORTS: Final = {
    "errors": "too many turns in a row failed",
    "repeats": "it said and did the same again and again",
    "no_progress": "nothing changed for too many turns",
    "output_matches": "it said what it was to be given up for",
}


def go_on(
    state: AgentState, *, next_run: str, speak: Speak, cause: Literal["turn", "resumed"]
) -> tuple[AgentEvent, ...]:
    """Tell it what comes next: the process that is there, or a new run. One that is about to end is waited for."""
    assert state.goal is not None
    run = state.live_run
    if run is None:
        return (RunWanted(run=next_run, attempt=next_attempt(state), cause=cause, ordinal=0),)
    if state.stop is not None:
        return ()
    if state.goal.anew:  # its end brings the next run
        return decide_stop(state, cause="turn")
    if run.input_closed:
        return ()
    data = speak(state, state.goal.words)
    return (InputAccepted(run=run.id, offset=run.input_end, length=len(data), eof=False, data=data),) if data else ()


def follow_run(
    before: AgentState,
    after: AgentState,
    report: RunEnded,
    *,
    next_run: str,
    crashed: Callable[[], Sequence[AgentEvent]],
) -> Sequence[AgentEvent]:
    """What follows from the end of a run of an agent with a loop. `crashed`: what its restart policy says."""
    assert after.goal is not None
    stop, goal = before.stop, after.goal
    if goal.over:
        return (_over(after),)
    if stop is not None and stop.cause == "limit":
        return (Paused(cause="limit", limit=stop.limit, until_us=0),)
    if stop is not None and stop.cause == "turn":
        again = RunWanted(run=next_run, attempt=next_attempt(before), cause="turn", ordinal=0)
        return (_wished(goal) if goal.pause_wanted else again,)
    if stop is not None:
        return (ended_as(after, "cancelled", "stopped", note=stop.note),)
    if report.stopped_by in ("wall_time", "unsupervised"):
        return (Paused(cause="limit", limit=report.stopped_by, until_us=0),)
    if report.kind == "not_started" and before.retries < _RETRIES:
        return (RunWanted(run=next_run, attempt=next_attempt(before), cause="retry", ordinal=0),)
    if goal.turn_ended_us or goal.paused:
        return ()
    if goal.pause_wanted:
        return (_wished(goal),)
    if report.how == "normal":  # between two turns: some programs end after each
        return (RunWanted(run=next_run, attempt=next_attempt(before), cause="turn", ordinal=0),)
    if before.spec.restart.type == "temporary":
        return (ended_as(after, "failed", reason_of(report), note=detail_of(report)),)
    return crashed()


# --- wishes -------------------------------------------------------------------------------------------------------


def decide_pause(state: AgentState, *, now: bool, interrupt: bytes, note: str) -> tuple[AgentEvent, ...]:
    """Hold it at the end of its turn; `now`: end the turn with `interrupt`. Of a paused one: nothing.

    Raises NoLoop, AgentNotRunning, Precondition for an agent whose turns cannot be interrupted.
    """
    if state.loop is None:
        raise NoLoop(state)
    goal = state.loop[1]
    if state.phase == "ended" or goal.over or state.stopped_for_good:
        raise AgentNotRunning(state, "pause it")
    if goal.paused == "rate_limit":  # or it would go on of itself
        return (PauseWanted(now=now, sent=False, note=note), Paused(cause="user", limit="", until_us=0))
    if goal.paused or (goal.pause_wanted and (goal.interrupt_wanted or not now)):
        return ()
    if state.live_run is None and not goal.turn_ended_us:  # between two runs, in its back-off
        return (PauseWanted(now=now, sent=False, note=note), Paused(cause="user", limit="", until_us=0))
    if state.stop is not None:  # it is being replaced: held before its next turn
        return (PauseWanted(now=now, sent=False, note=note),)
    if now and goal.turn_began_us and not interrupt:
        raise Precondition(
            f"the turn of agent {state.spec.name} cannot be interrupted",
            hint="pause it without --now: it is held when its turn ends",
            agent=state.id,
            adapter=state.spec.adapter,
        )
    sent = now and bool(interrupt)
    return (PauseWanted(now=now, sent=sent, note=note), *(_type(state, interrupt) if sent else ()))


def decide_hold(state: AgentState, *, rule: str) -> tuple[AgentEvent, ...]:
    """It did what a rule forbids: its turn is to be interrupted, and it is held until a person lets it go on.

    The interruption follows from the state. Of an agent without a loop, or one that is held or at its end: nothing.
    """
    if state.loop is None or state.phase == "ended" or state.stopped_for_good:
        return ()
    goal = state.loop[1]
    if goal.over or goal.rule or goal.paused not in ("", "rate_limit"):
        return ()
    wanted = PauseWanted(now=True, sent=False, note="", rule=rule)
    if goal.paused or (state.live_run is None and not goal.turn_ended_us):
        return (wanted, Paused(cause="guard", limit="", until_us=0, rule=rule))
    return (wanted,)


def decide_interrupt(state: AgentState, interrupt: bytes) -> tuple[AgentEvent, ...]:
    """A limit was reached in the middle of a turn: end it now rather than pay for the rest."""
    if state.loop is None or not state.loop[1].turn_began_us or state.loop[1].interrupted or state.stop is not None:
        return ()
    if not interrupt:
        return ()
    return (PauseWanted(now=True, sent=True, note=""), *_type(state, interrupt))


def _type(state: AgentState, data: bytes) -> tuple[AgentEvent, ...]:
    run = state.live_run
    if run is None or run.input_closed:
        return ()
    return (InputAccepted(run=run.id, offset=run.input_end, length=len(data), eof=False, data=data),)


def decide_resume(
    state: AgentState, *, guidance: str, add: GoalLimits, next_run: str, speak: Speak, at_us: int
) -> tuple[AgentEvent, ...]:
    """Let it go on. Raises NoLoop, AgentNotPaused, AgentNotRunning, Invalid when a limit is still used up."""
    if state.loop is None:
        raise NoLoop(state)
    goal = state.loop[1]
    if state.phase == "ended" or goal.over or state.stopped_for_good:
        raise AgentNotRunning(state, "resume it")
    if not goal.paused and not goal.pause_wanted:
        raise AgentNotPaused(state)
    resumed = Resumed(
        add_iterations=add.iterations,
        add_tokens=add.tokens,
        add_cost_microusd=add.cost_microusd,
        add_time_us=add.time_us,
        note=_words(goal, guidance),
    )
    after = apply(state, resumed, at_us)
    limit = spent(after)
    if limit and not goal.turn_ended_us:
        raise Invalid(
            (f"add.{_FIELDS[limit]}", f"the limit of {limit} is still used up"),
            hint=f"kagectl agent resume {state.spec.name} {_OPTIONS[limit]}",
        )
    if not goal.paused:
        return (resumed,)  # only the wish is taken back: its turn goes on
    return (resumed, *go_on(after, next_run=next_run, speak=speak, cause="resumed"))


_FIELDS: Final = {"iterations": "iterations", "tokens": "tokens", "cost": "cost_microusd", "time": "time_s"}
_OPTIONS: Final = {
    "iterations": "--add-iterations 5",
    "tokens": "--add-tokens 100k",
    "cost": "--add-cost 1usd",
    "time": "--add-time 1h",
}


def decide_wake(state: AgentState, *, next_run: str, speak: Speak, at_us: int) -> tuple[AgentEvent, ...]:
    """An account's limit is over: go on. Early and repeated calls do no harm."""
    if state.loop is None or state.phase == "ended" or state.stop is not None:
        return ()
    goal = state.loop[1]
    if goal.paused != "rate_limit" or at_us < goal.until_us:
        return ()
    resumed = Resumed(add_iterations=0, add_tokens=0, add_cost_microusd=0, add_time_us=0, note=_words(goal, ""))
    after = apply(state, resumed, at_us)
    return (resumed, *go_on(after, next_run=next_run, speak=speak, cause="resumed"))


def _words(goal: GoalState, guidance: str) -> str:
    if not guidance:
        return goal.words or "You were paused. Go on with what you were asked to do."
    return f"{guidance}\n\n{goal.words}" if goal.words else guidance
