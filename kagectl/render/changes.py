"""What an agent changes in files, out of the arguments of its calls, as lines of a diff. Pure.

The shapes of all adapters are known by their names: a diff or a content (`diff`, `content`), a text before and after
(`old_string`/`new_string`, `oldText`/`newText`), lists of these (`edits`, `changes`, ACP's `content`). What is not
known gives no change; nothing here raises on what an agent says.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from kagectl.render.paint import Paint, safe
from kagectl.render.plain import Plain

MAX_DIFF_LINES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file, and the lines of its diff, each beginning with `+`, `-`, `@` or a blank."""

    path: str
    lines: tuple[str, ...]

    @property
    def added(self) -> int:
        """Lines that come in."""
        return sum(1 for line in self.lines if line.startswith("+") and not line.startswith("+++ "))

    @property
    def removed(self) -> int:
        """Lines that go."""
        return sum(1 for line in self.lines if line.startswith("-") and not line.startswith("--- "))

    def totals(self) -> str:
        """`+3 -1`."""
        return f"+{self.added} -{self.removed}"


def loaded(data_json: str) -> Mapping[str, Plain]:
    """The arguments of a call; nothing when they are no object."""
    try:
        data = cast("Plain", json.loads(data_json)) if data_json else None
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def changes_in(data: Mapping[str, Plain]) -> list[Change]:
    """Every change that these arguments hold, in their order."""
    return list(_changes(data, ""))


def _changes(data: Mapping[str, Plain], outer: str) -> Iterator[Change]:
    path = word(data, "file_path", "notebook_path", "path") or outer
    for name in ("edits", "changes", "content"):
        parts = data.get(name)
        if isinstance(parts, list):
            for part in parts:
                if isinstance(part, dict):
                    yield from _changes(part, path)
    before, after = _text(data, "old_string", "oldText"), _text(data, "new_string", "newText", "new_source")
    if after is not None and path:
        yield Change(path=path, lines=_compared(before or "", after))
    elif (diff := _text(data, "diff", "patch")) is not None and path:
        yield Change(path=path, lines=_as_diff(diff, whole=_is_whole(data)))
    elif (content := _text(data, "content")) is not None and path:
        yield Change(path=path, lines=tuple(f"+{line}" for line in content.splitlines()))


def _is_whole(data: Mapping[str, Plain]) -> str:
    """`+` or `-` when a diff is the content of a file that comes or goes; Codex writes them so."""
    kind = data.get("kind")
    said = word(kind, "type") if isinstance(kind, dict) else word(data, "change")
    return {"add": "+", "delete": "-"}.get(said, "")


def _as_diff(text: str, *, whole: str) -> tuple[str, ...]:
    lines = text.splitlines()
    if whole and not any(line.startswith("@@") for line in lines):
        return tuple(f"{whole}{line}" for line in lines)
    return tuple(lines)


def _compared(before: str, after: str) -> tuple[str, ...]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3)
    return tuple(line for line in lines if not line.startswith(("---", "+++")) or len(line.strip()) > 3)


def word(data: Mapping[str, Plain], *names: str) -> str:
    """The first of these that is a text and not empty."""
    for name in names:
        if (value := data.get(name)) and isinstance(value, str):
            return value
    return ""


def _text(data: Mapping[str, Plain], *names: str) -> str | None:
    for name in names:
        if isinstance(value := data.get(name), str):
            return value
    return None


def painted(change: Change, *, paint: Paint, indent: str = "  ", most: int = MAX_DIFF_LINES) -> list[str]:
    """The diff for a screen: its file and totals, then its lines in colour; what is too much is counted."""
    lines = [f"{indent}{paint(safe(change.path), 'bold')}  {change.totals()}"]
    for line in change.lines[:most]:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        lines.append(f"{indent}{paint(safe(line.replace(chr(9), '    ')), colour)}")
    if len(change.lines) > most:
        lines.append(f"{indent}{paint(f'… {len(change.lines) - most} more lines (-o json has all)', 'dim')}")
    return lines
