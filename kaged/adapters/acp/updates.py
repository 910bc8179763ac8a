"""Parts of what an ACP agent says, as Kage's words: options, tools, texts, usage. Pure."""

from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json, clip_json
from kaged.adapters.wire.fields import Line


def option_of(options: list[dict[str, Json]], word: str) -> str | None:
    """Id of the option that says so once; for always only where there is no other."""
    for kind in (f"{word}_once", f"{word}_always"):
        for each in options:
            if each.get("kind") == kind and isinstance(each.get("optionId"), str):
                return str(each["optionId"])
    return None


def tool_of(call: Line) -> str:
    """Name of the tool, or the kind of what it does."""
    meta = call.get("_meta")
    claude = meta.get("claudeCode") if isinstance(meta, dict) else None
    return (fields.word(claude, "toolName") if isinstance(claude, dict) else "") or fields.word(call, "kind")


def text_of(block: Json) -> str:
    """The text of a content block, also of one inside another."""
    if not isinstance(block, dict):
        return ""
    inner = block.get("content")
    if block.get("type") == "content" and isinstance(inner, dict):
        block = inner
    return fields.text(block, "text") if block.get("type") == "text" else ""


def json_of(value: Json) -> str:
    """As JSON; nothing for nothing."""
    return "" if value in (None, {}, []) else clip_json(value)


def usage_of(result: Line) -> tuple[int, int]:
    """Tokens read and written in this turn, as far as the agent tells; cached ones count as read."""
    usage, meta = result.get("usage"), result.get("_meta")
    if isinstance(usage, dict):
        total, written = fields.count(usage, "totalTokens"), fields.count(usage, "outputTokens")
        return max(fields.count(usage, "inputTokens"), total - written), written
    quota = meta.get("quota") if isinstance(meta, dict) else None
    counted = quota.get("token_count") if isinstance(quota, dict) else None
    if isinstance(counted, dict):
        return fields.count(counted, "input_tokens"), fields.count(counted, "output_tokens")
    return 0, 0
