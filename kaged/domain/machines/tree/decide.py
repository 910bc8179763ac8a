"""What follows from a command: OTP's supervisor rules as small decisions, and the walk that carries them out.

A turn handles one command: first the fact itself, then everything that follows at once, until every supervisor
waits for somebody outside (a child that is starting or stopping, a timer) or has nothing to do. Each step is
an event that is folded before the next one is decided, so a turn never knows more than its history says.

One supervisor does one thing at a time (`_advance`): stop what the plan stops, start what it starts, tell its
own supervisor what came of it, and only then look at the next note in its inbox. Nothing here loops on a child
that fails: each new try is a StartChild effect, whose answer is a new command.

Where Kage knowingly differs from OTP: restarts may wait (back-off), a stop does not wait for a start that is in
flight but cancels it, and a new spec acts at once. `docs/supervision.md` has the list.
"""

from typing import assert_never

from kaged.domain.events import tree as facts
from kaged.domain.machines.tree import commands as wishes
from kaged.domain.machines.tree.fold import apply, lags
from kaged.domain.machines.tree.spec import ChildSpec, NodeSpec, SupervisorSpec, find, spec_to_json, validate
from kaged.domain.machines.tree.state import (
    Branch,
    How,
    Leaf,
    Node,
    Note,
    Plan,
    PlanKind,
    TreeState,
    alive_reversed,
    branch_at,
    join,
    parent_of,
)
from kaged.domain.restart import MICROSECONDS, delay_us, failures_after, judge

_SPREAD = 0.6180339887498949  # turns one number of chance into many that lie well apart


def decide(state: TreeState, command: wishes.Command) -> tuple[facts.Event, ...]:
    """What happens because of a command; () if it is stale or changes nothing. May raise a Refusal."""
    return step(state, command)[0]


def step(state: TreeState, command: wishes.Command) -> tuple[tuple[facts.Event, ...], TreeState]:
    """`decide`, and the state after its events, which had to be known anyway."""
    turn = _Turn(state, command.at_us, command.jitter)
    turn.take(command)
    return tuple(turn.events), turn.state


class _Turn:
    """One command being worked off. Lives for one call of `step`."""

    def __init__(self, state: TreeState, at_us: int, jitter: float) -> None:
        self.state = state
        self.events: list[facts.Event] = []
        self._at_us = at_us
        self._jitter = jitter

    def take(self, command: wishes.Command) -> None:
        match command:
            case wishes.ApplySpec():
                self._apply_spec(command.spec)
            case wishes.StopTree():
                self._stop_tree()
            case wishes.DeleteTree():
                self._delete_tree(force=command.force)
            case wishes.ChildStarted():
                self._child_started(command.path, command.ordinal)
            case wishes.StartFailed():
                self._child_dead(command.path, command.ordinal, "abnormal", self._at_us, command.why)
            case wishes.ChildExited():
                at_us = self._at_us if command.exited_at_us is None else command.exited_at_us
                why = f"ended before it had started ({command.how})"
                self._child_dead(command.path, command.ordinal, command.how, at_us, why)
            case wishes.TimerDue():
                node = self.state.nodes.get(command.path)
                if node is not None and node.phase == "waiting" and node.wake_at_us <= self._at_us:
                    self._wait_over(command.path)
            case wishes.TerminateChild():
                self._terminate(command.path)
            case wishes.RestartChild():
                self._restart_child(command.path)
            case wishes.DeleteChild():
                self._delete_child(command.path)
            case _:
                assert_never(command)
        if self.state.doomed and self.state.over:
            self._emit(facts.Deleted(tree=self.state.tree, path="", at_us=self._at_us))

    def _emit(self, event: facts.Event) -> None:
        self.state = apply(self.state, event)
        self.events.append(event)

    # --- wishes ---------------------------------------------------------------------------------------------

    def _apply_spec(self, spec: SupervisorSpec) -> None:
        state = self.state
        violations = validate(spec)
        if spec.id != state.tree:
            violations += (("id", f"the root is named like its tree, {state.tree!r}"),)
        if violations:
            raise wishes.SpecInvalid(*violations, tree=state.tree)
        root = state.nodes.get("")
        applied = facts.Applied(tree=state.tree, path="", at_us=self._at_us, spec=spec_to_json(spec))
        if root is None or root.phase == "stopped":
            self._emit(applied)
            self._start("")
            return
        if root.phase == "stopping":
            raise wishes.TreeStopping(state.tree)
        branches = [(path, node) for path, node in state.nodes.items() if isinstance(node, Branch)]
        if spec == state.spec and not any(lags(node, find(spec, path)) for path, node in branches):
            return
        self._emit(applied)
        for path, _ in branches:
            self._settle(path)

    def _stop_tree(self) -> None:
        root = self.state.nodes.get("")
        if not isinstance(root, Branch) or root.phase == "stopped":
            return
        if root.phase != "stopping" or (root.plan is not None and root.plan.kind == "end"):
            self._stop("")

    def _delete_tree(self, *, force: bool) -> None:
        state = self.state
        if state.phase == "new":
            return
        if state.over:
            self._emit(facts.Deleted(tree=state.tree, path="", at_us=self._at_us))
            return
        if not force:
            raise wishes.TreeNotEnded(state.tree, state.phase)
        if not state.doomed:
            self._emit(facts.DeleteWanted(tree=state.tree, path="", at_us=self._at_us))
        self._stop_tree()

    def _terminate(self, path: str) -> None:
        above, node = self._child(path)
        kind = above.plan.kind if above.plan is not None else None
        if (node.phase, kind) in (("stopped", None), ("stopping", "terminate")):
            return
        if node.phase == "starting":
            self._stop(path)  # no need to wait for a start that is not wanted any more
        else:
            self._emit(facts.Asked(tree=self.state.tree, path=path, at_us=self._at_us, verb="terminate"))
        self._settle(parent_of(path))

    def _restart_child(self, path: str) -> None:
        _, node = self._child(path)
        if node.phase == "waiting":
            self._wait_over(path)
            return
        self._must_be_stopped(path, node)
        self._emit(facts.Asked(tree=self.state.tree, path=path, at_us=self._at_us, verb="restart"))
        self._settle(parent_of(path))

    def _delete_child(self, path: str) -> None:
        _, node = self._child(path)
        self._must_be_stopped(path, node)
        self._emit(facts.Asked(tree=self.state.tree, path=path, at_us=self._at_us, verb="delete"))
        self._settle(parent_of(path))

    def _child(self, path: str) -> tuple[Branch, Node]:
        """A child and its supervisor, which must be at work."""
        above = self.state.nodes.get(parent_of(path)) if path else None
        if not isinstance(above, Branch):
            raise wishes.ChildNotFound(self.state.tree, path)
        if above.phase not in ("starting", "running"):
            raise wishes.SupervisorNotRunning(self.state.tree, parent_of(path))
        if path not in self.state.nodes:
            raise wishes.ChildNotFound(self.state.tree, path)
        return above, self.state.nodes[path]

    def _must_be_stopped(self, path: str, node: Node) -> None:
        if node.phase in ("pending", "waiting"):
            raise wishes.ChildRestarting(self.state.tree, path)
        if node.phase != "stopped":
            raise wishes.ChildRunning(self.state.tree, path)

    # --- reports --------------------------------------------------------------------------------------------

    def _child_started(self, path: str, ordinal: int) -> None:
        node = self.state.nodes.get(path)
        if not isinstance(node, Leaf) or node.ordinal != ordinal or node.phase != "starting":
            return
        self._emit(facts.ChildStarted(tree=self.state.tree, path=path, at_us=self._at_us, ordinal=ordinal))
        self._settle(parent_of(path))

    def _child_dead(self, path: str, ordinal: int, how: How, at_us: int, why: str) -> None:
        node, tree = self.state.nodes.get(path), self.state.tree
        if not isinstance(node, Leaf) or node.ordinal != ordinal:
            return
        if node.phase == "starting":
            self._start_failed(path, why)
        elif node.phase == "running":
            self._emit(facts.ChildExited(tree=tree, path=path, at_us=at_us, ordinal=ordinal, how=how))
        elif node.phase == "stopping":
            self._emit(facts.ChildStopped(tree=tree, path=path, at_us=at_us, how=how))
        else:
            return
        self._settle(parent_of(path))

    def _wait_over(self, path: str) -> None:
        self._emit(facts.WaitOver(tree=self.state.tree, path=path, at_us=self._at_us))
        self._settle(parent_of(path))

    def _start_failed(self, path: str, why: str) -> None:
        node, plan = self.state.nodes[path], None
        if path:
            plan = branch_at(self.state, parent_of(path)).plan
        self._emit(
            facts.ChildStartFailed(
                tree=self.state.tree,
                path=path,
                at_us=self._at_us,
                ordinal=node.ordinal,
                why=why or "no reason given",
                retry=plan is not None
                and (plan.kind == "restart" or (plan.kind == "apply" and node.spec.restart != "temporary")),
            )
        )

    # --- the walk -------------------------------------------------------------------------------------------

    def _settle(self, path: str) -> None:
        """Let a supervisor go on, then the ones above, which may have waited for it."""
        self._advance(path)
        while path:
            path = parent_of(path)
            self._advance(path)

    def _advance(self, path: str) -> None:
        """Go on until this supervisor waits for somebody, or has nothing left to do."""
        while isinstance(here := self.state.nodes.get(path), Branch):
            plan = here.plan
            if plan is None:
                if here.phase != "running" or not here.inbox:
                    return
                self._handle(path, here, here.inbox[0])
            elif plan.awaiting:
                return
            elif plan.kind == "init" and plan.why:
                self._plan(path, "abort", stops=alive_reversed(self.state, path))
            elif plan.stops:
                child = join(path, plan.stops[0])
                if self.state.nodes[child].phase == "stopping":
                    return
                self._stop(child)
            elif plan.target is not None:
                self._emit(facts.Respecified(tree=self.state.tree, path=path, at_us=self._at_us))
            elif plan.starts:
                self._start(join(path, plan.starts[0]))
            else:
                self._finish(path, here, plan)

    def _start(self, path: str) -> None:
        ordinal = self.state.ordinal + 1
        self._emit(facts.ChildStartWanted(tree=self.state.tree, path=path, at_us=self._at_us, ordinal=ordinal))
        self._advance(path)

    def _stop(self, path: str) -> None:
        tree, node = self.state.tree, self.state.nodes[path]
        if node.phase in ("pending", "waiting"):
            self._emit(facts.ChildStopped(tree=tree, path=path, at_us=self._at_us, how="gone"))
            return
        self._emit(
            facts.ChildStopWanted(
                tree=tree,
                path=path,
                at_us=self._at_us,
                ordinal=node.ordinal,
                shutdown=str(node.spec.shutdown),
            )
        )
        self._advance(path)

    def _finish(self, path: str, here: Branch, plan: Plan) -> None:
        """A supervisor's whole start, or its whole end, is through."""
        tree, at_us = self.state.tree, self._at_us
        match plan.kind:
            case "init":
                self._emit(facts.ChildStarted(tree=tree, path=path, at_us=at_us, ordinal=here.ordinal))
            case "abort":
                self._start_failed(path, plan.why)
            case "stop":
                self._emit(facts.ChildStopped(tree=tree, path=path, at_us=at_us, how="shutdown"))
            case "end":
                self._emit(facts.Ended(tree=tree, path=path, at_us=at_us, reason=plan.why))
            case _:
                raise AssertionError(f"a {plan.kind} plan with nothing left is dropped when it is folded")

    # --- the judgements -------------------------------------------------------------------------------------

    def _handle(self, path: str, here: Branch, note: Note) -> None:
        """The first note in the inbox of a free supervisor. Every way through takes the note out of there."""
        child = join(path, note.child)
        match note.kind:
            case "exit":
                self._judge_exit(path, here, note)
            case "start_failed":
                self._restart(path, here, note, ran_us=0)
            case "due":
                stops, starts = self._group(path, here, note.child)
                self._plan(path, "restart", note.child, stops, starts)
            case "terminate":
                runs = self.state.nodes[child].phase != "stopped"
                self._plan(path, "terminate", note.child, stops=(note.child,) if runs else ())
            case "restart":
                stopped = self.state.nodes[child].phase == "stopped"
                self._plan(path, "restart_child", note.child, starts=(note.child,) if stopped else ())
            case "delete":
                if self.state.nodes[child].phase == "stopped":
                    self._emit(facts.ChildDropped(tree=self.state.tree, path=child, at_us=self._at_us))
                else:  # a sibling's restart has brought it back meanwhile
                    self._plan(path, "delete", note.child)
            case "apply":
                stops, starts = self._difference(path, here)
                self._plan(path, "apply", stops=stops, starts=starts)
            case _:
                assert_never(note.kind)

    def _judge_exit(self, path: str, here: Branch, note: Note) -> None:
        child = join(path, note.child)
        node = self.state.nodes[child]
        if node.spec.restart == "permanent" or (node.spec.restart == "transient" and note.how == "abnormal"):
            self._restart(path, here, note, ran_us=note.at_us - node.since_us)
            return
        self._emit(facts.ChildDone(tree=self.state.tree, path=child, at_us=self._at_us, how=note.how))
        if node.spec.significant and self._nobody_significant_left(path, here.spec):
            self._emit(facts.AutoShutdown(tree=self.state.tree, path=path, at_us=self._at_us, cause=note.child))

    def _nobody_significant_left(self, path: str, spec: SupervisorSpec) -> bool:
        """After a significant child ended by itself: does that end its supervisor?"""
        if spec.auto_shutdown != "all_significant":
            return spec.auto_shutdown == "any_significant"
        left = (self.state.nodes[join(path, child)] for child in branch_at(self.state, path).order)
        return not any(node.spec.significant and node.phase != "stopped" for node in left)

    def _restart(self, path: str, here: Branch, note: Note, *, ran_us: int) -> None:
        """A child must run again: now, later, or not at all because there were too many restarts."""
        child, tree, spec = join(path, note.child), self.state.tree, here.spec
        window, exceeded = judge(
            here.window, note.at_us, intensity=spec.intensity, period_us=int(spec.period_s * MICROSECONDS)
        )
        if exceeded:
            self._emit(
                facts.Escalated(
                    tree=tree,
                    path=path,
                    at_us=self._at_us,
                    cause=note.child,
                    exit_at_us=note.at_us,
                    restarts=len(window),
                )
            )
            return
        node = self.state.nodes[child]
        backoff = node.spec.backoff
        failures = failures_after(backoff, node.failures, ran_us)
        wait_us = delay_us(backoff, failures, self._chance()) if backoff is not None else 0
        stops, starts = self._group(path, here, note.child)
        self._emit(
            facts.RestartScheduled(
                tree=tree,
                path=child,
                at_us=self._at_us,
                exit_at_us=note.at_us,
                failures=failures + 1 if backoff is not None else 0,
                delay_us=wait_us,
                wake_at_us=note.at_us + wait_us if wait_us else 0,
                stops=stops,
                starts=() if wait_us else starts,
            )
        )

    def _group(self, path: str, here: Branch, child: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Whom the strategy restarts with a child: (whom to stop, last first; whom to start, in order).

        As in OTP, a group restart also starts children that were stopped before, and loses temporary ones.
        """
        match here.spec.strategy:
            case "one_for_one":
                return (), (child,)
            case "one_for_all":
                group = here.order
            case "rest_for_one":
                group = here.order[here.order.index(child) :]
            case _:
                assert_never(here.spec.strategy)
        nodes = {each: self.state.nodes[join(path, each)] for each in group}
        stops = tuple(each for each in reversed(group) if each != child and nodes[each].phase != "stopped")
        return stops, tuple(each for each in group if nodes[each].spec.restart != "temporary")

    def _difference(self, path: str, here: Branch) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What a new spec changes for one supervisor: (whom to stop, last first; whom to start, in order)."""
        target = find(self.state.spec, path) if self.state.spec is not None else None
        if not isinstance(target, SupervisorSpec):
            return (), ()
        before = {child.id: child for child in here.spec.children}
        wanted = {child.id: child for child in target.children}
        starts = []
        for child, spec in wanted.items():
            old = before.get(child)
            if old is None or _is_another(old, spec):
                starts.append(child)
            elif child not in here.order and spec.restart != "temporary":
                starts.append(child)  # deleted by hand
        stops = tuple(child for child in alive_reversed(self.state, path) if child not in wanted or child in starts)
        return stops, tuple(starts)

    def _plan(
        self,
        path: str,
        kind: PlanKind,
        cause: str = "",
        stops: tuple[str, ...] = (),
        starts: tuple[str, ...] = (),
    ) -> None:
        self._emit(
            facts.PlanBegun(
                tree=self.state.tree,
                path=path,
                at_us=self._at_us,
                kind=kind,
                cause=cause,
                stops=stops,
                starts=starts,
            )
        )

    def _chance(self) -> float:
        self._jitter = (self._jitter + _SPREAD) % 1.0
        return self._jitter


def _is_another(old: NodeSpec, new: NodeSpec) -> bool:
    """Whether a spec under the same id asks for another child, not just for another treatment of it."""
    if isinstance(old, ChildSpec) and isinstance(new, ChildSpec):
        return old.work != new.work
    return isinstance(old, ChildSpec) or isinstance(new, ChildSpec)
