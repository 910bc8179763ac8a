"""Wishes and reports that a supervision tree understands, and why it may refuse a wish.

Every command carries the time (`at_us`, microseconds) and one number of chance
(`jitter`, in [0, 1)), because the machine has neither. Reports about a start carry its ordinal; a report about
another start than the current one is stale and changes nothing, so reports are safe to repeat.
"""

from typing import TypeAlias

from kaged.domain.errors import Invalid, NotFound, Precondition
from kaged.domain.frozen import frozen
from kaged.domain.machines.tree.spec import SupervisorSpec
from kaged.domain.machines.tree.state import How


@frozen
class _Command:
    at_us: int
    jitter: float


@frozen
class ApplySpec(_Command):
    """Make the tree follow this spec. Unchanged children keep running; applying the same spec again is nothing."""

    spec: SupervisorSpec


@frozen
class StopTree(_Command):
    """Stop everything, last started first. Stopping a tree that does not run is nothing."""


@frozen
class DeleteTree(_Command):
    """Forget a tree that has ended; with `force`, stop it first. A tree that nobody has applied is nothing."""

    force: bool


@frozen
class ChildStarted(_Command):
    """The leaf of this start runs."""

    path: str
    ordinal: int


@frozen
class StartFailed(_Command):
    """The leaf could not be started."""

    path: str
    ordinal: int
    why: str


@frozen
class ChildExited(_Command):
    """The leaf of this start ended, asked or not. The caller has judged `how` from exit status and signals.

    `exited_at_us` is when it really ended, if that is not now (found after a downtime).
    """

    path: str
    ordinal: int
    how: How
    exited_at_us: int | None = None


@frozen
class TimerDue(_Command):
    """A timer that was armed for this path has run out."""

    path: str


@frozen
class TerminateChild(_Command):
    """Stop a child and keep its spec (a temporary child's spec goes). It stays stopped until asked for."""

    path: str


@frozen
class RestartChild(_Command):
    """Start a child that is stopped, or end the back-off of one that waits. Never stops anything."""

    path: str


@frozen
class DeleteChild(_Command):
    """Forget a stopped child. It comes back when its supervisor restarts, or with the next applied spec."""

    path: str


Command: TypeAlias = (
    ApplySpec
    | StopTree
    | DeleteTree
    | ChildStarted
    | StartFailed
    | ChildExited
    | TimerDue
    | TerminateChild
    | RestartChild
    | DeleteChild
)


class SpecInvalid(Invalid):
    """The spec breaks a rule; `violations` lists all of them."""

    reason = "TREE_SPEC_INVALID"


class TreeStopping(Precondition):
    """A spec was applied while the tree is on its way down."""

    reason = "TREE_STOPPING"

    def __init__(self, tree: str) -> None:
        super().__init__(f"tree {tree!r} is stopping", hint="apply again when it has ended", tree=tree)


class TreeNotEnded(Precondition):
    """The tree has not ended; it is not deleted under its children."""

    reason = "TREE_NOT_ENDED"

    def __init__(self, tree: str, phase: str) -> None:
        super().__init__(
            f"tree {tree!r} is {phase}",
            hint=f"`kagectl tree stop {tree}` first, or delete it with --force",
            tree=tree,
            phase=phase,
        )


class ChildNotFound(NotFound):
    """No such child in the tree now. Temporary children leave the tree when they end."""

    reason = "CHILD_NOT_FOUND"

    def __init__(self, tree: str, path: str) -> None:
        super().__init__(
            f"tree {tree!r} has no child {path!r}",
            hint=f"`kagectl tree show {tree}` lists them",
            tree=tree,
            path=path,
        )


class SupervisorNotRunning(Precondition):
    """The child's supervisor does not run, so it cannot act on a child."""

    reason = "SUPERVISOR_NOT_RUNNING"

    def __init__(self, tree: str, path: str) -> None:
        super().__init__(
            f"supervisor {path or tree!r} is not running",
            hint="restart the supervisor first, or apply the tree again",
            tree=tree,
            path=path,
        )


class ChildRunning(Precondition):
    """The child runs, or is about to; the wish needs a stopped one."""

    reason = "CHILD_RUNNING"

    def __init__(self, tree: str, path: str) -> None:
        super().__init__(f"child {path!r} is running", hint="terminate it first", tree=tree, path=path)


class ChildRestarting(Precondition):
    """The child is between two lives; the wish needs a stopped one."""

    reason = "CHILD_RESTARTING"

    def __init__(self, tree: str, path: str) -> None:
        super().__init__(f"child {path!r} is being restarted", hint="terminate it first", tree=tree, path=path)
