"""Facts into state. `apply` never refuses: its event has already happened."""

from dataclasses import replace
from typing import Final, assert_never

from kaged.domain import restart
from kaged.domain.events.facts import (
    AgentEvent,
    ApprovalAnswered,
    ApprovalRequested,
    ApprovalWithdrawn,
    Ended,
    InputAccepted,
    OutputHeld,
    OutputReleased,
    Removed,
    Resized,
    RestartScheduled,
    RunEnded,
    RunExecuted,
    RunSetAside,
    RunStarted,
    RunWanted,
    SignalHeard,
    Signalled,
    Spawned,
    Stopped,
    StopWanted,
)
from kaged.domain.events.goal import Judged, Paused, PauseWanted, Resumed
from kaged.domain.events.guardrail import GuardrailJudged
from kaged.domain.events.workspace import (
    WorkspaceFailed,
    WorkspaceMade,
    WorkspaceMerged,
    WorkspaceOverlapped,
    WorkspaceRemoved,
    WorkspaceRestored,
    WorkspaceSnapshotted,
    WorkspaceWanted,
)
from kaged.domain.goal_spec import GoalLoop
from kaged.domain.machines import workspace as workspaces
from kaged.domain.machines.agent.outcome import account_of
from kaged.domain.machines.agent.state import AgentState, Phase, Run, Usage
from kaged.domain.machines.goal import state as goals
from kaged.domain.machines.goal.state import GoalState, begun_anew, turn_began, turn_ended, turn_lost

_ACTION_CHARS: Final = 120
_DETAIL_CHARS: Final = 300
_NO_RESTARTS: Final = frozenset({"turn", "resumed", "queue"})  # runs that follow no failure


def spawn(agent: str, event: Spawned, at_us: int) -> AgentState:
    """The state that an agent begins with."""
    return AgentState(
        id=agent,
        number=event.number,
        spec=event.spec,
        supervisor=event.supervisor,
        queued=event.queued,
        goal=GoalState() if event.spec.loop is not None else None,
        created_us=at_us,
        updated_us=at_us,
    )


def apply(state: AgentState, event: AgentEvent, at_us: int) -> AgentState:
    """The state after a fact that was recorded at `at_us`."""
    match event:
        case RunWanted():
            after = account_of(state.run) if event.cause not in _NO_RESTARTS else ""
            run = Run(id=event.run, attempt=event.attempt, ordinal=event.ordinal, wanted_us=at_us, after=after)
            restarts = state.restarts + (event.attempt > 1 and event.cause not in _NO_RESTARTS)
            retries = state.retries + 1 if event.cause == "retry" else 0
            # A person who starts it again gives it a clean slate; otherwise its next exit could be the last straw.
            window, failures = ((), 0) if event.cause == "requested" else (state.window, state.failures)
            goal = begun_anew(state.goal) if state.goal is not None and event.cause == "requested" else state.goal
            goal = replace(goal, anew=False) if goal is not None else None
            flagged = "" if event.cause == "requested" else state.flagged
            return replace(
                state, run=run, phase="starting", goal=goal, flagged=flagged, queued=False, restarts=restarts,
                retries=retries, window=window, failures=failures, due_us=0, stop=None, ended=None, updated_us=at_us,
            )  # fmt: skip
        case RunStarted():
            return _with_run(
                state, phase="started", shim_pid=event.shim_pid,
                shim_start_ticks=event.shim_start_ticks, boot_id=event.boot_id,
            )  # fmt: skip
        case RunExecuted():
            state = _with_run(state, phase="executed", pid=event.pid, session=event.session, executed_us=event.at_us)
            phase: Phase = "stopping" if state.stop is not None else "running"
            if state.loop is not None and state.loop[0].run_is_turn:
                state = replace(state, goal=turn_began(state.loop[1], at_us))
            return replace(state, phase=phase, updated_us=at_us)
        case RunEnded():
            state = _with_run(state, phase="ended", end=event, held_by="", set_aside=False)
            if state.loop is not None:
                state = replace(state, goal=_without_process(*state.loop, state, event, at_us))
            return replace(state, phase="idle", stop=None, updated_us=at_us)
        case StopWanted():
            if event.run:
                state = _ordered(state, event.order, event.offset + event.length)
            return replace(state, stop=event, phase="stopping", due_us=0, ended=None, updated_us=at_us)
        case RestartScheduled():
            ended_us = state.run.end.ended_us if state.run is not None and state.run.end is not None else at_us
            policy = state.spec.restart
            window, _ = restart.judge(
                state.window, ended_us, intensity=policy.intensity, period_us=int(policy.period_s * 1e6)
            )
            return replace(
                state, phase="backoff", due_us=event.due_us, failures=event.consecutive, window=window, updated_us=at_us
            )
        case Signalled() | Resized():
            return _ordered(state, event.order, event.offset + event.length)
        case InputAccepted():
            return _with_run(state, input_end=event.offset + event.length, input_closed=event.eof)
        case OutputHeld():
            return _with_run(state, said=event.number, held_by=event.limit)
        case OutputReleased():
            return _with_run(state, said=event.number, held_by="")
        case RunSetAside():
            return _with_run(state, set_aside=event.protocol > event.spoken)
        case ApprovalRequested():
            return replace(state, approvals=(*state.approvals, event.approval), updated_us=at_us)
        case ApprovalAnswered() | ApprovalWithdrawn():
            left = tuple(item for item in state.approvals if item != event.approval)
            return replace(state, approvals=left, updated_us=at_us)
        case SignalHeard():
            if state.run is not None and state.run.id == event.run:
                state = _heard(state, state.run, event, at_us)
            return replace(state, usage=_used(state.usage, event))
        case Judged() | PauseWanted() | Paused() | Resumed():
            if state.goal is None:
                return state
            # A back-off that a pause cuts short has no process to wait for.
            resumed = isinstance(event, Resumed) and state.goal.paused != "rate_limit"  # by a person
            phase = "idle" if isinstance(event, Paused) and state.phase == "backoff" else state.phase
            return replace(
                state, goal=goals.apply(state.goal, event, at_us), phase=phase,
                flagged="" if resumed else state.flagged,
                due_us=0 if phase == "idle" else state.due_us, updated_us=at_us,
                usage=_afresh(state.usage, event),
            )  # fmt: skip
        case GuardrailJudged():
            return replace(state, flagged=event.rule, updated_us=at_us) if event.after else state
        case Ended():
            return replace(state, phase="ended", ended=event, stop=None, updated_us=at_us)
        case Stopped():
            rest = Ended(
                outcome=event.outcome, reason=event.reason, exit_code=event.exit_code, signal=event.signal,
                limit="", note="",
            )  # fmt: skip
            return replace(state, phase="stopped", ended=rest, stop=None, updated_us=at_us)
        case Removed():
            place = state.workspace
            if place is not None and event.keep_workspace:
                place = replace(place, phase="kept")
            return replace(state, removed=True, workspace=place, updated_us=at_us)
        case WorkspaceRestored():
            goal = goals.told_first(state.goal, _restored(event)) if state.goal is not None else None
            return replace(state, goal=goal, updated_us=at_us)
        case (
            WorkspaceWanted()
            | WorkspaceMade()
            | WorkspaceFailed()
            | WorkspaceSnapshotted()
            | WorkspaceMerged()
            | WorkspaceOverlapped()
            | WorkspaceRemoved()
        ):
            return replace(state, workspace=workspaces.apply(state.workspace, event), updated_us=at_us)
        case Spawned():
            return spawn(state.id, event, at_us)
        case _:
            assert_never(event)


def _heard(state: AgentState, run: Run, event: SignalHeard, at_us: int) -> AgentState:
    goal = state.goal
    # With `by_runs` the run's end is the turn's; a process that is to be replaced has no turns any more.
    by_runs = state.loop is not None and (state.loop[0].run_is_turn or state.loop[1].anew)
    match event.type:
        case "signal.turn.started":
            state = _with_run(state, turns=run.turns + 1)
            goal = turn_began(goal, at_us) if goal is not None and not by_runs else goal
        case "signal.turn.ended":
            detail = event.text[:_DETAIL_CHARS] if event.failure else ""
            state = _with_run(state, last_turn=event.outcome, failure=event.failure, failure_detail=detail)
            if goal is not None and not by_runs:
                goal = turn_ended(goal, event.outcome, at_us, failure=event.failure, detail=detail)
        case "signal.plan" if goal is not None and not event.parent:
            goal = replace(goal, plan_done=event.plan_done, plan_items=event.plan_items)
        case "signal.tool.requested" | "signal.tool.started" if goal is not None:
            goal = replace(goal, last_action=" ".join(filter(None, (event.tool, event.text)))[:_ACTION_CHARS])
        case _:
            pass
    return replace(state, goal=goal)


def _without_process(loop: GoalLoop, goal: GoalState, state: AgentState, event: RunEnded, at_us: int) -> GoalState:
    """The loop after a run: its turn is over when the program ended well, or when a run is a turn; else it is lost."""
    assert state.run is not None
    if loop.run_is_turn and event.kind == "exited" and not event.signal and event.how != "shutdown":
        run, outcome = state.run, "ok" if event.how == "normal" else "error"
        return turn_ended(goal, outcome, at_us, failure=run.failure, detail=run.failure_detail)
    if event.how == "normal" and not goal.turn_ended_us and (goal.turn_began_us or not state.run.turns):
        return turn_ended(goal, "ok", at_us)
    return turn_lost(goal, at_us)


def _with_run(state: AgentState, **changes: object) -> AgentState:
    assert state.run is not None
    return replace(state, run=replace(state.run, **changes))  # type: ignore[arg-type]  # names checked by callers' tests


def _ordered(state: AgentState, number: int, end: int) -> AgentState:
    return _with_run(state, orders=number, orders_end=end)


def _restored(event: WorkspaceRestored) -> str:
    when = f" to how they were after turn {event.turn}" if event.turn else " to an earlier state"
    return f"The files in your folder were put back{when}: what you changed there since then is undone."


def _afresh(usage: Usage, event: AgentEvent) -> Usage:
    """A session that has no room left is not gone on with."""
    full = isinstance(event, Judged) and event.verdict == "next" and event.why == "context_exhausted"
    return replace(usage, native_session="") if full else usage


def _used(usage: Usage, event: SignalHeard) -> Usage:
    native_session = event.native_session or usage.native_session
    if event.type == "signal.session.lost":
        native_session = ""  # the next run begins another
    return replace(
        usage,
        turns=max(usage.turns, event.turn),
        input_tokens=usage.input_tokens + event.input_tokens,
        output_tokens=usage.output_tokens + event.output_tokens,
        cost_microusd=usage.cost_microusd + event.cost_microusd,
        native_session=native_session,
    )
