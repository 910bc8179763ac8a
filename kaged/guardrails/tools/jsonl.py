"""Scripts that speak Kage's own line protocol: names of tools are theirs, so the usual ones are understood.

A call with a `command` is a command, whatever it is called; one with a path under a name like `write` writes it.
"""

import re
from typing import Final

from kaged.guardrails.action import Action, Kind
from kaged.guardrails.tools.reading import Call, command, command_line, paths_of, plain

_COMMANDS: Final = re.compile(r"bash|shell|exec|command|terminal|run|sh", re.IGNORECASE)
_KINDS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("delete", re.compile(r"(^|[_.\-/ ])(delete|remove|rm|unlink)($|[_.\-/ ])", re.IGNORECASE)),
    ("edit", re.compile(r"edit|patch|replace|rename|move", re.IGNORECASE)),
    ("write", re.compile(r"write|create|save|append|mkdir", re.IGNORECASE)),
    ("network", re.compile(r"fetch|http|browse|web|download", re.IGNORECASE)),
    ("read", re.compile(r"read|list|grep|glob|search|view|cat|ls", re.IGNORECASE)),
)


def action(tool: str, call: Call, title: str, folder: str, home: str) -> Action:
    """What a call does, as far as its name and its arguments tell."""
    line = command_line(call.given)
    if line or _COMMANDS.fullmatch(tool):
        cwd = call.given.get("cwd")
        where = cwd if isinstance(cwd, str) else ""
        return command(line, call, tool=tool, folder=folder, home=home, cwd=where)
    paths = paths_of(call.given, folder, home)
    kind: Kind = next((kind for kind, name in _KINDS if name.search(tool)), "other") if tool else "other"
    return plain(kind, call, tool=tool, folder=folder, home=home, paths=paths)
