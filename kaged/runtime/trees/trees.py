"""Supervision trees at work: the pure machine (`domain/machines/tree`) joined with agents.

What is asked of trees, and what they make of reports about their children: a report and the machine's answer to it
are one commit. What follows from durable facts is `tree_work.py`; who has which place is `tree_places.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from kaged.domain.errors import Invalid, NotFound
from kaged.domain.events import facts
from kaged.domain.machines import agent as machine
from kaged.domain.machines import tree as trees
from kaged.domain.machines.agent import AgentState
from kaged.domain.spec import Violation, name_problem
from kaged.domain.world import tree_of
from kaged.runtime.agents import Agents
from kaged.runtime.engine import INTERNAL, Caller, Engine, Receipt
from kaged.runtime.refusals import Draining, NameTaken
from kaged.runtime.secret_environment import secret_rows, stored_secrets
from kaged.runtime.trees.tree_places import Difference, LeafSpec, difference, leaf_name, with_works, works
from kaged.runtime.trees.tree_work import TreeWork
from kaged.store.derived.views import Row, Views
from kaged.store.wire.codec import Draft

Ask = Callable[[int, float], trees.Command]


class TreeNotFound(NotFound):
    """No tree has this name."""

    reason = "TREE_NOT_FOUND"

    def __init__(self, tree: str) -> None:
        super().__init__(f"no tree {tree!r}", hint="kagectl tree list -a shows all", tree=tree)


class Trees:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, agents: Agents, views: Views, work: TreeWork) -> None:
        self._engine = engine
        self._agents = agents
        self._views = views
        self._work = work

    # --- reading -----------------------------------------------------------------------------------------------

    def state(self, tree: str) -> trees.TreeState:
        """A tree as it stands. Raises TreeNotFound."""
        return self._found(tree)[0]

    def names(self, after: str, limit: int, *, show_ended: bool) -> list[str]:
        """Names of trees in order, after a name: those that are live, or also those that have ended."""
        world = self._engine.world.trees
        names = {name for name, state in world.items() if show_ended or not state.over}
        gone = {name for name, state in world.items() if state.phase == "new"}
        if show_ended:
            names.update(self._views.tree_names(after, limit + len(gone)))
        return sorted(name for name in names - gone if name > after)[:limit]

    def rests(self, agent: AgentState) -> bool:
        """Whether a child that is shown as stopped still is: nobody has asked for its start meanwhile."""
        state = self._engine.world.trees.get(tree_of(agent))
        return state is None or trees.rests(state, agent.supervisor.partition("/")[2])

    def _found(self, tree: str) -> tuple[trees.TreeState, int]:
        """A tree and how many of its facts its row lacks."""
        world = self._engine.world
        if not name_problem(tree):
            found = (world.trees[tree], world.tree_facts_since_row[tree]) if tree in world.trees else None
            found = found or self._views.tree(tree)
            if found is not None and found[0].phase != "new":
                return found
        raise TreeNotFound(tree)

    # --- asking ------------------------------------------------------------------------------------------------

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
            return difference(works(before and before[0]), works(after and after[0])), earlier
        world = self._engine.world
        loaded = (world.trees[tree], 0) if tree in world.trees else self._views.tree(tree)
        state, since_row = loaded or (trees.initial(tree), 0)
        old = works(state)
        new, drafts, rows, fresh = self._spawned(tree, leaves, old)
        now_us, jitter = self._engine.journal.now_us(), self._engine.system.jitter()
        command = trees.ApplySpec(spec=with_works(spec, new), at_us=now_us, jitter=jitter)
        events, after_it = trees.step(state, command)
        changes = difference(old, new)
        if validate_only:
            seq = self._engine.journal.accepted_seq
            return changes, Receipt(first_seq=seq + 1, last_seq=seq)
        if self._agents.draining:
            raise Draining
        drafts += [*self._engine.tree_drafts(tree, events), *self._work.starts(after_it, events, fresh)]

        def act() -> Receipt:
            if drafts and tree not in world.trees:
                world.load_tree(state, since_row)
            return self._engine.commit(drafts, caller, rows)

        return changes, await self._engine.once(caller, act)

    def _spawned(
        self, tree: str, leaves: list[LeafSpec], old: Mapping[str, str]
    ) -> tuple[dict[str, str], list[Draft], list[Row], dict[str, AgentState]]:
        """An agent for each leaf: the one that it has, or a new one. Raises Invalid, NameTaken."""
        by_path: dict[str, str] = {}
        drafts: list[Draft] = []
        rows: list[Row] = []
        fresh: dict[str, AgentState] = {}
        wrong: list[Violation] = []
        names: dict[str, str] = {}
        number = self._engine.world.numbers
        for leaf in leaves:
            named = replace(leaf.spec, name=leaf.spec.name or leaf_name(tree, leaf.path))
            try:
                checked = self._agents.check(named, leaf.secrets)
            except Invalid as error:
                of_child = f" (child {leaf.path})"
                wrong += [
                    (leaf.field + field.removeprefix("spec"), what + of_child) for field, what in error.violations
                ]
                continue
            if checked.loop is not None:
                wrong.append((f"{leaf.field}.loop", f"is for agents outside of trees (child {leaf.path})"))
            twin = names.setdefault(checked.name, leaf.path)
            if twin != leaf.path:
                what = f"is {checked.name!r} like that of child {twin} (child {leaf.path})"
                wrong.append((f"{leaf.field}.name", what))
            taken = self._engine.world.names.get(checked.name)
            if taken is not None and taken not in old.values():
                raise NameTaken(checked.name, taken)
            kept = self._same(old.get(leaf.path), checked, leaf.secrets)
            if kept is not None:
                by_path[leaf.path] = kept
                continue
            agent = by_path[leaf.path] = self._engine.system.short_id()
            number += 1
            spawned = facts.Spawned(number=number, spec=checked, supervisor=f"{tree}/{leaf.path}")
            fresh[agent] = machine.spawn(agent, spawned, 0)
            drafts += self._engine.agent_drafts(agent, (spawned,))
            rows += secret_rows(agent, leaf.secrets)
        if wrong:
            raise Invalid(*wrong)
        return by_path, drafts, rows, fresh

    def _same(self, agent: str | None, spec: object, secrets: Mapping[str, str]) -> str | None:
        """The leaf's agent when it already is what is asked for, secrets and all."""
        state = self._engine.world.agent(agent) if agent is not None else None
        if state is None or state.spec != spec or state.removed:
            return None
        return state.id if stored_secrets(self._engine.journal.store, state.id) == secrets else None

    async def stop(self, tree: str, caller: Caller) -> Receipt:
        """End it, last child first."""
        return await self._ask(tree, caller, lambda at_us, jitter: trees.StopTree(at_us=at_us, jitter=jitter))

    async def delete(self, tree: str, caller: Caller, *, force: bool) -> Receipt:
        """Forget it when it has ended; with `force`, stop it first. Raises TreeNotEnded."""
        return await self._ask(
            tree, caller, lambda at_us, jitter: trees.DeleteTree(force=force, at_us=at_us, jitter=jitter)
        )

    async def terminate_child(self, tree: str, path: str, caller: Caller) -> Receipt:
        """Stop a child and keep its place."""
        return await self._ask(
            tree, caller, lambda at_us, jitter: trees.TerminateChild(path=path, at_us=at_us, jitter=jitter)
        )

    async def restart_child(self, tree: str, path: str, caller: Caller) -> Receipt:
        """Start a child that does not run."""
        return await self._ask(
            tree, caller, lambda at_us, jitter: trees.RestartChild(path=path, at_us=at_us, jitter=jitter)
        )

    async def delete_child(self, tree: str, path: str, caller: Caller) -> Receipt:
        """Take out the spec of a child that does not run."""
        return await self._ask(
            tree, caller, lambda at_us, jitter: trees.DeleteChild(path=path, at_us=at_us, jitter=jitter)
        )

    def stop_nowait(self, tree: str) -> Receipt:
        """`stop` on behalf of the daemon itself, which does not wait."""
        return self._act(tree, INTERNAL, lambda at_us, jitter: trees.StopTree(at_us=at_us, jitter=jitter))

    async def _ask(self, tree: str, caller: Caller, ask: Ask) -> Receipt:
        return await self._engine.once(caller, lambda: self._act(tree, caller, ask))

    def _act(self, tree: str, caller: Caller, ask: Ask) -> Receipt:
        world = self._engine.world
        state, since_row = self._found(tree)
        events, after = trees.step(state, ask(self._engine.journal.now_us(), self._engine.system.jitter()))
        if events and tree not in world.trees:
            world.load_tree(state, since_row)
        return self._engine.commit(self._drafts(tree, events, after), caller)

    # --- reports -----------------------------------------------------------------------------------------------

    def executed(self, state: AgentState, run: machine.Run, at_us: int) -> list[Draft]:
        """What a tree makes of its child's start."""
        jitter = self._engine.system.jitter()
        path = state.supervisor.partition("/")[2]
        return self._step(state, trees.ChildStarted(path=path, ordinal=run.ordinal, at_us=at_us, jitter=jitter))

    def ended(self, state: AgentState, run: machine.Run, report: facts.RunEnded) -> list[Draft]:
        """What a tree makes of its child's end."""
        now_us, jitter = self._engine.journal.now_us(), self._engine.system.jitter()
        path = state.supervisor.partition("/")[2]
        unseen = run.phase in ("wanted", "started")
        if unseen and report.kind != "exited":
            why = report.note or report.kind
            failed = trees.StartFailed(path=path, ordinal=run.ordinal, why=why, at_us=now_us, jitter=jitter)
            return self._step(state, failed)
        exited = trees.ChildExited(
            path=path,
            ordinal=run.ordinal,
            how=report.how,
            at_us=now_us,
            exited_at_us=report.ended_us,
            jitter=jitter,
        )
        if not unseen:
            return self._step(state, exited)
        # It came and went before anybody saw it run: for its tree it did run.
        started = trees.ChildStarted(path=path, ordinal=run.ordinal, at_us=now_us, jitter=jitter)
        return self._step(state, started, exited)

    def due(self, tree: str, path: str, at_us: int) -> None:
        """A back-off in a tree is over."""
        state = self._engine.world.trees.get(tree)
        if state is None:
            return
        due = trees.TimerDue(path=path, at_us=at_us, jitter=self._engine.system.jitter())
        events, after = trees.step(state, due)
        self._engine.commit(self._drafts(tree, events, after))

    def _step(self, agent: AgentState, *commands: trees.Command) -> list[Draft]:
        tree = tree_of(agent)
        state = self._engine.world.trees.get(tree)
        if state is None:
            return []
        told: tuple[trees.Event, ...] = ()
        for command in commands:
            events, state = trees.step(state, command)
            told += events
        return self._drafts(tree, told, state)

    def _drafts(self, tree: str, events: tuple[trees.Event, ...], after: trees.TreeState) -> list[Draft]:
        return [*self._engine.tree_drafts(tree, events), *self._work.starts(after, events, {})]
