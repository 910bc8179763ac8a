"""What Claude Code used and how a turn of its ended, out of the lines that tell it. Pure."""

from typing import Final

from kaged.adapters.wire import fields
from kaged.adapters.wire.fields import Line

_STOPPED: Final = frozenset({"aborted_tools", "aborted_streaming"})


def outcome_of(message: Line) -> str:
    """ok, cancelled, max_turns, max_budget or error."""
    subtype, reason = message.get("subtype"), message.get("terminal_reason")
    if reason in _STOPPED:
        return "cancelled"
    if subtype in ("error_max_turns", "error_max_budget_usd"):
        return "max_turns" if subtype == "error_max_turns" else "max_budget"
    return "ok" if subtype == "success" and message.get("is_error") is not True else "error"


def read_of(used: Line) -> int:
    """Tokens read, wherever they came from."""
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(fields.count(used, name, 2**50) for name in names)


def totals_of(message: Line, name: str) -> tuple[int, int, int]:
    """Tokens read, tokens written and millionths of a dollar: sums over all models that were used."""
    read = written = 0
    models = message.get(name)
    for used in models.values() if isinstance(models, dict) else ():
        if isinstance(used, dict):
            for count in ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"):
                read += fields.count(used, count, 2**50)
            written += fields.count(used, "outputTokens", 2**50)
    return min(read, fields.MAX_COUNT), min(written, fields.MAX_COUNT), fields.microusd(message, "total_cost_usd")
