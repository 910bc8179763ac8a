"""Facts about one run of an agent: its process, what it was told, what it was heard to say.

Fields marked "text" go into the event's body and may be redacted. Not here: its output (`output.py`).
"""

from typing import ClassVar, Literal

from kaged.domain.frozen import frozen

EndKind = Literal["exited", "not_started", "exec_failed", "lost"]
How = Literal["normal", "abnormal", "shutdown"]


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
