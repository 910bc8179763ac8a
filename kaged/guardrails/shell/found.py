"""Paths that are found in a command: written, taken away, mentioned. Pure.

Paths are normal ones; a target that cannot be known is in `lost` with its text.
"""

import re
from typing import Final

from kaged.guardrails.paths import normal
from kaged.guardrails.shell.script import Command
from kaged.guardrails.shell.words import UNKNOWN, Word

_SINKS: Final = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"})
_OPTION_PATH: Final = re.compile(r"^-[A-Za-z](?=[/~.])(.+)$")
_JOINTS: Final = re.compile(r"[=:,@]+")


class Found:
    """Paths found so far."""

    def __init__(self, command: Command, home: str) -> None:
        self.command = command
        self.home = home
        self.writes: list[str] = []
        self.deletes: list[str] = []
        self.mentions: list[str] = []
        self.lost: list[str] = []
        self.recursive = False

    def paths(self, word: Word) -> tuple[str, ...]:
        """Where a word may point to; empty when it cannot be known."""
        if not word.exact and UNKNOWN in word.text:
            return ()  # also behind a known beginning: what follows may hold `..`
        if word.text.startswith("/"):
            return (normal(word.text),)
        return tuple(normal(word.text, folder, self.home if not word.quoted else "") for folder in self.command.folders)

    def write(self, word: Word) -> None:
        """A word names what is written."""
        self._keep(word, self.writes)

    def delete(self, word: Word) -> None:
        """A word names what is taken away."""
        self._keep(word, self.deletes)

    def _keep(self, word: Word, into: list[str]) -> None:
        if word.exact and word.text in _SINKS:
            return
        found = self.paths(word)
        if found:
            into += found
        else:
            self.lost.append(word.text)

    def mention(self, word: Word) -> None:
        """A word that may be a path, or has one in it."""
        if not word.text or word.text == UNKNOWN:
            return
        pieces = [word.text]
        if "://" not in word.text:  # --file=PATH, f=@PATH, PATH:PATH
            pieces += [piece for piece in _JOINTS.split(word.text)[1:] if piece[:1] in ("/", "~", ".")]
            pieces.append(_JOINTS.split(word.text)[0])
        if (option := _OPTION_PATH.match(word.text)) is not None:
            pieces.append(option.group(1))
        for piece in pieces:
            piece = piece.partition(UNKNOWN)[0] if UNKNOWN in piece else piece
            if piece and not piece.startswith("-") and "\n" not in piece and "://" not in piece and len(piece) < 4096:
                self.mentions += self.paths(Word(text=piece))
