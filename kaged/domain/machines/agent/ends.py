"""What follows from the end of a run, decided in the same breath: another run, a wait, rest, or the end."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from kaged.domain import restart
from kaged.domain.events.facts import (
    AgentEvent,
    ApprovalWithdrawn,
    How,
    RestartScheduled,
    RunEnded,
    RunWanted,
    Stopped,
)
from kaged.domain.machines.agent.fold import apply
from kaged.domain.machines.agent.loop import follow_run
from kaged.domain.machines.agent.outcome import detail_of, ended_as, reason_of
from kaged.domain.machines.agent.state import AgentState, next_attempt
from kaged.domain.signals import FAILED_TURNS

_RETRIES: Final = 5  # starts in a row that never reached the program, before that counts as a failure


def decide_ended(
    state: AgentState, report: RunEnded, *, next_run: str, now_us: int, jitter: float
) -> tuple[AgentEvent, ...]:
    """Its run is over: what follows is decided in the same breath, so that a crash cannot come between."""
    assert state.run is not None
    if state.run.id != report.run or not state.run.live:
        return ()
    report = replace(report, how=_how(state, report))
    events: list[AgentEvent] = [ApprovalWithdrawn(approval=item, cause="run_ended") for item in state.approvals]
    events.insert(0, report)
    if state.supervisor:
        if report.kind == "not_started" and state.stop is None and state.retries < _RETRIES:
            # Nothing of the child ran (the daemon died before the gate opened): no failure of the child, so no
            # news for its tree, which goes on to wait for the same start.
            again = RunWanted(run=next_run, attempt=next_attempt(state), cause="retry", ordinal=state.run.ordinal)
            return (*events, again)
        return tuple(events)  # the tree hears of the exit and decides
    after = state
    for event in events:
        after = apply(after, event, now_us)
    return (*events, *_follow(state, after, report, next_run=next_run, now_us=now_us, jitter=jitter))


def _how(state: AgentState, report: RunEnded) -> How:
    if state.stop is not None or report.stopped_by not in ("", "memory"):  # the kernel's kill is a crash
        return "shutdown"
    if report.kind == "exited" and not report.signal and report.exit_code in (0, *state.spec.success_exit_codes):
        # Some agents exit with 0 whatever became of their work: what they said of their last turn counts as well.
        failed = state.run is not None and state.run.last_turn in FAILED_TURNS
        return "abnormal" if failed else "normal"
    return "abnormal"


def _follow(
    before: AgentState, after: AgentState, report: RunEnded, *, next_run: str, now_us: int, jitter: float
) -> Sequence[AgentEvent]:
    stop = before.stop
    attempt = next_attempt(before)
    if stop is not None and stop.cause == "restart":
        return (RunWanted(run=next_run, attempt=attempt, cause="requested", ordinal=0),)
    if after.goal is not None:

        def crashed() -> Sequence[AgentEvent]:
            return _restart(before, after, report, next_run=next_run, now_us=now_us, jitter=jitter)

        return follow_run(before, after, report, next_run=next_run, crashed=crashed)
    if stop is not None:
        if stop.cause == "limit":
            return (ended_as(after, "failed", "limit", limit=stop.limit, note=stop.note),)
        return (ended_as(after, "cancelled", "stopped", note=stop.note),)
    if report.stopped_by not in ("", "request", "memory"):  # a limit that its shim holds, perhaps of a newer release
        return (ended_as(after, "failed", "limit", limit=report.stopped_by),)
    if report.kind == "not_started" and before.retries < _RETRIES:
        return (RunWanted(run=next_run, attempt=attempt, cause="retry", ordinal=0),)
    policy = before.spec.restart
    if policy.type == "temporary" or (policy.type == "transient" and report.how == "normal"):
        return (
            ended_as(
                after, "succeeded" if report.how == "normal" else "failed", reason_of(report), note=detail_of(report)
            ),
        )
    if policy.type == "transient" and before.run is not None and before.run.failure == "auth":
        # A person has to sign in; starting it again would only use up its restarts.
        return (ended_as(after, "failed", "auth", note=before.run.failure_detail),)
    return _restart(before, after, report, next_run=next_run, now_us=now_us, jitter=jitter)


def _restart(
    before: AgentState, after: AgentState, report: RunEnded, *, next_run: str, now_us: int, jitter: float
) -> Sequence[AgentEvent]:
    policy = before.spec.restart
    _, exceeded = restart.judge(
        before.window, report.ended_us, intensity=policy.intensity, period_us=int(policy.period_s * 1e6)
    )
    if exceeded:
        return (ended_as(after, "failed", "restarts_exhausted", note=detail_of(report)),)
    assert before.run is not None
    ran_us = report.ended_us - before.run.executed_us if before.run.executed_us else 0
    failures = restart.failures_after(policy.backoff, before.failures, ran_us)
    delay = restart.delay_us(policy.backoff, failures, jitter)
    scheduled = RestartScheduled(due_us=now_us + delay, delay_us=delay, consecutive=failures + 1)
    if delay:
        return (scheduled,)
    return (scheduled, RunWanted(run=next_run, attempt=next_attempt(before), cause="restart", ordinal=0))


def decide_retired(state: AgentState) -> tuple[AgentEvent, ...]:
    """Its tree has no place for it any more."""
    if state.phase == "ended" or state.live_run is not None:
        return ()
    return (ended_as(state, _came_to(state), "supervisor"),)


def decide_rest(state: AgentState) -> tuple[AgentEvent, ...]:
    """Its tree keeps its place and does not start it of itself."""
    if state.phase != "idle" or not state.supervisor:
        return ()
    end, outcome = state.run.end if state.run is not None else None, _came_to(state)
    reason = reason_of(end) if end is not None and outcome != "cancelled" else "stopped"
    exit_code, signal = (end.exit_code, end.signal) if end is not None else (-1, 0)
    return (Stopped(outcome=outcome, reason=reason, exit_code=exit_code, signal=signal),)


def _came_to(state: AgentState) -> Literal["succeeded", "failed", "cancelled"]:
    how = state.run.end.how if state.run is not None and state.run.end is not None else "shutdown"
    return "succeeded" if how == "normal" else "failed" if how == "abnormal" else "cancelled"
