"""`agent checkpoints`, `restore`: the snapshots of an agent's workspace, and its files put back to one of them."""

import click

from kagectl import show
from kagectl.client.methods.workspaces import GET_WORKSPACE_SNAPSHOTS, RESTORE_WORKSPACE
from kagectl.connect import dial
from kagectl.render import workspaces as render
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import workspace_service_pb2 as pb


@click.command(
    cls=Verb,
    examples="""
kagectl agent checkpoints web
kagectl agent show web --at 1234           what it was at a checkpoint, by its SEQ
""",
)
@click.argument("agent", shell_complete=names_of("agents"))
@click.pass_obj
def checkpoints(session: Session, agent: str) -> None:
    """List the snapshots of an agent's workspace: after which turn, why, in which session of its own.

    `--checkpoint-every 2` takes one after every second turn, `kagectl agent snapshot` takes one now.
    """
    with dial(session) as client:
        found = client.call(GET_WORKSPACE_SNAPSHOTS, pb.GetWorkspaceSnapshotsRequest(agent=agent)).snapshots
    show.many(
        session,
        list(found),
        lambda: render.checkpoints(found, show.now_s(), paint=session.paint, width=show.width()),
    )


@click.command(
    cls=Verb,
    examples="""
kagectl agent checkpoints web                    which there are
kagectl agent restore web --checkpoint 3
kagectl agent resume web --guidance 'try it without the cache'
""",
)
@click.argument("agent", shell_complete=names_of("agents"))
@click.option(
    "--checkpoint", "number", metavar="N", type=click.IntRange(min=1), required=True, help="Number of the snapshot."
)
@click.pass_obj
def restore(session: Session, agent: str, number: int) -> None:
    """Put all files of an agent's workspace back to those of a checkpoint, byte for byte.

    Only while it is paused or after its end. What is there now is kept in another checkpoint first, and named. Its
    branch and its commits stay where they are, and so does what git ignores. An agent with a goal is told when it
    goes on.
    """
    with dial(session) as client:
        done = client.call(RESTORE_WORKSPACE, pb.RestoreWorkspaceRequest(agent=agent, number=number))
    show.one(session, done, lambda: render.restored(done, agent))
