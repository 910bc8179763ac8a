"""`fsck` and `reindex`: verbs of kaged itself, because they open the store; executed here, in place of kagectl."""

import json
import os
import subprocess
import sys

import click

from kagectl import show
from kagectl.client.address import state_dir
from kagectl.errors import Ended
from kagectl.service.program import own_kaged
from kagectl.session import Session
from kagectl.verb import Verb


@click.command(
    cls=Verb,
    examples="""
kagectl fsck                                also beside a running daemon
kagectl fsck --state-dir /srv/kage
kagectl fsck -o json | jq .problems
""",
)
@click.option("--state-dir", "state", metavar="DIR", default=None, help="Folder of its state.")
@click.pass_obj
def fsck(session: Session, state: str | None) -> None:
    """Prove that nothing is damaged, lost or there twice: hashes, order, indexes, runs and their output, states,
    processes. Changes nothing; ends 0 when all is well, 1 when something was found."""
    if not session.machine:
        _become("fsck", state)
    done = subprocess.run([*_command("fsck", state), "--json"], stdout=subprocess.PIPE, check=False)
    if done.stdout:
        show.values(session, json.loads(done.stdout))
    if done.returncode:
        raise Ended(done.returncode)


@click.command(cls=Verb, examples="kagectl reindex")
@click.option("--state-dir", "state", metavar="DIR", default=None, help="Folder of its state.")
def reindex(state: str | None) -> None:
    """Make indexes and states again from the events. The daemon must be stopped."""
    _become("reindex", state)


def _command(verb: str, state: str | None) -> list[str]:
    folder = state_dir(dict(os.environ) | ({"KAGE_STATE_DIR": os.path.abspath(state)} if state else {}))
    return [*own_kaged(), verb, "--state-dir", folder]


def _become(verb: str, state: str | None) -> None:
    sys.stdout.flush()
    command = _command(verb, state)
    os.execv(command[0], command)  # noqa: S606  no shell
