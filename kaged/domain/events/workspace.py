"""Facts about the place where an agent works. `machines/workspace.py` says what they mean.

Fields marked "text" go into the event's body and may be redacted.
"""

from typing import ClassVar, TypeAlias

from kaged.domain.frozen import frozen
from kaged.domain.place_spec import WorkspaceKind


@frozen
class WorkspaceWanted:
    """A place is to be made, in this way: recorded before anything happens (`workspace.Plan`, field by field)."""

    type_name: ClassVar[str] = "workspace.wanted"

    kind: WorkspaceKind
    path: str
    cwd: str
    repository: str
    git_dir: str
    branch: str
    base: str
    base_commit: str
    start_commit: str
    fresh: bool


@frozen
class WorkspaceMade:
    """It is there and whole, and its setup line went well. `note`: what that printed at its end."""

    type_name: ClassVar[str] = "workspace.made"

    copied: int
    note: str  # text


@frozen
class WorkspaceFailed:
    """It could not be made; the run that needed it does not start. `failure`: a stable word."""

    type_name: ClassVar[str] = "workspace.failed"

    run: str
    failure: str
    note: str  # text


@frozen
class WorkspaceSnapshotted:
    """All of its files were kept under a ref of a repository. `note`: paths that could not be kept.

    `turn`: the agent's, after which or in which it was; `native_session`: its session then.
    """

    type_name: ClassVar[str] = "workspace.snapshotted"

    repository: str
    ref: str
    number: int
    commit: str
    tree: str
    files: int
    note: str  # text
    turn: int = 0
    native_session: str = ""


@frozen
class WorkspaceRestored:
    """Its files are those of a snapshot again. `turn`: of that snapshot; `kept`: the snapshot of what was there."""

    type_name: ClassVar[str] = "workspace.restored"

    number: int
    ref: str
    commit: str
    files: int
    turn: int
    kept: str


@frozen
class WorkspaceMerged:
    """What is in it is now in a branch, too."""

    type_name: ClassVar[str] = "workspace.merged"

    kind: str
    into: str
    before: str
    commit: str
    uncommitted: int


@frozen
class WorkspaceRemoved:
    """It is gone. `kept_branch`: the branch stays, because it was not Kage's or has what nothing else has."""

    type_name: ClassVar[str] = "workspace.removed"

    kept_branch: str
    note: str  # text


@frozen
class WorkspaceOverlapped:
    """It and another live agent's have changed the same files: told once for each other agent. `note`: the files."""

    type_name: ClassVar[str] = "workspace.overlapped"

    other: str
    files: int
    note: str  # text


WorkspaceEvent: TypeAlias = (
    WorkspaceWanted
    | WorkspaceMade
    | WorkspaceFailed
    | WorkspaceSnapshotted
    | WorkspaceRestored
    | WorkspaceMerged
    | WorkspaceRemoved
    | WorkspaceOverlapped
)
