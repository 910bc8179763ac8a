"""`fsck` and `reindex`: verbs of kaged itself, because they open the store; executed here, in place of kagectl."""

import os
import sys

import click

from kagectl.client.address import state_dir
from kagectl.service.program import own_kaged
from kagectl.verb import Verb


@click.command(
    cls=Verb,
    examples="""
kagectl fsck                                the daemon must be stopped
kagectl fsck --state-dir /srv/kage
""",
)
@click.option("--state-dir", "state", metavar="DIR", default=None, help="Folder of its state.")
def fsck(state: str | None) -> None:
    """Check the whole store: hashes, order, identities, indexes, runs. Changes nothing; ends 0 when all is well."""
    _become("fsck", state)


@click.command(cls=Verb, examples="kagectl reindex")
@click.option("--state-dir", "state", metavar="DIR", default=None, help="Folder of its state.")
def reindex(state: str | None) -> None:
    """Make indexes and states again from the events. The daemon must be stopped."""
    _become("reindex", state)


def _become(verb: str, state: str | None) -> None:
    folder = state_dir(dict(os.environ) | ({"KAGE_STATE_DIR": os.path.abspath(state)} if state else {}))
    sys.stdout.flush()
    command = [*own_kaged(), verb, "--state-dir", folder]
    os.execv(command[0], command)  # noqa: S606  no shell
