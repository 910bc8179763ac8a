"""All that can still act, folded together: agents that have not ended, open questions, trees. Pure.

What has ended leaves the world once that is durable; its last state is a row in the store. `apply` says what changed
and whether a row must be written: at each change of phase and at every 64th fact, so that any earlier state is one
row and at most 64 facts away.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args

from kaged.domain.events import facts
from kaged.domain.events import tree as tree_facts
from kaged.domain.frozen import frozen
from kaged.domain.machines import agent as agents
from kaged.domain.machines import approval as approvals
from kaged.domain.machines import tree as tree_machine
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.machines.approval import ApprovalState

ROW_EVERY: Final = 64
_AGENT_FACTS: Final = get_args(facts.AgentEvent)

Kind = Literal["agent", "approval", "tree"]


@dataclass(slots=True)
class Kept:
    """An agent and how many facts its newest row lacks."""

    state: AgentState
    since_row: int = 0


@frozen(kw_only=False)
class Changed:
    """One thing that a fact changed; `row`: its state must be written now."""

    kind: Kind
    id: str
    row: bool


@dataclass(slots=True)
class World:
    """The accepted state. One writer, the engine; changed in place."""

    agents: dict[str, Kept] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of agents that have not ended
    of_tree: dict[str, set[str]] = field(default_factory=dict)  # agents that are children of a tree
    approvals: dict[str, ApprovalState] = field(default_factory=dict)
    trees: dict[str, tree_machine.TreeState] = field(default_factory=dict)
    tree_facts_since_row: dict[str, int] = field(default_factory=dict)
    numbers: int = 0

    def agent(self, agent: str) -> AgentState | None:
        """A live agent by id."""
        kept = self.agents.get(agent)
        return kept.state if kept is not None else None

    def live_runs(self) -> Iterator[tuple[AgentState, Run]]:
        """Runs that may have a process."""
        for kept in self.agents.values():
            if (run := kept.state.live_run) is not None:
                yield kept.state, run

    def load(self, state: AgentState, since_row: int) -> None:
        """Take in an agent from its row."""
        self.agents[state.id] = Kept(state, since_row)
        if state.phase != "ended":
            self.names[state.spec.name] = state.id
        if state.supervisor:
            self.of_tree.setdefault(tree_of(state), set()).add(state.id)
        self.numbers = max(self.numbers, state.number)

    def forget(self, agent: str) -> None:
        """Let go of an agent that cannot act any more."""
        kept = self.agents.pop(agent, None)
        if kept is None:
            return
        self._unname(kept.state)
        siblings = self.of_tree.get(tree_of(kept.state), set())
        siblings.discard(agent)
        if not siblings:
            self.of_tree.pop(tree_of(kept.state), None)

    def _unname(self, state: AgentState) -> None:
        if self.names.get(state.spec.name) == state.id:
            del self.names[state.spec.name]

    def load_tree(self, state: tree_machine.TreeState, since_row: int) -> None:
        """Take in a tree from its row."""
        self.trees[state.tree] = state
        self.tree_facts_since_row[state.tree] = since_row

    def forget_tree(self, tree: str) -> None:
        """Let go of a tree of which nothing runs or will run of itself."""
        self.trees.pop(tree, None)
        self.tree_facts_since_row.pop(tree, None)

    def apply(self, agent: str, event: object, at_us: int, actor: int) -> tuple[Changed, ...]:
        """Fold one fact in. Facts that no state depends on change nothing."""
        if isinstance(event, tree_facts.TreeEvent):
            return (self._apply_tree(cast("tree_facts.Event", event)),)
        if not isinstance(event, _AGENT_FACTS):
            return ()
        if isinstance(event, facts.Spawned):
            self.numbers = max(self.numbers, event.number)
            self.load(agents.spawn(agent, event, at_us), 0)
            return (Changed("agent", agent, row=True),)
        return (*self._apply_approval(agent, event, at_us, actor), self._apply_agent(agent, event, at_us))

    def _apply_agent(self, agent: str, event: facts.AgentEvent, at_us: int) -> Changed:
        kept = self.agents[agent]
        before = kept.state.word
        kept.state = agents.apply(kept.state, event, at_us)
        kept.since_row += 1
        if kept.state.phase != "ended":
            self.names.setdefault(kept.state.spec.name, agent)
        else:
            self._unname(kept.state)
        row = kept.state.word != before or kept.since_row >= ROW_EVERY or isinstance(event, facts.Ended | facts.Removed)
        if row:
            kept.since_row = 0
        return Changed("agent", agent, row)

    def _apply_approval(self, agent: str, event: facts.AgentEvent, at_us: int, actor: int) -> tuple[Changed, ...]:
        match event:
            case facts.ApprovalRequested():
                self.approvals[event.approval] = approvals.asked(agent, event, at_us)
            case facts.ApprovalAnswered() | facts.ApprovalWithdrawn():
                before = self.approvals.get(event.approval)
                if before is None:
                    return ()
                self.approvals[event.approval] = approvals.settle(before, event, at_us, actor)
            case _:
                return ()
        return (Changed("approval", event.approval, row=True),)

    def _apply_tree(self, event: tree_facts.Event) -> Changed:
        before = self.trees.get(event.tree) or tree_machine.initial(event.tree)
        after = self.trees[event.tree] = tree_machine.apply(before, event)
        count = self.tree_facts_since_row.get(event.tree, 0) + 1
        row = after.phase != before.phase or count >= ROW_EVERY
        self.tree_facts_since_row[event.tree] = 0 if row else count
        return Changed("tree", event.tree, row)


def tree_of(state: AgentState) -> str:
    """Name of the tree that an agent is a child of, or an empty text."""
    return state.supervisor.partition("/")[0]
