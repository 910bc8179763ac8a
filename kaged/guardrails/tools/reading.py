"""Reading the arguments of a tool call: whatever they are, something comes out and nothing is raised."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, TypeAlias

from kaged.guardrails.action import Action, Kind, command_action
from kaged.guardrails.paths import normal
from kaged.guardrails.shell.hosts import host_of

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

_CUT: Final = "its arguments are too long to be known"
MAX_PATHS: Final = 256
PATH_NAMES: Final = (
    *("file_path", "filePath", "filepath", "notebook_path", "path", "absolute_path", "target_file", "file", "filename"),
    *("old_path", "new_path", "oldPath", "newPath", "destination", "source", "from", "to", "target", "dest"),
    *("directory", "dir_path", "dir"),
)
COMMAND_NAMES: Final = ("command", "cmd", "script", "commandLine", "shell_command")


class Call:
    """The arguments of one call. `cut`: they were too long to be stored, so not all of them is known."""

    def __init__(self, data_json: str) -> None:
        self.text = data_json
        self.cut = False
        try:
            value = json.loads(data_json) if data_json else {}
        except (ValueError, RecursionError):
            value, self.cut = {}, True
        self.given: dict[str, Json] = value if isinstance(value, dict) else {}
        if self.given.get("cut") is True and "head" in self.given and len(self.given) == 3:
            self.cut = True

    def part(self, name: str) -> dict[str, Json]:
        """An object in it; empty when there is none."""
        value = self.given.get(name)
        return value if isinstance(value, dict) else {}


def texts(given: dict[str, Json], names: Iterable[str]) -> Iterator[str]:
    """Texts under some names, also in lists."""
    for name in names:
        value = given.get(name)
        if isinstance(value, str) and value:
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, str) and item)


def paths_of(given: dict[str, Json], folder: str, home: str, names: Iterable[str] = PATH_NAMES) -> tuple[str, ...]:
    """Normal paths under the usual names."""
    found = [normal(text.removeprefix("file://"), folder, home) for text in texts(given, names)]
    return tuple(dict.fromkeys(found))[:MAX_PATHS]


def command_line(given: dict[str, Json]) -> str:
    """A line for a shell; a list of words is quoted."""
    for name in COMMAND_NAMES:
        value = given.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return " ".join(_quoted(str(item)) for item in value)
    return ""


_SAFE: Final = re.compile(r"[\w@%+=:,./-]+")


def _quoted(word: str) -> str:
    return word if _SAFE.fullmatch(word) and "=" not in word else "'" + word.replace("'", "'\"'\"'") + "'"


def command(line: str, call: Call, *, tool: str, folder: str, home: str, cwd: str = "") -> Action:
    """A command, in the folder that the call names."""
    where = normal(cwd, folder, home) if cwd else folder
    action = command_action(line, tool=tool, folder=where, home=home, text=call.text)
    return replace(action, unknown=(*action.unknown, _CUT)) if call.cut else action


def plain(kind: Kind, call: Call, *, tool: str, folder: str, home: str, paths: tuple[str, ...]) -> Action:
    """Anything but a command. One that writes without a path that is known does something unknown."""
    unknown: tuple[str, ...] = ()
    if kind in ("write", "edit", "delete") and not paths:
        unknown = ("it does not say which files it changes",)
    if call.cut:
        unknown = (*unknown, _CUT)
    named = texts(call.given, ("url", "uri", "endpoint", "domain", "urls"))
    hosts = tuple(host for text in named if (host := host_of(text)))
    return Action(
        kind=kind, tool=tool, paths=paths, hosts=hosts, unknown=unknown, text=call.text, folder=folder, home=home
    )
