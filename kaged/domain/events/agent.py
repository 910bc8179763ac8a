"""Facts about agents and their runs. `machines/agent/` says what they mean.

Every class carries the name that is stored. Fields marked "text" go into the event's body and may be redacted;
nothing branches on them after the agent has ended.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

from kaged.domain.events.goal import GoalEvent
from kaged.domain.events.guardrail import GuardrailJudged
from kaged.domain.events.workspace import WorkspaceEvent
from kaged.domain.frozen import frozen
from kaged.domain.spec import AgentSpec

StopCause = Literal["user", "limit", "supervisor", "daemon", "restart", "goal", "guard"]
EndKind = Literal["exited", "not_started", "exec_failed", "lost"]
How = Literal["normal", "abnormal", "shutdown"]


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


@frozen
class RunWanted:
    """A process is to be started: recorded before anything happens. Also revives an agent that had ended."""

    type_name: ClassVar[str] = "run.wanted"

    run: str
    attempt: int
    cause: Literal["spawn", "restart", "requested", "supervisor", "retry", "turn", "resumed", "queue"]
    ordinal: int


@frozen
class RunStarted:
    """The shim stands at its gate and will be told to go."""

    type_name: ClassVar[str] = "run.started"

    run: str
    shim_pid: int
    shim_start_ticks: int
    boot_id: str
    protocol: int


@frozen
class RunExecuted:
    """The agent's program runs."""

    type_name: ClassVar[str] = "run.executed"

    run: str
    pid: int
    start_ticks: int
    session: int
    at_us: int


@frozen
class RunEnded:
    """The run is over and every byte of its output is in the journal."""

    type_name: ClassVar[str] = "run.ended"

    run: str
    kind: EndKind
    exit_code: int
    signal: int
    core_dumped: bool
    how: How
    ended_us: int
    boot_id: str
    cpu_us: int
    max_rss_bytes: int
    stdout_bytes: int
    stderr_bytes: int
    stopped_by: str
    survivors: int
    errno: int
    note: str  # text


@frozen
class OutputHeld:
    """More output waits to be recorded than may: the agent blocks in its writes. `number` is odd, and grows."""

    type_name: ClassVar[str] = "output.held"

    run: str
    number: int
    limit: str
    waiting_bytes: int
    limit_bytes: int
    since_us: int


@frozen
class OutputReleased:
    """There has been room for a while. `number` is even; `held_us`: how long it was held in all."""

    type_name: ClassVar[str] = "output.released"

    run: str
    number: int
    held_us: int


@frozen
class RunSetAside:
    """A newer release started this run, and its files cannot be read: nothing of it is touched. With `spoken` not
    below `protocol`: a daemon that can read them has taken it over."""

    type_name: ClassVar[str] = "run.set_aside"

    run: str
    protocol: int
    spoken: int


@frozen
class InputAccepted:
    """Bytes for standard input; the agent gets them once."""

    type_name: ClassVar[str] = "input.accepted"

    run: str
    offset: int
    length: int
    eof: bool
    data: bytes  # text


@frozen
class ApprovalRequested:
    """The agent asks before it acts."""

    type_name: ClassVar[str] = "approval.requested"

    approval: str
    run: str
    key: str
    kind: Literal["action", "question"]
    deadline_us: int
    title: str  # text
    tool: str  # text
    data_json: str  # text
    why: str  # text
    rule: str = ""


@frozen
class ApprovalAnswered:
    """Somebody answered, or time did. The words for the agent follow as `input.accepted` in the same batch."""

    type_name: ClassVar[str] = "approval.answered"

    approval: str
    outcome: Literal["approved", "denied", "expired"]
    run: str
    note: str  # text


@frozen
class ApprovalWithdrawn:
    """The one who asked is gone."""

    type_name: ClassVar[str] = "approval.withdrawn"

    approval: str
    cause: Literal["run_ended", "agent"]


@frozen
class SignalHeard:
    """What an adapter heard. `type` is the whole event type: `signal.` and the signal's kind."""

    type_name: ClassVar[str] = "signal"

    type: str
    run: str
    turn: int
    call: str
    outcome: str
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    native_session: str
    text: str  # text
    data_json: str  # text
    tool: str  # text
    resets_us: int = 0
    parent: str = ""
    plan_done: int = 0
    plan_items: int = 0
    failure: str = ""


AgentEvent: TypeAlias = (
    Spawned
    | StopWanted
    | RestartScheduled
    | Signalled
    | Resized
    | Ended
    | Stopped
    | Removed
    | RunWanted
    | RunStarted
    | RunExecuted
    | RunEnded
    | RunSetAside
    | OutputHeld
    | OutputReleased
    | InputAccepted
    | ApprovalRequested
    | ApprovalAnswered
    | ApprovalWithdrawn
    | SignalHeard
    | GoalEvent
    | GuardrailJudged
    | WorkspaceEvent
)


# --- capture: not part of an agent's state, but of where its run was read to ---------------------------------


@frozen
class Mask:
    """A secret overwritten in place."""

    offset: int
    length: int
    rule: str


@frozen
class OutputChunk:
    """Some bytes of output. `stdout_end` and `stderr_end` say where the run was read to after this event."""

    type_name: ClassVar[str] = "output.chunk"

    run: str
    channel: Literal["out", "err"]
    offset: int
    stdout_end: int
    stderr_end: int
    masks: tuple[Mask, ...]
    data: bytes  # text


@frozen
class OutputTruncated:
    """A spool is shorter than what was read of it."""

    type_name: ClassVar[str] = "output.truncated"

    run: str
    channel: Literal["out", "err"]
    expected: int
    found: int
    stdout_end: int = 0  # where both streams stand after this event; 0 in events of the first releases
    stderr_end: int = 0


@frozen
class OutputDropped:
    """Bytes that waited to be recorded were given up, `start` to `end`, because `limit` was reached."""

    type_name: ClassVar[str] = "output.dropped"

    run: str
    channel: Literal["out", "err"]
    start: int
    end: int
    stdout_end: int
    stderr_end: int
    limit: str


@frozen
class RunRead:
    """The adapter has understood the output up to here."""

    type_name: ClassVar[str] = "run.read"

    run: str
    stdout_parsed: int
    stderr_parsed: int
    adapter_state: bytes


CaptureEvent: TypeAlias = OutputChunk | OutputTruncated | OutputDropped | RunRead


# --- the daemon itself ---------------------------------------------------------------------------------------


@frozen
class DaemonStarted:
    """A daemon began to serve this store."""

    type_name: ClassVar[str] = "daemon.started"

    version: str
    pid: int
    boot_id: str
    adopted: int
    settled: int
    after_clean_stop: bool


@frozen
class DaemonStopped:
    """A daemon stopped in order."""

    type_name: ClassVar[str] = "daemon.stopped"

    agents: Literal["keep", "stop"]
    reason: str


@frozen
class Redacted:
    """Bodies were taken out of stored events, `first_seq` to `last_seq`; their hashes stay."""

    type_name: ClassVar[str] = "event.redacted"

    first_seq: int
    last_seq: int
    bodies: int
    reason: Literal["requested", "retention"]


@frozen
class RequestNoted:
    """A request with an id changed nothing: remembered, so that a repeat does not act on what came after."""

    type_name: ClassVar[str] = "daemon.request_noted"

    method: str


@frozen
class Reloaded:
    """The configuration was read again: keys that were taken over, keys that need a restart."""

    type_name: ClassVar[str] = "daemon.reloaded"

    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


@frozen
class DaemonStopWanted:
    """Somebody asked the daemon to stop; so many agents go on, so many are to be stopped."""

    type_name: ClassVar[str] = "daemon.stop_wanted"

    agents: Literal["keep", "stop"]
    timeout_s: float
    agents_kept: int
    agents_stopping: int


DaemonEvent: TypeAlias = DaemonStarted | DaemonStopped | Redacted | RequestNoted | Reloaded | DaemonStopWanted

Labels: TypeAlias = Mapping[str, str]
