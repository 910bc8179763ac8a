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
            "restart": Entry(f"{_HOME}.daemon.life:restart", "Replace it by a new one; agents go on."),
            "logs": Entry(f"{_HOME}.daemon.logs:logs", "What it logged."),
            "reload": Entry(f"{_HOME}.daemon.state:reload", "Read its configuration again."),
        },
        "As a service": {
            "install": Entry(f"{_HOME}.daemon.install:install", "Into systemd or launchd; --dry-run shows it all."),
            "uninstall": Entry(f"{_HOME}.daemon.install:uninstall", "Out of it; the journal stays."),
            "enable": Entry(f"{_HOME}.daemon.install:enable", "Started at every boot (or login)."),
            "disable": Entry(f"{_HOME}.daemon.install:disable", "Not any more."),
        },
    },
    examples="""
kagectl daemon start
kagectl daemon install --now                kept by systemd or launchd from now on
kagectl daemon status --watch
kagectl daemon stop                         agents go on; the next daemon adopts them
""",
)
def daemon() -> None:
    """kaged itself."""
