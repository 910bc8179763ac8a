"""What an agent wants to do, in one shape for all kinds of agents. Pure; never raises.

Made from a question (`Ask`) or from a tool call that was heard (`signal.tool.*`). The maps from an agent's own words
to these are in `tools/`, one file for each kind of adapter. A command is read (`shell/`); what cannot be read is in
`unknown`. Paths are normal ones: absolute, without `..`; links in them are for whoever has a disk (`Context.real`).
"""

from typing import Final, Literal

from kaged.domain.frozen import frozen
from kaged.guardrails.shell.effects import Effects, effects_of
from kaged.guardrails.shell.git import history_change
from kaged.guardrails.shell.script import Command
from kaged.guardrails.shell.unwrap import read_script
from kaged.guardrails.shell.words import words_in

Kind = Literal["read", "write", "edit", "delete", "command", "network", "other"]
WRITING: Final = frozenset({"write", "edit", "delete"})


@frozen
class Step:
    """One command of a line, and what it does."""

    command: Command
    effects: Effects


@frozen
class Action:
    """See the module. `paths` are those that the tool itself names; those of a command are in its steps."""

    kind: Kind = "other"
    tool: str = ""
    paths: tuple[str, ...] = ()
    line: str = ""  # the command as it was given
    steps: tuple[Step, ...] = ()
    hosts: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()  # why it is not known what it does
    text: str = ""  # all of its arguments, for what is searched in them
    folder: str = "/"
    home: str = ""

    @property
    def written(self) -> tuple[str, ...]:
        """Every path that is made, changed or taken away."""
        own = self.paths if self.kind in WRITING else ()
        return (*own, *(path for step in self.steps for path in (*step.effects.writes, *step.effects.deletes)))

    @property
    def deleted(self) -> tuple[str, ...]:
        """Every path that is taken away."""
        own = self.paths if self.kind == "delete" else ()
        return (*own, *(path for step in self.steps for path in step.effects.deletes))

    @property
    def mentioned(self) -> tuple[str, ...]:
        """Every path in it, whatever is done with it."""
        return (*self.paths, *(path for step in self.steps for path in step.effects.mentions), *self.written)

    @property
    def reached(self) -> tuple[str, ...]:
        """Every machine that it names."""
        return (*self.hosts, *(host for step in self.steps for host in step.effects.hosts))

    @property
    def lost(self) -> tuple[str, ...]:
        """What it writes or takes away, where that is not known."""
        return tuple(text for step in self.steps for text in step.effects.lost)

    @property
    def harmless(self) -> bool:
        """It only reads, for all that is known, and all of it is known."""
        if self.unknown or self.kind in WRITING or self.kind == "other":
            return False
        if self.kind == "command":
            return bool(self.steps) and all(step.effects.harmless for step in self.steps)
        return True

    @property
    def history(self) -> str:
        """How it changes commits, branches or a remote; empty: not, as far as can be seen."""
        for step in self.steps:
            if word := changes_history(step.command):
                return word
        return ""


def changes_history(command: Command) -> str:
    """The word for how a command changes commits, branches or a remote."""
    name = command.name
    if name == "git":
        return history_change(command)
    verbs = _OTHER_HISTORY.get(name)
    if verbs is None:
        return ""
    texts = [word.text for word in command.words[1:] if not word.text.startswith("-")]
    return f"{name} {texts[0]}" if texts and (texts[0] in verbs or " ".join(texts[:2]) in verbs) else ""


_OTHER_HISTORY: Final = {
    "hg": words_in(
        """
    commit ci push merge rebase graft import strip histedit amend backout tag update
    """
    ),
    "svn": words_in(
        """
    commit ci import copy delete lock mkdir move propset
    """
    ),
    "jj": words_in(
        """
    commit describe new squash rebase abandon git bookmark split edit
    """
    ),
    "gh": frozenset({"pr create", "pr merge", "release create", "repo delete", "repo sync", "pr close", "api"}),
    "glab": frozenset({"mr create", "mr merge", "release create", "api"}),
}


def command_action(line: str, *, tool: str, folder: str, home: str, text: str = "") -> Action:
    """A line for a shell."""
    script = read_script(line, folder, home)
    steps = tuple(Step(command=command, effects=effects_of(command, home)) for command in script.commands)
    unknown = script.unknown
    if not line.strip():
        unknown = (*unknown, "it does not say what it runs")
    return Action(
        kind="command", tool=tool, line=line, steps=steps, unknown=unknown, text=text or line, folder=folder, home=home
    )
