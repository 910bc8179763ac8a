"""A tool call in a few words: what a person asks first about it. Pure, and never raises on what an agent says."""

import json
import shlex
from collections.abc import Mapping

from kagectl.render.changes import changes_in, word
from kagectl.render.paint import safe
from kagectl.render.plain import Plain
from kagectl.render.table import cut

GIST_CHARS = 160
_SHELLS = ("sh", "bash", "zsh", "dash")
_SAY_MOST = ("file_path", "notebook_path", "path", "pattern", "query", "url", "description", "prompt", "title", "name")


def command_in(data: Mapping[str, Plain]) -> str:
    """The command line that the arguments of a call hold, without the shell that is only there to run it."""
    given = data.get("command", data.get("cmd"))
    if isinstance(given, list):
        words = [each for each in given if isinstance(each, str)]
        return _unwrapped(words) or shlex.join(words)
    if not isinstance(given, str):
        return ""
    try:
        return _unwrapped(shlex.split(given)) or given
    except ValueError:
        return given


def _unwrapped(words: list[str]) -> str:
    """`bash -lc 'make test'` is `make test`."""
    if len(words) == 3 and words[0].rpartition("/")[2] in _SHELLS and words[1] in ("-c", "-lc", "-ec"):
        return words[2]
    return ""


def gist(text: str, data: Mapping[str, Plain], *, folder: str = "", most: int = GIST_CHARS) -> str:
    """What a call is about, on one line: its command, its file, or what says most. Paths are told without `folder`."""
    said = command_in(data)
    if not said and (paths := list(dict.fromkeys(change.path for change in changes_in(data)))):
        said = ", ".join(short_path(path, folder) for path in paths)
    if not said:
        said = (
            short_path(word(data, *_SAY_MOST), folder) or text or (json.dumps(data, ensure_ascii=False) if data else "")
        )
    lines = said.strip().splitlines()
    if not lines:
        return ""
    return cut(safe(lines[0]), most - 2) + (" …" if len(lines) > 1 else "")


def short_path(path: str, folder: str) -> str:
    """A path without the folder that it is in."""
    return path[len(folder) + 1 :] if folder and path.startswith(folder.rstrip("/") + "/") else path
