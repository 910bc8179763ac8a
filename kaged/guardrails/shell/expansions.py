"""What `$`, backquotes and quotes in shell text stand for: known text, or `UNKNOWN`. Pure; never raises.

What is substituted (`$(..)`, backquotes, `<(..)`) is given back as text, to be read as a script of its own.
"""

import re
from collections.abc import Mapping
from typing import Final

from kaged.guardrails.shell.words import UNKNOWN, Piece

_MAX_DEPTH: Final = 40
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES: Final = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "?": "?",
}  # fmt: skip
_ANSI_NUMBER: Final = re.compile(r"x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})")


class Expansions:
    """One text, and how far it was read. `problem` says what could not be read."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\\\n", "")
        self._known: Mapping[str, str] = {}
        self._at = 0
        self._depth = 0
        self._skipping = 0  # inside of what is only measured: its parts are read when it is read itself
        self.problem = ""

    def substitutions(self, piece: Piece) -> None:
        """Everything that the text would have run while it is expanded."""
        text = self._text
        while self._at < len(text):
            letter = text[self._at]
            self._at += 1
            if letter == "\\":
                self._at += 1
            elif letter == "$":
                self._dollar(piece, quoted=True)
            elif letter == "`":
                self._back(piece)
            elif letter in "<>" and text.startswith("(", self._at):
                self._at += 1
                piece.scripts.append(self._until_paren())

    def _up_to(self, mark: str) -> str:
        end = self._text.find(mark, self._at)
        if end < 0:
            self.problem = self.problem or f"a quote without its end: {mark}"
            end = len(self._text)
        found = self._text[self._at : end]
        self._at = end + 1
        return found

    def _double(self, piece: Piece) -> None:
        text = self._text
        piece.quoted = True
        if not self._deeper():
            return
        while self._at < len(text):
            letter = text[self._at]
            self._at += 1
            if letter == '"':
                self._depth -= 1
                return
            if letter == "\\" and text[self._at : self._at + 1] in ("$", "`", '"', "\\"):
                piece.add(text[self._at])
                self._at += 1
            elif letter == "$":
                self._dollar(piece, quoted=True)
            elif letter == "`":
                self._back(piece)
            else:
                piece.add(letter)
        self.problem = self.problem or 'a quote without its end: "'

    def _deeper(self) -> bool:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self.problem = "nested too deeply"
            self._at = len(self._text)
        return self._depth <= _MAX_DEPTH

    def _within(self, body: str, piece: Piece) -> None:
        """Expansions of a here-document."""
        inner = Expansions(body.replace('"', '\\"') + '"')
        inner._known = self._known
        inner._double(piece)
        self.problem = self.problem or inner.problem

    def _dollar(self, piece: Piece, *, quoted: bool = False) -> None:
        text = self._text
        following = text[self._at : self._at + 1]
        if following == "(":
            self._at += 1
            inner = self._until_paren()
            if not self._skipping:
                arithmetic = inner.startswith("(") and inner.endswith(")")
                piece.scripts += substitutions_in(inner) if arithmetic else [inner]
            piece.unknown()
        elif following == "{":
            self._at += 1
            inner = self._until_brace(quoted=quoted)
            if not self._skipping:
                piece.scripts += substitutions_in(inner)
            self._variable(inner, piece, quoted=quoted)
        elif following == "'" and not quoted:
            self._at += 1
            self._ansi(piece)
        elif following == '"' and not quoted:
            self._at += 1
            self._double(piece)
        elif (name := _NAME.match(text, self._at)) is not None:
            self._at = name.end()
            self._variable(name.group(), piece, quoted=quoted)
        elif following and following in "@*#?-$!0123456789":
            self._at += 1
            piece.unknown()
        else:
            piece.add("$")

    def _variable(self, name: str, piece: Piece, *, quoted: bool) -> None:
        value = self._known.get(name)
        if value is None or (not quoted and not value.isprintable()) or (not quoted and _splits(value)):
            piece.unknown()
            return
        piece.add(value)
        piece.glob = piece.glob or (not quoted and not {"*", "?", "["}.isdisjoint(value))

    def _ansi(self, piece: Piece) -> None:
        text = self._text
        piece.quoted = True
        while self._at < len(text):
            letter = text[self._at]
            self._at += 1
            if letter == "'":
                return
            if letter != "\\":
                piece.add(letter)
                continue
            number = _ANSI_NUMBER.match(text, self._at)
            following = text[self._at : self._at + 1]
            if number is not None:
                self._at = number.end()
                digits = number.group(number.lastindex or 0)
                code = int(digits, 8 if number.lastindex == 4 else 16)
                piece.add(chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else UNKNOWN)
            else:
                self._at += 1
                if following not in _ESCAPES:
                    piece.exact = False
                piece.add(_ESCAPES.get(following, following))
        self.problem = self.problem or "a quote without its end: $'"

    def _back(self, piece: Piece) -> None:
        text, inner = self._text, []
        while self._at < len(text) and text[self._at] != "`":
            if text[self._at] == "\\" and text[self._at + 1 : self._at + 2] in ("`", "\\", "$"):
                self._at += 1
            inner.append(text[self._at : self._at + 1])
            self._at += 1
        if self._at >= len(text):
            self.problem = self.problem or "a quote without its end: `"
        self._at += 1
        piece.scripts.append("".join(inner))
        piece.unknown()

    def _until_paren(self) -> str:
        return self._until("(", ")")

    def _until_brace(self, *, quoted: bool) -> str:
        return self._until("{", "}", quoted=quoted)

    def _until(self, opening: str, closing: str, *, quoted: bool = False) -> str:
        """Up to the closing one that belongs to an opening one that was just read; quotes are skipped over."""
        text, start, depth = self._text, self._at, 1
        if not self._deeper():
            return ""
        self._skipping += 1
        try:
            while self._at < len(text):
                letter = text[self._at]
                self._at += 1
                if letter == "\\":
                    self._at += 1
                elif letter == "'" and not quoted:
                    self._up_to("'")
                elif letter == '"':
                    self._double(Piece())
                elif letter == "`":
                    self._back(Piece())
                elif letter == opening:
                    depth += 1
                elif letter == closing:
                    depth -= 1
                    if not depth:
                        return text[start : self._at - 1]
        finally:
            self._skipping -= 1
            self._depth -= 1
        self.problem = self.problem or f"`{opening}` without `{closing}`"
        return text[start:]


def _splits(value: str) -> bool:
    return not value or any(letter.isspace() for letter in value)


def substitutions_in(text: str) -> list[str]:
    """The scripts in an expansion."""
    if "`" not in text and "$(" not in text and "<(" not in text and ">(" not in text:
        return []
    # Quotes do not matter: inside of double quotes, single ones in an expansion are letters. In doubt it is run.
    piece, lexer = Piece(), Expansions(text)
    lexer.substitutions(piece)
    return piece.scripts
