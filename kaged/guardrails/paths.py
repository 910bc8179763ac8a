"""Paths by their text alone: absolute, without `.` and `..`, inside of a folder or not, fitting a pattern or not.

Symbolic links cannot be seen here: whoever has a disk resolves them and hands the real path in (`Context.real`).
Patterns: `*` and `?` stay within a name, `**` crosses folders, `[..]` is a set. A pattern with a slash in it is
anchored at the folder that it is for; one without fits a name at any depth. A pattern that fits a folder fits
everything in it.
"""

import re
from functools import lru_cache
from typing import Final

GLOB_LETTERS: Final = frozenset("*?[")


def normal(path: str, folder: str = "/", home: str = "") -> str:
    """The absolute path without `.`, `..` and doubled slashes. `~` is `home`, where that is known."""
    if home and (path == "~" or path.startswith("~/")):
        path = home + path[1:]
    if not path.startswith("/"):
        path = f"{folder}/{path}"
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept)


def inside(path: str, folder: str) -> bool:
    """Whether a normal path is the folder or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def below(path: str, folder: str) -> bool:
    """Whether a normal path is below the folder, and not the folder itself."""
    return path != folder and inside(path, folder)


def has_glob(path: str) -> bool:
    """Whether the text is a pattern."""
    return not GLOB_LETTERS.isdisjoint(path)


def glob_root(path: str) -> str:
    """The folder that everything a pattern can fit lies in."""
    kept: list[str] = []
    for part in path.split("/"):
        if has_glob(part):
            return "/".join(kept) or "/"
        kept.append(part)
    return path


def pattern_problem(pattern: str) -> str:
    """What is wrong with a pattern, or an empty text."""
    if not pattern.strip():
        return "is empty"
    if "\0" in pattern or "\n" in pattern:
        return "holds a NUL or a newline"
    if len(pattern) > 1024:
        return "is longer than 1024 characters"
    if "***" in pattern:
        return "has three `*` in a row"
    depth = 0
    for letter in pattern:
        depth += (letter == "[") - (letter == "]" and depth > 0)
    return "has a `[` without its `]`" if depth else ""


def fits(path: str, pattern: str, folder: str, home: str = "") -> bool:
    """Whether a normal path, or a folder above it, fits the pattern. `folder`: what a relative one is anchored at."""
    return _regex(pattern, folder, home).match(path) is not None


def may_fit(path: str, pattern: str, folder: str, home: str = "") -> bool:
    """The same for a path that is itself a pattern, or a folder that holds what fits: it can come to lie there."""
    if fits(path, pattern, folder, home):
        return True
    fixed = glob_root(normal(pattern, folder, home)) if "/" in pattern.rstrip("/") or pattern.startswith("~") else ""
    root = glob_root(path) if has_glob(path) else path
    return bool(fixed) and has_glob(path) and (inside(fixed, root) or inside(root, fixed))


@lru_cache(maxsize=1024)
def _regex(pattern: str, folder: str, home: str) -> re.Pattern[str]:
    text = pattern.rstrip("/") or "/"
    if text.startswith(("/", "~")):
        start = ""
        text = normal(text, folder, home) if not text.startswith("~") or home else "/~unknown"
    elif "/" in text:
        start, text = re.escape(folder.rstrip("/")) + "/", text.removeprefix("./")
    else:
        start = "(?:.*/)?" if folder else ""
    return re.compile(start + _body(text) + "(?:/.*)?$", re.DOTALL)


def _body(text: str) -> str:
    out, at = "", 0
    while at < len(text):
        letter = text[at]
        if text.startswith("**/", at):
            out, at = out + "(?:.*/)?", at + 3
        elif text.startswith("**", at):
            out, at = out + ".*", at + 2
        elif letter == "*":
            out, at = out + "[^/]*", at + 1
        elif letter == "?":
            out, at = out + "[^/]", at + 1
        elif letter == "[" and (end := text.find("]", at + 2)) > 0:
            inner = text[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[").replace("&", "\\&").replace("~", "\\~")
            inner = ("^" + inner[1:]) if inner.startswith("!") else inner
            out, at = out + f"[{inner}]", end + 1
        else:
            out, at = out + re.escape(letter), at + 1
    return out
