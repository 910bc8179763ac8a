"""Programs that only read, and the options with which they do more. Pure."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kaged.guardrails.shell.options import operands_of
from kaged.guardrails.shell.script import Command
from kaged.guardrails.shell.words import UNKNOWN

_READERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("ls", "cat", "head", "tail", "wc", "pwd", "echo", "printf", "which", "whereis", "type", "stat"),
                *("readlink", "realpath", "dirname", "basename", "cut", "tr", "comm", "join", "paste", "nl", "od"),
                *("strings", "cmp", "true", "false", "test", "[", "[[", ":", "id", "whoami", "uname", "groups"),
                *("uptime", "free", "ps", "pgrep", "tac", "rev", "expr", "seq", "sleep", "column", "fold", "nproc"),
                *("md5sum", "sha1sum", "sha256sum", "sha512sum", "b2sum", "cksum", "grep", "egrep", "fgrep", "zgrep"),
                *("zcat", "jq", "locale", "getconf", "arch", "lsb_release", "tty", "cd", "pushd", "popd", "dirs"),
                *("export", "set", "unset", "shopt", "local", "declare", "readonly", "typeset", "read", "return"),
                *("exit", "break", "continue", "shift", "wait", "jobs", "hash", "help", "let", "getopts", "umask"),
                *("command", "printenv", "lsof", "df", "du", "base64", "colordiff", "look", "tsort", "numfmt"),
            ),
            (),
        ),
        "rg": ("--pre", "--hostname-bin"),
        "ag": ("--pager",),
        "find": ("-delete", "-fprint", "-fprint0", "-fprintf", "-fls"),
        "fd": (),
        "sort": ("-o", "--output", "--compress-program"),
        "tree": ("-o",),
        "uniq": (),
        "file": ("-C", "--compile"),
        "date": ("-s", "--set"),
        "diff": ("--output",),
        "env": (),
        "xargs": (),
        "timeout": (),
        "time": ("-o", "--output"),
        "eval": (),
        "exec": (),
        "builtin": (),
        "trap": (),
        "nice": (),
        "nohup": (),
        "stdbuf": (),
        "watch": (),
    }
)  # fmt: skip


def only_reads(command: Command) -> bool:
    """Whether its program is one that only reads, and no option makes it write."""
    name = command.name
    if name not in _READERS or ("/" in command.words[0].text and not command.words[0].text.startswith(_SYSTEM_FOLDERS)):
        return False
    if command.assigned:
        return False
    texts = [word.text for word in command.words[1:]]
    if name == "fd" and any(text in ("-x", "-X", "--exec", "--exec-batch") for text in texts):
        return True  # what it starts is a command of its own
    if name == "uniq" and len(operands_of(list(command.words[1:]), ("-f", "-s", "-w"))) > 1:
        return False
    bad = _READERS[name]
    return not any(
        text == flag
        or text.startswith(flag + "=")
        or (len(flag) == 2 and text.startswith(flag) and flag[1] != "-" and not text.startswith("--"))
        or (len(flag) == 2 and flag[1].isalpha() and re.fullmatch(r"-[A-Za-z]+", text) and flag[1] in text)
        for text in texts
        for flag in bad
    ) and all(word.exact or not word.text.startswith((UNKNOWN, "-")) or not bad for word in command.words[1:])


_SYSTEM_FOLDERS: Final = ("/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/")
