"""Commands that start other commands: `env`, `sudo`, `sh -c`, `eval`, `xargs`, `find -exec`, `timeout` ... Pure.

Each wrapper is found as a command of its own (`sudo` is one to know of) and what it starts as another, with the
wrapper's name in `via`. Script text in words that are not known is a doubt.
"""

from dataclasses import replace

from kaged.guardrails.paths import normal
from kaged.guardrails.shell.languages import code_doubt
from kaged.guardrails.shell.script import Command, Findings, Scope, Script, risky_assignment
from kaged.guardrails.shell.starters import STARTERS
from kaged.guardrails.shell.starting import Starting
from kaged.guardrails.shell.words import UNKNOWN, Word
from kaged.guardrails.shell.wrappers import FED, RUN_VERBS, SHELLS, WRAPPERS, Wrapper


class CommandReader(Starting):
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
            self.joined(command, command.words[1:], scope)
        elif name in (".", "source"):
            if len(command.words) < 2 or not command.words[1].exact or command.words[1].text.startswith("/dev/"):
                self.findings.doubt("it reads a script that is not known")
        elif name == "env":
            self._env(command, inner)
        elif name == "command":
            rest = [word for word in command.words[1:] if word.text not in ("-p", "--")]
            if rest and rest[0].text not in ("-v", "-V"):
                self.behind(command, tuple(rest), inner)
        elif name in ("su", "runuser"):
            self._su(command, inner)
        elif name in WRAPPERS:
            self._wrapped(command, WRAPPERS[name], inner)
        elif (more := STARTERS.get(name)) is not None:
            more(self, command, inner)
        elif doubt := code_doubt(command):
            self.findings.doubt(doubt)

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
                self.script(command, rest[0], scope)
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
            self.script(command, command.stdin_text, scope)
        else:
            self.findings.doubt(f"{command.name} reads its commands from somewhere that cannot be seen")

    def _wrapped(self, command: Command, wrapper: Wrapper, scope: Scope) -> None:
        name = command.name
        words = list(command.words[1:])
        if name in RUN_VERBS and (not words or words[0].text != RUN_VERBS[name]):
            return
        while words and words[0].text.startswith("-") and words[0].text not in ("-", "--"):
            option = words.pop(0)
            if not option.exact:
                self.findings.doubt(f"what {name} is given is not known")
                return
            if option.text in ("-D", "--chdir", "-R", "-w", "--wd") and name not in FED:
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
        self.behind(command, tuple(words), scope)

    def _parallel(self, command: Command, words: list[Word], scope: Scope) -> None:
        template = []
        for word in words:
            if word.text in (":::", ":::+", "::::"):
                break
            template.append(word)
        if not template:
            self.findings.doubt("parallel runs what it is given")
            return
        self.behind(command, (*template, Word(text=UNKNOWN, exact=False)), scope)

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
                self.joined(command, (first, *rest), scope)
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
        self.behind(command, tuple(words), scope)

    def _su(self, command: Command, scope: Scope) -> None:
        words = command.words
        for at, word in enumerate(words):
            if word.text in ("-c", "--command", "--session-command") and at + 1 < len(words):
                self.script(command, words[at + 1], scope)
                return
            if word.text.startswith("--command="):
                self.script(command, replace(word, text=word.text.partition("=")[2]), scope)
                return
            if word.text == "--" and command.name == "runuser":
                self.behind(command, words[at + 1 :], scope)
                return
        if command.name == "runuser":
            self.findings.doubt("what runuser runs is not known")


def _without(scope: Scope, assigned: tuple[Word, ...]) -> Scope:
    if not assigned:
        return scope
    inner = scope.copy()
    for word in assigned:
        inner.known.pop(word.text.partition("=")[0].removesuffix("+"), None)
    return inner


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
