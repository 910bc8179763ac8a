"""Programs in other languages on a command line (`python -c`, `awk`, `perl -e`). Pure.

They are read for signs that they start programs or take trees away, and no further.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kaged.guardrails.shell.script import Command

# What starts programs or takes trees away, in the languages that agents write on a command line.
_CODE_SIGNS: Final = re.compile(
    r"\bsystem\b|popen|subprocess|\bexec(l|v|lp|vp|le|ve|lpe|vpe|File|Sync|FileSync)?\b|\bspawn|child_process|rmtree"
    r"|os\.(remove|unlink|rmdir|rename|replace|chmod|truncate)|rmSync|rmdirSync|\bunlink|rm_rf|rm_r\b|rimraf|\beval\b"
    r"|__import__|marshal|ctypes|Deno\.(run|Command|remove)|\.rmdir\b",
)
_BACKQUOTE_SIGNS: Final = re.compile(r"`|%x|\bqx\b|\bopen\b[^;]*\|")
_BACKQUOTES: Final = frozenset({"perl", "ruby", "php"})
_CODE_FLAGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "python": ("-c",),
        "pypy": ("-c",),
        "perl": ("-e", "-E", "-ne", "-pe", "-le", "-lne", "-ple", "-pi", "-i"),
        "ruby": ("-e", "-ne", "-pe"),
        "node": ("-e", "--eval", "-p", "--print", "-pe"),
        "nodejs": ("-e", "--eval", "-p", "--print", "-pe"),
        "bun": ("-e", "--eval", "-p", "--print"),
        "deno": ("eval",),
        "php": ("-r", "-B", "-R", "-E"),
        "lua": ("-e",),
        "Rscript": ("-e",),
        "osascript": ("-e",),
        "tclsh": (),
        "expect": ("-c",),
    }
)
_AWKS: Final = frozenset({"awk", "gawk", "mawk", "nawk"})
_AWK_SIGNS: Final = re.compile(r"system\s*\(|\||>|getline|@load|@include|close\s*\(")
_EDITORS: Final = frozenset({"vim", "vi", "nvim", "ex", "ed", "emacs", "view", "gdb", "lldb"})


def code_doubt(command: Command) -> str:
    """Why the program in a command cannot be read; empty: it can, or the command is none of these."""
    name = re.sub(r"[\d.]+$", "", command.name)
    texts = [word.text for word in command.words[1:]]
    flags = _CODE_FLAGS.get(name)
    if flags is not None:
        pieces = [
            word for at, word in enumerate(command.words[1:])
            if (at and texts[at - 1] in flags) or (any(word.text.startswith(f) for f in flags if len(f) == 2))
        ]  # fmt: skip
        code = [word for word in pieces if word.text not in flags]
        if any(not word.exact or _runs_something(name, word.text) for word in code) or (
            command.stdin == "text"
            and _no_operand(texts)
            and (not command.stdin_text.exact or _runs_something(name, command.stdin_text.text))
        ):
            return f"what this {name} program does cannot be read"
        elif command.stdin == "pipe" and not code and _no_operand(texts):
            return f"{name} reads its program from somewhere that cannot be seen"
    elif name in _AWKS:
        programs = [word for word in command.words[1:] if not word.text.startswith("-")]
        if programs and (not programs[0].exact or _AWK_SIGNS.search(programs[0].text)):
            return f"what this {name} program does cannot be read"
    elif name in _EDITORS and len(texts) > 1:
        return f"what {name} is told to do cannot be read"
    return ""


def _runs_something(language: str, code: str) -> bool:
    return bool(_CODE_SIGNS.search(code)) or (language in _BACKQUOTES and bool(_BACKQUOTE_SIGNS.search(code)))


def _no_operand(texts: list[str]) -> bool:
    return all(text.startswith("-") for text in texts)
