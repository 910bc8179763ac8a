"""What a line of shell would run: values only. Pure.

Each simple command, wherever it stands: behind `&&` and `|`, in a subshell, a function, a loop, in what `$(..)` holds,
what `sh -c`, `eval`, `xargs` or `env` would start. Folders: `cd a && x` runs in `a`; after `cd a; x` the `cd` may
have failed, so both count. What cannot be read (`eval "$x"`, `base64 -d | sh`) is a reason in `unknown`. Not here: how
they are found (`walk.py`, `unwrap.py`).
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from kaged.domain.frozen import frozen
from kaged.guardrails.shell.words import Word

MAX_COMMANDS: Final = 500
RISKY_VARIABLES: Final = (
    *("PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "PROMPT_COMMAND", "PS4", "LD_", "DYLD_", "GIT_", "SSH_ASKPASS"),
    *("PYTHONSTARTUP", "PYTHONPATH", "PERL5", "NODE_OPTIONS", "RUBYOPT", "EDITOR", "VISUAL", "PAGER", "MANPAGER"),
)
Stdin = Literal["", "pipe", "file", "text"]


@frozen
class Redirect:
    """A file that the shell opens: `write` truncates or appends."""

    kind: Literal["read", "write"]
    word: Word


@frozen
class Command:
    """One simple command. `folders`: where it may run, empty when that is not known. `via`: what starts it."""

    words: tuple[Word, ...]
    folders: tuple[str, ...]
    redirects: tuple[Redirect, ...] = ()
    assigned: tuple[Word, ...] = ()
    stdin: Stdin = ""
    stdin_text: Word = Word(text="")
    via: tuple[str, ...] = ()
    remote: bool = False  # it runs on another machine

    @property
    def name(self) -> str:
        """The program's name without its folder; empty when it is not known."""
        if not self.words or not self.words[0].exact or self.words[0].glob:
            return ""
        return self.words[0].text.rpartition("/")[2]

    @property
    def text(self) -> str:
        """The words with a space between them."""
        return " ".join(word.text for word in self.words)


@frozen
class Script:
    """What was read. `unknown`: why some of it cannot be."""

    commands: tuple[Command, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class Findings:
    """What is found while a script is read, over all its parts."""

    commands: list[Command] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    letters: int = 0

    @property
    def full(self) -> bool:
        """There is more than anybody will look at."""
        return len(self.commands) >= MAX_COMMANDS

    def doubt(self, why: str) -> None:
        """Some of it cannot be read."""
        if why not in self.unknown and len(self.unknown) < 16:
            self.unknown.append(why)


@dataclass(slots=True)
class Scope:
    """Where a part of a script runs, and what is known of its variables."""

    folders: tuple[str, ...]
    known: dict[str, str]

    def copy(self) -> "Scope":
        """For a subshell: what changes in it stays in it."""
        return Scope(self.folders, dict(self.known))


def is_assignment(word: Word) -> bool:
    name, equals, _ = word.text.partition("=")
    name = name.removesuffix("+").partition("[")[0]
    return bool(equals) and name.isidentifier() and name.isascii()


def risky(name: str) -> bool:
    return any(name == risky or (risky.endswith("_") and name.startswith(risky)) for risky in RISKY_VARIABLES)


def risky_assignment(word: Word) -> str:
    """The name of a variable that changes what a program does, or an empty text."""
    name = word.text.partition("=")[0].removesuffix("+")
    return name if risky(name) else ""
