"""Commands that start other commands: `env`, `sudo`, `sh -c`, `eval`, `xargs`, `find -exec`, `timeout` ... Pure.

Each wrapper is found as a command of its own (`sudo` is one to know of) and what it starts as another, with the
wrapper's name in `via`. Script text in words that are not known is a doubt. What another program's own language
says (`python -c`, `awk`, `perl -e`) is read for signs that it starts programs or takes trees away, and no further.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from kaged.domain.frozen import frozen
from kaged.guardrails.paths import normal
from kaged.guardrails.shell.script import Command, Findings, Reader, Scope, Script, risky_assignment
from kaged.guardrails.shell.words import UNKNOWN, Word, words_in

SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "fish", "yash", "tcsh", "csh"})
PRIVILEGE: Final = frozenset({"sudo", "doas", "su", "runuser", "pkexec", "run0", "sudoedit", "gosu", "su-exec"})


@frozen
class Wrapper:
    """How to get behind a wrapper: its options that take a value, and how many words stand before the command."""

    values: tuple[str, ...] = ()
    before: int = 0
    assigns: bool = False


_WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "sudo": Wrapper(
            values=("-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-U", "-r", "-t", "--user", "--group", "--chdir"),
            assigns=True,
        ),
        "doas": Wrapper(values=("-u", "-C", "-a")),
        "pkexec": Wrapper(values=("--user",)),
        "run0": Wrapper(values=("-u", "--user", "-g", "--group", "-D", "--chdir", "--unit", "--slice")),
        "gosu": Wrapper(before=1),
        "su-exec": Wrapper(before=1),
        "nohup": Wrapper(),
        "setsid": Wrapper(),
        "nice": Wrapper(values=("-n", "--adjustment")),
        "ionice": Wrapper(values=("-c", "-n", "-p", "-P", "-u", "--class", "--classdata")),
        "chrt": Wrapper(values=("-T", "-P", "-D"), before=1),
        "taskset": Wrapper(before=1),
        "stdbuf": Wrapper(values=("-i", "-o", "-e", "--input", "--output", "--error")),
        "timeout": Wrapper(values=("-s", "-k", "--signal", "--kill-after"), before=1),
        "time": Wrapper(values=("-f", "-o", "--format", "--output")),
        "builtin": Wrapper(),
        "exec": Wrapper(values=("-a",)),
        "busybox": Wrapper(),
        "toybox": Wrapper(),
        "caffeinate": Wrapper(values=("-t", "-w")),
        "strace": Wrapper(values=("-e", "-o", "-p", "-s", "-u", "-E", "-P", "-a", "-b", "-I", "-O", "-S", "-X")),
        "ltrace": Wrapper(values=("-e", "-o", "-p", "-s", "-u", "-a", "-l", "-n", "-D", "-A", "-F")),
        "chroot": Wrapper(before=1),
        "unshare": Wrapper(values=("-S", "-G", "--setuid", "--setgid", "--root", "-R", "--wd", "-w")),
        "nsenter": Wrapper(values=("-t", "--target", "-S", "-G", "-r", "-w")),
        "systemd-run": Wrapper(
            values=("-p", "--property", "-u", "--unit", "-E", "--setenv", "-M", "--slice", "--uid", "--gid", "-d")
        ),
        "systemd-inhibit": Wrapper(values=("--what", "--who", "--why", "--mode")),
        "firejail": Wrapper(),
        "xvfb-run": Wrapper(values=("-n", "-s", "-f", "-e", "-p", "-w", "-l")),
        "dbus-run-session": Wrapper(),
        "faketime": Wrapper(before=1),
        "proxychains": Wrapper(values=("-f",)),
        "proxychains4": Wrapper(values=("-f",)),
        "torsocks": Wrapper(),
        "npx": Wrapper(values=("-p", "--package")),
        "bunx": Wrapper(),
        "pnpx": Wrapper(),
        "poetry": Wrapper(before=1),
        "uv": Wrapper(before=1),
        "pipenv": Wrapper(before=1),
        "direnv": Wrapper(before=2),
        "xargs": Wrapper(
            values=("-a", "-d", "-E", "-I", "-L", "-n", "-P", "-s", "--arg-file", "--delimiter", "--max-args",
                    "--max-procs", "--replace", "--max-lines", "--max-chars", "--process-slot-var"),
        ),
        "parallel": Wrapper(values=("-j", "--jobs", "-a", "--arg-file", "-I", "-n", "-N", "-L", "--colsep", "-S")),
    }
)  # fmt: skip
_RUN_VERBS: Final = {"poetry": "run", "uv": "run", "pipenv": "run", "direnv": "exec"}
_FED: Final = frozenset({"xargs", "parallel"})

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


class CommandReader(Reader):
    """Finds what wrappers start as well."""

    def simple(self, command: Command, scope: Scope) -> None:
        if self.depth > 12:
            self.findings.doubt("it is nested too deeply to be read")
            return
        super().simple(command, scope)
        for word in command.assigned:
            if name := risky_assignment(word):
                self.findings.doubt(f"it sets {name}")
        if not command.words:
            return
        name = command.name
        if not name:
            self.findings.doubt(f"what it runs is not known: {command.text[:80]}")
            return
        inner = _without(scope, command.assigned)
        if name in SHELLS:
            self._shell(command, inner)
        elif name == "eval":
            self._joined(command, command.words[1:], scope)
        elif name in (".", "source"):
            if len(command.words) < 2 or not command.words[1].exact or command.words[1].text.startswith("/dev/"):
                self.findings.doubt("it reads a script that is not known")
        elif name == "env":
            self._env(command, inner)
        elif name == "command":
            rest = [word for word in command.words[1:] if word.text not in ("-p", "--")]
            if rest and rest[0].text not in ("-v", "-V"):
                self._behind(command, tuple(rest), inner)
        elif name in ("su", "runuser"):
            self._su(command, inner)
        elif name in _WRAPPERS:
            self._wrapped(command, _WRAPPERS[name], inner)
        elif (more := _OTHERS.get(name)) is not None:
            more(self, command, inner)
        else:
            self._code(command)

    # --- shells --------------------------------------------------------------------------------------------------

    def _shell(self, command: Command, scope: Scope) -> None:
        words, at = command.words, 1
        while at < len(words):
            word = words[at]
            text = word.text
            if not word.exact:
                self.findings.doubt(f"what {command.name} is given is not known")
                return
            if text == "-c" or (text.startswith("-") and not text.startswith("--") and "c" in text[1:]):
                rest = [each for each in words[at + 1 :] if not each.text.startswith(("-", "+")) or not each.exact]
                if not rest:
                    self.findings.doubt(f"{command.name} -c without its script")
                    return
                self._script(command, rest[0], scope)
                return
            if text in ("-o", "-O", "+o", "+O", "--rcfile", "--init-file"):
                at += 2
            elif text.startswith(("-", "+")) and text not in ("-", "--"):
                if "s" in text and not text.startswith("--"):
                    break
                at += 1
            else:
                break
        operand = words[at].text if at < len(words) else ""
        if operand and operand not in ("-", "-s", "/dev/stdin", "/proc/self/fd/0") and UNKNOWN not in operand:
            return  # a file: what is in it is as little known as what any program does
        if command.stdin == "text":
            self._script(command, command.stdin_text, scope)
        else:
            self.findings.doubt(f"{command.name} reads its commands from somewhere that cannot be seen")

    def _script(self, command: Command, script: Word, scope: Scope) -> None:
        if not script.exact or (script.glob and not script.quoted):
            self.findings.doubt(f"what {command.name} runs is not known")
            return
        reader = CommandReader(self.findings, self.depth + 1)
        before = len(self.findings.commands)
        reader.read(script.text, scope.copy())
        for index in range(before, len(self.findings.commands)):
            found = self.findings.commands[index]
            self.findings.commands[index] = replace(found, via=(*command.via, command.name, *found.via))

    def _joined(self, command: Command, words: tuple[Word, ...], scope: Scope) -> None:
        if not all(word.exact for word in words):
            self.findings.doubt(f"what {command.name} runs is not known")
            return
        self._script(command, Word(text=" ".join(word.text for word in words), quoted=True), scope)

    # --- wrappers ------------------------------------------------------------------------------------------------

    def _behind(self, command: Command, words: tuple[Word, ...], scope: Scope) -> None:
        """What a wrapper starts is a command of its own."""
        if not words:
            return
        if self.depth >= 12:
            self.findings.doubt("it is nested too deeply to be read")
            return
        inner = replace(command, words=words, redirects=(), assigned=(), via=(*command.via, command.name))
        CommandReader(self.findings, self.depth + 1).simple(replace(inner, folders=scope.folders), scope)

    def _wrapped(self, command: Command, wrapper: Wrapper, scope: Scope) -> None:
        name = command.name
        words = list(command.words[1:])
        if name in _RUN_VERBS and (not words or words[0].text != _RUN_VERBS[name]):
            return
        while words and words[0].text.startswith("-") and words[0].text not in ("-", "--"):
            option = words.pop(0)
            if not option.exact:
                self.findings.doubt(f"what {name} is given is not known")
                return
            if option.text in ("-D", "--chdir", "-R", "-w", "--wd") and name not in _FED:
                scope = Scope((), scope.known)
            if option.text in wrapper.values and words:
                words.pop(0)
        if words and words[0].text == "--":
            words.pop(0)
        skipped = words[: wrapper.before]
        words = words[wrapper.before :]
        if any(not word.exact for word in skipped):
            self.findings.doubt(f"what {name} is given is not known")
        if name == "direnv":
            scope = Scope((), scope.known)
        if name in ("chroot", "unshare", "nsenter"):
            scope = Scope((), scope.known)
        if wrapper.assigns:
            while words and "=" in words[0].text.partition("/")[0]:
                self._assigned(words.pop(0))
        if name == "parallel":
            self._parallel(command, words, scope)
            return
        if name == "xargs":
            words = words or [Word(text="echo")]
            words = [*words, Word(text=UNKNOWN, exact=False)]
        if name == "exec" and not words:
            return
        self._behind(command, tuple(words), scope)

    def _parallel(self, command: Command, words: list[Word], scope: Scope) -> None:
        template = []
        for word in words:
            if word.text in (":::", ":::+", "::::"):
                break
            template.append(word)
        if not template:
            self.findings.doubt("parallel runs what it is given")
            return
        self._behind(command, (*template, Word(text=UNKNOWN, exact=False)), scope)

    def _assigned(self, word: Word) -> None:
        if name := risky_assignment(word):
            self.findings.doubt(f"it sets {name}")

    def _env(self, command: Command, scope: Scope) -> None:
        words, scope = list(command.words[1:]), scope.copy()
        while words:
            text = words[0].text
            if not words[0].exact and "=" not in text:
                self.findings.doubt("what env is given is not known")
                return
            if text in ("-S", "--split-string") or text.startswith(("-S", "--split-string=", "-vS")):
                inline = text.partition("=")[2] if text.startswith("--") else text[2:].removeprefix("S")
                first = Word(text=inline, quoted=True) if inline else words[1] if len(words) > 1 else Word(text="")
                rest = words[1 if inline else 2 :]
                self._joined(command, (first, *rest), scope)
                return
            if text in ("-u", "--unset", "-C", "--chdir"):
                if text in ("-C", "--chdir"):
                    scope.folders = (
                        tuple(normal(words[1].text, folder) for folder in scope.folders)
                        if len(words) > 1 and words[1].exact
                        else ()
                    )
                elif len(words) > 1:
                    scope.known.pop(words[1].text, None)
                words = words[2:]
            elif text.startswith("--chdir="):
                target = text.partition("=")[2]
                scope.folders = tuple(normal(target, folder) for folder in scope.folders)
                words = words[1:]
            elif text.startswith("-"):
                if text in ("-i", "--ignore-environment", "-"):
                    scope.known.clear()
                words = words[1:]
            elif "=" in text:
                self._assigned(words[0])
                scope.known.pop(text.partition("=")[0], None)
                words = words[1:]
            else:
                break
        self._behind(command, tuple(words), scope)

    def _su(self, command: Command, scope: Scope) -> None:
        words = command.words
        for at, word in enumerate(words):
            if word.text in ("-c", "--command", "--session-command") and at + 1 < len(words):
                self._script(command, words[at + 1], scope)
                return
            if word.text.startswith("--command="):
                self._script(command, replace(word, text=word.text.partition("=")[2]), scope)
                return
            if word.text == "--" and command.name == "runuser":
                self._behind(command, words[at + 1 :], scope)
                return
        if command.name == "runuser":
            self.findings.doubt("what runuser runs is not known")

    # --- programs with a language of their own -------------------------------------------------------------------

    def _code(self, command: Command) -> None:
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
                self.findings.doubt(f"what this {name} program does cannot be read")
            elif command.stdin == "pipe" and not code and _no_operand(texts):
                self.findings.doubt(f"{name} reads its program from somewhere that cannot be seen")
        elif name in _AWKS:
            programs = [word for word in command.words[1:] if not word.text.startswith("-")]
            if programs and (not programs[0].exact or _AWK_SIGNS.search(programs[0].text)):
                self.findings.doubt(f"what this {name} program does cannot be read")
        elif name in _EDITORS and len(texts) > 1:
            self.findings.doubt(f"what {name} is told to do cannot be read")

    def _find(self, command: Command, scope: Scope) -> None:
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
                self._behind(command, _in_roots(found, roots), scope)
                at = end
            at += 1

    def _fd(self, command: Command, scope: Scope) -> None:
        words = command.words
        for at, word in enumerate(words):
            if word.text in ("-x", "-X", "--exec", "--exec-batch"):
                self._behind(command, (*words[at + 1 :], Word(text=UNKNOWN, exact=False)), scope)
                return

    def _watch(self, command: Command, scope: Scope) -> None:
        words = list(command.words[1:])
        while words and words[0].text.startswith("-"):
            option = words.pop(0).text
            if option in ("-n", "--interval", "-q", "--equexit") and words:
                words.pop(0)
        self._joined(command, tuple(words), scope)

    def _script_log(self, command: Command, scope: Scope) -> None:
        for at, word in enumerate(command.words):
            if word.text in ("-c", "--command") and at + 1 < len(command.words):
                self._script(command, command.words[at + 1], scope)
                return
            if word.text.startswith("-") and not word.text.startswith("--") and word.text.endswith("c"):
                self._joined(command, command.words[at + 1 : at + 2], scope)
                return

    def _flock(self, command: Command, scope: Scope) -> None:
        words = list(command.words[1:])
        while words and words[0].text.startswith("-") and words[0].text not in ("-c", "--command"):
            option = words.pop(0).text
            if option in ("-w", "--timeout", "-E", "--conflict-exit-code") and words:
                words.pop(0)
        words = words[1:]
        if words and words[0].text in ("-c", "--command"):
            self._joined(command, tuple(words[1:2]), scope)
        elif words:
            self._behind(command, tuple(words), scope)

    def _git(self, command: Command, scope: Scope) -> None:
        """Git runs commands of its own: aliases, hooks of a rebase, filters, editors."""
        words = command.words
        for at, word in enumerate(words):
            text = word.text
            after = words[at + 1] if at + 1 < len(words) else None
            if text == "-c" and after is not None:
                key, _, value = after.text.partition("=")
                if key.lower().startswith("alias.") and value.startswith("!"):
                    self._script(command, replace(after, text=value[1:], quoted=True), scope)
                elif not after.exact or _GIT_RUNS.search(key.lower()):
                    self.findings.doubt(f"git is told to run something: {key}")
            elif text in ("--exec", "-x") and after is not None and "rebase" in (word.text for word in words):
                self._script(command, replace(after, quoted=True), scope)
            elif text.startswith("--exec=") and "rebase" in (word.text for word in words):
                self._script(command, replace(word, text=text.partition("=")[2], quoted=True), scope)
            elif text.endswith("-filter") and "filter-branch" in (word.text for word in words) and after is not None:
                self._script(command, replace(after, quoted=True), scope)
            elif text.startswith(("--upload-pack", "--receive-pack", "--open-files-in-pager", "--extcmd")):
                self.findings.doubt(f"git is told to run something: {text}")
        texts = [word.text for word in words]
        if "foreach" in texts and "submodule" in texts:
            rest = words[texts.index("foreach") + 1 :]
            self._joined(command, tuple(word for word in rest if word.text != "--recursive"), Scope((), scope.known))
        if "bisect" in texts and "run" in texts:
            self._behind(command, words[texts.index("run") + 1 :], scope)

    def _ssh(self, command: Command, scope: Scope) -> None:
        """What runs on another machine is not in this one's folders; it is read for what it is."""
        for word in command.words[1:]:
            if word.text.lower().startswith(("proxycommand=", "-oproxycommand", "localcommand=", "-olocalcommand")):
                self.findings.doubt("ssh is told to run something here")
        rest = behind_host(command)
        if not rest:
            if command.stdin:
                self.findings.doubt("a shell on another machine reads commands that cannot be seen")
            return
        before = len(self.findings.commands)
        self._joined(command, rest, Scope((), {}))
        for index in range(before, len(self.findings.commands)):
            self.findings.commands[index] = replace(self.findings.commands[index], remote=True)

    def _alias(self, command: Command, scope: Scope) -> None:
        for word in command.words[1:]:
            if "=" in word.text:
                self._script(command, replace(word, text=word.text.partition("=")[2], quoted=True), scope)

    def _trap(self, command: Command, scope: Scope) -> None:
        words = [word for word in command.words[1:] if word.text not in ("--", "-p", "-l")]
        if len(words) > 1 and words[0].text not in ("", "-"):
            self._script(command, replace(words[0], quoted=True), scope)

    def _terminal(self, command: Command, scope: Scope) -> None:
        if len(command.words) > 1 and command.words[1].text not in ("ls", "list-sessions", "kill-session", "-V"):
            self.findings.doubt(f"what {command.name} starts cannot be read")

    def _later(self, command: Command, scope: Scope) -> None:
        if [word.text for word in command.words[1:]] not in (["-l"], ["-c"]):
            self.findings.doubt(f"{command.name} runs something later, out of sight")


_GIT_RUNS: Final = re.compile(
    r"alias\.|core\.(pager|editor|sshcommand|fsmonitor|hookspath|askpass|gitproxy)|sequence\.editor|\.(cmd|tool|path)$"
    r"|pager\.|credential\.|filter\.|diff\..*\.(command|textconv)|merge\..*\.driver|gpg\.|include|url\.|uploadpack|ssh\."
)
_OTHERS: Final[Mapping[str, Callable[[CommandReader, Command, Scope], None]]] = MappingProxyType(
    {
        "find": CommandReader._find,
        "gfind": CommandReader._find,
        "fd": CommandReader._fd,
        "fdfind": CommandReader._fd,
        "watch": CommandReader._watch,
        "script": CommandReader._script_log,
        "flock": CommandReader._flock,
        "git": CommandReader._git,
        "ssh": CommandReader._ssh,
        "alias": CommandReader._alias,
        "trap": CommandReader._trap,
        "tmux": CommandReader._terminal,
        "screen": CommandReader._terminal,
        "at": CommandReader._later,
        "batch": CommandReader._later,
        "crontab": CommandReader._later,
    }
)


def _without(scope: Scope, assigned: tuple[Word, ...]) -> Scope:
    if not assigned:
        return scope
    inner = scope.copy()
    for word in assigned:
        inner.known.pop(word.text.partition("=")[0].removesuffix("+"), None)
    return inner


def _runs_something(language: str, code: str) -> bool:
    return bool(_CODE_SIGNS.search(code)) or (language in _BACKQUOTES and bool(_BACKQUOTE_SIGNS.search(code)))


def _no_operand(texts: list[str]) -> bool:
    return all(text.startswith("-") for text in texts)


def find_roots(command: Command) -> tuple[Word, ...]:
    """The folders that a `find` begins in; none named: the working directory."""
    roots: list[Word] = []
    for word in command.words[1:]:
        if word.text in ("-H", "-L", "-P") or word.text.startswith("-O"):
            continue
        if word.text.startswith(("-", "(", "!", "\\(")):
            break
        roots.append(word)
    return tuple(roots) or (Word(text="."),)


def _in_roots(words: tuple[Word, ...], roots: tuple[Word, ...]) -> tuple[Word, ...]:
    """What `find -exec` hands over is somewhere below its roots: a pattern there."""
    out: list[Word] = []
    for word in words:
        if word.text == UNKNOWN and all(root.exact for root in roots):
            out += (Word(text=root.text.rstrip("/") + "/**", glob=True) for root in roots)
        else:
            out.append(word)
    return tuple(out)


_SSH_VALUES: Final = words_in(
    """
    -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w
    """
)


def behind_host(command: Command) -> tuple[Word, ...]:
    """The command in an `ssh` line."""
    at = host_at(command)
    return command.words[at + 1 :] if at else ()


def host_at(command: Command) -> int:
    """Where the host stands in an `ssh` line; 0: nowhere."""
    at = 1
    while at < len(command.words):
        text = command.words[at].text
        if text in _SSH_VALUES:
            at += 2
        elif text.startswith("-"):
            at += 1
        else:
            return at
    return 0


def read_script(text: str, folder: str, home: str) -> Script:
    """All commands of a text that is run in a folder. Never raises."""
    findings = Findings()
    known = {"PWD": folder} if folder else {}
    if home:
        known["HOME"] = home
    try:
        CommandReader(findings).read(text, Scope((folder,) if folder else (), known))
    except RecursionError:
        findings.doubt("it is nested too deeply to be read")
    return Script(commands=tuple(findings.commands), unknown=tuple(findings.unknown))
