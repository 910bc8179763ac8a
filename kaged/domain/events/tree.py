"""What happened in a supervision tree. Facts only; `machines/tree` says what they mean.

Every event names its tree, the path inside it ("" is the root supervisor, "web/crawler" a child of "web") and
the time in microseconds. Fields are flat, so that a generic codec can store them. Choices that need policy or
chance (who is stopped, who is started, how long is waited) are written into the event, so that history folds
to the same state when the policy of a later release is another one.

`type_name` is chosen once: it is what the journal stores.
"""

from typing import ClassVar, TypeAlias

from kaged.domain.frozen import frozen


@frozen
class TreeEvent:
    """The part that all events of this family have. Never stored itself."""

    type_name: ClassVar[str] = ""

    tree: str
    path: str
    at_us: int


@frozen
class Applied(TreeEvent):
    """A spec was accepted for the whole tree. `spec` is canonical JSON (`spec_from_json` reads it)."""

    type_name: ClassVar[str] = "supervisor.applied"

    spec: str


@frozen
class Asked(TreeEvent):
    """Somebody asked the supervisor of `path` to terminate, restart or delete that child."""

    type_name: ClassVar[str] = "supervisor.asked"

    verb: str


@frozen
class DeleteWanted(TreeEvent):
    """Somebody asked to delete the tree while it had not ended: it goes as soon as it has."""

    type_name: ClassVar[str] = "supervisor.delete_wanted"


@frozen
class Deleted(TreeEvent):
    """The tree is gone: nothing of it is left but its history."""

    type_name: ClassVar[str] = "supervisor.deleted"


@frozen
class PlanBegun(TreeEvent):
    """The supervisor at `path` begins to stop and then start children, one at a time.

    `kind` is terminate, restart_child, restart (a back-off is over), apply (a new spec) or abort (its own
    start failed). `cause` is the child that it is about, "" for apply.
    """

    type_name: ClassVar[str] = "supervisor.plan_begun"

    kind: str
    cause: str
    stops: tuple[str, ...]
    starts: tuple[str, ...]


@frozen
class Respecified(TreeEvent):
    """What the new spec removes is stopped; the supervisor at `path` now follows the new spec."""

    type_name: ClassVar[str] = "supervisor.respecified"


@frozen
class ChildStartWanted(TreeEvent):
    """The child should run. `ordinal` is unique in the tree and marks every report about this start."""

    type_name: ClassVar[str] = "supervisor.child_start_wanted"

    ordinal: int


@frozen
class ChildStarted(TreeEvent):
    """The child runs (a supervisor: all of its children do)."""

    type_name: ClassVar[str] = "supervisor.child_started"

    ordinal: int


@frozen
class ChildStartFailed(TreeEvent):
    """The child could not be started. `retry`: its supervisor will judge this like an exit."""

    type_name: ClassVar[str] = "supervisor.child_start_failed"

    ordinal: int
    why: str
    retry: bool


@frozen
class ChildExited(TreeEvent):
    """The child ended by itself, at `at_us`; its supervisor has yet to judge it. `how`: normal, abnormal, shutdown."""

    type_name: ClassVar[str] = "supervisor.child_exited"

    ordinal: int
    how: str


@frozen
class ChildDone(TreeEvent):
    """Judged: the child is not to be restarted. A temporary child leaves the tree with this."""

    type_name: ClassVar[str] = "supervisor.child_done"

    how: str


@frozen
class RestartScheduled(TreeEvent):
    """Judged: the child is to be restarted, with the siblings that the strategy names.

    `exit_at_us` is what counts in the restart window. `wake_at_us` is 0 for a restart at once; else `stops`
    are stopped now and everything is started when the wait is over.
    """

    type_name: ClassVar[str] = "supervisor.restart_scheduled"

    exit_at_us: int
    failures: int
    delay_us: int
    wake_at_us: int
    stops: tuple[str, ...]
    starts: tuple[str, ...]


@frozen
class WaitOver(TreeEvent):
    """The back-off of the child has run out; its supervisor acts as soon as it is free."""

    type_name: ClassVar[str] = "supervisor.wait_over"


@frozen
class ChildStopWanted(TreeEvent):
    """The child (with everything under it) should stop. `shutdown`: brutal, infinity, or milliseconds."""

    type_name: ClassVar[str] = "supervisor.child_stop_wanted"

    ordinal: int
    shutdown: str


@frozen
class ChildStopped(TreeEvent):
    """The child does not run because that was asked for. `how` is "gone" if it did not run any more."""

    type_name: ClassVar[str] = "supervisor.child_stopped"

    how: str


@frozen
class ChildDropped(TreeEvent):
    """The child's spec was deleted from its supervisor."""

    type_name: ClassVar[str] = "supervisor.child_dropped"


@frozen
class Escalated(TreeEvent):
    """Too many restarts: the supervisor at `path` stops its children, then ends. `cause` is the last straw."""

    type_name: ClassVar[str] = "supervisor.escalated"

    cause: str
    exit_at_us: int
    restarts: int


@frozen
class AutoShutdown(TreeEvent):
    """Its significant children have ended: the supervisor at `path` stops the others, then ends."""

    type_name: ClassVar[str] = "supervisor.auto_shutdown"

    cause: str


@frozen
class Ended(TreeEvent):
    """The supervisor at `path` has ended by itself. `reason`: intensity or auto_shutdown."""

    type_name: ClassVar[str] = "supervisor.ended"

    reason: str


Event: TypeAlias = (
    Applied
    | Asked
    | DeleteWanted
    | Deleted
    | PlanBegun
    | Respecified
    | ChildStartWanted
    | ChildStarted
    | ChildStartFailed
    | ChildExited
    | ChildDone
    | RestartScheduled
    | WaitOver
    | ChildStopWanted
    | ChildStopped
    | ChildDropped
    | Escalated
    | AutoShutdown
    | Ended
)
