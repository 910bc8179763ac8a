"""What Codex works on, item by item, as Kage's words. Pure."""

from typing import Final

from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json, clip_json, clip_word
from kaged.adapters.wire.fields import Line

RESULTS: Final = ("command", "exitCode", "durationMs", "arguments", "result", "error", "contentItems", "query", "path")
NO_CALLS: Final = frozenset({"userMessage", "agentMessage", "reasoning", "plan", "hookPrompt", "contextCompaction"})


def dicts(value: Json) -> list[dict[str, Json]]:
    """The objects in a list; none if it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def tool_of(item: Line) -> str:
    """Name of the tool that a call is of."""
    match item.get("type"):
        case "commandExecution":
            return "shell"
        case "fileChange":
            return "edit"
        case "mcpToolCall" | "dynamicToolCall":
            place = fields.word(item, "server") or fields.word(item, "namespace")
            return clip_word("/".join(filter(None, (place, fields.word(item, "tool")))))
        case _:
            return fields.word(item, "type")


def input_of(item: Line) -> str:
    """What a call is given, as JSON."""
    known = {"type", "id", "status", "startedAtMs", "completedAtMs", "aggregatedOutput"}
    return clip_json({name: value for name, value in item.items() if name not in known and value is not None})
