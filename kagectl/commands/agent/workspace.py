"""`agent diff`, `merge`, `snapshot`, `overlaps`: an agent's work, where it goes, what is kept of it."""

import click

from kagectl import show
from kagectl.client.methods.workspaces import GET_OVERLAPS, GET_WORKSPACE_DIFF, MERGE_WORKSPACE, SNAPSHOT_WORKSPACE
from kagectl.connect import dial
from kagectl.errors import Complaint
from kagectl.render import workspaces as render
from kagectl.render.paint import safe
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import workspace_service_pb2 as pb

_MODES = {
    "ff_only": pb.MERGE_MODE_FAST_FORWARD,
    "no_ff": pb.MERGE_MODE_COMMIT,
    "squash": pb.MERGE_MODE_SQUASH,
}


@click.command(
    cls=Verb,
    examples="""
kagectl agent diff web                      all that is new, committed or not
kagectl agent diff web --stat               only which files, and how much
kagectl agent diff web | git apply          the same changes here
""",
)
@click.argument("agent", shell_complete=names_of("agents"))
@click.option("--stat", is_flag=True, help="Files and counts, without the patch.")
@click.pass_obj
def diff(session: Session, agent: str, stat: bool) -> None:
    """Show what an agent's workspace has that its base branch has not."""
    with dial(session) as client:
        found = client.call(GET_WORKSPACE_DIFF, pb.GetWorkspaceDiffRequest(agent=agent, no_patch=stat))
    if session.machine:
        show.one(session, found, str)
        return
    if stat:
        click.echo(render.stat(found, paint=session.paint))
        return
    for remark in render.remarks(found):
        show.note(f"kagectl: {remark}")
    if show.width() is None:
        click.echo(found.patch, nl=False)  # byte for byte, for `git apply`
    elif found.patch:
        click.echo(render.patch(found, paint=session.paint))
    else:
        click.echo(render.stat(found, paint=session.paint))


@click.command(
    cls=Verb,
    examples="""
kagectl agent merge web                     into the branch that its work began at
kagectl agent merge web --into release --squash -m 'Faster parser'
""",
)
@click.argument("agent", shell_complete=names_of("agents"))
@click.option("--into", metavar="BRANCH", default="", help="Into this branch; default: its base branch.")
@click.option("--ff-only", is_flag=True, help="Move the branch forward, or refuse.")
@click.option("--no-ff", is_flag=True, help="Always make a merge commit.")
@click.option("--squash", is_flag=True, help="One commit with all of it.")
@click.option("-m", "--message", metavar="TEXT", default="", help="Message of the new commit.")
@click.option("--live", is_flag=True, help="Also while it is at work: what is there now.")
@click.pass_obj
def merge(
    session: Session, agent: str, into: str, ff_only: bool, no_ff: bool, squash: bool, message: str, live: bool
) -> None:
    """Bring an agent's work into a branch: all of it, also what it did not commit, or nothing.

    Where the branch is checked out, that work tree is brought forward too, unless that would overwrite something
    there. A conflict changes nothing and names the files.
    """
    chosen = [name for name, said in (("ff_only", ff_only), ("no_ff", no_ff), ("squash", squash)) if said]
    if len(chosen) > 1:
        raise Complaint("--ff-only, --no-ff and --squash exclude each other")
    request = pb.MergeWorkspaceRequest(
        agent=agent,
        into=into,
        mode=_MODES[chosen[0]] if chosen else pb.MERGE_MODE_UNSPECIFIED,
        message=message,
        live=live,
    )
    with dial(session) as client:
        answer = client.call(MERGE_WORKSPACE, request)
    show.one(session, answer, lambda: render.merged(answer, agent))


@click.command(
    cls=Verb,
    examples="""
kagectl agent snapshot web --note 'before the rewrite'
""",
)
@click.argument("agent", shell_complete=names_of("agents"))
@click.option("--note", metavar="TEXT", default="", help="Why, for the record.")
@click.pass_obj
def snapshot(session: Session, agent: str, note: str) -> None:
    """Keep all files of an agent's workspace as they are now, under a ref of the repository.

    Tracked and untracked files, byte for byte, with modes and repositories inside; not what git ignores. Nothing of
    the index, of branches or of the stash is touched.
    """
    with dial(session) as client:
        taken = client.call(SNAPSHOT_WORKSPACE, pb.SnapshotWorkspaceRequest(agent=agent, note=note))
    if taken.note:
        show.note(f"kagectl: {safe(taken.note)}")
    show.one(
        session,
        taken,
        lambda: f"{safe(taken.ref)} {taken.commit[:12]} ({taken.files} files) in {safe(taken.repository)}",
    )


@click.command(cls=Verb, examples="kagectl agent overlaps")
@click.argument("agent", shell_complete=names_of("agents"), required=False, default="")
@click.pass_obj
def overlaps(session: Session, agent: str) -> None:
    """Show files that two live agents have both changed, each in its own worktree."""
    with dial(session) as client:
        found = client.call(GET_OVERLAPS, pb.GetOverlapsRequest(agent=agent)).overlaps
    show.many(
        session, list(found), lambda: "\n".join(render.overlap(item) for item in found) or "no two touch the same file"
    )
