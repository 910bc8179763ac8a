"""`approval …`: the table of its commands."""

import click

from kagectl.verb import Entry, LazyGroup

_HOME = "kagectl.commands.approval"


@click.command(
    cls=LazyGroup,
    name="approval",
    sections={
        "Commands": {
            "list": Entry(f"{_HOME}.listing:list_approvals", "Questions that wait; -a: also answered ones."),
            "show": Entry(f"{_HOME}.listing:show_approval", "Everything about one, with its diff or command."),
            "approve": Entry(f"{_HOME}.answer:approve", "Say yes; --always: and to the same from now on."),
            "deny": Entry(f"{_HOME}.answer:deny", "Say no; --note tells the agent why."),
            "answer": Entry(f"{_HOME}.answer:answer_question", "Answer a question in words, or by a choice's number."),
            "watch": Entry(f"{_HOME}.listing:watch_approvals", "Questions as they come."),
            "rules": Entry(f"{_HOME}.rules:rules", "What --always has remembered; remove: take it back."),
        }
    },
    examples="""
kagectl approval list
kagectl approval show k3x9
kagectl approval approve k3x9 --always --until 2h
kagectl approval deny k3x9 --note 'not on Fridays'
""",
)
def approval() -> None:
    """Questions that agents ask before they act. They wait through restarts of the daemon."""
