"""What a supervision tree is doing: a value that holds everything needed to go on after a crash.

    stopped --start--> starting --> running --exit--> pending --judged--> stopped | waiting | (starting again)
                          |            |                 ^                            |
                          +--- stop ---+--> stopping     +------- the wait is over ---+

- `stopped`: not running, and nothing will change that but a request, a sibling's restart or a new spec.
- `pending`: dead, and its supervisor has a note about it in the inbox. A failed restart is pending as well.
- `waiting`: dead, to be started when its back-off is over.

A supervisor (`Branch`) does one thing at a time. What it is doing is its `plan`: first stop `stops` one by one,
then start `starts` one by one, `awaiting` the answer of one child. What arrives meanwhile is a note in its
`inbox` and is handled afterwards, in order, as the mailbox of an OTP supervisor would be. The inbox is bounded:
one note about each dead child, and one for each kind of request and child.

Named tuples, not frozen dataclasses: one restart makes about twenty of them, and these cost a quarter.

Paths: "" is the root; "web/crawler" is child "crawler" of supervisor "web". Times are microseconds.
Not here: how a state changes (`fold.py`) and what is decided (`decide.py`).
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from kaged.domain.events.tree import Event
from kaged.domain.frozen import frozen
from kaged.domain.machines.tree.spec import ChildSpec, Shutdown, SupervisorSpec

Phase = Literal["stopped", "starting", "running", "stopping", "pending", "waiting"]
How = Literal["normal", "abnormal", "shutdown"]
NoteKind = Literal["exit", "start_failed", "due", "terminate", "restart", "delete", "apply"]
PlanKind = Literal["init", "abort", "stop", "end", "restart", "restart_child", "terminate", "delete", "apply"]

DEATHS = ("exit", "start_failed", "due")  # notes about a pending child; the others are requests


class Note(NamedTuple):
    """One line in a supervisor's inbox, about one child ("" for a note about the supervisor itself)."""

    kind: NoteKind
    child: str
    how: str = ""
    at_us: int = 0


class Plan(NamedTuple):
    """What a supervisor is in the middle of."""

    kind: PlanKind
    cause: str = ""
    stops: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    awaiting: str = ""
    why: str = ""  # abort: why the start failed; end: intensity or auto_shutdown
    target: SupervisorSpec | None = None  # apply: the spec to follow, until it is followed


class Leaf(NamedTuple):
    """A child that is no supervisor."""

    spec: ChildSpec
    phase: Phase = "stopped"
    ordinal: int = 0  # of its last start; reports about another one are stale
    failures: int = 0  # in a row, for the back-off
    restarts: int = 0
    since_us: int = 0  # running since
    wake_at_us: int = 0  # waiting until
    last: str = ""  # how it ended last, or why it did not start


class Branch(NamedTuple):
    """A supervisor."""

    spec: SupervisorSpec
    phase: Phase = "stopped"
    ordinal: int = 0
    failures: int = 0
    restarts: int = 0
    since_us: int = 0
    wake_at_us: int = 0
    last: str = ""
    order: tuple[str, ...] = ()  # ids of the children that it has now, in start order
    window: tuple[int, ...] = ()
    inbox: tuple[Note, ...] = ()
    plan: Plan | None = None


Node: TypeAlias = Leaf | Branch


class TreeState(NamedTuple):
    """One tree. `nodes` is never changed in place. `outcome` says why the root does not run, once it ended."""

    tree: str
    spec: SupervisorSpec | None = None
    nodes: Mapping[str, Node] = MappingProxyType({})
    ordinal: int = 0
    outcome: Literal["", "stopped", "intensity", "auto_shutdown", "start_failed"] = ""
    doomed: bool = False  # to be deleted once it has ended

    @property
    def over(self) -> bool:
        """Whether nothing of it runs or will run of itself."""
        return self.phase in ("new", "ended", "failed")

    @property
    def phase(self) -> str:
        """new (or deleted), starting, running, stopping, ended (stopped or shut down as specified) or failed."""
        root = self.nodes.get("")
        if root is None:
            return "new"
        if root.phase != "stopped":
            return root.phase
        return "failed" if self.outcome in ("intensity", "start_failed") else "ended"


def initial(tree: str) -> TreeState:
    """A tree that nobody has applied a spec to."""
    return TreeState(tree=tree)


# --- paths --------------------------------------------------------------------------------------------------


def join(parent: str, child: str) -> str:
    return f"{parent}/{child}" if parent else child


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def branch_at(state: TreeState, path: str) -> Branch:
    """The supervisor at a path that is known to be one."""
    node = state.nodes[path]
    assert isinstance(node, Branch), path
    return node


def alive_reversed(state: TreeState, path: str) -> tuple[str, ...]:
    """The children of a supervisor that are not stopped, last first: the order in which they are stopped."""
    nodes = state.nodes
    return tuple(
        child for child in reversed(branch_at(state, path).order) if nodes[join(path, child)].phase != "stopped"
    )


# --- what is not under way ----------------------------------------------------------------------------------


def rests(state: TreeState, path: str) -> bool:
    """Whether a child does not run, and nothing that is under way or decided would start it.

    Careful: while anything is open that may start it, it does not rest yet.
    """
    node = state.nodes.get(path)
    while node is not None and node.phase == "stopped" and path:
        above_path = parent_of(path)
        above = branch_at(state, above_path)
        if above.phase != "stopped":
            return above.phase in ("starting", "running") and not _may_start(state, above_path, above, id_of(path))
        path, node = above_path, above
    return node is not None and node.phase == "stopped"


def _may_start(state: TreeState, path: str, above: Branch, child: str) -> bool:
    """Whether a supervisor at work may start a stopped child of its own accord."""
    plan = above.plan
    if plan is not None and (plan.target is not None or plan.why or child in (plan.awaiting, *plan.starts)):
        return True
    if any(note.child in ("", child) for note in above.inbox):
        return True
    if above.spec.strategy == "one_for_one":
        return False
    # A sibling that waits to be started again may take it along.
    until = above.order.index(child) if above.spec.strategy == "rest_for_one" else len(above.order)
    return any(state.nodes[join(path, each)].phase in ("pending", "waiting") for each in above.order[:until])


# --- what is under way --------------------------------------------------------------------------------------


@frozen
class StartChild:
    """Start `work`; answer ChildStarted or StartFailed with this ordinal. Repeats of an ordinal are one start."""

    path: str
    ordinal: int
    work: str


@frozen
class StopChild:
    """Stop what this ordinal started, or is starting; answer ChildExited (or StartFailed). Safe to repeat."""

    path: str
    ordinal: int
    shutdown: Shutdown


@frozen
class ArmTimer:
    """Say TimerDue once `at_us` has passed. An early, late or repeated one does no harm."""

    path: str
    at_us: int


Effect: TypeAlias = StartChild | StopChild | ArmTimer


def owed(path: str, node: Node) -> Effect | None:
    """What the runtime has to do for one node, as far as the state knows."""
    if node.phase == "waiting":
        return ArmTimer(path=path, at_us=node.wake_at_us)
    if isinstance(node, Leaf) and node.phase == "starting":
        return StartChild(path=path, ordinal=node.ordinal, work=node.spec.work)
    if isinstance(node, Leaf) and node.phase == "stopping":
        return StopChild(path=path, ordinal=node.ordinal, shutdown=node.spec.shutdown)
    return None


def outstanding(state: TreeState) -> tuple[Effect, ...]:
    """Everything that should be under way, in tree order. After a crash the runtime repeats exactly this."""
    return tuple(_outstanding(state, ""))


def _outstanding(state: TreeState, path: str) -> Iterator[Effect]:
    node = state.nodes.get(path)
    if node is None:
        return
    effect = owed(path, node)
    if effect is not None:
        yield effect
    if isinstance(node, Branch):
        for child in node.order:
            yield from _outstanding(state, join(path, child))


def effects(state: TreeState, events: Iterable[Event]) -> tuple[Effect, ...]:
    """What the events of one decision ask for: the part of `outstanding` that they touched, in their order.

    `state` is the one after the last of them. Asking again for what is already under way is harmless.
    """
    paths = dict.fromkeys(event.path for event in events)
    found = (owed(path, state.nodes[path]) for path in paths if path in state.nodes)
    return tuple(effect for effect in found if effect is not None)
