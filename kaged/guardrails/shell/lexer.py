"""Shell text to tokens: words with their quotes taken off, operators, redirections. Pure; never raises.

Not here: what an expansion in a word stands for (`expansions.py`), what the words mean.
"""

import re
from collections.abc import Mapping
from typing import Final

from kaged.guardrails.shell.expansions import Expansions
from kaged.guardrails.shell.words import Piece, Token, Word

_OPERATORS: Final = (";;&", "&>>", "&&", "||", ";;", ";&", "|&", "&>", ";", "&", "|", "(", ")", "\n")
_REDIRECTS: Final = ("<<<", "<<-", "<<", "<>", "<&", ">>", ">&", ">|", "<", ">")
_SET: Final = re.compile(r"[^\s\]][^\s;&|<>()]*\]")
_BREAKS: Final = frozenset(" \t\r\n;&|<>()")


class Lexer(Expansions):
    """All tokens of a text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._waiting: list[tuple[int, str, bool, bool]] = []  # here-documents: token, end mark, strip tabs, quoted
        self.tokens: list[Token] = []

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
                piece = Piece()
                self._within(body, piece)
                word, scripts = Word(text="".join(piece.text), exact=piece.exact), tuple(piece.scripts)
            was = self.tokens[index]
            self.tokens[index] = Token(kind="redirect", text=was.text, word=word, scripts=scripts, body=body)
        self._waiting = []

    def _word(self, *, tight: bool) -> Token | None:
        text, piece, start = self._text, Piece(), self._at
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

    def _letter(self, letter: str, piece: Piece, *, first: bool) -> None:
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
