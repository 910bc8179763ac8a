"""Why a request about agents is refused, and the bounds of what names one."""

from collections.abc import Sequence
from typing import Final

from kaged.domain.errors import AlreadyExists, Invalid, NotFound, Precondition, Unavailable
from kaged.domain.machines.agent import AgentState

MIN_PREFIX: Final = 4
MAX_REFERENCE: Final = 128


class AgentNotFound(NotFound):
    """No agent has this id or name."""

    reason = "AGENT_NOT_FOUND"

    def __init__(self, agent: str) -> None:
        super().__init__(f"no agent {agent!r}", hint="kagectl ps -a shows all", agent=agent)


class AgentAmbiguous(Invalid):
    """Several agents fit."""

    reason = "AGENT_AMBIGUOUS"

    def __init__(self, prefix: str, found: Sequence[str], field: str = "agent") -> None:
        super().__init__((field, f"{prefix!r} fits {', '.join(found)}"), hint="give more letters")


class NameTaken(AlreadyExists):
    """A live agent has this name."""

    reason = "AGENT_NAME_TAKEN"

    def __init__(self, name: str, agent: str) -> None:
        super().__init__(
            f"agent {agent} is called {name} already", hint="choose another name, or stop that one", agent=agent
        )


class NoSession(Precondition):
    """The agent has not begun its session yet: there is nobody to hear a message."""

    reason = "AGENT_HAS_NO_SESSION"

    def __init__(self, agent: AgentState) -> None:
        super().__init__(
            f"agent {agent.spec.name} has not begun its session yet",
            hint=f"kagectl event watch --agent {agent.spec.name} --type signal.session",
            agent=agent.id,
        )


class NoMessages(Precondition):
    """The agent's adapter has no form for a message; it takes bytes."""

    reason = "ADAPTER_TAKES_NO_MESSAGES"

    def __init__(self, agent: AgentState) -> None:
        super().__init__(
            f"agent {agent.spec.name} takes no messages: its adapter is {agent.spec.adapter}",
            hint="send it bytes, or spawn it with an adapter that takes messages, such as jsonl",
            agent=agent.id,
            adapter=agent.spec.adapter,
        )


class Draining(Unavailable):
    """The daemon takes no new work."""

    reason = "DRAINING"

    def __init__(self) -> None:
        super().__init__("the daemon is stopping and starts nothing new", hint="try again when it is back")
