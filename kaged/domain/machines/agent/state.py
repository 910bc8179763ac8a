"""What one agent is: a value that holds all that is needed to go on after a crash, and why a wish may be refused."""

from typing import Literal, assert_never

from kaged.domain.errors import Precondition
from kaged.domain.events.facts import (
    Ended,
    RunEnded,
    StopWanted,
)
from kaged.domain.frozen import frozen
from kaged.domain.goal_spec import GoalLoop
from kaged.domain.machines.goal.state import GoalState
from kaged.domain.machines.workspace import WorkspaceState
from kaged.domain.spec import AgentSpec

Phase = Literal["starting", "running", "backoff", "stopping", "idle", "stopped", "ended"]
Outcome = Literal["", "succeeded", "failed", "cancelled"]


@frozen
class Run:
    """The current or last process incarnation."""

    id: str
    attempt: int
    ordinal: int = 0
    phase: Literal["wanted", "started", "executed", "ended"] = "wanted"
    pid: int = 0
    session: int = 0
    shim_pid: int = 0
    shim_start_ticks: int = 0
    boot_id: str = ""
    wanted_us: int = 0
    executed_us: int = 0
    orders: int = 0
    orders_end: int = 0
    input_end: int = 0
    input_closed: bool = False
    turns: int = 0  # begun in this run, as far as its adapter hears of them
    last_turn: str = ""  # outcome of the last turn that its adapter heard of; programs without turns have none
    failure: str = ""  # why that turn failed, if its adapter could tell
    failure_detail: str = ""
    after: str = ""  # what became of the run before, which this one replaces; empty: nothing that it must be told
    end: RunEnded | None = None
    said: int = 0  # number of the last word of its shim about its backlog
    held_by: str = ""  # the limit on waiting output that holds it
    set_aside: bool = False  # of a newer release, which alone can read its files

    @property
    def live(self) -> bool:
        """Whether a process may be there."""
        return self.phase != "ended"


@frozen
class Usage:
    """Counters that the adapter reported."""

    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0
    native_session: str = ""


@frozen
class AgentState:
    """One agent. Times are microseconds since 1970 UTC. `ended`: how it ended or, when stopped, came to rest."""

    id: str
    number: int
    spec: AgentSpec
    supervisor: str = ""
    phase: Phase = "idle"
    run: Run | None = None
    restarts: int = 0
    window: tuple[int, ...] = ()
    failures: int = 0
    retries: int = 0
    due_us: int = 0
    stop: StopWanted | None = None
    ended: Ended | None = None
    removed: bool = False
    approvals: tuple[str, ...] = ()
    usage: Usage = Usage()
    goal: GoalState | None = None
    queued: bool = False  # waits for its first run: for other agents, or for a place
    workspace: WorkspaceState | None = None
    flagged: str = ""  # the last rule that it broke without asking, since a person let it go on
    created_us: int = 0
    updated_us: int = 0

    @property
    def live_run(self) -> Run | None:
        """The run that may have a process."""
        return self.run if self.run is not None and self.run.live else None

    @property
    def stopped_for_good(self) -> bool:
        """Whether its process is being stopped, and not only for the next turn to have a process of its own."""
        return self.stop is not None and self.stop.cause != "turn"

    @property
    def word(self) -> str:
        """The state as the API and filters name it."""
        match self.phase:
            case "ended":
                assert self.ended is not None
                return self.ended.outcome
            case "backoff":
                return "waiting"
            case "idle":
                return self._between_runs()
            case "running":
                return self._at_work()
            case "starting" | "stopping" | "stopped":
                return self.phase
            case _:
                assert_never(self.phase)

    @property
    def loop(self) -> tuple[GoalLoop, GoalState] | None:
        """Its loop and where that stands, if it has one."""
        return (self.spec.loop, self.goal) if self.spec.loop is not None and self.goal is not None else None

    @property
    def cwd(self) -> str:
        """Where its runs start: in its workspace, or where its spec says."""
        return self.workspace.plan.cwd if self.workspace is not None else self.spec.working_directory

    def _between_runs(self) -> str:
        return self._held or ("running" if self.goal is not None and not self.queued else "pending")

    def _at_work(self) -> str:
        return "waiting" if self.approvals else self._held or "running"

    @property
    def _held(self) -> str:
        """The word for a loop that is held; empty: it is not, or a person has begun a turn all the same."""
        if self.goal is None or not self.goal.paused or self.goal.turn_began_us:
            return ""
        return "waiting" if self.goal.paused == "rate_limit" else "paused"


class AgentNotRunning(Precondition):
    """The agent has no live process."""

    reason = "AGENT_NOT_RUNNING"

    def __init__(self, agent: AgentState, wish: str) -> None:
        super().__init__(
            f"agent {agent.spec.name} is {agent.word}: cannot {wish}",
            hint=f"kagectl agent show {agent.spec.name}",
            agent=agent.id,
            state=agent.word,
        )


class RunSetAside(Precondition):
    """The agent's run is out of reach."""

    reason = "RUN_SET_ASIDE"

    def __init__(self, agent: AgentState, wish: str) -> None:
        super().__init__(
            f"a newer kaged started the run of agent {agent.spec.name}: this one cannot {wish}",
            hint="start the newer kaged again; until then the agent goes on out of reach",
            agent=agent.id,
        )


class AgentNotEnded(Precondition):
    """The agent is still there."""

    reason = "AGENT_NOT_ENDED"

    def __init__(self, agent: AgentState) -> None:
        super().__init__(
            f"agent {agent.spec.name} is {agent.word}",
            hint=f"kagectl agent stop {agent.spec.name}",
            agent=agent.id,
            state=agent.word,
        )


class AgentSupervised(Precondition):
    """The agent is a child of a tree, which alone starts and ends it."""

    reason = "AGENT_SUPERVISED"

    def __init__(self, agent: AgentState, verb: str) -> None:
        tree, _, path = agent.supervisor.partition("/")
        super().__init__(
            f"agent {agent.spec.name} is a child of tree {tree}",
            hint=f"kagectl tree {verb} {tree} {path}",
            agent=agent.id,
            tree=tree,
            path=path,
        )


def next_attempt(state: AgentState) -> int:
    """Number of the run that comes next."""
    return state.run.attempt + 1 if state.run is not None else 1
