"""What may be asked of an agent, by a person, its tree or its timer. May refuse."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kaged.domain.errors import Invalid, Precondition
from kaged.domain.events.facts import (
    AgentEvent,
    InputAccepted,
    Removed,
    Resized,
    RunWanted,
    Signalled,
    Spawned,
    StopCause,
    StopWanted,
)
from kaged.domain.machines.agent.outcome import ended_as
from kaged.domain.machines.agent.state import (
    AgentNotEnded,
    AgentNotRunning,
    AgentState,
    AgentSupervised,
    Run,
    RunSetAside,
    next_attempt,
)
from kaged.domain.orders import Order, ResizeOrder, SignalOrder, StopOrder, order_line
from kaged.domain.spec import AgentSpec


def decide_spawn(
    spec: AgentSpec, *, number: int, supervisor: str, run: str, queued: bool = False
) -> tuple[AgentEvent, ...]:
    """A new agent. A supervisor's child waits for its tree to start it, a queued one for its turn."""
    spawned = Spawned(number=number, spec=spec, supervisor=supervisor, queued=queued)
    if supervisor or queued:
        return (spawned,)
    return (spawned, RunWanted(run=run, attempt=1, cause="spawn", ordinal=0))


def decide_start(state: AgentState, *, run: str, ordinal: int) -> tuple[AgentEvent, ...]:
    """The tree starts its child. A repeat of the same start is nothing."""
    if state.removed or (state.run is not None and (state.run.ordinal >= ordinal or state.run.live)):
        return ()
    return (RunWanted(run=run, attempt=next_attempt(state), cause="supervisor", ordinal=ordinal),)


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
        return (wanted, ended_as(state, "cancelled", "stopped", note=note))
    if state.stop is not None and not _stronger(state.stop, cause, grace_s):
        return ()
    if state.stop is not None and state.stop.cause not in _NOT_FOR_GOOD:
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
    was, will = _NOT_FOR_GOOD.get(before.cause, 2), _NOT_FOR_GOOD.get(cause, 2)
    return will > was or (will == was and grace_s < before.grace_s)


# Stops that something follows: the larger number is the stronger wish, and all others are stronger still.
_NOT_FOR_GOOD: Final[Mapping[StopCause, int]] = MappingProxyType({"turn": 0, "restart": 1})


def decide_restart(state: AgentState, *, run: str, grace_s: float | None = None) -> tuple[AgentEvent, ...]:
    """Stop the run and start a new one; with nothing running, start one now."""
    if state.supervisor:
        raise AgentSupervised(state, "restart")
    if state.removed:
        raise AgentNotRunning(state, "restart it: it was removed")
    if state.live_run is None:
        return (RunWanted(run=run, attempt=next_attempt(state), cause="requested", ordinal=0),)
    if state.stop is not None and state.stop.cause not in _NOT_FOR_GOOD:
        raise AgentNotRunning(state, "restart it")
    return decide_stop(state, cause="restart", grace_s=grace_s)


def decide_signal(state: AgentState, *, signal: int, whole_tree: bool) -> tuple[AgentEvent, ...]:
    """Send a signal to a process that is there."""
    run = state.live_run
    if run is None or run.phase == "wanted":
        raise AgentNotRunning(state, "send it a signal")
    if run.set_aside:
        raise RunSetAside(state, "send it a signal")
    order, offset, length = _order(run, SignalOrder(signal=signal, whole_tree=whole_tree))
    return (Signalled(run=run.id, signal=signal, whole_tree=whole_tree, order=order, offset=offset, length=length),)


def decide_resize(state: AgentState, *, rows: int, columns: int) -> tuple[AgentEvent, ...]:
    """Give its terminal another size."""
    if state.spec.capture != "pty":
        raise Invalid(("agent", f"{state.spec.name} has no terminal"), hint="spawn it with --capture terminal")
    run = state.live_run
    if run is None:
        raise AgentNotRunning(state, "resize its terminal")
    if run.set_aside:
        raise RunSetAside(state, "resize its terminal")
    order, offset, length = _order(run, ResizeOrder(rows=rows, cols=columns))
    return (Resized(run=run.id, rows=rows, columns=columns, order=order, offset=offset, length=length),)


def decide_input(state: AgentState, data: bytes, *, eof: bool) -> tuple[AgentEvent, ...]:
    """Write to its standard input."""
    run = state.live_run
    if run is None or state.stop is not None:
        raise AgentNotRunning(state, "send it input")
    if run.set_aside:
        raise RunSetAside(state, "send it input")
    if state.spec.stdin == "null" and state.spec.capture != "pty":
        raise Precondition(
            f"agent {state.spec.name} reads nothing: its standard input is /dev/null",
            hint="spawn it with --stdin pipe",
            agent=state.id,
        )
    if run.input_closed:
        raise Precondition(f"the input of agent {state.spec.name} is closed", hint="restart it", agent=state.id)
    return (InputAccepted(run=run.id, offset=run.input_end, length=len(data), eof=eof, data=data),)


def decide_remove(state: AgentState, *, keep_workspace: bool = False) -> tuple[AgentEvent, ...]:
    """Take it out of the lists."""
    if state.phase != "ended":
        raise AgentSupervised(state, "delete") if state.supervisor else AgentNotEnded(state)
    return () if state.removed else (Removed(keep_workspace=keep_workspace),)


def decide_turn(state: AgentState, *, run: str) -> tuple[AgentEvent, ...]:
    """What it waited for in the queue has come."""
    if not state.queued or state.phase != "idle":
        return ()
    return (RunWanted(run=run, attempt=next_attempt(state), cause="queue", ordinal=0),)


def decide_in_vain(state: AgentState, *, name: str, outcome: str) -> tuple[AgentEvent, ...]:
    """An agent that had to succeed before this one did not: that is the end of it."""
    if not state.queued or state.phase != "idle":
        return ()
    return (ended_as(state, "failed", "dependency", note=f"agent {name}, which had to succeed first, {outcome}"),)


def decide_due(state: AgentState, *, run: str, now_us: int) -> tuple[AgentEvent, ...]:
    """Its back-off is over. Early, late and repeated calls do no harm."""
    if state.phase != "backoff" or now_us < state.due_us:
        return ()
    return (RunWanted(run=run, attempt=next_attempt(state), cause="restart", ordinal=0),)


def _order(run: Run, order: Order) -> tuple[int, int, int]:
    number = run.orders + 1
    return number, run.orders_end, len(order_line(number, order))
