"""Agents as a table and as a page. Pure."""

from collections.abc import Sequence
from datetime import tzinfo

from kagectl.render import progress, words
from kagectl.render.paint import PLAIN, STATE_COLOURS, Paint, safe
from kagectl.render.table import Cell, facts, table
from kagectl.render.workspaces import place_pairs
from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import spec_pb2 as spec

ENDED = frozenset((pb.AGENT_STATE_SUCCEEDED, pb.AGENT_STATE_FAILED, pb.AGENT_STATE_CANCELLED))
AT_REST = ENDED | {pb.AGENT_STATE_STOPPED}  # nothing runs until somebody asks

_HELD = {
    "spool_bytes": "its own limit of output that waits to be recorded",
    "keep_free_bytes": "the disk is nearly full",
    "max_spool_bytes": "the limit of output of all agents that waits to be recorded",
}
_FULL = {
    spec.FULL_POLICY_UNSPECIFIED: "pause",
    spec.FULL_POLICY_PAUSE: "pause",
    spec.FULL_POLICY_STOP: "stop",
    spec.FULL_POLICY_DROP_OLDEST: "drop the oldest",
}
_COLUMNS = ("NAME", "ID", "STATE", "AGE", "PID", "RESTARTS", "OUTPUT")
_WIDE = ("ADAPTER", "UP", "CPU", "MEMORY", "PROCS", "LAST OUTPUT", "SUPERVISOR", "DIRECTORY")
_NUMBERS = ("TURN", "COST", "TOKENS", "PID", "RESTARTS", "OUTPUT", "CPU", "MEMORY", "PROCS")


def state_word(agent: pb.Agent) -> str:
    """The state as a short word."""
    return words.word(pb.AgentState, agent.state, "AGENT_STATE_")


def state_cell(agent: pb.Agent) -> Cell:
    """The state, and why: `waiting (backoff)`, `paused (limit: cost)`, `failed (exit 2)`, `stopped (exit 2)`."""
    state = state_word(agent)
    if agent.state == pb.AGENT_STATE_PAUSED:
        more = f"limit: {agent.progress.limit}" if agent.progress.limit else agent.progress.paused_for
    else:
        more = ending(agent) if agent.state in AT_REST else agent.waiting_for
    return Cell(f"{state} ({safe(more)})" if more else state, STATE_COLOURS.get(state, ""))


def ending(agent: pb.Agent) -> str:
    """Why it ended, in a word or two; empty for a plain success."""
    outcome = agent.outcome
    match outcome.reason:
        case "" | "stopped":
            return ""
        case "exit":
            return f"exit {outcome.exit_code}" if outcome.exit_code else ""
        case "signal":
            return f"signal {outcome.signal}"
        case "limit":
            return f"limit {outcome.limit}"
        case "turn":
            return "its last turn failed"
        case other:
            return other.replace("_", " ")


def ended_badly(agent: pb.Agent) -> bool:
    """Whether it is at rest and that is no success."""
    if agent.state == pb.AGENT_STATE_STOPPED:
        good = (0, *agent.spec.success_exit_codes)
        return agent.outcome.reason != "exit" or agent.outcome.exit_code not in good
    return agent.state in ENDED and agent.state != pb.AGENT_STATE_SUCCEEDED


def agent_table(
    agents: Sequence[pb.Agent],
    *,
    now_s: float,
    wide: bool = False,
    full_ids: bool = False,
    paint: Paint = PLAIN,
    width: int | None = None,
) -> str:
    """One row an agent, in the order given."""
    ids = {} if full_ids else words.shortened(agent.id for agent in agents)
    looping = any(agent.HasField("progress") for agent in agents)
    headers = (
        *_COLUMNS[:3],
        *(("TURN", "COST") if looping else ()),
        *_COLUMNS[3:],
        *(_WIDE if wide else ()),
        "COMMAND",
    )
    rows = [
        (
            Cell(safe(agent.name)),
            Cell(ids.get(agent.id, agent.id), "dim"),
            state_cell(agent),
            *((Cell(progress.turns(agent) or "-"), Cell(cost(agent))) if looping else ()),
            Cell(words.ago(agent.create_time, now_s)),
            Cell(str(agent.run.pid) if agent.run.pid and agent.run.phase != "ended" else "-"),
            Cell(str(agent.restarts), "yellow" if agent.restarts else ""),
            Cell(words.size(agent.run.stdout_bytes + agent.run.stderr_bytes)),
            *(_wide_cells(agent, now_s) if wide else ()),
            Cell(words.command(agent.spec.command)),
        )
        for agent in agents
    ]
    return table(headers, rows, paint=paint, width=width, right=_NUMBERS)


_LIVE = ("NAME", "STATE", "TURN", "PLAN", "TOKENS", "COST", "TIME", "FILES", "LAST")


def live_table(agents: Sequence[pb.Agent], *, now_s: float, paint: Paint = PLAIN, width: int | None = None) -> str:
    """How far each has come, those that wait for a person first, then by age."""
    ordered = sorted(agents, key=lambda agent: (not _needs_a_person(agent), agent.state in ENDED, agent.id))
    rows = [
        (
            Cell(safe(agent.name)),
            _live_state(agent, now_s),
            Cell(progress.turns(agent) or (str(agent.usage.turns) if agent.usage.turns else "-")),
            Cell(f"{agent.progress.plan_done}/{agent.progress.plan_items}" if agent.progress.plan_items else "-"),
            Cell(progress.count(agent.usage.input_tokens + agent.usage.output_tokens)),
            Cell(cost(agent)),
            Cell(words.ago(agent.create_time, now_s)),
            Cell(
                f"+{agent.progress.lines_added} -{agent.progress.lines_removed}"
                if agent.progress.files_changed
                else "-"
            ),
            Cell(safe(agent.progress.last_action) or words.command(agent.spec.command)),
        )
        for agent in ordered
    ]
    return table(_LIVE, rows, paint=paint, width=width, right=_NUMBERS)


def cost(agent: pb.Agent) -> str:
    """What it has cost as far as it tells."""
    return progress.money(agent.usage.cost_microusd) if agent.usage.cost_microusd else "-"


def _needs_a_person(agent: pb.Agent) -> bool:
    held = agent.state == pb.AGENT_STATE_PAUSED and not agent.progress.resume_time.seconds
    return bool(agent.open_approvals) or held


def _live_state(agent: pb.Agent, now_s: float) -> Cell:
    if agent.open_approvals and agent.state not in ENDED:
        return Cell(f"asks ({len(agent.open_approvals)})", "yellow")
    if why := progress.why_paused(agent, now_s):
        return Cell(f"{state_word(agent)} ({safe(why)})", "yellow")
    return state_cell(agent)


def _wide_cells(agent: pb.Agent, now_s: float) -> tuple[Cell, ...]:
    health = agent.health if agent.HasField("health") else None
    return (
        Cell(safe(agent.spec.adapter) or "command"),
        Cell(words.ago(health.up_since, now_s) if health else "-"),
        Cell(f"{health.cpus * 100:.0f}%" if health else "-"),
        Cell(words.size(health.rss_bytes) if health else "-"),
        Cell(str(health.processes) if health else "-"),
        Cell(words.ago(health.last_output, now_s) if health else "-"),
        Cell(safe(agent.supervisor) or "-"),
        Cell(safe(agent.spec.working_directory)),
    )


def agent_page(agent: pb.Agent, *, now_s: float, paint: Paint = PLAIN, zone: tzinfo | None = None) -> str:
    """Everything about one agent that a person asks for, by topic."""
    parts = [facts(_about(agent, now_s, zone), paint=paint)]
    for title, pairs in (
        ("goal", progress.pairs(agent, now_s)),
        ("run", _run(agent.run, now_s, zone)),
        ("workspace", place_pairs(agent.workspace)),
        ("limits", _limits(agent.spec.limits)),
        ("restart", _restart(agent.spec.restart)),
        ("environment", [(safe(name), safe(value)) for name, value in sorted(agent.spec.environment.items())]),
        ("usage", _usage(agent.usage)),
    ):
        if text := facts(pairs, paint=paint, indent="  "):
            parts.append(f"{paint(title, 'bold')}\n{text}")
    return "\n".join(parts)


def _about(agent: pb.Agent, now_s: float, zone: tzinfo | None) -> list[tuple[str, Cell | str]]:
    spec_ = agent.spec
    due = words.seconds_of(agent.restart_due) - now_s
    return [
        ("name", safe(agent.name)),
        ("id", agent.id),
        ("state", state_cell(agent)),
        ("why", safe(agent.outcome.detail)),
        ("starts again", f"in {words.span(due)}" if agent.restart_due.seconds and due > 0 else ""),
        ("flagged", Cell(f"broke {safe(agent.flagged)} without asking" if agent.flagged else "", "red")),
        ("questions", Cell(", ".join(agent.open_approvals), "yellow")),
        ("command", words.command(spec_.command)),
        ("directory", safe(spec_.working_directory)),
        ("adapter", safe(spec_.adapter) or "command"),
        ("goal", safe(spec_.goal)),
        ("labels", ", ".join(f"{safe(k)}={safe(v)}" for k, v in sorted(spec_.labels.items()))),
        ("secrets", ", ".join(safe(name) for name in agent.secret_names)),
        ("supervisor", safe(agent.supervisor)),
        ("spawned", f"{words.moment(agent.create_time, zone)} ({words.ago(agent.create_time, now_s)} ago)"),
        ("changed", f"{words.ago(agent.update_time, now_s)} ago" if agent.update_time.seconds else ""),
        ("restarts", str(agent.restarts) if agent.restarts else ""),
    ]


def _run(run: pb.Run, now_s: float, zone: tzinfo | None) -> list[tuple[str, Cell | str]]:
    if not run.id:
        return []
    ended = run.phase == "ended"
    how = ""
    if ended:
        how = f"signal {run.signal}" if run.signal else f"exit {run.exit_code}"
        how = how if run.end_kind == "exited" else run.end_kind.replace("_", " ")
    return [
        ("id", run.id),
        ("attempt", str(run.attempt)),
        ("phase", f"{run.phase} ({how})" if how else run.phase),
        ("pid", str(run.pid) if run.pid else ""),
        ("started", words.moment(run.start_time, zone) if run.start_time.seconds else ""),
        ("ended", f"{words.ago(run.end_time, now_s)} ago" if run.end_time.seconds else ""),
        ("output", f"{words.size(run.stdout_bytes)} out, {words.size(run.stderr_bytes)} err"),
        ("held by", Cell(_HELD.get(run.held_by, run.held_by), "yellow")),
        ("set aside", Cell("a newer kaged started it, and it alone can reach it" if run.set_aside else "", "red")),
        ("cpu", f"{run.cpu_s:.2f}s" if ended else ""),
        ("memory", words.size(run.max_rss_bytes) if run.max_rss_bytes else ""),
        ("survivors", Cell(str(run.survivors) if run.survivors else "", "red")),
    ]


def _limits(limits: spec.Limits) -> list[tuple[str, Cell | str]]:
    return [
        ("wall time", words.span(limits.wall_time_s) if limits.wall_time_s else ""),
        ("idle", words.span(limits.idle_s) if limits.idle_s else ""),
        ("output", words.size(limits.output_bytes) if limits.output_bytes else ""),
        (
            "backlog",
            f"{words.size(limits.spool_bytes)}, then {_FULL.get(limits.on_full, limits.on_full)}"
            if limits.spool_bytes
            else "",
        ),
        ("memory", words.size(limits.memory_bytes) if limits.memory_bytes else ""),
        ("cpus", f"{limits.cpus:g}" if limits.cpus else ""),
        ("processes", str(limits.processes) if limits.processes else ""),
    ]


def _restart(policy: spec.RestartPolicy) -> list[tuple[str, Cell | str]]:
    if policy.type in (spec.RESTART_TYPE_UNSPECIFIED, spec.RESTART_TYPE_TEMPORARY):
        return []
    waits = "off" if policy.backoff_off else f"{policy.backoff_initial_s:g}s to {policy.backoff_max_s:g}s"
    return [
        ("type", words.word(spec.RestartType, policy.type, "RESTART_TYPE_")),
        ("at most", f"{policy.intensity} in {policy.period_s:g}s" if policy.period_s else ""),
        ("back-off", waits if policy.backoff_max_s or policy.backoff_off else ""),
    ]


def _usage(usage: pb.Usage) -> list[tuple[str, Cell | str]]:
    return [
        ("turns", str(usage.turns) if usage.turns else ""),
        ("tokens", f"{usage.input_tokens} in, {usage.output_tokens} out" if usage.input_tokens else ""),
        ("cost", f"${usage.cost_microusd / 1e6:.4f}" if usage.cost_microusd else ""),
        ("session", safe(usage.native_session)),
    ]
