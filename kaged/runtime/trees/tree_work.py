"""What trees have done: starts, stops and timers that durable facts ask for, and agents that a tree is done with.

Effects come after the fact is durable and are repeated by recovery, so each is safe to repeat. Not here: what is
asked of trees, and what they make of reports (`trees.py`).
"""

from typing import Final, Protocol

from kaged.crash_points import Point, passed
from kaged.domain.events import tree as tree_facts
from kaged.domain.machines import agent as machine
from kaged.domain.machines import tree as trees
from kaged.domain.machines.agent import AgentState
from kaged.domain.world import tree_of
from kaged.runtime.agents import Agents, next_run
from kaged.runtime.engine import Engine
from kaged.runtime.trees.tree_places import places
from kaged.store.derived.views import Views
from kaged.store.wire.codec import Draft

_FOR_EVER_S: Final = 1e9
_KILL: Final = 9
# After these an agent may have lost its place, whatever its supervisor is still in the middle of.
_TAKES_AWAY: Final = (tree_facts.Respecified, tree_facts.ChildDropped, tree_facts.ChildDone, tree_facts.Ended)


class TimerPort(Protocol):
    """What trees need of timers."""

    def arm(self, key: tuple[str, ...], due_us: int) -> None:
        """Call `due(key)` at a time."""


class TreeWork:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, agents: Agents, views: Views, timers: TimerPort) -> None:
        self._engine = engine
        self._agents = agents
        self._views = views
        self._timers = timers

    def happened(self, draft: Draft, seq: int) -> None:
        """Carry out what a durable fact asks for."""
        event = draft.event
        if not isinstance(event, tree_facts.TreeEvent):
            return
        state = self._engine.world.trees.get(event.tree)
        if state is None:
            return
        passed(Point.TREE_FACT)
        for effect in trees.effects(state, (event,)):
            self._perform(event.tree, effect)
        if _is_a_time_to_tidy(state, event):
            self._tidy(state)

    def resume(self) -> None:
        """After a crash: repeat everything that should be under way."""
        for name, state in list(self._engine.world.trees.items()):
            for effect in trees.outstanding(state):
                self._perform(name, effect)
            self._tidy(state)

    def resume_after(self, agent: AgentState) -> None:
        """A child's old run has ended: start what the tree wants in its place, if it waits for that."""
        tree = tree_of(agent)
        state = self._engine.world.trees.get(tree)
        if state is None:
            return
        for effect in trees.outstanding(state):
            if isinstance(effect, trees.StartChild) and effect.work == agent.id:
                self._perform(tree, effect)

    def starts(
        self, after: trees.TreeState, events: tuple[trees.Event, ...], fresh: dict[str, AgentState]
    ) -> list[Draft]:
        """Starts that these facts of a tree want, to be committed with them: a sync less for each child.

        `fresh`: agents that the same commit spawns. What must wait for something (an old run on its way out, input
        to be handed over) is left to the effect, which looks again.
        """
        drafts: list[Draft] = []
        for event in events:
            leaf = after.nodes.get(event.path)
            if not isinstance(event, tree_facts.ChildStartWanted) or not isinstance(leaf, trees.Leaf):
                continue
            state = fresh.get(leaf.spec.work) or self._engine.world.agent(leaf.spec.work)
            if state is None or leaf.phase != "starting" or leaf.ordinal != event.ordinal or _may_have_more(state):
                continue
            wanted = machine.decide_start(state, run=next_run(state), ordinal=leaf.ordinal)
            drafts += self._engine.agent_drafts(state.id, wanted)
        return drafts

    def _perform(self, tree: str, effect: trees.Effect) -> None:
        match effect:
            case trees.ArmTimer():
                self._timers.arm(("tree", tree, effect.path), effect.at_us)
            case trees.StartChild():
                self._start(effect)
            case trees.StopChild():
                self._stop(tree, effect)
        passed(Point.TREE_STEP)

    def _start(self, effect: trees.StartChild) -> None:
        state = self._engine.world.agent(effect.work)
        if state is None:
            found = self._views.agent(effect.work)
            if found is None:
                return
            state = found[0]
            self._engine.world.load(*found)
        if state.live_run is not None and state.live_run.ordinal != effect.ordinal:
            return  # its old run is still on its way out; the report of that end comes here again
        events = machine.decide_start(state, run=next_run(state), ordinal=effect.ordinal)
        if events:
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
            events, after = trees.step(self._engine.world.trees[tree], gone)
            self._engine.commit([*self._engine.tree_drafts(tree, events), *self.starts(after, events, {})])
            return
        signal, grace_s = _manner(effect.shutdown, state.spec.stop.signal)
        events_of_agent = machine.decide_stop(state, cause="supervisor", signal=signal, grace_s=grace_s)
        self._engine.commit(self._engine.agent_drafts(agent, events_of_agent))

    def manner(self, agent: AgentState) -> tuple[int, float]:
        """How a child is stopped by its tree: signal, and seconds until the kill."""
        tree = self._engine.world.trees.get(tree_of(agent))
        leaf = tree.nodes.get(agent.supervisor.partition("/")[2]) if tree is not None else None
        if not isinstance(leaf, trees.Leaf):
            return agent.spec.stop.signal, agent.spec.stop.grace_s
        return _manner(leaf.spec.shutdown, agent.spec.stop.signal)

    def _tidy(self, tree: trees.TreeState) -> None:
        """End agents of the tree that it has no place for any more; say of others that they came to rest."""
        wanted = places(tree)
        world = self._engine.world
        for agent in list(world.of_tree.get(tree.tree, ())):
            state = world.agents[agent].state
            if state.live_run is not None:
                continue
            if agent not in wanted:
                self._agents.report(agent, machine.decide_retired(state))
            elif state.phase == "idle":
                path = state.supervisor.partition("/")[2]
                leaf = tree.nodes.get(path)
                if isinstance(leaf, trees.Leaf) and leaf.spec.work == agent and trees.rests(tree, path):
                    self._agents.report(agent, machine.decide_rest(state))


def _is_a_time_to_tidy(state: trees.TreeState, event: tree_facts.TreeEvent) -> bool:
    """Not while a supervisor goes through a plan: a long one would be looked through at each of its steps."""
    if state.over or isinstance(event, _TAKES_AWAY):
        return True
    if isinstance(event, tree_facts.ChildStartWanted | tree_facts.ChildStopWanted):
        return False
    above = state.nodes.get(event.path.rpartition("/")[0])
    return not isinstance(above, trees.Branch) or above.plan is None


def _may_have_more(state: AgentState) -> bool:
    """Whether a start has to look at what the run before it left."""
    run = state.run
    return run is not None and (run.live or (run.end is not None and run.end.kind == "not_started"))


def _manner(shutdown: object, signal: int) -> tuple[int, float]:
    if shutdown == "brutal":
        return _KILL, 0.0
    if shutdown == "infinity":
        return signal, _FOR_EVER_S
    assert isinstance(shutdown, int)
    return signal, shutdown / 1000
