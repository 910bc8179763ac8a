"""Machines that a command or a URL names. Pure."""

import re
from typing import Final

from kaged.guardrails.shell.git import git_hosts
from kaged.guardrails.shell.operands import host_at
from kaged.guardrails.shell.script import Command
from kaged.guardrails.shell.words import UNKNOWN

_HOST_LIKE: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//(?:[^/@\s\"'`]*@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)")
_BARE: Final = re.compile(r"(?:[\w.+-]+@)?(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+(?::\d+)?(?=$|/)|localhost(?::\d+)?(?=$|/)")
_PROGRAMS: Final = frozenset(
    {"curl", "wget", "ssh", "scp", "sftp", "rsync", "nc", "ncat", "netcat", "telnet", "ftp", "socat", "http", "https",
     "xh", "aria2c"}
)  # fmt: skip


def hosts_in(command: Command) -> tuple[str, ...]:
    """Names of machines in the words of a command."""
    names: list[str] = []
    for word in (*command.words, command.stdin_text):
        names += _HOST_LIKE.findall(word.text)
    name = command.name
    words = command.words
    if name == "ssh" and (at := host_at(command)):
        names.append(_bare_host(words[at].text))
    elif name in ("scp", "sftp", "rsync"):
        for word in words[1:]:
            before, colon, _ = word.text.partition(":")
            if colon and "/" not in before and not word.text.startswith("-"):
                names.append(_bare_host(before))
    elif name in ("nc", "ncat", "netcat", "telnet", "ftp", "socat", "ping", "dig", "nslookup", "host", "whois"):
        names += [_bare_host(word.text) for word in words[1:] if _BARE.fullmatch(word.text)]
    elif name in ("curl", "wget", "http", "https", "xh", "aria2c"):
        given = [word.text for word in words[1:] if "://" not in word.text and word.text[:1] not in "-./@"]
        names += [_bare_host(text.partition("/")[0]) for text in given if _BARE.match(text)]
    elif name == "git":
        names += git_hosts(command)
    if any(UNKNOWN in word.text for word in words) and name in _PROGRAMS and not names:
        names.append(UNKNOWN)
    cleaned = [each.strip("[]").lower() for each in names]
    return tuple(dict.fromkeys(each for each in cleaned if each))


def _bare_host(text: str) -> str:
    host = text.rpartition("@")[2]
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def host_of(url: str) -> str:
    """The machine in a URL, in small letters; empty when there is none."""
    found = _HOST_LIKE.search(url)
    if found is not None:
        return found.group(1).strip("[]").lower()
    return _bare_host(url.partition("/")[0]).lower() if _BARE.match(url) else ""
