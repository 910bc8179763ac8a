"""`daemon …`: the table of its commands."""

import click

from kagectl.verb import Entry, LazyGroup

_HOME = "kagectl.commands"


@click.command(
    cls=LazyGroup,
    name="daemon",
    sections={
        "Commands": {
            "status": Entry(f"{_HOME}.daemon.state:status", "How it is."),
            "stats": Entry(f"{_HOME}.daemon.state:stats", "Counters and measured figures."),
            "start": Entry(f"{_HOME}.daemon.life:start", "Start it and wait until it serves."),
            "stop": Entry(f"{_HOME}.daemon.life:stop", "Stop it; agents go on."),
            "logs": Entry(f"{_HOME}.daemon.life:logs", "What it logged."),
            "reload": Entry(f"{_HOME}.daemon.state:reload", "Read its configuration again."),
        }
    },
    examples="""
kagectl daemon start
kagectl daemon status --watch
kagectl daemon stop                         agents go on; the next daemon adopts them
""",
)
def daemon() -> None:
    """kaged itself."""
