"""Shell text to tokens: words with their quotes taken off, operators, redirections. Pure; never raises.

A word is `exact` when its text is what the shell will make of it. `$HOME`, `$PWD`, `~` and what was set before to a
known text are put in; any other expansion leaves `UNKNOWN` in the text and the word inexact. What is substituted
(`$(..)`, backquotes, `<(..)`) is given back as text, to be read as a script of its own. Not here: what the words mean.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from kaged.domain.frozen import frozen

_MAX_DEPTH: Final = 40
UNKNOWN: Final = "\ufffd"
_OPERATORS: Final = (";;&", "&>>", "&&", "||", ";;", ";&", "|&", "&>", ";", "&", "|", "(", ")", "\n")
_REDIRECTS: Final = ("<<<", "<<-", "<<", "<>", "<&", ">>", ">&", ">|", "<", ">")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SET: Final = re.compile(r"[^\s\]][^\s;&|<>()]*\]")
_BREAKS: Final = frozenset(" \t\r\n;&|<>()")
_ESCAPES: Final = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "?": "?",
}  # fmt: skip
_ANSI_NUMBER: Final = re.compile(r"x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})")


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
class _Piece:
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


class Lexer:
    """All tokens of a text. `problem` says what could not be read."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\\\n", "")
        self._known: Mapping[str, str] = {}
        self._at = 0
        self._depth = 0
        self._skipping = 0  # inside of what is only measured: its parts are read when it is read itself
        self._waiting: list[tuple[int, str, bool, bool]] = []  # here-documents: token, end mark, strip tabs, quoted
        self.tokens: list[Token] = []
        self.problem = ""

    def read(self, known: Mapping[str, str]) -> list[Token]:
        """`known`: variables whose text is known."""
        self._known = known
        text, tight = self._text, False
        while self._at < len(text):
            letter = text[self._at]
            if letter in " \t\r":
                self._at += 1
                tight = False
            elif letter == "#" and not tight:
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            elif self._redirect(tight=tight) or self._operator(tight=tight):
                tight = True
            else:
                token = self._word(tight=tight)
                if token is not None:
                    self.tokens.append(token)
                tight = True
        if self._waiting:
            self.problem = self.problem or "a here-document without its end"
        return self.tokens

    # --- operators -----------------------------------------------------------------------------------------------

    def _operator(self, *, tight: bool) -> bool:
        for operator in _OPERATORS:
            if self._text.startswith(operator, self._at):
                self._at += len(operator)
                if operator in ("&>", "&>>"):
                    self._target(operator, tight=tight)
                    return True
                self.tokens.append(Token(kind="operator", text=operator, tight=tight))
                if operator == "\n":
                    self._here_documents()
                return True
        return False

    def _redirect(self, *, tight: bool) -> bool:
        start = self._at
        digits = re.compile(r"\d+|\{[A-Za-z_]\w*\}").match(self._text, start)
        at = digits.end() if digits is not None and not tight else start
        for operator in _REDIRECTS:
            if self._text.startswith(operator, at):
                if operator in ("<", ">") and self._text.startswith("(", at + 1):
                    return False  # process substitution: part of a word
                self._at = at + len(operator)
                self._target(operator, tight=tight)
                return True
        return False

    def _target(self, operator: str, *, tight: bool) -> None:
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
        token = self._word(tight=False)
        if token is None:
            self.problem = self.problem or f"nothing after `{operator}`"
            return
        if operator in ("<<", "<<-"):
            self._waiting.append((len(self.tokens), token.word.text, operator == "<<-", token.word.quoted))
        self.tokens.append(Token(kind="redirect", text=operator, word=token.word, scripts=token.scripts, tight=tight))

    def _here_documents(self) -> None:
        for index, mark, tabs, quoted in self._waiting:
            lines: list[str] = []
            while self._at < len(self._text):
                end = self._text.find("\n", self._at)
                line = self._text[self._at : end if end >= 0 else len(self._text)]
                self._at = len(self._text) if end < 0 else end + 1
                if (line.lstrip("\t") if tabs else line) == mark:
                    break
                lines.append(line.lstrip("\t") if tabs else line)
            else:
                self.problem = self.problem or "a here-document without its end"
            body = "\n".join(lines)
            word, scripts = Word(text=body), tuple[str, ...]()
            if not quoted:
                piece = _Piece()
                self._within(body, piece)
                word, scripts = Word(text="".join(piece.text), exact=piece.exact), tuple(piece.scripts)
            was = self.tokens[index]
            self.tokens[index] = Token(kind="redirect", text=was.text, word=word, scripts=scripts, body=body)
        self._waiting = []

    # --- words ---------------------------------------------------------------------------------------------------

    def _word(self, *, tight: bool) -> Token | None:
        text, piece, start = self._text, _Piece(), self._at
        while self._at < len(text):
            letter = text[self._at]
            if letter in "<>" and text.startswith("(", self._at + 1):
                self._at += 2
                piece.scripts.append(self._until_paren())
                piece.unknown()
            elif letter == "(" and self._at > start and text[self._at - 1] in "?*+@!":
                self._at += 1
                self._until_paren()  # an extended pattern
                piece.unknown()
            elif letter in _BREAKS:
                break
            else:
                self._letter(letter, piece, first=self._at == start)
        if not piece.begun and not piece.quoted:
            if self._at == start:  # a letter that begins nothing: never stand still
                self._at += 1
                self.problem = self.problem or "cannot be read"
            return None
        word = Word(text="".join(piece.text), exact=piece.exact, glob=piece.glob, quoted=piece.quoted)
        return Token(kind="word", word=word, scripts=tuple(piece.scripts), tight=tight)

    def _letter(self, letter: str, piece: _Piece, *, first: bool) -> None:
        text = self._text
        self._at += 1
        match letter:
            case "\\":
                piece.add(text[self._at : self._at + 1])
                piece.quoted = True
                self._at += 1
            case "'":
                piece.add(self._up_to("'"))
                piece.quoted = True
            case '"':
                self._double(piece)
            case "$":
                self._dollar(piece)
            case "`":
                self._back(piece)
            case "~" if first:
                user = re.compile(r"[^/\s;&|<>()\"'$`\\]*").match(text, self._at)
                if user is not None and user.group() == "" and "HOME" in self._known:
                    piece.add(self._known["HOME"])
                else:
                    piece.unknown()
            case "{" if re.compile(r"[^\s{}]*(,|\.\.)[^\s]*\}").match(text, self._at):
                piece.unknown()  # the shell makes several words of it
                piece.add("{")
            case "*" | "?":
                piece.add(letter)
                piece.glob = True
            case "[":
                piece.add(letter)
                piece.glob = piece.glob or _SET.match(text, self._at) is not None
            case _:
                piece.add(letter)

    def substitutions(self, piece: _Piece) -> None:
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

    def _double(self, piece: _Piece) -> None:
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

    def _within(self, body: str, piece: _Piece) -> None:
        """Expansions of a here-document."""
        inner = Lexer(body.replace('"', '\\"') + '"')
        inner._known = self._known
        inner._double(piece)
        self.problem = self.problem or inner.problem

    def _dollar(self, piece: _Piece, *, quoted: bool = False) -> None:
        text = self._text
        following = text[self._at : self._at + 1]
        if following == "(":
            self._at += 1
            inner = self._until_paren()
            if not self._skipping:
                arithmetic = inner.startswith("(") and inner.endswith(")")
                piece.scripts += _substitutions(inner) if arithmetic else [inner]
            piece.unknown()
        elif following == "{":
            self._at += 1
            inner = self._until_brace(quoted=quoted)
            if not self._skipping:
                piece.scripts += _substitutions(inner)
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

    def _variable(self, name: str, piece: _Piece, *, quoted: bool) -> None:
        value = self._known.get(name)
        if value is None or (not quoted and not value.isprintable()) or (not quoted and _splits(value)):
            piece.unknown()
            return
        piece.add(value)
        piece.glob = piece.glob or (not quoted and not {"*", "?", "["}.isdisjoint(value))

    def _ansi(self, piece: _Piece) -> None:
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

    def _back(self, piece: _Piece) -> None:
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
                    self._double(_Piece())
                elif letter == "`":
                    self._back(_Piece())
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


def _substitutions(text: str) -> list[str]:
    """The scripts in an expansion."""
    if "`" not in text and "$(" not in text and "<(" not in text and ">(" not in text:
        return []
    # Quotes do not matter: inside of double quotes, single ones in an expansion are letters. In doubt it is run.
    piece, lexer = _Piece(), Lexer(text)
    lexer.substitutions(piece)
    return piece.scripts
