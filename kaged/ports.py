"""Every seam of the daemon in one file: what runtime needs from adapters and executors. Pure declarations."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

from kaged.domain.assignment import Assignment, Launch
from kaged.domain.frozen import frozen
from kaged.domain.notice import Notice, Reason
from kaged.domain.orders import Order
from kaged.domain.place_spec import Workspace
from kaged.domain.run_records import AgentRecord, Backlog, Channel, ExitRecord, Meta, RunSpec, SealedRecord
from kaged.domain.signals import Ask, Fed
from kaged.domain.workspace import Difference, KeptSnapshot, Made, Merged, MergeMode, Plan, Removal, Snapshot

Measure = Literal["turns", "tokens", "cost"]
"""What of an agent's work an adapter can count; a limit on anything else could not be kept."""


class Adapter(Protocol):
    """How to talk to one kind of agent: bytes to signals and back. Stateless itself; pure; never raises on output."""

    name: ClassVar[str]
    listens: ClassVar[bool]  # False: output is only recorded, `feed` is never called
    default_stdin: ClassVar[Literal["null", "pipe"]]
    default_command: ClassVar[tuple[str, ...]]  # for a spec that names none; empty: it must name one
    measures: ClassVar[frozenset[Measure]]
    """What every agent of this kind tells of its work, so that it can be limited.

    `turns`: where a turn begins and ends; without them a run is one iteration. `tokens`: read and written. `cost`:
    money. What only some agents of the kind tell is heard nevertheless, and is not here.
    """

    def launch(self, task: Assignment) -> Launch:
        """How a run starts. Deterministic. The first words are accepted as input when the program is there."""

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment) -> Fed:
        """Understand more standard output. `state` is b"" at first; `final`: nothing will follow."""

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """The bytes that tell the agent how its question was answered. Deterministic.

        `ask` is as it was asked, but for what was redacted since: only its `key` and `kind` are sure to be there.
        """


@runtime_checkable
class Messenger(Protocol):
    """An adapter whose agents can be spoken to at any time."""

    def message(self, text: str, *, session: str = "", number: int = 0) -> bytes:
        """Words of a person in the form that the agent reads. Deterministic.

        `session`: the agent's own, as far as it is known; `number`: another for each message of a run. Empty: an
        agent without a session cannot be spoken to yet.
        """


@runtime_checkable
class Interrupter(Protocol):
    """An adapter whose agents can be told to end the turn that is under way, and to wait for other words."""

    def interrupt(self, state: bytes, *, task: Assignment, number: int, expected: bool = False) -> bytes:
        """The bytes that end the turn. Deterministic; never raises.

        `state`: as `feed` left it. `number`: another for each interrupt of a run, 0 or more. `expected`: words were
        sent whose turn is not heard of yet; some agents can be kept from it all the same. Empty: as far as was heard
        there is no turn to end; where one is expected, ask again when it was heard to begin. The agent answers with
        `turn.ended` (outcome `cancelled`), which is not the end of a goal; what it asked is withdrawn. An agent that
        has just ended its turn ignores the bytes.
        """


class RunFolder(Protocol):
    """The daemon's half of one run's folder (docs/shim-protocol.md). Synchronous, quick, safe to repeat."""

    @property
    def path(self) -> Path:
        """Where it is."""

    def exists(self) -> bool:
        """Whether there is such a folder."""

    def held(self) -> bool:
        """Whether a shim lives. Raises Unavailable when that cannot be told: unknown is never dead."""

    def cancel(self) -> bool:
        """Make sure that no shim gets past its gate any more."""

    def read_meta(self) -> Meta | None:
        """The shim, once it is ready."""

    def read_agent(self) -> AgentRecord | None:
        """The agent's process, once exec worked."""

    def read_exit(self) -> ExitRecord | None:
        """How the agent ended, once it did."""

    def read_sealed(self) -> SealedRecord | None:
        """The final sizes, once nobody can write any more."""

    def read_backlog(self) -> Backlog | None:
        """What the shim says of output that waits; read it after the spools."""

    def protocol(self) -> int | None:
        """Which protocol its shim speaks, once it is ready."""

    def spool_size(self, channel: Channel) -> int:
        """Bytes captured so far."""

    def read_spool(self, channel: Channel, offset: int, max_bytes: int) -> bytes:
        """Captured bytes from an offset."""

    def input_size(self) -> int:
        """Bytes in the input log."""

    def input_ended(self) -> bool:
        """Whether the mark of the input's end is there."""

    def orders_size(self) -> int:
        """Bytes in the control log."""

    def write_input(self, offset: int, data: bytes) -> int:
        """Put input at its place."""

    def close_input(self, total_bytes: int) -> None:
        """Let the input end after so many bytes."""

    def write_order(self, offset: int, n: int, order: Order) -> int:
        """Put an order at its place."""

    def note_consumed(self, out_end: int, err_end: int) -> None:
        """Tell the shim how much of its spools is recorded."""

    def free_spool(self, channel: Channel, start: int, end: int) -> int:
        """Give back the disk space of recorded bytes; how far it came. `start` where the disk cannot."""

    def ring(self) -> None:
        """Make the shim look at its input and orders."""

    def forget_spec(self) -> None:
        """Drop the secrets."""

    def remove(self) -> None:
        """Delete it."""


class Launched(Protocol):
    """A shim that this daemon started."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def wait_ready(self, timeout_s: float) -> Meta:
        """Wait until it stands at the gate."""

    def open_gate(self) -> None:
        """Let the agent start."""

    def abandon(self) -> None:
        """Close the gate."""

    def reap(self) -> int | None:
        """Collect it if it has ended."""


class Executor(Protocol):
    """A way to run a child. Calls may block for milliseconds: made in a thread."""

    @property
    def enforces(self) -> frozenset[str]:
        """Names of the limits that it can hold."""

    def launch(self, run: str, spec: RunSpec) -> Launched:
        """Make the run's folder and start its shim, which waits at the gate."""

    def folder(self, run: str) -> RunFolder:
        """The folder of a run, whether it is there or not."""

    def runs(self) -> list[str]:
        """Ids of all run folders."""

    def kill_leftovers(self, run: str) -> list[int]:
        """SIGKILL what still carries the run's id after its shim died. Returns whom it hit."""

    def empty_trash(self) -> None:
        """Finish removals that a crash interrupted."""


@frozen
class CheckWish:
    """A command to run in an agent's folder. `id` names it for ever: a repeat first ends what is left of the first."""

    id: str
    command: tuple[str, ...]
    folder: str
    environment: Mapping[str, str]
    timeout_s: float


@frozen
class CheckEnd:
    """How it ended. `exit_code` -1: it did not start, or a signal ended it. `output`: the last of what it printed."""

    exit_code: int
    took_us: int
    output: bytes
    timed_out: bool = False


@frozen
class FolderMark:
    """A folder at a moment. `mark` is equal while nothing in it changes, empty when it cannot be told."""

    mark: str = ""
    files_changed: int = 0
    lines_added: int = 0
    lines_removed: int = 0


class Announcer(Protocol):
    """Tells people that an agent needs them. Called on the event loop; never waits."""

    def wants(self, reason: Reason) -> bool:
        """Whether anybody is told of this."""

    def post(self, notice: Notice) -> None:
        """Take it; it is told soon, or given up when too many wait."""


class Checker(Protocol):
    """Runs the checks of goals. Calls block: made in threads."""

    def run(self, wish: CheckWish) -> CheckEnd:
        """Run it to its end, or to its time limit; nothing of it is left behind. Never raises for what it does."""

    def cancel(self, check: str) -> None:
        """End a check that runs, if it does; `run` then returns soon."""

    def kill_earlier(self) -> list[int]:
        """End checks of earlier lives of this daemon that outlived it; their pids."""

    def read(self, folder: str, path: str, max_bytes: int) -> bytes | None:
        """The beginning of a file below the folder; None when there is none."""

    def tests_of(self, folder: str) -> tuple[str, ...]:
        """The command that runs the project's own tests, found by its files; empty when none is found."""


@frozen
class RunChanges:
    """Which runs to look at. `let_go`: their shim's lock is, or in a moment will be, free. `lost`: look at all."""

    runs: frozenset[str]
    let_go: frozenset[str]
    lost: bool


class Watch(Protocol):
    """Tells which runs changed on disk."""

    def add(self, run: str) -> None:
        """Watch a run. Raises OSError or KageError when that is not possible: poll it."""

    def remove(self, run: str) -> None:
        """Stop watching it."""

    def fileno(self) -> int | None:
        """Readable when there is something to tell; None: this system needs polling."""

    def changed(self) -> RunChanges:
        """What changed since the last call."""

    def close(self) -> None:
        """Let go."""


class StopNote(Protocol):
    """Remembers, on a disk without room, that all agents are to be stopped."""

    def seq(self) -> int:
        """Events up to here did not know of the stop; 0 without a note."""

    def write(self, seq: int) -> None:
        """Note it. Raises OSError."""


class TreeUsage(Protocol):
    """What one run's processes cost."""

    @property
    def processes(self) -> int:
        """How many live."""

    @property
    def cpu_s(self) -> float:
        """CPU seconds so far."""

    @property
    def rss_bytes(self) -> int:
        """Resident memory."""


class Sampler(Protocol):
    """Looks at all processes of the machine at once."""

    def sample(self, shims: Sequence[tuple[int, int]]) -> Sequence[TreeUsage | None]:
        """For each (shim pid, start ticks) what its tree costs now; None: not known."""


class Workspaces(Protocol):
    """Places where agents work. All of it blocks and is called in threads; all of it can be repeated after a crash."""

    def plan(self, agent: str, name: str, wish: Workspace, directory: str) -> Plan:
        """What to make for an agent that is to work on a folder. Changes nothing. Raises KageError."""

    def feasible(self, plan: Plan) -> bool:
        """Whether a plan that was recorded can still be carried out."""

    def present(self, plan: Plan) -> bool:
        """Whether the place is there and whole."""

    def make(
        self,
        agent: str,
        run: str,
        plan: Plan,
        wish: Workspace,
        environment: Mapping[str, str],
        cancelled: Callable[[], bool],
    ) -> Made:
        """Make it, finish it, or find it made. Processes carry the run's id. Raises KageError, OSError."""

    def hold_commits(self, plan: Plan, *, held: bool) -> None:
        """Have git refuse commits there that nobody approved, or no more. Raises KageError, OSError."""

    def grant(self, plan: Plan, name: str, *, once: bool, until_s: int) -> None:
        """A person approved commits, one or all, until a second since 1970. Raises OSError."""

    def withdraw(self, plan: Plan, name: str) -> None:
        """What was granted under a name is done. Raises OSError."""

    def mark(self, folder: str, since: str) -> FolderMark:
        """What a folder is like now, its changes counted from a commit; empty: from the last one. Never raises."""

    def snapshot(self, agent: str, plan: Plan, why: str) -> Snapshot:
        """Keep all files as they are now. Raises KageError, OSError."""

    def snapshots(self, agent: str, plan: Plan) -> list[KeptSnapshot]:
        """Those that there are, oldest first. Raises KageError."""

    def restore(self, plan: Plan, commit: str) -> int:
        """Exchange all files for those of a snapshot. How many. Nobody works there, and what is there was kept.

        Raises KageError, OSError: then it may be half done, and may be repeated.
        """

    def difference(self, agent: str, plan: Plan, *, patch: bool) -> Difference:
        """What it has that its base has not. Raises KageError."""

    def touched(self, agent: str, plan: Plan) -> frozenset[str]:
        """Paths that differ from the base. Raises KageError."""

    def merge(
        self, agent: str, name: str, plan: Plan, *, into: str, mode: MergeMode, message: str, still: bool
    ) -> Merged:
        """Its content into a branch (empty: the base), all or nothing. `still`: nobody works there.

        Raises KageError.
        """

    def keep(self, agent: str, plan: Plan) -> Snapshot | None:
        """A snapshot of what would be lost with it; None: nothing would. Raises KageError, OSError."""

    def remove(self, agent: str, plan: Plan, wish: Workspace, environment: Mapping[str, str]) -> Removal:
        """Take it away, after `keep`. Raises KageError, OSError: then it is still there."""

    def strays(self) -> list[str]:
        """Agents of which there is something."""
