"""Parts of what Claude Code says, as Kage's words: results of tools, diffs, plans, questions. Pure."""

import json
from collections.abc import Iterator
from typing import Final

from kaged.adapters.claude_code import words
from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json, clip_json, clip_text
from kaged.adapters.wire.fields import Line
from kaged.domain.signals import Ask

_TELLING: Final = ("command", "file_path", "notebook_path", "url", "path", "query")


def at(line: Json, *names: str) -> Json:
    """What is at the end of a path of names; nothing where it does not lead anywhere."""
    value: Json = line
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def plain(content: Json) -> str | None:
    """The text of a result, or None when there is more to it than text."""
    if isinstance(content, str) or content is None:
        return content or ""
    if isinstance(content, list) and all(at(block, "type") == "text" for block in content):
        return "\n".join(fields.as_text(at(block, "text")) for block in content)
    return None


def other_than_text(block: Line) -> str:
    """A block that is more than its text, as JSON."""
    return "" if block.get("type") == "text" else clip_json(dict(block))


def created(result: Line) -> Iterator[str]:
    """The lines of a new file, as a diff."""
    yield from ("+" + line for line in fields.as_text(result.get("content")).splitlines())


def patched(result: Line) -> Iterator[str]:
    """The hunks of a changed file, as a diff."""
    for hunk in fields.items(result, "structuredPatch"):
        if isinstance(hunk, dict):
            numbers = [fields.count(hunk, name) for name in ("oldStart", "oldLines", "newStart", "newLines")]
            yield "@@ -{},{} +{},{} @@".format(*numbers)
            yield from (fields.as_text(line) for line in fields.items(hunk, "lines"))


def question(key: str, asked: Line) -> Ask:
    """What `can_use_tool` asks: a person's words where the tool is the one that asks for them, else leave to act."""
    tool, given = fields.word(asked, "tool_name"), asked.get("input")
    why = fields.text(asked, "decision_reason")
    if tool == words.ASK_PERSON and isinstance(given, dict):
        questions = [item for item in fields.items(given, "questions") if isinstance(item, dict)]
        title = "\n".join(fields.as_text(item.get("question")) for item in questions)
        choices: list[Json] = [
            option.get("label")
            for item in questions[:1]
            for option in fields.items(item, "options")
            if isinstance(option, dict)
        ]
        about = clip_json({**given, "choices": choices})
        return Ask(key=key, kind="question", title=clip_text(title), tool=tool, data_json=about, why=why)
    shown = ""
    if isinstance(given, dict):
        shown = next((fields.text(given, name) for name in _TELLING if given.get(name)), "")
    shown = shown or fields.text(asked, "description") or json.dumps(given)[:200]
    name = fields.word(asked, "display_name") or tool
    return Ask(key=key, title=clip_text(f"{name}: {shown}"), tool=tool, data_json=fields.data(asked, "input"), why=why)
