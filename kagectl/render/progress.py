"""How far an agent's work on its goal has come, in words. Pure."""

from kagectl import loops
from kagectl.render import words
from kagectl.render.paint import safe
from kaged.api.v1 import agent_service_pb2 as pb

_PAUSES = {
    "user": "paused by a person",
    "rate_limit": "waits for the limit of its account",
    "guard": "held by a guardrail",
}
_FAILURES = {"auth": "may not use its account; sign in, or mend its key"}
_MICRO = 1_000_000


def money(microusd: int) -> str:
    """`$1.25`; four digits below a cent."""
    return f"${microusd / _MICRO:.2f}" if microusd >= 10_000 or not microusd else f"${microusd / _MICRO:.4f}"


def count(number: int) -> str:
    """`18.2k`, `1.5M`."""
    for power, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= power:
            return f"{number / power:.1f}{letter}"
    return str(number)


def turns(agent: pb.Agent) -> str:
    """`7/20`, `7`, or nothing for an agent without a loop."""
    if not agent.HasField("progress"):
        return ""
    most = agent.progress.limits.iterations
    return f"{agent.progress.iterations}/{most}" if most else str(agent.progress.iterations)


def why_paused(agent: pb.Agent, now_s: float) -> str:
    """Why it is paused, and what lets it go on; empty when it is not."""
    progress = agent.progress
    if not progress.paused_for:
        if progress.rule:
            return f"is being held by a guardrail: {safe(progress.rule)}"
        return "pauses at the end of its turn" if progress.pause_wanted else ""
    if progress.paused_for == "limit":
        return f"the limit of {progress.limit} is used up"
    if progress.paused_for == "failure":
        said = _FAILURES.get(progress.failure, f"failed: {safe(progress.failure)}")
        return f"{said} ({safe(progress.failure_detail)})" if progress.failure_detail else said
    said = _PAUSES.get(progress.paused_for, progress.paused_for)
    if progress.paused_for == "guard":
        return f"{said}: {safe(progress.rule)}; see it: kagectl event list --type guardrail.judged"
    if progress.resume_time.seconds:
        return f"{said}, goes on in {words.span(max(0.0, words.seconds_of(progress.resume_time) - now_s))}"
    return said


def pairs(agent: pb.Agent, now_s: float) -> list[tuple[str, str]]:
    """Topics and words for a page about the agent."""
    if not agent.HasField("progress"):
        return []
    progress, loop, usage = agent.progress, agent.spec.loop, agent.usage
    tokens = usage.input_tokens + usage.output_tokens
    limits = progress.limits
    return [
        ("turns", turns(agent)),
        (
            "stands",
            f"{progress.phase}, last judged: {progress.last_verdict}" if progress.last_verdict else progress.phase,
        ),
        ("paused", why_paused(agent, now_s)),
        ("until", "; ".join(safe(loops.written(each)) for each in loop.success) or "a turn ends well"),
        ("plan", f"{progress.plan_done} of {progress.plan_items} done" if progress.plan_items else ""),
        ("last action", safe(progress.last_action)),
        ("files", files(progress)),
        ("tokens", _of(count(tokens), count(limits.tokens) if limits.tokens else "")),
        ("cost", _of(money(usage.cost_microusd), money(limits.cost_microusd) if limits.cost_microusd else "")),
        ("at work", _of(words.span(progress.worked_s), words.span(limits.time_s) if limits.time_s else "")),
    ]


def files(progress: pb.Progress) -> str:
    """`3 changed, +120 -14`, or nothing."""
    if not progress.files_changed:
        return ""
    return f"{progress.files_changed} changed, +{progress.lines_added} -{progress.lines_removed}"


def _of(used: str, most: str) -> str:
    return f"{used} of {most}" if most else used
