"""What Claude Code used and how a turn of its ended, out of the lines that tell it. Pure."""

from typing import Final

from kaged.adapters.wire import fields
from kaged.adapters.wire.failures import by_status, by_text
from kaged.adapters.wire.fields import Line
from kaged.domain.signals import FailureWord

_STOPPED: Final = frozenset({"aborted_tools", "aborted_streaming"})


def outcome_of(message: Line) -> str:
    """ok, cancelled, max_turns, max_budget or error."""
    subtype, reason = fields.word(message, "subtype"), fields.word(message, "terminal_reason")
    if reason in _STOPPED:
        return "cancelled"
    if subtype in ("error_max_turns", "error_max_budget_usd"):
        return "max_turns" if subtype == "error_max_turns" else "max_budget"
    return "ok" if subtype == "success" and message.get("is_error") is not True else "error"


def failure_of(message: Line, told: str, said: str) -> FailureWord:
    """Why a turn failed. `told`: the word for it that came with the model's last message, `said`: its error texts."""
    if fields.word(message, "terminal_reason") == "prompt_too_long":
        return "context_exhausted"
    word = fields.word(message, "api_error_type")
    known = _ERRORS.get(told) or _ERRORS.get(word) or by_status(fields.count(message, "api_error_status"))
    return known or by_text(said)


_ERRORS: Final[dict[str, FailureWord]] = {
    "authentication_failed": "auth",
    "oauth_org_not_allowed": "auth",
    "billing_error": "auth",
    "authentication_error": "auth",
    "permission_error": "auth",
    "rate_limit": "rate_limit",
    "rate_limit_error": "rate_limit",
    "request_too_large": "context_exhausted",
}


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
