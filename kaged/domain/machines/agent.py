"""The life of one agent: what may be asked of it, what follows from what happens to it. Pure.

    starting --executed--> running --ended--> backoff --due--> starting
        |                     |                  |
        +------- stop --------+-----> stopping --+--ended--> ended   (removed: gone from the lists)
    a child of a tree: idle until its tree starts it; stopped when its tree keeps its place and does not

`decide_*` may refuse; `apply` may not, its event has already happened. Everything needed to go on after a crash of
the daemon is in the state: the run that should be there, the wish to stop it, how far orders and input have come,
the restart window. An agent that is a supervisor's child makes no decision of its own about restarts: its tree
does (`machines/tree`). Not here: output (capture keeps its own place) and goals.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal, assert_never

from kaged.domain import restart
from kaged.domain.errors import Invalid, Precondition
from kaged.domain.events.agent import (
    AgentEvent,
    ApprovalAnswered,
    ApprovalRequested,
    ApprovalWithdrawn,
    Ended,
    How,
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
    StopCause,
    Stopped,
    StopWanted,
)
from kaged.domain.frozen import frozen
from kaged.domain.orders import Order, ResizeOrder, SignalOrder, StopOrder, order_line
from kaged.domain.quantities import format_signal
from kaged.domain.signals import FAILED_TURNS
from kaged.domain.spec import AgentSpec

Phase = Literal["starting", "running", "backoff", "stopping", "idle", "stopped", "ended"]
Outcome = Literal["", "succeeded", "failed", "cancelled"]
_RETRIES: Final = 5  # starts in a row that never reached the program, before that counts as a failure


@frozen
class Run:
    """The current or last process incarnation."""

    id: str
    attempt: int
    ordinal: int = 0
    phase: Literal["wanted", "started", "executed", "ended"] = "wanted"
    pid: int = 0
    session: int = 0
    shim_pid: int = 0
    shim_start_ticks: int = 0
    boot_id: str = ""
    wanted_us: int = 0
    executed_us: int = 0
    orders: int = 0
    orders_end: int = 0
    input_end: int = 0
    input_closed: bool = False
    last_turn: str = ""  # outcome of the last turn that its adapter heard of; programs without turns have none
    end: RunEnded | None = None

    @property
    def live(self) -> bool:
        """Whether a process may be there."""
        return self.phase != "ended"


@frozen
class Usage:
    """Counters that the adapter reported."""

    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0
    native_session: str = ""


@frozen
class AgentState:
    """One agent. Times are microseconds since 1970 UTC. `ended`: how it ended or, when stopped, came to rest."""

    id: str
    number: int
    spec: AgentSpec
    supervisor: str = ""
    phase: Phase = "idle"
    run: Run | None = None
    restarts: int = 0
    window: tuple[int, ...] = ()
    failures: int = 0
    retries: int = 0
    due_us: int = 0
    stop: StopWanted | None = None
    ended: Ended | None = None
    removed: bool = False
    approvals: tuple[str, ...] = ()
    usage: Usage = Usage()
    created_us: int = 0
    updated_us: int = 0

    @property
    def live_run(self) -> Run | None:
        """The run that may have a process."""
        return self.run if self.run is not None and self.run.live else None

    @property
    def word(self) -> str:
        """The state as the API and filters name it."""
        match self.phase:
            case "ended":
                assert self.ended is not None
                return self.ended.outcome
            case "backoff":
                return "waiting"
            case "idle":
                return "pending"
            case "running":
                return "waiting" if self.approvals else "running"
            case "starting" | "stopping" | "stopped":
                return self.phase
            case _:
                assert_never(self.phase)


class AgentNotRunning(Precondition):
    """The agent has no live process."""

    reason = "AGENT_NOT_RUNNING"

    def __init__(self, agent: AgentState, wish: str) -> None:
        super().__init__(
            f"agent {agent.spec.name} is {agent.word}: cannot {wish}",
            hint=f"kagectl agent show {agent.spec.name}",
            agent=agent.id,
            state=agent.word,
        )


class AgentNotEnded(Precondition):
    """The agent is still there."""

    reason = "AGENT_NOT_ENDED"

    def __init__(self, agent: AgentState) -> None:
        super().__init__(
            f"agent {agent.spec.name} is {agent.word}",
            hint=f"kagectl agent stop {agent.spec.name}",
            agent=agent.id,
            state=agent.word,
        )


class AgentSupervised(Precondition):
    """The agent is a child of a tree, which alone starts and ends it."""

    reason = "AGENT_SUPERVISED"

    def __init__(self, agent: AgentState, verb: str) -> None:
        tree, _, path = agent.supervisor.partition("/")
        super().__init__(
            f"agent {agent.spec.name} is a child of tree {tree}",
            hint=f"kagectl tree {verb} {tree} {path}",
            agent=agent.id,
            tree=tree,
            path=path,
        )


# --- what a person or a tree may ask -------------------------------------------------------------------------


def decide_spawn(spec: AgentSpec, *, number: int, supervisor: str, run: str) -> tuple[AgentEvent, ...]:
    """A new agent. A supervisor's child waits for its tree to start it."""
    spawned = Spawned(number=number, spec=spec, supervisor=supervisor)
    if supervisor:
        return (spawned,)
    return (spawned, RunWanted(run=run, attempt=1, cause="spawn", ordinal=0))


def decide_start(state: AgentState, *, run: str, ordinal: int) -> tuple[AgentEvent, ...]:
    """The tree starts its child. A repeat of the same start is nothing."""
    if state.removed or (state.run is not None and (state.run.ordinal >= ordinal or state.run.live)):
        return ()
    return (RunWanted(run=run, attempt=_next_attempt(state), cause="supervisor", ordinal=ordinal),)


def decide_stop(
    state: AgentState,
    *,
    cause: StopCause,
    limit: str = "",
    signal: int = 0,
    grace_s: float | None = None,
    note: str = "",
) -> tuple[AgentEvent, ...]:
    """Ask it to end. With nothing running that is its end at once; of an ended one it is nothing."""
    if state.phase == "ended":
        return ()
    signal = signal or state.spec.stop.signal
    grace_s = state.spec.stop.grace_s if grace_s is None else grace_s
    run = state.live_run
    if run is None:
        wanted = StopWanted(
            cause=cause, limit=limit, signal=signal, grace_s=grace_s, run="", order=0, offset=0, length=0, note=note
        )
        if state.supervisor and cause == "supervisor":
            return ()
        return (wanted, _ended(state, "cancelled", "stopped", note=note))
    if state.stop is not None and not _stronger(state.stop, cause, grace_s):
        return ()
    if state.stop is not None and state.stop.cause != "restart":
        # More haste does not change why: an agent over its limit has failed, whoever is in a hurry to see it gone.
        cause, limit, note = state.stop.cause, state.stop.limit, state.stop.note or note
    order, offset, length = _order(run, StopOrder(signal=signal, grace_s=grace_s))
    return (
        StopWanted(
            cause=cause, limit=limit, signal=signal, grace_s=grace_s,
            run=run.id, order=order, offset=offset, length=length, note=note,
        ),
    )  # fmt: skip


def _stronger(before: StopWanted, cause: StopCause, grace_s: float) -> bool:
    """A wish replaces an earlier one if it is for good where that was not, or if it is more impatient."""
    return (before.cause == "restart" and cause != "restart") or grace_s < before.grace_s


def decide_restart(state: AgentState, *, run: str, grace_s: float | None = None) -> tuple[AgentEvent, ...]:
    """Stop the run and start a new one; with nothing running, start one now."""
    if state.supervisor:
        raise AgentSupervised(state, "restart")
    if state.removed:
        raise AgentNotRunning(state, "restart it: it was removed")
    if state.live_run is None:
        return (RunWanted(run=run, attempt=_next_attempt(state), cause="requested", ordinal=0),)
    if state.stop is not None and state.stop.cause != "restart":
        raise AgentNotRunning(state, "restart it")
    return decide_stop(state, cause="restart", grace_s=grace_s)


def decide_signal(state: AgentState, *, signal: int, whole_tree: bool) -> tuple[AgentEvent, ...]:
    """Send a signal to a process that is there."""
    run = state.live_run
    if run is None or run.phase == "wanted":
        raise AgentNotRunning(state, "send it a signal")
    order, offset, length = _order(run, SignalOrder(signal=signal, whole_tree=whole_tree))
    return (Signalled(run=run.id, signal=signal, whole_tree=whole_tree, order=order, offset=offset, length=length),)


def decide_resize(state: AgentState, *, rows: int, columns: int) -> tuple[AgentEvent, ...]:
    """Give its terminal another size."""
    if state.spec.capture != "pty":
        raise Invalid(("agent", f"{state.spec.name} has no terminal"), hint="spawn it with --capture terminal")
    run = state.live_run
    if run is None:
        raise AgentNotRunning(state, "resize its terminal")
    order, offset, length = _order(run, ResizeOrder(rows=rows, cols=columns))
    return (Resized(run=run.id, rows=rows, columns=columns, order=order, offset=offset, length=length),)


def decide_input(state: AgentState, data: bytes, *, eof: bool) -> tuple[AgentEvent, ...]:
    """Write to its standard input."""
    run = state.live_run
    if run is None or state.stop is not None:
        raise AgentNotRunning(state, "send it input")
    if state.spec.stdin == "null" and state.spec.capture != "pty":
        raise Precondition(
            f"agent {state.spec.name} reads nothing: its standard input is /dev/null",
            hint="spawn it with --stdin pipe",
            agent=state.id,
        )
    if run.input_closed:
        raise Precondition(f"the input of agent {state.spec.name} is closed", hint="restart it", agent=state.id)
    return (InputAccepted(run=run.id, offset=run.input_end, length=len(data), eof=eof, data=data),)


def decide_remove(state: AgentState) -> tuple[AgentEvent, ...]:
    """Take it out of the lists."""
    if state.phase != "ended":
        raise AgentSupervised(state, "delete") if state.supervisor else AgentNotEnded(state)
    return () if state.removed else (Removed(),)


def decide_due(state: AgentState, *, run: str, now_us: int) -> tuple[AgentEvent, ...]:
    """Its back-off is over. Early, late and repeated calls do no harm."""
    if state.phase != "backoff" or now_us < state.due_us:
        return ()
    return (RunWanted(run=run, attempt=_next_attempt(state), cause="restart", ordinal=0),)


# --- what happens to it --------------------------------------------------------------------------------------


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
            again = RunWanted(run=next_run, attempt=_next_attempt(state), cause="retry", ordinal=state.run.ordinal)
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
    attempt = _next_attempt(before)
    if stop is not None and stop.cause == "restart":
        return (RunWanted(run=next_run, attempt=attempt, cause="requested", ordinal=0),)
    if stop is not None:
        if stop.cause == "limit":
            return (_ended(after, "failed", "limit", limit=stop.limit, note=stop.note),)
        return (_ended(after, "cancelled", "stopped", note=stop.note),)
    if report.stopped_by in ("wall_time", "unsupervised"):
        return (_ended(after, "failed", "limit", limit=report.stopped_by),)
    if report.kind == "not_started" and before.retries < _RETRIES:
        return (RunWanted(run=next_run, attempt=attempt, cause="retry", ordinal=0),)
    policy = before.spec.restart
    if policy.type == "temporary" or (policy.type == "transient" and report.how == "normal"):
        return (_ended(after, "succeeded" if report.how == "normal" else "failed", _why(report), note=_detail(report)),)
    return _restart(before, after, report, next_run=next_run, now_us=now_us, jitter=jitter)


def _restart(
    before: AgentState, after: AgentState, report: RunEnded, *, next_run: str, now_us: int, jitter: float
) -> Sequence[AgentEvent]:
    policy = before.spec.restart
    _, exceeded = restart.judge(
        before.window, report.ended_us, intensity=policy.intensity, period_us=int(policy.period_s * 1e6)
    )
    if exceeded:
        return (_ended(after, "failed", "restarts_exhausted", note=_detail(report)),)
    assert before.run is not None
    ran_us = report.ended_us - before.run.executed_us if before.run.executed_us else 0
    failures = restart.failures_after(policy.backoff, before.failures, ran_us)
    delay = restart.delay_us(policy.backoff, failures, jitter)
    scheduled = RestartScheduled(due_us=now_us + delay, delay_us=delay, consecutive=failures + 1)
    if delay:
        return (scheduled,)
    return (scheduled, RunWanted(run=next_run, attempt=_next_attempt(before), cause="restart", ordinal=0))


def decide_retired(state: AgentState) -> tuple[AgentEvent, ...]:
    """Its tree has no place for it any more."""
    if state.phase == "ended" or state.live_run is not None:
        return ()
    return (_ended(state, _came_to(state), "supervisor"),)


def decide_rest(state: AgentState) -> tuple[AgentEvent, ...]:
    """Its tree keeps its place and does not start it of itself."""
    if state.phase != "idle" or not state.supervisor:
        return ()
    end, outcome = state.run.end if state.run is not None else None, _came_to(state)
    reason = _why(end) if end is not None and outcome != "cancelled" else "stopped"
    exit_code, signal = (end.exit_code, end.signal) if end is not None else (-1, 0)
    return (Stopped(outcome=outcome, reason=reason, exit_code=exit_code, signal=signal),)


def _came_to(state: AgentState) -> Literal["succeeded", "failed", "cancelled"]:
    how = state.run.end.how if state.run is not None and state.run.end is not None else "shutdown"
    return "succeeded" if how == "normal" else "failed" if how == "abnormal" else "cancelled"


def _ended(
    state: AgentState,
    outcome: Literal["succeeded", "failed", "cancelled"],
    reason: str,
    *,
    limit: str = "",
    note: str = "",
) -> Ended:
    end = state.run.end if state.run is not None else None
    return Ended(
        outcome=outcome,
        reason=reason,
        exit_code=end.exit_code if end is not None else -1,
        signal=end.signal if end is not None else 0,
        limit=limit,
        note=note,
    )


def _detail(report: RunEnded) -> str:
    """A sentence for people, where the numbers alone say little."""
    if report.stopped_by == "memory":
        return report.note
    if report.signal:
        return f"ended by {format_signal(report.signal)}" + (", core dumped" if report.core_dumped else "")
    return report.note


def _why(report: RunEnded) -> str:
    if report.stopped_by == "memory":
        return "out_of_memory"
    if report.kind == "exited":
        if report.how == "abnormal" and report.exit_code == 0 and not report.signal:
            return "turn"
        return "signal" if report.signal else "exit"
    return report.kind


def _next_attempt(state: AgentState) -> int:
    return state.run.attempt + 1 if state.run is not None else 1


def _order(run: Run, order: Order) -> tuple[int, int, int]:
    number = run.orders + 1
    return number, run.orders_end, len(order_line(number, order))


# --- folding -------------------------------------------------------------------------------------------------


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
    return replace(
        usage,
        turns=max(usage.turns, event.turn),
        input_tokens=usage.input_tokens + event.input_tokens,
        output_tokens=usage.output_tokens + event.output_tokens,
        cost_microusd=usage.cost_microusd + event.cost_microusd,
        native_session=event.native_session or usage.native_session,
    )
