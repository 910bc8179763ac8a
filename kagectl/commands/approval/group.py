"""`approval …`: the table of its commands."""

import click

from kagectl.verb import Entry, LazyGroup

_HOME = "kagectl.commands.approval.answer"


@click.command(
    cls=LazyGroup,
    name="approval",
    sections={
        "Commands": {
            "list": Entry(f"{_HOME}:list_approvals", "Questions that wait; -a: also answered ones."),
            "show": Entry(f"{_HOME}:show_approval", "Everything about one, with its arguments."),
            "approve": Entry(f"{_HOME}:approve", "Say yes."),
            "deny": Entry(f"{_HOME}:deny", "Say no; --note tells the agent why."),
        }
    },
    examples="""
kagectl approval list
kagectl approval show 0198c5d0
kagectl approval deny 0198c5d0 --note 'not on Fridays'
""",
)
def approval() -> None:
    """Questions that agents ask before they act. They wait through restarts of the daemon."""
