"""A script is walked through, token by token, and its simple commands are found. Pure.

Conditions are not decided: both ways count. Not here: what a command starts by itself (`unwrap.py`).
"""

import re
from itertools import pairwise
from typing import Final

from kaged.guardrails.paths import normal
from kaged.guardrails.shell.lexer import Lexer
from kaged.guardrails.shell.script import MAX_COMMANDS, Command, Findings, Redirect, Scope, Stdin, is_assignment, risky
from kaged.guardrails.shell.words import Token, Word

MAX_SCRIPT_BYTES: Final = 64 << 10
_MAX_DEPTH: Final = 12
_MAX_FOLDERS: Final = 8
_SKIPPED: Final = frozenset({"if", "then", "elif", "else", "while", "until", "do", "{", "!", "time", "coproc"})
_CLOSING: Final = frozenset({"fi", "done", "esac", "}"})
_ENDS: Final = frozenset({";", "&", "&&", "||", "|", "|&", "\n", ")", "(", ";;", ";&", ";;&"})


class Reader:
    """Reads one text in a scope; `found` takes each simple command (`unwrap.py` looks into wrappers)."""

    def __init__(self, findings: Findings, depth: int = 0) -> None:
        self.findings = findings
        self.depth = depth

    def read(self, text: str, scope: Scope) -> None:
        """Find the commands of a text. What it changes of the scope stays changed."""
        self.findings.letters += len(text)
        if self.findings.full:
            return
        if self.depth > _MAX_DEPTH or self.findings.letters > 4 * MAX_SCRIPT_BYTES or len(text) > MAX_SCRIPT_BYTES:
            self.findings.doubt("it is too long or nested too deeply to be read")
            return
        lexer = Lexer(text)
        _Walk(self, lexer, scope, text).walk()

    def simple(self, command: Command, scope: Scope) -> None:
        """One simple command was found."""
        self.findings.commands.append(command)
        if self.findings.full:
            self.findings.doubt(f"it has {MAX_COMMANDS} commands or more")

    def inner(self) -> "Reader":
        """For a script inside of this one."""
        return type(self)(self.findings, self.depth + 1)


_SETS_UNSEEN: Final = re.compile(r"\b(eval|source|read|mapfile|readarray|getopts|unset|printf\s+-v)\b|(^|\s)\.\s")
_MOVES: Final = re.compile(r"\b(cd|chdir|pushd|popd)\b")


class _Walk:
    """One pass over the tokens of a text."""

    def __init__(self, reader: Reader, lexer: Lexer, scope: Scope, text: str) -> None:
        self._reader = reader
        self._scope = scope
        self._assigns = _assigns(text)
        # What the text sets anywhere is not known anywhere in it.
        known = {name: value for name, value in scope.known.items() if name not in self._assigns}
        if _SETS_UNSEEN.search(text):
            known = {}
        if scope.folders != (known.get("PWD"),) or _MOVES.search(text):
            known.pop("PWD", None)
        self._tokens = lexer.read(known)
        if lexer.problem:
            reader.findings.doubt(lexer.problem)
        self._scopes: list[Scope] = []
        self._piped = False
        self._before = ""  # the operator in front of the command
        self._cases = 0
        self._defined: set[str] = set()
        self._at = 0

    def walk(self) -> None:
        while self._at < len(self._tokens):
            words: list[Token] = []
            while self._at < len(self._tokens):
                token = self._tokens[self._at]
                if token.kind == "operator" and token.text in _ENDS:
                    break
                words.append(token)
                self._at += 1
                if token.kind == "word" and token.word.text == "[[" and len(_plain(words)) == 1:
                    self._test(words)
            operator = self._tokens[self._at].text if self._at < len(self._tokens) else ""
            self._at += 1
            if self._part(words, operator):
                self._operator(operator, words)
            if self._reader.findings.full:
                return
        if self._scopes:
            self._reader.findings.doubt("a `(` without its `)`")

    def _test(self, words: list[Token]) -> None:
        """`[[ .. ]]`: what looks like operators in it are none; what it substitutes is run."""
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            words.append(Token(kind="word", word=Word(text="", exact=False), scripts=token.scripts))
            if token.kind == "word" and token.word.text == "]]":
                return

    def _operator(self, operator: str, words: list[Token]) -> None:
        if operator == "(":
            if len(_plain(words)) == 1 and self._peek(")"):  # a function's name: its body is read as if it were run
                self._at += 1
                self._defined.add(_plain(words)[0].word.text)
            else:
                self._scopes.append(self._scope)
                self._scope = self._scope.copy()
        elif operator == ")":
            if self._scopes:
                self._scope = self._scopes.pop()
        elif operator in (";;", ";&", ";;&") and self._cases:
            self._patterns()
        self._piped = operator in ("|", "|&")
        self._before = operator

    def _peek(self, operator: str) -> bool:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token is not None and token.kind == "operator" and token.text == operator

    def _patterns(self) -> None:
        """Skip the patterns of a case, up to the `)` behind them."""
        at = self._at
        while at < len(self._tokens):
            token = self._tokens[at]
            if token.kind == "word" and token.word.text == "esac":
                return
            at += 1
            if token.kind == "operator" and token.text == ")":
                self._at = at
                return

    # --- one part between two operators --------------------------------------------------------------------------

    def _part(self, tokens: list[Token], operator: str) -> bool:
        """False: the operator behind it was its own."""
        for token in tokens:
            for script in token.scripts:
                self._reader.inner().read(script, self._scope.copy())
        while tokens and tokens[0].kind == "word" and not tokens[0].word.quoted:
            word = tokens[0].word.text
            if word in _SKIPPED:
                tokens = tokens[1:]
            elif word in _CLOSING:
                self._cases -= word == "esac"
                tokens = tokens[1:]
            elif word in ("for", "select"):
                return self._loop(tokens, operator)
            elif word == "function":
                tokens = tokens[2:]
            elif word == "case":
                self._cases += 1
                self._patterns_begin(tokens)
                return False
            else:
                break
        self._simple(tokens, operator)
        return True

    def _loop(self, tokens: list[Token], operator: str) -> bool:
        """`for NAME in WORDS`: its words are no command; `for ((..))`: its sums are none either."""
        names = _plain(tokens)
        if len(names) >= 2:
            self._scope.known.pop(names[1].word.text, None)
        if operator != "(" or not self._peek("("):
            return True
        while self._at < len(self._tokens) and not self._peek(")"):
            for script in self._tokens[self._at].scripts:
                self._reader.inner().read(script, self._scope.copy())
            self._at += 1
        self._at += 2
        return False

    def _patterns_begin(self, tokens: list[Token]) -> None:
        if len(tokens) < 3 or tokens[2].word.text != "in":
            self._reader.findings.doubt("a `case` that cannot be read")
            return
        # The first pattern may have been taken for words of this part: go back to behind `in`.
        self._at = self._at - 1 - (len(tokens) - 3)
        self._patterns()

    def _simple(self, tokens: list[Token], operator: str) -> None:
        words: list[Word] = []
        assigned: list[Word] = []
        redirects: list[Redirect] = []
        stdin: Stdin = "pipe" if self._piped else ""
        given = Word(text="")
        for token in tokens:
            if token.kind == "redirect":
                match token.text:
                    case "<<" | "<<-" | "<<<":
                        stdin, given = "text", token.word
                    case "<":
                        stdin = "file"
                        redirects.append(Redirect(kind="read", word=token.word))
                    case ">&" | "<&" if (token.word.exact and token.word.text.rstrip("-").isdigit()) or (
                        token.word.text == "-"
                    ):
                        pass
                    case "<>":
                        redirects.append(Redirect(kind="write", word=token.word))
                    case _:
                        redirects.append(Redirect(kind="write", word=token.word))
            elif not words and is_assignment(token.word):
                assigned.append(token.word)
            else:
                words.append(token.word)
        if not words:
            for word in assigned:
                self._assign(word)
            if not redirects:
                return
        command = Command(
            words=tuple(words), folders=self._scope.folders, redirects=tuple(redirects), assigned=tuple(assigned),
            stdin=stdin, stdin_text=given,
        )  # fmt: skip
        if command.name in self._defined and (self._piped or operator in ("|", "&")):
            self._reader.findings.doubt(f"{command.name!r} may start itself without end")
        if command.name in ("cd", "chdir", "pushd", "popd"):
            self._change_folder(command, operator)
        elif command.name in ("export", "declare", "local", "readonly", "typeset"):
            for word in words[1:]:
                if is_assignment(word):
                    self._assign(word)
        elif command.name in ("read", "mapfile", "readarray", "getopts", "unset"):
            for word in words[1:]:
                self._scope.known.pop(word.text, None)
        self._reader.simple(command, self._scope)

    def _assign(self, word: Word) -> None:
        name = word.text.partition("=")[0].removesuffix("+")
        self._scope.known.pop(name, None)
        if risky(name):
            self._reader.findings.doubt(f"it sets {name}")

    def _change_folder(self, command: Command, operator: str) -> None:
        if self._piped or operator in ("|", "|&", "&"):
            return  # in a process of its own
        targets = [word for word in command.words[1:] if word.text not in ("-P", "-L", "-e", "-@", "--", "-n")]
        before = self._scope.folders
        if command.name == "popd" or (targets and (not targets[0].exact or targets[0].glob or targets[0].text == "-")):
            self._scope.folders = ()
            return
        home = self._scope.known.get("HOME", "")
        if not targets and not home:
            self._scope.folders = ()
            return
        target = targets[0].text if targets else home
        after = tuple(normal(target, folder) for folder in before)
        if operator != "&&" or self._before == "||":
            after = tuple(dict.fromkeys((*after, *before)))  # it may have failed, or not have run
        self._scope.folders = after if 0 < len(after) <= _MAX_FOLDERS else ()


def _plain(tokens: list[Token]) -> list[Token]:
    return [token for token in tokens if token.kind == "word"]


def _assigns(text: str) -> frozenset[str]:
    """Names that a text may set, roughly: whatever stands in front of a `=`, and behind `read` or `for`."""
    names = set()
    for piece in text.replace("+=", "=").split("=")[:-1]:
        end = len(piece)
        start = end
        while start > 0 and (piece[start - 1].isalnum() or piece[start - 1] == "_"):
            start -= 1
        names.add(piece[start:end])
    words = text.split()
    names.update(after for before, after in pairwise(words) if before in ("for", "select"))
    return frozenset(names)
