"""`event …`: the table of its commands."""

import click

from kagectl.verb import Entry, LazyGroup


@click.command(
    cls=LazyGroup,
    name="event",
    sections={
        "Commands": {
            "list": Entry("kagectl.commands.event.read:list_events", "The last ones, or a range."),
            "watch": Entry("kagectl.commands.event.read:watch", "As they happen, one a line."),
            "show": Entry("kagectl.commands.event.read:show_event", "Everything about one."),
            "append": Entry("kagectl.commands.event.append:append", "Add one of your own."),
        }
    },
    examples="""
kagectl event list -n 20
kagectl event watch --agent tests --type agent --type run
kagectl event append notes/build build.finished --data '{"ok": true}'
""",
)
def event() -> None:
    """The journal: every fact in one order, never changed, never lost."""
