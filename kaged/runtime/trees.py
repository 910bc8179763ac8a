"""Supervision trees at work: the pure machine (`domain/machines/tree`) joined with agents.

A leaf of a tree is an agent whose id is the leaf's `work`. The same spec at the same path keeps its agent; a changed
spec is a new agent, so the machine sees changed work and restarts the child. Reports about runs and the machine's
answer to them are one commit. Effects come after it is durable and are repeated by recovery.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal, Protocol

from kaged.domain.errors import Invalid, NotFound
from kaged.domain.events import agent as facts
from kaged.domain.events import tree as tree_facts
from kaged.domain.frozen import frozen
from kaged.domain.machines import agent as machine
from kaged.domain.machines import tree as trees
from kaged.domain.machines.agent import AgentState
from kaged.domain.spec import AgentSpec, Violation, name_problem
from kaged.runtime.agents import Agents, Draining, NameTaken, secret_rows, stored_secrets
from kaged.runtime.engine import Caller, Engine, Receipt
from kaged.store.derived.views import Row, Views
from kaged.store.wire.codec import Draft

_FOR_EVER_S: Final = 1e9
_KILL: Final = 9


class TreeNotFound(NotFound):
    """No tree has this name."""

    reason = "TREE_NOT_FOUND"

    def __init__(self, tree: str) -> None:
        super().__init__(f"no tree {tree!r}", hint="kagectl tree list shows all", tree=tree)


class TimerPort(Protocol):
    """What trees need of timers."""

    def arm(self, key: tuple[str, ...], due_us: int) -> None:
        """Call `due(key)` at a time."""


@frozen
class LeafSpec:
    """A child of a tree as it was asked for: its place in the tree, and the agent that it is to be."""

    path: str
    spec: AgentSpec
    secrets: Mapping[str, str]

    @property
    def field(self) -> str:
        """Where its agent stands in the request."""
        return f"spec.children[{self.path}].agent"


@frozen
class Difference:
    """What an apply changes, by path."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


class Trees:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, agents: Agents, views: Views, timers: TimerPort) -> None:
        self._engine = engine
        self._agents = agents
        self._views = views
        self._timers = timers

    # --- asking ------------------------------------------------------------------------------------------------

    def state(self, tree: str) -> trees.TreeState:
        """A tree as it stands. Raises TreeNotFound."""
        if name_problem(tree):
            raise TreeNotFound(tree)
        state = self._engine.world.trees.get(tree)
        if state is None:
            found = self._views.tree(tree)
            if found is None:
                raise TreeNotFound(tree)
            state = found[0]
        return state

    def names(self) -> list[str]:
        """All trees."""
        return sorted({*self._views.tree_names(), *self._engine.world.trees})

    async def apply(
        self, tree: str, spec: trees.SupervisorSpec, leaves: list[LeafSpec], caller: Caller, *, validate_only: bool
    ) -> tuple[Difference, Receipt]:
        """Make a tree, or change it. Raises Invalid with all that is wrong, NameTaken, TreeStopping, Draining."""
        if problem := name_problem(tree):
            raise Invalid(("tree", problem))
        earlier = self._engine.earlier(caller)
        if earlier is not None:
            await self._engine.journal.wait_durable(earlier.last_seq)
            before, after = self._views.tree(tree, earlier.first_seq - 1), self._views.tree(tree, earlier.last_seq)
            return _difference(_works(before and before[0]), _works(after and after[0])), earlier
        found = self._views.tree(tree) if tree not in self._engine.world.trees else None
        state = self._engine.world.trees.get(tree) or (found[0] if found is not None else trees.initial(tree))
        old = _works(state)
        works, drafts, rows = self._spawned(tree, leaves, old)
        wanted = _with_works(spec, works)
        command = trees.ApplySpec(spec=wanted, at_us=self._engine.journal.now_us(), jitter=self._engine.system.jitter())
        facts_of_tree = trees.decide(state, command)
        difference = _difference(old, works)
        if validate_only:
            seq = self._engine.journal.accepted_seq
            return difference, Receipt(first_seq=seq + 1, last_seq=seq)
        if self._agents.draining:
            raise Draining

        def act() -> Receipt:
            self._engine.world.trees.setdefault(tree, state)
            return self._engine.commit([*drafts, *self._engine.tree_drafts(tree, facts_of_tree)], caller, rows)

        return difference, await self._engine.once(caller, act)

    def _spawned(
        self, tree: str, leaves: list[LeafSpec], old: Mapping[str, str]
    ) -> tuple[dict[str, str], list[Draft], list[Row]]:
        """An agent for each leaf: the one that it has, or a new one. Raises Invalid, NameTaken."""
        works: dict[str, str] = {}
        drafts: list[Draft] = []
        rows: list[Row] = []
        wrong: list[Violation] = []
        names: dict[str, str] = {}
        number = self._engine.world.numbers
        for leaf in leaves:
            named = replace(leaf.spec, name=leaf.spec.name or _leaf_name(tree, leaf.path))
            try:
                checked = self._agents.check(named, leaf.secrets)
            except Invalid as error:
                wrong += [(f"{leaf.field}{field.removeprefix('spec')}", what) for field, what in error.violations]
                continue
            twin = names.setdefault(checked.name, leaf.path)
            if twin != leaf.path:
                wrong.append((f"{leaf.field}.name", f"is {checked.name!r} like that of child {twin}"))
            taken = self._engine.world.names.get(checked.name)
            if taken is not None and taken not in old.values():
                raise NameTaken(checked.name, taken)
            kept = self._same(old.get(leaf.path), checked, leaf.secrets)
            if kept is not None:
                works[leaf.path] = kept
                continue
            agent = works[leaf.path] = self._engine.system.short_id()
            number += 1
            events = machine.decide_spawn(checked, number=number, supervisor=f"{tree}/{leaf.path}", run="")
            drafts += self._engine.agent_drafts(agent, events)
            rows += secret_rows(agent, leaf.secrets)
        if wrong:
            raise Invalid(*wrong)
        return works, drafts, rows

    def _same(self, agent: str | None, spec: AgentSpec, secrets: Mapping[str, str]) -> str | None:
        """The leaf's agent when it already is what is asked for, secrets and all."""
        state = self._engine.world.agent(agent) if agent is not None else None
        if state is None or state.spec != spec or state.removed:
            return None
        return state.id if stored_secrets(self._engine.journal.store, state.id) == secrets else None

    async def ask(
        self, tree: str, verb: Literal["stop", "terminate", "restart", "delete"], path: str, caller: Caller
    ) -> Receipt:
        """One of OTP's verbs."""

        def act() -> Receipt:
            state = self.state(tree)
            self._engine.world.trees.setdefault(tree, state)
            at_us, jitter = self._engine.journal.now_us(), self._engine.system.jitter()
            command: trees.Command
            match verb:
                case "stop":
                    command = trees.StopTree(at_us=at_us, jitter=jitter)
                case "terminate":
                    command = trees.TerminateChild(path=path, at_us=at_us, jitter=jitter)
                case "restart":
                    command = trees.RestartChild(path=path, at_us=at_us, jitter=jitter)
                case "delete":
                    command = trees.DeleteChild(path=path, at_us=at_us, jitter=jitter)
            return self._engine.commit(self._engine.tree_drafts(tree, trees.decide(state, command)), caller)

        return await self._engine.once(caller, act)

    # --- reports -----------------------------------------------------------------------------------------------

    def executed(self, state: AgentState, run: machine.Run, at_us: int) -> list[Draft]:
        """What a tree makes of its child's start."""
        return self._step(
            state.supervisor,
            lambda path: trees.ChildStarted(
                path=path, ordinal=run.ordinal, at_us=at_us, jitter=self._engine.system.jitter()
            ),
        )

    def ended(self, state: AgentState, run: machine.Run, report: facts.RunEnded) -> list[Draft]:
        """What a tree makes of its child's end."""
        now_us, jitter = self._engine.journal.now_us(), self._engine.system.jitter()
        if run.phase in ("wanted", "started"):
            why = report.note or report.kind
            return self._step(
                state.supervisor,
                lambda path: trees.StartFailed(path=path, ordinal=run.ordinal, why=why, at_us=now_us, jitter=jitter),
            )
        return self._step(
            state.supervisor,
            lambda path: trees.ChildExited(
                path=path,
                ordinal=run.ordinal,
                how=report.how,
                at_us=now_us,
                exited_at_us=report.ended_us,
                jitter=jitter,
            ),
        )

    def due(self, tree: str, path: str) -> None:
        """A back-off in a tree is over."""
        at_us, jitter = self._engine.journal.now_us(), self._engine.system.jitter()
        drafts = self._step(f"{tree}/{path}", lambda inner: trees.TimerDue(path=inner, at_us=at_us, jitter=jitter))
        self._engine.commit(drafts)

    def _step(self, supervisor: str, command: "_Command") -> list[Draft]:
        tree, _, path = supervisor.partition("/")
        state = self._engine.world.trees.get(tree)
        if state is None:
            return []
        return self._engine.tree_drafts(tree, trees.decide(state, command(path)))

    # --- effects -----------------------------------------------------------------------------------------------

    def happened(self, draft: Draft, seq: int) -> None:
        """Carry out what a durable fact asks for."""
        event = draft.event
        if not isinstance(event, tree_facts.TreeEvent):
            return
        state = self._engine.world.trees.get(event.tree)
        if state is None:
            return
        for effect in trees.effects(state, (event,)):
            self._perform(event.tree, effect)
        self._retire(state)

    def resume(self) -> None:
        """After a crash: repeat everything that should be under way."""
        for name, state in list(self._engine.world.trees.items()):
            for effect in trees.outstanding(state):
                self._perform(name, effect)
            self._retire(state)

    def _perform(self, tree: str, effect: trees.Effect) -> None:
        match effect:
            case trees.ArmTimer():
                self._timers.arm(("tree", tree, effect.path), effect.at_us)
            case trees.StartChild():
                self._start(tree, effect)
            case trees.StopChild():
                self._stop(tree, effect)

    def _start(self, tree: str, effect: trees.StartChild) -> None:
        state = self._engine.world.agent(effect.work)
        if state is None:
            found = self._views.agent(effect.work)
            if found is None:
                return
            state = found[0]
            self._engine.world.load(*found)
        if state.live_run is not None and state.live_run.ordinal != effect.ordinal:
            return  # its old run is still on its way out; the report of that end comes here again
        events = machine.decide_start(
            state, run=f"{state.id}.{state.run.attempt + 1 if state.run else 1}", ordinal=effect.ordinal
        )
        self._engine.commit(self._engine.agent_drafts(state.id, self._agents.input_again(state, events)))

    def _stop(self, tree: str, effect: trees.StopChild) -> None:
        leaf = self._engine.world.trees[tree].nodes.get(effect.path)
        agent = leaf.spec.work if isinstance(leaf, trees.Leaf) else ""
        state = self._engine.world.agent(agent)
        if state is None or state.live_run is None:
            # Nothing runs under this ordinal (any more): say so, or the tree would wait for ever.
            at_us, jitter = self._engine.journal.now_us(), self._engine.system.jitter()
            gone = trees.ChildExited(
                path=effect.path, ordinal=effect.ordinal, how="shutdown", at_us=at_us, jitter=jitter
            )
            drafts = self._step(f"{tree}/{effect.path}", lambda _: gone)
            self._engine.commit(drafts)
            return
        signal, grace_s = _manner(effect.shutdown, state.spec.stop.signal)
        events = machine.decide_stop(state, cause="supervisor", signal=signal, grace_s=grace_s)
        self._engine.commit(self._engine.agent_drafts(agent, events))

    def _retire(self, tree: trees.TreeState) -> None:
        """End agents of the tree that it has no place for any more."""
        wanted = _places(tree)
        prefix = f"{tree.tree}/"
        for kept in list(self._engine.world.agents.values()):
            state = kept.state
            if not state.supervisor.startswith(prefix) or state.id in wanted or state.live_run is not None:
                continue
            how = state.run.end.how if state.run is not None and state.run.end is not None else "shutdown"
            outcome: Literal["succeeded", "failed", "cancelled"] = (
                "succeeded" if how == "normal" else "failed" if how == "abnormal" else "cancelled"
            )
            self._agents.report(state.id, machine.decide_retired(state, outcome=outcome))

    def resume_after(self, agent: AgentState) -> None:
        """A child's old run has ended: start what the tree wants in its place, if it waits for that."""
        tree = agent.supervisor.partition("/")[0]
        state = self._engine.world.trees.get(tree)
        if state is None:
            return
        for effect in trees.outstanding(state):
            if isinstance(effect, trees.StartChild) and effect.work == agent.id:
                self._perform(tree, effect)


class _Command(Protocol):
    def __call__(self, path: str, /) -> trees.Command: ...


def _places(tree: trees.TreeState) -> set[str]:
    """Agents that the tree has a place for: those in its nodes, and those whose supervisor is yet to start them."""
    if tree.phase in ("ended", "failed") or tree.spec is None:
        return set()
    wanted = {node.spec.work for node in tree.nodes.values() if isinstance(node, trees.Leaf)}
    for path, work in _leaves(tree.spec):
        above = tree.nodes.get(path.rpartition("/")[0])
        if not isinstance(above, trees.Branch) or above.phase in ("stopped", "pending", "waiting"):
            wanted.add(work)
    return wanted


def _manner(shutdown: object, signal: int) -> tuple[int, float]:
    if shutdown == "brutal":
        return _KILL, 0.0
    if shutdown == "infinity":
        return signal, _FOR_EVER_S
    assert isinstance(shutdown, int)
    return signal, shutdown / 1000


def _leaf_name(tree: str, path: str) -> str:
    return f"{tree}.{path.replace('/', '.')}"[:63].rstrip(".-")


def _leaves(spec: trees.SupervisorSpec, path: str = "") -> Iterator[tuple[str, str]]:
    for child in spec.children:
        inner = f"{path}/{child.id}" if path else child.id
        if isinstance(child, trees.SupervisorSpec):
            yield from _leaves(child, inner)
        else:
            yield inner, child.work


def _with_works(spec: trees.SupervisorSpec, works: Mapping[str, str], path: str = "") -> trees.SupervisorSpec:
    children: list[trees.NodeSpec] = []
    for child in spec.children:
        inner = f"{path}/{child.id}" if path else child.id
        if isinstance(child, trees.SupervisorSpec):
            children.append(_with_works(child, works, inner))
        else:
            children.append(replace(child, work=works[inner]))
    return replace(spec, children=tuple(children))


def _works(state: trees.TreeState | None) -> dict[str, str]:
    """The agents that a tree's spec names, by path; none of a tree that has ended: what comes then is all new."""
    if state is None or state.spec is None or state.phase in ("ended", "failed"):
        return {}
    return dict(_leaves(state.spec))


def _difference(old: Mapping[str, str], new: Mapping[str, str]) -> Difference:
    return Difference(
        added=tuple(path for path in new if path not in old),
        changed=tuple(path for path in new if path in old and old[path] != new[path]),
        removed=tuple(path for path in old if path not in new),
        kept=tuple(path for path in new if old.get(path) == new[path]),
    )
