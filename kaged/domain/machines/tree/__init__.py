"""The supervision tree: OTP's supervisor as a pure machine. `docs/supervision.md` is its manual.

    state = tree.initial("main")
    events, state = tree.step(state, tree.ApplySpec(spec=..., at_us=..., jitter=...))
    effects = tree.effects(state, events)      # what to do now, once the events are durable
    ...
    effects = tree.outstanding(state)          # after a crash: everything that should be under way

Promises: `decide` may refuse, `apply` may not; folding the events of a decision gives the state that the
decision saw; the state alone says what is outstanding, so a crash at any event loses no intent; effects are
safe to repeat, because a start carries its ordinal; reports are safe to repeat, because stale ones are ignored.

spec (what should be) <- state (what is) <- fold (facts into state) <- decide (commands into facts); wire is the
state as JSON. Not here: processes, clocks, timers and chance.
"""

from kaged.domain.events.tree import Event
from kaged.domain.machines.tree.commands import (
    ApplySpec,
    ChildExited,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStarted,
    Command,
    DeleteChild,
    DeleteTree,
    RestartChild,
    SpecInvalid,
    StartFailed,
    StopTree,
    SupervisorNotRunning,
    TerminateChild,
    TimerDue,
    TreeNotEnded,
    TreeStopping,
)
from kaged.domain.machines.tree.decide import decide, step
from kaged.domain.machines.tree.fold import apply
from kaged.domain.machines.tree.spec import (
    ChildSpec,
    NodeSpec,
    SupervisorSpec,
    find,
    spec_from_json,
    spec_to_json,
    validate,
)
from kaged.domain.machines.tree.state import (
    ArmTimer,
    Branch,
    Effect,
    Leaf,
    Node,
    StartChild,
    StopChild,
    TreeState,
    effects,
    initial,
    outstanding,
    rests,
)
from kaged.domain.machines.tree.wire import state_from_json, state_to_json
from kaged.domain.restart import Backoff

__all__ = [
    "ApplySpec",
    "ArmTimer",
    "Backoff",
    "Branch",
    "ChildExited",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "ChildSpec",
    "ChildStarted",
    "Command",
    "DeleteChild",
    "DeleteTree",
    "Effect",
    "Event",
    "Leaf",
    "Node",
    "NodeSpec",
    "RestartChild",
    "SpecInvalid",
    "StartChild",
    "StartFailed",
    "StopChild",
    "StopTree",
    "SupervisorNotRunning",
    "SupervisorSpec",
    "TerminateChild",
    "TimerDue",
    "TreeNotEnded",
    "TreeState",
    "TreeStopping",
    "apply",
    "decide",
    "effects",
    "find",
    "initial",
    "outstanding",
    "rests",
    "spec_from_json",
    "spec_to_json",
    "state_from_json",
    "state_to_json",
    "step",
    "validate",
]
