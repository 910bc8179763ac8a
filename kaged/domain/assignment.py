"""What a run of an agent is given to do, and what its adapter makes of that: a command line and first words. Pure.

Both are functions of what the journal holds, so a daemon that adopts a run in the middle of its first words knows
them again. Not here: what is asked of an agent later (input) and what it may use (the spec's limits).
"""

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Final

from kaged.domain.frozen import frozen
from kaged.domain.goal_spec import terms
from kaged.domain.machines.agent import AgentState

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@frozen
class Assignment:
    """One run's work. `session` is the agent's own session that it goes on with; empty: a new one.

    `goal` empty: the agent waits for what it is sent. `turns`: how many of its turns were heard before this run;
    `input_tokens`, `output_tokens`: what it was heard to have used before.
    `loop`: Kage decides after each turn whether there is another one, so the run is not done when a turn ends; then
    `terms` says by what the end is recognised, and `next_words` what the agent is told instead of its goal.
    `approve`: the level of approval that its spec names; where there is one, the agent is made to ask.
    `after`: what became of the process that this one replaces, such as "was ended by SIGKILL". `full`: the session
    before this one had no room left.
    """

    run: str
    command: tuple[str, ...]
    working_directory: str
    goal: str = ""
    session: str = ""
    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    loop: bool = False
    iteration: int = 1
    terms: str = ""
    next_words: str = ""
    approve: str = ""
    after: str = ""
    full: bool = False

    @property
    def words(self) -> str:
        """What the agent is told first: its goal; once it has begun, what is next, and never the goal as if new."""
        if not self.goal:
            return ""
        goal = f"{self.goal}\n\n{self.terms}" if self.terms else self.goal
        if not self.turns:
            return f"{goal}\n\n{self.next_words}" if self.next_words else goal
        if not self.session:
            full = "and your context was full: this is a new session, which knows nothing of the one before. "
            lost = "You were asked this before, " + (full if self.full else "and that session was lost. ")
            look = "Some of it may be done already: look before you repeat it."
            return "\n\n".join(filter(None, (goal, lost + look, self.next_words)))
        if self.next_words:
            return self.next_words
        return (
            f"Your process {self.after or 'ended'} and was started again; this is the same session. "
            "What was under way when it ended may be undone, half done or done: look before you repeat it. "
            "Then go on with what you were asked to do."
        )


def assignment(state: AgentState, run: str) -> Assignment:
    """What a run of an agent is given to do; `state` is as of its beginning, or nothing of the run was heard yet."""
    spec, usage, goal = state.spec, state.usage, state.goal
    return Assignment(
        run=run,
        command=spec.command,
        working_directory=state.cwd,
        goal=spec.goal,
        session=usage.native_session,
        turns=usage.turns,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        loop=spec.loop is not None,
        iteration=goal.iterations + 1 if goal is not None else 1,
        terms=terms(spec.loop) if spec.loop is not None else "",
        next_words=goal.words if goal is not None else "",
        approve=spec.guard.approve,
        after=state.run.after if state.run is not None else "",
        full=goal is not None and goal.why == "context_exhausted",
    )


@frozen
class Launch:
    """How a run starts: its arguments, variables that lie under the spec's, and the first bytes of its input."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    opening: bytes = b""


UNASSIGNED: Final = Assignment(run="", command=(), working_directory="/")
