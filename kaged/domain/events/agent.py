"""Facts about agents as such: wishes about them, and their ends. `machines/agent/` says what they mean.

Fields marked "text" go into the event's body and may be redacted; nothing branches on them after the agent has ended.
"""

from typing import ClassVar, Literal

from kaged.domain.frozen import frozen
from kaged.domain.spec import AgentSpec

StopCause = Literal["user", "limit", "supervisor", "daemon", "restart", "goal", "guard", "turn"]


@frozen
class Spawned:
    """An agent was accepted. Command, folder, environment and goal are text."""

    type_name: ClassVar[str] = "agent.spawned"

    number: int
    spec: AgentSpec
    supervisor: str
    queued: bool = False


@frozen
class StopWanted:
    """The agent is to end. With a live run an order was given to its shim: number and place in its control file."""

    type_name: ClassVar[str] = "agent.stop_wanted"

    cause: StopCause
    limit: str
    signal: int
    grace_s: float
    run: str
    order: int
    offset: int
    length: int
    note: str  # text


@frozen
class RestartScheduled:
    """The agent starts again at `due_us`."""

    type_name: ClassVar[str] = "agent.restart_scheduled"

    due_us: int
    delay_us: int
    consecutive: int


@frozen
class Signalled:
    """A signal was ordered."""

    type_name: ClassVar[str] = "agent.signalled"

    run: str
    signal: int
    whole_tree: bool
    order: int
    offset: int
    length: int


@frozen
class Resized:
    """Another terminal size was ordered."""

    type_name: ClassVar[str] = "agent.resized"

    run: str
    rows: int
    columns: int
    order: int
    offset: int
    length: int


@frozen
class Ended:
    """The agent came to its end."""

    type_name: ClassVar[str] = "agent.ended"

    outcome: Literal["succeeded", "failed", "cancelled"]
    reason: str
    exit_code: int
    signal: int
    limit: str
    note: str  # text


@frozen
class Stopped:
    """A child of a tree came to rest: it keeps its place, and nothing starts it unless somebody asks.

    How its last run ended, in the words of `Ended`.
    """

    type_name: ClassVar[str] = "agent.stopped"

    outcome: Literal["succeeded", "failed", "cancelled"]
    reason: str
    exit_code: int
    signal: int


@frozen
class Removed:
    """The agent was taken out of the lists."""

    type_name: ClassVar[str] = "agent.removed"

    keep_workspace: bool = False
