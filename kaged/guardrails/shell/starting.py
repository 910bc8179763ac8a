"""A command starts another: what it starts is found as a command of its own, with its name in `via`. Pure."""

from dataclasses import replace

from kaged.guardrails.shell.script import Command, Scope
from kaged.guardrails.shell.walk import Reader
from kaged.guardrails.shell.words import Word


class Starting(Reader):
    """Reads what commands start."""

    def behind(self, command: Command, words: tuple[Word, ...], scope: Scope) -> None:
        """What a wrapper starts is a command of its own."""
        if not words:
            return
        if self.depth >= 12:
            self.findings.doubt("it is nested too deeply to be read")
            return
        inner = replace(command, words=words, redirects=(), assigned=(), via=(*command.via, command.name))
        type(self)(self.findings, self.depth + 1).simple(replace(inner, folders=scope.folders), scope)

    def script(self, command: Command, script: Word, scope: Scope) -> None:
        """The text of a word is a script, which a command runs."""
        if not script.exact or (script.glob and not script.quoted):
            self.findings.doubt(f"what {command.name} runs is not known")
            return
        reader = type(self)(self.findings, self.depth + 1)
        before = len(self.findings.commands)
        reader.read(script.text, scope.copy())
        for index in range(before, len(self.findings.commands)):
            found = self.findings.commands[index]
            self.findings.commands[index] = replace(found, via=(*command.via, command.name, *found.via))

    def joined(self, command: Command, words: tuple[Word, ...], scope: Scope) -> None:
        """Words with a space between them are a script, which a command runs."""
        if not all(word.exact for word in words):
            self.findings.doubt(f"what {command.name} runs is not known")
            return
        self.script(command, Word(text=" ".join(word.text for word in words), quoted=True), scope)
