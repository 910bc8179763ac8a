"""Where an agent is to work, from options and spec files. Says what is wished for; kaged makes it.

Not said: the folder itself. But what names a repository, a base or a branch wants a worktree, and so does a goal in a
git repository: an agent that decides for itself what to change gets a tree of its own.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from kagectl.errors import Complaint
from kaged.api.v1 import spec_pb2 as pb

F = TypeVar("F", bound=Callable[..., object])

KINDS = {
    "here": pb.WORKSPACE_KIND_HERE,
    "worktree": pb.WORKSPACE_KIND_WORKTREE,
    "copy": pb.WORKSPACE_KIND_COPY,
}

OPTIONS: tuple[Callable[[F], F], ...] = (
    click.option(
        "--workspace",
        type=click.Choice(list(KINDS)),
        default=None,
        help="Where it works: in the folder itself, in a git worktree and branch of its own, or in a copy. "
        "Default: here; with a goal, in a git repository: worktree.",
    ),
    click.option("--repo", metavar="DIR", default=None, help="Repository to make a worktree of; default: of --cwd."),
    click.option(
        "--base", metavar="BRANCH", default=None, help="What its work starts from; default: what is checked out."
    ),
    click.option("--branch", metavar="NAME", default=None, help="Its branch; default: kage/NAME."),
    click.option("--setup", metavar="LINE", default=None, help="Shell line, run once in the new workspace."),
    click.option("--cleanup", metavar="LINE", default=None, help="Shell line, run before the workspace is removed."),
    click.option("--copy", multiple=True, metavar="PATTERN", help="Ignored files to take along, such as .env."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceOptions:
    """The options as they were written; None or empty: not said."""

    workspace: str | None = None
    repo: str | None = None
    base: str | None = None
    branch: str | None = None
    setup: str | None = None
    cleanup: str | None = None
    copy: tuple[str, ...] = ()


def choose(spec: pb.AgentSpec, options: WorkspaceOptions, here: str, *, cwd_given: bool) -> None:
    """Put the wish into a spec that has its working directory. Raises Complaint."""
    place = spec.workspace if spec.HasField("workspace") else pb.Workspace()
    if options.workspace:
        place.kind = KINDS[options.workspace]
    if options.repo:
        place.repository = os.path.normpath(os.path.join(here, os.path.expanduser(options.repo)))
        if not cwd_given:
            spec.working_directory = place.repository
    elif place.repository:
        place.repository = os.path.normpath(os.path.join(here, os.path.expanduser(place.repository)))
    place.base = options.base or place.base
    place.branch = options.branch or place.branch
    place.setup = options.setup or place.setup
    place.cleanup = options.cleanup or place.cleanup
    place.copy.extend(options.copy)
    if not place.kind:
        named = place.repository or place.base or place.branch or place.copy
        if named or (spec.goal and in_repository(spec.working_directory)):
            place.kind = pb.WORKSPACE_KIND_WORKTREE
    if place.kind in (pb.WORKSPACE_KIND_HERE, pb.WORKSPACE_KIND_COPY) and (place.base or place.branch):
        raise Complaint("--base and --branch are of a worktree", hint="--workspace worktree, or leave them out")
    if place.kind in (pb.WORKSPACE_KIND_HERE, pb.WORKSPACE_KIND_COPY) and place.copy:
        raise Complaint("--copy brings ignored files into a worktree", hint="--workspace worktree, or leave it out")
    if place.ByteSize():
        spec.workspace.CopyFrom(place)


def in_repository(directory: str) -> bool:
    """Whether a folder lies in a git repository, by its files alone."""
    folder = Path(directory)
    return any((place / ".git").exists() for place in (folder, *folder.parents))
