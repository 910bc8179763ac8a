"""Programs that start something by some of their words: `find -exec`, `git rebase --exec`, `ssh host` ... Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from kaged.guardrails.shell.operands import behind_host, find_roots, in_roots
from kaged.guardrails.shell.script import Command, Scope
from kaged.guardrails.shell.starting import Starting
from kaged.guardrails.shell.words import UNKNOWN, Word


def _find(reader: Starting, command: Command, scope: Scope) -> None:
    words = command.words
    at = 1
    while at < len(words):
        if words[at].text in ("-exec", "-execdir", "-ok", "-okdir"):
            end = at + 1
            while end < len(words) and words[end].text not in (";", "+"):
                end += 1
            found = tuple(
                replace(word, text=word.text.replace("{}", UNKNOWN), exact=False) if "{}" in word.text else word
                for word in words[at + 1 : end]
            )
            roots = find_roots(command)
            reader.behind(command, in_roots(found, roots), scope)
            at = end
        at += 1


def _fd(reader: Starting, command: Command, scope: Scope) -> None:
    words = command.words
    for at, word in enumerate(words):
        if word.text in ("-x", "-X", "--exec", "--exec-batch"):
            reader.behind(command, (*words[at + 1 :], Word(text=UNKNOWN, exact=False)), scope)
            return


def _watch(reader: Starting, command: Command, scope: Scope) -> None:
    words = list(command.words[1:])
    while words and words[0].text.startswith("-"):
        option = words.pop(0).text
        if option in ("-n", "--interval", "-q", "--equexit") and words:
            words.pop(0)
    reader.joined(command, tuple(words), scope)


def _script_log(reader: Starting, command: Command, scope: Scope) -> None:
    for at, word in enumerate(command.words):
        if word.text in ("-c", "--command") and at + 1 < len(command.words):
            reader.script(command, command.words[at + 1], scope)
            return
        if word.text.startswith("-") and not word.text.startswith("--") and word.text.endswith("c"):
            reader.joined(command, command.words[at + 1 : at + 2], scope)
            return


def _flock(reader: Starting, command: Command, scope: Scope) -> None:
    words = list(command.words[1:])
    while words and words[0].text.startswith("-") and words[0].text not in ("-c", "--command"):
        option = words.pop(0).text
        if option in ("-w", "--timeout", "-E", "--conflict-exit-code") and words:
            words.pop(0)
    words = words[1:]
    if words and words[0].text in ("-c", "--command"):
        reader.joined(command, tuple(words[1:2]), scope)
    elif words:
        reader.behind(command, tuple(words), scope)


def _git(reader: Starting, command: Command, scope: Scope) -> None:
    """Git runs commands of its own: aliases, hooks of a rebase, filters, editors."""
    words = command.words
    for at, word in enumerate(words):
        text = word.text
        after = words[at + 1] if at + 1 < len(words) else None
        if text == "-c" and after is not None:
            key, _, value = after.text.partition("=")
            if key.lower().startswith("alias.") and value.startswith("!"):
                reader.script(command, replace(after, text=value[1:], quoted=True), scope)
            elif not after.exact or _GIT_RUNS.search(key.lower()):
                reader.findings.doubt(f"git is told to run something: {key}")
        elif text in ("--exec", "-x") and after is not None and "rebase" in (word.text for word in words):
            reader.script(command, replace(after, quoted=True), scope)
        elif text.startswith("--exec=") and "rebase" in (word.text for word in words):
            reader.script(command, replace(word, text=text.partition("=")[2], quoted=True), scope)
        elif text.endswith("-filter") and "filter-branch" in (word.text for word in words) and after is not None:
            reader.script(command, replace(after, quoted=True), scope)
        elif text.startswith(("--upload-pack", "--receive-pack", "--open-files-in-pager", "--extcmd")):
            reader.findings.doubt(f"git is told to run something: {text}")
    texts = [word.text for word in words]
    if "foreach" in texts and "submodule" in texts:
        rest = words[texts.index("foreach") + 1 :]
        reader.joined(command, tuple(word for word in rest if word.text != "--recursive"), Scope((), scope.known))
    if "bisect" in texts and "run" in texts:
        reader.behind(command, words[texts.index("run") + 1 :], scope)


def _ssh(reader: Starting, command: Command, scope: Scope) -> None:
    """What runs on another machine is not in this one's folders; it is read for what it is."""
    for word in command.words[1:]:
        if word.text.lower().startswith(("proxycommand=", "-oproxycommand", "localcommand=", "-olocalcommand")):
            reader.findings.doubt("ssh is told to run something here")
    rest = behind_host(command)
    if not rest:
        if command.stdin:
            reader.findings.doubt("a shell on another machine reads commands that cannot be seen")
        return
    before = len(reader.findings.commands)
    reader.joined(command, rest, Scope((), {}))
    for index in range(before, len(reader.findings.commands)):
        reader.findings.commands[index] = replace(reader.findings.commands[index], remote=True)


def _alias(reader: Starting, command: Command, scope: Scope) -> None:
    for word in command.words[1:]:
        if "=" in word.text:
            reader.script(command, replace(word, text=word.text.partition("=")[2], quoted=True), scope)


def _trap(reader: Starting, command: Command, scope: Scope) -> None:
    words = [word for word in command.words[1:] if word.text not in ("--", "-p", "-l")]
    if len(words) > 1 and words[0].text not in ("", "-"):
        reader.script(command, replace(words[0], quoted=True), scope)


def _terminal(reader: Starting, command: Command, scope: Scope) -> None:
    if len(command.words) > 1 and command.words[1].text not in ("ls", "list-sessions", "kill-session", "-V"):
        reader.findings.doubt(f"what {command.name} starts cannot be read")


def _later(reader: Starting, command: Command, scope: Scope) -> None:
    if [word.text for word in command.words[1:]] not in (["-l"], ["-c"]):
        reader.findings.doubt(f"{command.name} runs something later, out of sight")


_GIT_RUNS: Final = re.compile(
    r"alias\.|core\.(pager|editor|sshcommand|fsmonitor|hookspath|askpass|gitproxy)|sequence\.editor|\.(cmd|tool|path)$"
    r"|pager\.|credential\.|filter\.|diff\..*\.(command|textconv)|merge\..*\.driver|gpg\.|include|url\.|uploadpack|ssh\."
)
STARTERS: Final[Mapping[str, Callable[[Starting, Command, Scope], None]]] = MappingProxyType(
    {
        "find": _find,
        "gfind": _find,
        "fd": _fd,
        "fdfind": _fd,
        "watch": _watch,
        "script": _script_log,
        "flock": _flock,
        "git": _git,
        "ssh": _ssh,
        "alias": _alias,
        "trap": _trap,
        "tmux": _terminal,
        "screen": _terminal,
        "at": _later,
        "batch": _later,
        "crontab": _later,
    }
)
