"""Words of shell text and what they are part of: values only. Pure.

A word is `exact` when its text is what the shell will make of it. `$HOME`, `$PWD`, `~` and what was set before to a
known text are put in; any other expansion leaves `UNKNOWN` in the text and the word inexact. Not here: how they are
found (`lexer.py`, `expansions.py`), what they mean.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from kaged.domain.frozen import frozen

UNKNOWN: Final = "\ufffd"


def words_in(text: str) -> frozenset[str]:
    """The words of a text, for tables that are read by people."""
    return frozenset(text.split())


@frozen
class Word:
    """One word. `glob`: it is a pattern that the shell fills in; `quoted`: part of it was quoted."""

    text: str
    exact: bool = True
    glob: bool = False
    quoted: bool = False


@frozen
class Token:
    """`word` (with `word`), `operator` (with `text`), or `redirect` (operator in `text`, target in `word`)."""

    kind: Literal["word", "operator", "redirect"]
    text: str = ""
    word: Word = Word(text="")
    scripts: tuple[str, ...] = ()  # what is run to make the word
    body: str = ""  # of a here-document
    tight: bool = False  # follows what stands before it without a space


@dataclass(slots=True)
class Piece:
    """A word under way."""

    text: list[str] = field(default_factory=list)
    exact: bool = True
    glob: bool = False
    quoted: bool = False
    begun: bool = False
    scripts: list[str] = field(default_factory=list)

    def unknown(self) -> None:
        self.text.append(UNKNOWN)
        self.exact, self.begun = False, True

    def add(self, text: str) -> None:
        self.text.append(text)
        self.begun = True
