r"""Filter text to tokens. One token at a time, because what a character means depends on where it stands:
in `recorded > 2026-01-01T10:00:00Z` the colons belong to a value, in `tags:env` the colon compares.

`peek`/`take` read structure (names, comparators, parentheses, keywords); `key` what follows the dot of a map
field; `value` what follows a comparator. A value keeps its unescaped `*` as the gaps between its pieces:
`"a*"` is ("a", ""), `"a\*"` is ("a*",). Every refusal is Invalid with the column (from 1) and the token.
"""

import re
from typing import Literal

from kaged.domain.errors import Invalid
from kaged.domain.frozen import frozen
from kaged.domain.late_pattern import late_pattern
from kaged.domain.quantities import shown

TokenKind = Literal["name", "keyword", "comparator", "(", ")", "-", "end"]

_SPACE = late_pattern(r"\s*")
_STRUCTURE = late_pattern(r"([A-Za-z_][A-Za-z0-9_]*)|(==|<=|>=|!=|<>|=~|!~|[=<>:])|([()-])")
_BARE_KEY = late_pattern(r"[A-Za-z0-9_./-]+")
_BARE_VALUE = late_pattern(r"""[^\s()<>=!,"'\\]+""")
_STRING = late_pattern(r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'""", re.DOTALL)
_PIECE = late_pattern(r"[^\\*]+|\*|\\u[0-9A-Fa-f]{4}|\\.", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'", "*": "*"}
_KEYWORDS = ("AND", "OR", "NOT")
_FOREIGN = {
    "==": "=",
    "<>": "!=",
    "=~": '= with a * at the start or end of the value, as in "agent.*"',
    "!~": '!= with a * at the start or end of the value, as in "agent.*"',
    "&": "AND",
    "|": "OR",
    "!": "NOT or !=",
    ",": "AND or OR",
    ";": "AND",
}


@frozen
class Token:
    """A piece of structure; `column` counts characters from 1."""

    kind: TokenKind
    text: str
    column: int


@frozen
class Literals:
    """A value or key as written: the texts between its unescaped stars."""

    pieces: tuple[str, ...]
    quoted: bool
    text: str
    column: int


class Lexer:
    """A cursor over one filter. `path` is the request's field, for the refusals."""

    def __init__(self, text: str, *, path: str) -> None:
        self._text = text
        self._path = path
        self._position = 0
        self._ahead: Token | None = None

    def refuse(self, column: int, what: str, *, found: str = "", hint: str = "") -> Invalid:
        """The refusal to raise: `what` is wrong at `column`."""
        return Invalid((self._path, f"column {column}: {what}"), hint=hint, column=column, token=found[:64] or "end")

    def peek(self) -> Token:
        """The next token of structure, without taking it."""
        if self._ahead is None:
            self._ahead = self._structure()
        return self._ahead

    def take(self) -> Token:
        """The next token of structure."""
        token = self.peek()
        self._ahead = None
        return token

    def key(self) -> Literals | None:
        """What follows a dot that stands right behind the last token taken; None if there is no dot."""
        if not self._text.startswith(".", self._position):
            return None
        self._position += 1
        if self._text[self._position : self._position + 1] in ('"', "'"):
            return self._string()
        return self._bare(_BARE_KEY, "a key after the dot")

    def value(self) -> Literals:
        """The value behind a comparator that was just taken."""
        self._skip_space()
        if self._text[self._position : self._position + 1] in ('"', "'"):
            return self._string()
        value = self._bare(_BARE_VALUE, "a value")
        if value.text in _KEYWORDS:
            raise self.refuse(value.column, f"expected a value, found {value.text}", found=value.text)
        return value

    def _structure(self) -> Token:
        self._skip_space()
        column = self._position + 1
        found = _STRUCTURE.match(self._text, self._position)
        if found is None:
            if self._position == len(self._text):
                return Token(kind="end", text="", column=column)
            raise self._unexpected(column)
        self._position = found.end()
        text = found[0]
        if found[1]:
            return Token(kind="keyword" if text in _KEYWORDS else "name", text=text, column=column)
        if found[2]:
            if text in _FOREIGN:
                raise self.refuse(column, f"no operator {text!r}: write {_FOREIGN[text]}", found=text)
            return Token(kind="comparator", text=text, column=column)
        return Token(kind="(" if text == "(" else ")" if text == ")" else "-", text=text, column=column)

    def _unexpected(self, column: int) -> Invalid:
        character = self._text[self._position]
        if character in _FOREIGN:
            return self.refuse(column, f"{character!r} is not used: write {_FOREIGN[character]}", found=character)
        if character in "\"'" or character.isdigit():
            literal = self._string() if character in "\"'" else self._bare(_BARE_VALUE, "a value")
            return self.refuse(
                column,
                f"{shown(literal.text)} is compared with nothing: write field = value",
                found=literal.text,
            )
        return self.refuse(column, f"expected a field, found {character!r}", found=character)

    def _bare(self, form: re.Pattern[str], wanted: str) -> Literals:
        found = form.match(self._text, self._position)
        column = self._position + 1
        if found is None:
            rest = self._text[self._position : self._position + 1]
            seen = repr(rest) if rest else "the end"
            raise self.refuse(
                column,
                f"expected {wanted}, found {seen}",
                found=rest,
                hint="put special characters in quotes",
            )
        self._position = found.end()
        return Literals(pieces=tuple(found[0].split("*")), quoted=False, text=found[0], column=column)

    def _string(self) -> Literals:
        column = self._position + 1
        found = _STRING.match(self._text, self._position)
        if found is None:
            raise self.refuse(column, "this quote is never closed", found=self._text[self._position :])
        self._position = found.end()
        inside = found[1] if found[1] is not None else found[2]
        pieces = [""]
        for part in _PIECE.finditer(inside):
            text = part[0]
            if text == "*":
                pieces.append("")
            elif text[0] == "\\":
                pieces[-1] += self._unescaped(text, column + 1 + part.start())
            else:
                pieces[-1] += text
        return Literals(pieces=tuple(pieces), quoted=True, text=found[0], column=column)

    def _unescaped(self, escape: str, column: int) -> str:
        if len(escape) == 6 and not 0xD800 <= (code := int(escape[2:], 16)) <= 0xDFFF:
            return chr(code)
        plain = _ESCAPES.get(escape[1:])
        if plain is None:
            known = r"\n \r \t \\ \" \' \* \uXXXX"
            raise self.refuse(column, f"unknown escape {escape!r}; known are {known}", found=escape)
        return plain

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._position)
        self._position = space.end() if space else self._position
