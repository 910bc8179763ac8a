"""`tree apply|show|list|stop|restart|terminate|delete`."""

import os

import click

from kagectl import show
from kagectl.client.methods import trees as methods
from kagectl.connect import dial
from kagectl.errors import Complaint
from kagectl.render.plain import plain
from kagectl.render.trees import changes, tree_drawing, tree_table
from kagectl.session import Session
from kagectl.specs import read_document
from kagectl.treefile import tree_file
from kagectl.verb import Verb, names_of
from kaged.api.v1 import supervisor_service_pb2 as pb


@click.command(
    cls=Verb,
    examples="""
kagectl tree apply project.toml --dry-run   says what would change
kagectl tree apply project.toml
kagectl tree apply project.json --name staging

The file: docs/kagectl.md. Children that did not change keep running.
""",
)
@click.argument("file", metavar="FILE(.toml|.json)")
@click.option("--name", metavar="NAME", default="", help="The tree's name; default: the file's `tree`.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.pass_obj
def apply(session: Session, file: str, name: str, dry_run: bool) -> None:
    """Make a tree from a file, or change a tree to what the file says."""
    here = os.path.dirname(os.path.abspath(file))
    told, spec = tree_file(read_document(file), here=here)
    name = name or told
    if not name:
        raise Complaint("the tree has no name", hint=f'write tree = "…" into {file}, or give --name')
    with dial(session) as client:
        request = pb.ApplyTreeRequest(tree=name, spec=spec, validate_only=dry_run)
        answer = client.call(methods.APPLY_TREE, request)
    show.one(session, answer, lambda: changes(answer, would=dry_run, paint=session.paint))


@click.command(
    cls=Verb,
    name="show",
    examples="""
kagectl tree show project
kagectl tree show project --at 4711         as it was at that seq
kagectl tree show project --spec -o json    the spec it was made from
""",
)
@click.argument("tree", shell_complete=names_of("trees"))
@click.option("--at", "at_seq", type=click.IntRange(min=1), default=None, help="As of this seq.")
@click.option("--spec", is_flag=True, help="The spec as it was applied, not the state.")
@click.pass_obj
def show_tree(session: Session, tree: str, at_seq: int | None, spec: bool) -> None:
    """Draw a tree: phases, agents, restarts within the window."""
    with dial(session) as client:
        answer = client.call(methods.GET_TREE, pb.GetTreeRequest(tree=tree, at_seq=at_seq or 0))
    if spec:
        session.output = "yaml" if session.output == "table" else session.output
        show.values(session, plain(answer.spec, sparse=True))
        return
    found = answer.tree
    show.one(session, found, lambda: tree_drawing(found, now_s=show.now_s(), paint=session.paint))


@click.command(cls=Verb, name="list", examples="kagectl tree list -a")
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that have ended or failed.")
@click.pass_obj
def list_trees(session: Session, everything: bool) -> None:
    """Trees of which something runs; with -a all of them."""
    request = pb.ListTreesRequest(page_size=1000, show_ended=everything)
    found: list[pb.Tree] = []
    with dial(session) as client:
        while True:
            page = client.call(methods.LIST_TREES, request)
            found += page.trees
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    show.many(session, found, lambda: tree_table(found, paint=session.paint))


def _shown(session: Session, tree: pb.Tree) -> None:
    show.one(session, tree, lambda: tree_drawing(tree, now_s=show.now_s(), paint=session.paint))


@click.command(cls=Verb, examples="kagectl tree stop project")
@click.argument("tree", shell_complete=names_of("trees"))
@click.pass_obj
def stop(session: Session, tree: str) -> None:
    """Stop all children in reverse order and end the tree."""
    with dial(session) as client:
        _shown(session, client.call(methods.STOP_TREE, pb.StopTreeRequest(tree=tree)).tree)


@click.command(cls=Verb, examples="kagectl tree restart project web/api")
@click.argument("tree", shell_complete=names_of("trees"))
@click.argument("path")
@click.pass_obj
def restart(session: Session, tree: str, path: str) -> None:
    """Start a child that is stopped, or end its wait for a restart. One that runs is refused: terminate it first."""
    with dial(session) as client:
        request = pb.RestartChildRequest(tree=tree, path=path)
        _shown(session, client.call(methods.RESTART_CHILD, request).tree)


@click.command(cls=Verb, examples="kagectl tree terminate project web/api")
@click.argument("tree", shell_complete=names_of("trees"))
@click.argument("path")
@click.pass_obj
def terminate(session: Session, tree: str, path: str) -> None:
    """Stop a child; its spec stays, restart starts it again."""
    with dial(session) as client:
        request = pb.TerminateChildRequest(tree=tree, path=path)
        _shown(session, client.call(methods.TERMINATE_CHILD, request).tree)


@click.command(
    cls=Verb,
    examples="""
kagectl tree delete project web/api         the spec of a child that does not run
kagectl tree delete project                 a tree that has ended; its history stays
kagectl tree delete project --force         stops it first
""",
)
@click.argument("tree", shell_complete=names_of("trees"))
@click.argument("path", required=False, default="")
@click.option("--force", is_flag=True, help="Stop the tree first when it has not ended.")
@click.pass_obj
def delete(session: Session, tree: str, path: str, force: bool) -> None:
    """Take out the spec of a child that does not run, or a whole tree that has ended."""
    if path and force:
        raise Complaint("--force is for a whole tree; terminate the child first")
    with dial(session) as client:
        if path:
            _shown(session, client.call(methods.DELETE_CHILD, pb.DeleteChildRequest(tree=tree, path=path)).tree)
            return
        found = client.call(methods.DELETE_TREE, pb.DeleteTreeRequest(tree=tree, force=force)).tree
    stops = found.phase not in ("ended", "failed")
    show.one(session, found, lambda: f"{tree} is stopped, then deleted" if stops else f"{tree} deleted")
