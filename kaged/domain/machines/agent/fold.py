"""Facts into state. `apply` never refuses: its event has already happened."""

from dataclasses import replace
from typing import assert_never

from kaged.domain import restart
from kaged.domain.events.agent import (
    AgentEvent,
    ApprovalAnswered,
    ApprovalRequested,
    ApprovalWithdrawn,
    Ended,
    InputAccepted,
    Removed,
    Resized,
    RestartScheduled,
    RunEnded,
    RunExecuted,
    RunStarted,
    RunWanted,
    SignalHeard,
    Signalled,
    Spawned,
    Stopped,
    StopWanted,
)
from kaged.domain.machines.agent.state import (
    AgentState,
    Phase,
    Run,
    Usage,
)


def spawn(agent: str, event: Spawned, at_us: int) -> AgentState:
    """The state that an agent begins with."""
    return AgentState(
        id=agent, number=event.number, spec=event.spec, supervisor=event.supervisor, created_us=at_us, updated_us=at_us
    )


def apply(state: AgentState, event: AgentEvent, at_us: int) -> AgentState:
    """The state after a fact that was recorded at `at_us`."""
    match event:
        case RunWanted():
            run = Run(id=event.run, attempt=event.attempt, ordinal=event.ordinal, wanted_us=at_us)
            restarts = state.restarts + (event.attempt > 1)
            retries = state.retries + 1 if event.cause == "retry" else 0
            # A person who starts it again gives it a clean slate; otherwise its next exit could be the last straw.
            window, failures = ((), 0) if event.cause == "requested" else (state.window, state.failures)
            return replace(
                state, run=run, phase="starting", restarts=restarts, retries=retries, window=window, failures=failures,
                due_us=0, stop=None, ended=None, updated_us=at_us,
            )  # fmt: skip
        case RunStarted():
            return _with_run(
                state, phase="started", shim_pid=event.shim_pid,
                shim_start_ticks=event.shim_start_ticks, boot_id=event.boot_id,
            )  # fmt: skip
        case RunExecuted():
            state = _with_run(state, phase="executed", pid=event.pid, session=event.session, executed_us=event.at_us)
            phase: Phase = "stopping" if state.stop is not None else "running"
            return replace(state, phase=phase, updated_us=at_us)
        case RunEnded():
            state = _with_run(state, phase="ended", end=event)
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
        case ApprovalRequested():
            return replace(state, approvals=(*state.approvals, event.approval), updated_us=at_us)
        case ApprovalAnswered() | ApprovalWithdrawn():
            left = tuple(item for item in state.approvals if item != event.approval)
            return replace(state, approvals=left, updated_us=at_us)
        case SignalHeard():
            if event.type == "signal.turn.ended" and state.run is not None and state.run.id == event.run:
                state = _with_run(state, last_turn=event.outcome)
            return replace(state, usage=_used(state.usage, event))
        case Ended():
            return replace(state, phase="ended", ended=event, stop=None, updated_us=at_us)
        case Stopped():
            rest = Ended(
                outcome=event.outcome, reason=event.reason, exit_code=event.exit_code, signal=event.signal,
                limit="", note="",
            )  # fmt: skip
            return replace(state, phase="stopped", ended=rest, stop=None, updated_us=at_us)
        case Removed():
            return replace(state, removed=True, updated_us=at_us)
        case Spawned():
            return spawn(state.id, event, at_us)
        case _:
            assert_never(event)


def _with_run(state: AgentState, **changes: object) -> AgentState:
    assert state.run is not None
    return replace(state, run=replace(state.run, **changes))  # type: ignore[arg-type]  # names checked by callers' tests


def _ordered(state: AgentState, number: int, end: int) -> AgentState:
    return _with_run(state, orders=number, orders_end=end)


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
