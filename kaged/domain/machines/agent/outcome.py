"""How an agent's end is put into words: the fact, its stable reason, a sentence for people."""

from typing import Literal

from kaged.domain.events.facts import Ended, RunEnded
from kaged.domain.machines.agent.state import AgentState, Run
from kaged.domain.quantities import format_signal


def ended_as(
    state: AgentState,
    outcome: Literal["succeeded", "failed", "cancelled"],
    reason: str,
    *,
    limit: str = "",
    note: str = "",
) -> Ended:
    """The fact that it came to its end, with how its last run ended."""
    end = state.run.end if state.run is not None else None
    return Ended(
        outcome=outcome,
        reason=reason,
        exit_code=end.exit_code if end is not None else -1,
        signal=end.signal if end is not None else 0,
        limit=limit,
        note=note,
    )


def detail_of(report: RunEnded) -> str:
    """A sentence for people, where the numbers alone say little."""
    if report.stopped_by == "memory":
        return report.note
    if report.signal:
        return f"ended by {format_signal(report.signal)}" + (", core dumped" if report.core_dumped else "")
    return report.note


def reason_of(report: RunEnded) -> str:
    """The stable word for how a run ended."""
    if report.stopped_by == "memory":
        return "out_of_memory"
    if report.kind == "exited":
        if report.how == "abnormal" and report.exit_code == 0 and not report.signal:
            return "turn"
        return "signal" if report.signal else "exit"
    return report.kind


def account_of(run: Run | None) -> str:
    """What became of a run's process, for the one that takes its place: "was ended by SIGKILL"; empty: not known."""
    end = run.end if run is not None else None
    if run is None or end is None:
        return ""
    if end.stopped_by == "memory":
        return "was killed because it ran out of memory"
    if end.kind == "lost":
        restarted = bool(run.boot_id and end.boot_id and run.boot_id != end.boot_id)
        return "was lost with a restart of the machine" if restarted else "was lost (how it ended is not known)"
    if end.kind != "exited":
        return ""
    if end.how == "shutdown":
        return "was stopped"
    return f"was ended by {format_signal(end.signal)}" if end.signal else f"ended with exit code {end.exit_code}"
