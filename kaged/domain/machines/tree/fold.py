"""Facts into state. `apply` never refuses and takes no choice: what could be chosen stands in the event.

A supervisor's bookkeeping lives here too: a child that leaves `pending` takes its note along, a temporary child
that is stopped or done leaves the tree, a plan that has nothing left disappears. Init, abort, stop and end plans
stay until the event that says what came of them.
"""

from collections.abc import Iterable
from typing import assert_never, cast

from kaged.domain.events import tree as facts
from kaged.domain.machines.tree.spec import ChildSpec, NodeSpec, SupervisorSpec, find, spec_from_json
from kaged.domain.machines.tree.state import (
    DEATHS,
    Branch,
    Leaf,
    Node,
    Note,
    NoteKind,
    Plan,
    PlanKind,
    TreeState,
    alive_reversed,
    branch_at,
    id_of,
    join,
    parent_of,
)
from kaged.domain.restart import MICROSECONDS, judge


def apply(state: TreeState, event: facts.Event) -> TreeState:
    """The state after one event. The old one is untouched and still valid."""
    match event:
        case facts.Applied():
            return _applied(state, event)
        case facts.Asked():
            return _asked(state, event)
        case facts.DeleteWanted():
            return state._replace(doomed=True)
        case facts.Deleted():
            return TreeState(tree=state.tree, ordinal=state.ordinal)  # no ordinal is ever used twice
        case facts.PlanBegun():
            return _plan_begun(state, event)
        case facts.Respecified():
            return _respecified(state, event)
        case facts.ChildStartWanted():
            return _start_wanted(state, event)
        case facts.ChildStarted():
            return _started(state, event)
        case facts.ChildStartFailed():
            return _start_failed(state, event)
        case facts.ChildExited():
            return _exited(state, event)
        case facts.ChildDone():
            return _laid_down(state, event.path)
        case facts.RestartScheduled():
            return _restart_scheduled(state, event)
        case facts.WaitOver():
            return _wait_over(state, event)
        case facts.ChildStopWanted():
            return _stop_wanted(state, event)
        case facts.ChildStopped():
            return _stopped(state, event)
        case facts.ChildDropped():
            return _drop(state, event.path)
        case facts.Escalated():
            return _ending(_laid_down(state, join(event.path, event.cause)), event.path, "intensity")
        case facts.AutoShutdown():
            return _ending(state, event.path, "auto_shutdown")
        case facts.Ended():
            return _ended(state, event)
        case _:
            assert_never(event)


def _applied(state: TreeState, event: facts.Applied) -> TreeState:
    spec = spec_from_json(event.spec)
    nodes = dict(state.nodes)
    for path, node in state.nodes.items():
        if isinstance(node, Branch) and lags(node, find(spec, path)):
            nodes[path] = node._replace(inbox=_with(node.inbox, Note(kind="apply", child="")))
    if "" not in nodes:
        nodes[""] = Branch(spec=spec)
    return state._replace(spec=spec, nodes=nodes)


def lags(node: Branch, wanted: NodeSpec | None) -> bool:
    """Whether a supervisor at work has something to do to follow a spec. A deleted child is to be restored."""
    if node.phase not in ("starting", "running"):
        return False  # it reads the spec when it starts
    if not isinstance(wanted, SupervisorSpec):
        return False  # its own supervisor is about to remove it
    if node.plan is not None and node.plan.target is not None:
        return node.plan.target != wanted  # it is on its way to another spec already
    if node.spec is not wanted and node.spec != wanted:
        return True
    return any(child.restart != "temporary" and child.id not in node.order for child in wanted.children)


def _asked(state: TreeState, event: facts.Asked) -> TreeState:
    return _noted(state, event.path, Note(kind=cast("NoteKind", event.verb), child=id_of(event.path)))


def _plan_begun(state: TreeState, event: facts.PlanBegun) -> TreeState:
    here = branch_at(state, event.path)
    kind = cast("PlanKind", event.kind)
    target, inbox, why = None, here.inbox, ""
    if kind == "apply":
        found = find(state.spec, event.path) if state.spec else None
        target = found if isinstance(found, SupervisorSpec) else here.spec
    if kind == "abort":
        why = here.plan.why if here.plan else ""
    else:
        inbox = inbox[1:]  # every other plan answers the first note
    plan = Plan(kind=kind, cause=event.cause, stops=event.stops, starts=event.starts, why=why, target=target)
    changed: dict[str, Node] = {event.path: _unless_over(here._replace(inbox=inbox), plan)}
    if kind == "restart":
        dead = join(event.path, event.cause)
        changed[dead] = state.nodes[dead]._replace(phase="stopped", wake_at_us=0)
    return _set(state, changed)


def _respecified(state: TreeState, event: facts.Respecified) -> TreeState:
    here = branch_at(state, event.path)
    assert here.plan is not None
    assert here.plan.target is not None
    target, fresh = here.plan.target, set(here.plan.starts)
    wanted = {child.id: child for child in target.children}
    nodes = dict(state.nodes)
    for child in here.order:
        if child not in wanted or child in fresh:
            _remove(nodes, join(event.path, child))
    order = []
    for child, spec in wanted.items():
        path = join(event.path, child)
        if child in fresh:
            nodes[path] = _new(spec)
        elif path not in nodes:
            continue  # a temporary child that has ended
        elif isinstance(spec, ChildSpec):
            nodes[path] = cast("Leaf", nodes[path])._replace(spec=spec)
        elif nodes[path].phase not in ("starting", "running"):
            nodes[path] = cast("Branch", nodes[path])._replace(spec=spec)  # a live one has a note of its own
        order.append(child)
    inbox = tuple(note for note in here.inbox if not note.child or (note.child in order and note.child not in fresh))
    plan = here.plan._replace(target=None)
    nodes[event.path] = _unless_over(here._replace(spec=target, order=tuple(order), inbox=inbox), plan)
    return state._replace(nodes=nodes)


def _start_wanted(state: TreeState, event: facts.ChildStartWanted) -> TreeState:
    node = state.nodes[event.path]._replace(phase="starting", ordinal=event.ordinal, wake_at_us=0)
    state = state._replace(ordinal=event.ordinal, outcome="" if event.path == "" else state.outcome)
    if isinstance(node, Branch):
        return _initialised(state, event.path, node)
    return _taken_up(_set(state, {event.path: node}), event.path)


def _initialised(state: TreeState, path: str, node: Branch) -> TreeState:
    """A supervisor starts as its spec says, whatever became of its children before. Their back-off is kept."""
    found = find(state.spec, path) if state.spec else None
    spec = found if isinstance(found, SupervisorSpec) else node.spec
    nodes = dict(state.nodes)
    for child in node.order:
        _remove(nodes, join(path, child))
    for wanted in spec.children:
        before = state.nodes.get(join(path, wanted.id))
        fresh = _new(wanted)
        if before is not None and _same_work(before.spec, wanted):
            fresh = fresh._replace(failures=before.failures, restarts=before.restarts, last=before.last)
        nodes[join(path, wanted.id)] = fresh
    order = tuple(child.id for child in spec.children)
    nodes[path] = node._replace(spec=spec, order=order, window=(), inbox=(), plan=Plan(kind="init", starts=order))
    return _taken_up(state._replace(nodes=nodes), path)


def _started(state: TreeState, event: facts.ChildStarted) -> TreeState:
    node = state.nodes[event.path]._replace(phase="running", since_us=event.at_us)
    if isinstance(node, Branch):
        node = node._replace(plan=None)
    return _answered(_set(state, {event.path: node}), event.path)


def _start_failed(state: TreeState, event: facts.ChildStartFailed) -> TreeState:
    path, node = event.path, state.nodes[event.path]
    node = node._replace(phase="pending" if event.retry else "stopped", last=event.why)
    if isinstance(node, Branch):
        node = node._replace(plan=None, inbox=())
    state = _set(state, {path: node})
    if path == "":
        return state._replace(outcome="start_failed")
    above = branch_at(state, parent_of(path))
    plan = above.plan
    assert plan is not None
    if plan.kind == "init":
        return _set(state, {parent_of(path): above._replace(plan=plan._replace(awaiting="", why=event.why))})
    if not event.retry and node.spec.restart == "temporary":
        return _drop(_answered(state, path), path)
    state = _answered(state, path)
    if not event.retry:
        return state
    above = branch_at(state, parent_of(path))
    if above.plan is not None and (above.spec.strategy != "one_for_one" or plan.kind == "restart"):
        # Whoever comes after it will be started by its retry.
        above = above._replace(plan=None)
    state = _set(state, {parent_of(path): above})
    return _noted(state, path, Note(kind="start_failed", child=id_of(path), at_us=event.at_us))


def _exited(state: TreeState, event: facts.ChildExited) -> TreeState:
    node = state.nodes[event.path]._replace(phase="pending", last=event.how)
    note = Note(kind="exit", child=id_of(event.path), how=event.how, at_us=event.at_us)
    return _noted(_set(state, {event.path: node}), event.path, note)


def _restart_scheduled(state: TreeState, event: facts.RestartScheduled) -> TreeState:
    above, node = branch_at(state, parent_of(event.path)), state.nodes[event.path]
    window, _ = judge(
        above.window,
        event.exit_at_us,
        intensity=above.spec.intensity,
        period_us=int(above.spec.period_s * MICROSECONDS),
    )
    plan = Plan(kind="restart", cause=id_of(event.path), stops=event.stops, starts=event.starts)
    above = above._replace(window=window, inbox=_without(above.inbox, id_of(event.path), DEATHS))
    node = node._replace(
        phase="waiting" if event.wake_at_us else "stopped",
        wake_at_us=event.wake_at_us,
        failures=event.failures,
        restarts=node.restarts + 1,
    )
    return _set(state, {parent_of(event.path): _unless_over(above, plan), event.path: node})


def _wait_over(state: TreeState, event: facts.WaitOver) -> TreeState:
    node = state.nodes[event.path]._replace(phase="pending", wake_at_us=0)
    note = Note(kind="due", child=id_of(event.path), at_us=event.at_us)
    return _noted(_set(state, {event.path: node}), event.path, note)


def _stop_wanted(state: TreeState, event: facts.ChildStopWanted) -> TreeState:
    node = state.nodes[event.path]._replace(phase="stopping")
    if isinstance(node, Branch):
        # Whatever it was in the middle of is given up; a child in mid-start or mid-stop is met again in `stops`.
        node = node._replace(inbox=(), plan=Plan(kind="stop", stops=alive_reversed(state, event.path)))
    state = _set(state, {event.path: node})
    if event.path == "":
        return state
    above = branch_at(state, parent_of(event.path))
    assert above.plan is not None
    return _set(state, {parent_of(event.path): above._replace(plan=above.plan._replace(awaiting=id_of(event.path)))})


def _stopped(state: TreeState, event: facts.ChildStopped) -> TreeState:
    node = state.nodes[event.path]
    if event.how != "gone":
        node = node._replace(last=event.how)
    if isinstance(node, Branch):
        node = node._replace(plan=None, inbox=())
    state = _set(state, {event.path: node})
    if event.path == "":
        return _set(state, {"": node._replace(phase="stopped")})._replace(outcome="stopped")
    return _laid_down(_answered(state, event.path), event.path)


def _ending(state: TreeState, path: str, why: str) -> TreeState:
    plan = Plan(kind="end", stops=alive_reversed(state, path), why=why)
    return _set(state, {path: branch_at(state, path)._replace(phase="stopping", inbox=(), plan=plan)})


def _ended(state: TreeState, event: facts.Ended) -> TreeState:
    node = branch_at(state, event.path)._replace(plan=None, inbox=(), last=event.reason)
    if event.path == "":
        state = state._replace(outcome="intensity" if event.reason == "intensity" else "auto_shutdown")
        return _set(state, {"": node._replace(phase="stopped")})
    # To its own supervisor this is an exit with reason shutdown: only a permanent one is restarted.
    note = Note(kind="exit", child=id_of(event.path), how="shutdown", at_us=event.at_us)
    return _noted(_set(state, {event.path: node._replace(phase="pending")}), event.path, note)


# --- small moves --------------------------------------------------------------------------------------------


def _set(state: TreeState, changed: dict[str, Node]) -> TreeState:
    return state._replace(nodes={**state.nodes, **changed})


def _new(spec: NodeSpec) -> Node:
    return Leaf(spec=spec) if isinstance(spec, ChildSpec) else Branch(spec=spec)


def _same_work(old: NodeSpec, new: NodeSpec) -> bool:
    if isinstance(old, ChildSpec) and isinstance(new, ChildSpec):
        return old.work == new.work
    return isinstance(old, SupervisorSpec) and isinstance(new, SupervisorSpec)


def _unless_over(here: Branch, plan: Plan) -> Branch:
    """The branch with this plan, or with none when nothing is left of it and nothing is to be told afterwards."""
    over = not (plan.stops or plan.starts or plan.awaiting or plan.target)
    told = plan.kind in ("init", "abort", "stop", "end")
    left = None if over and not told else plan
    return here if left == here.plan else here._replace(plan=left)


def _taken_up(state: TreeState, path: str) -> TreeState:
    """A start is under way: its supervisor waits for it."""
    if path == "":
        return state
    above = branch_at(state, parent_of(path))
    assert above.plan is not None
    starts = tuple(child for child in above.plan.starts if child != id_of(path))
    plan = above.plan._replace(starts=starts, awaiting=id_of(path))
    return _set(state, {parent_of(path): above._replace(plan=plan)})


def _answered(state: TreeState, path: str) -> TreeState:
    """The child that its supervisor may have waited for has answered, or is gone."""
    if path == "":
        return state
    above = branch_at(state, parent_of(path))
    if above.plan is None:
        return state
    child, plan = id_of(path), above.plan
    if plan.awaiting == child:
        plan = plan._replace(awaiting="")
    if child in plan.stops and state.nodes[path].phase not in ("starting", "running"):
        plan = plan._replace(stops=tuple(each for each in plan.stops if each != child))
    return _set(state, {parent_of(path): _unless_over(above, plan)})


def _laid_down(state: TreeState, path: str) -> TreeState:
    """The child will not run again of itself: a temporary one leaves, any other stays as stopped."""
    node = state.nodes[path]
    if node.spec.restart == "temporary":
        return _drop(state, path)
    above = branch_at(state, parent_of(path))
    above = above._replace(inbox=_without(above.inbox, id_of(path), DEATHS))
    return _set(state, {path: node._replace(phase="stopped", wake_at_us=0), parent_of(path): above})


def _drop(state: TreeState, path: str) -> TreeState:
    above, child = branch_at(state, parent_of(path)), id_of(path)
    nodes = dict(state.nodes)
    _remove(nodes, path)
    order = tuple(each for each in above.order if each != child)
    nodes[parent_of(path)] = above._replace(order=order, inbox=_without(above.inbox, child))
    return state._replace(nodes=nodes)


def _remove(nodes: dict[str, Node], path: str) -> None:
    node = nodes.pop(path)
    if isinstance(node, Branch):
        for child in node.order:
            _remove(nodes, join(path, child))


def _noted(state: TreeState, path: str, note: Note) -> TreeState:
    """Put a note into the inbox of the child's supervisor, unless that is on its way out anyway."""
    above = branch_at(state, parent_of(path))
    if above.phase not in ("starting", "running"):
        return state
    return _set(state, {parent_of(path): above._replace(inbox=_with(above.inbox, note))})


def _with(inbox: tuple[Note, ...], note: Note) -> tuple[Note, ...]:
    if any(each.kind == note.kind and each.child == note.child for each in inbox):
        return inbox  # asked twice is asked
    return (*inbox, note)


def _without(inbox: tuple[Note, ...], child: str, kinds: Iterable[str] | None = None) -> tuple[Note, ...]:
    if not inbox:
        return inbox
    return tuple(n for n in inbox if not (n.child == child and (kinds is None or n.kind in kinds)))
