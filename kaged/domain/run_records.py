"""The records of a run folder as types: what the daemon tells the shim, and what the shim tells the daemon.

Reading is tolerant of newer writers (unknown keys are ignored) and strict about damage: a file that is not
a whole record raises `TornRecord`, never yields a half-believed value. Writing is deterministic, so that the
same wish gives the same bytes when recovery repeats it.

Pure: no file is opened here (kaged/executors/run_folder.py does that). The meaning of each field is in
docs/shim-protocol.md; times are wall-clock microseconds and nanoseconds since boot, sizes are bytes.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, TypeVar

from kaged.domain.errors import Broken
from kaged.domain.frozen import frozen
from kaged.domain.orders import Order, ResizeOrder, SignalOrder, StopOrder, order_line

__all__ = [
    "Order", "ResizeOrder", "SignalOrder", "StopOrder", "order_line",
]  # fmt: skip

PROTOCOL: Final = 1

Channel: TypeAlias = Literal["out", "err"]
# `request`, or the limit that the shim holds: `wall_time`, `unsupervised`, `spool_bytes`, `max_spool_bytes`, or one
# that only a newer shim knows.
StoppedBy: TypeAlias = str

_T = TypeVar("_T")


class TornRecord(Broken):
    """A record file is not whole: a foreign hand, or a power cut before it was safe."""

    reason = "RUN_RECORD_TORN"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            f"{name} is not a whole record: {problem}",
            hint="the run is treated as lost; its spool is kept",
            record=name,
        )
        self.name = name
        self.problem = problem


# --- what the daemon wants ----------------------------------------------------------------------------------


@frozen
class TerminalSize:
    """Rows and columns of a pty, in characters."""

    rows: int = 24
    cols: int = 80


@frozen
class RunSpec:
    """Everything that the shim needs to know. `env` is the agent's whole environment (secrets included).

    A limit of 0 s means "no limit". `daemon_lock` is the file that kaged holds locked while it lives;
    `unsupervised_max_s` counts from the moment it was first seen free. `linger_s` is what processes that
    the agent left behind may take to end after it.
    """

    run_id: str
    agent_id: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    stdin: Literal["null", "pipe"] = "null"
    capture: Literal["pipe", "file", "pty"] = "pipe"
    merge_stderr: bool = False
    terminal: TerminalSize | None = None
    daemon_lock: str = ""
    unsupervised_max_s: float = 0
    wall_s: float = 0
    stop_signal: int = 15
    grace_s: float = 10
    linger_s: float = 2
    # How much captured output may wait to be recorded: of this run, of all; how much of the disk it leaves free; what
    # happens then.
    spool_bytes: int = 0
    max_spool_bytes: int = 0
    keep_free_bytes: int = 0
    on_full: Literal["pause", "stop", "drop_oldest"] = "pause"
    # Held by the executor, so not the shim's business and not in spec.json.
    memory_bytes: int = 0
    cpus: float = 0
    processes: int = 0

    def to_json(self) -> bytes:
        """The bytes of spec.json. Names and values that are not UTF-8 survive (surrogateescape)."""
        size = self.terminal
        return _dump(
            {
                "protocol": PROTOCOL,
                "run_id": self.run_id,
                "agent_id": self.agent_id,
                "argv": list(self.argv),
                "env": dict(self.env),
                "cwd": self.cwd,
                "stdin": self.stdin,
                "capture": self.capture,
                "merge_stderr": self.merge_stderr,
                "pty": None if size is None else {"rows": size.rows, "cols": size.cols},
                "daemon_lock": self.daemon_lock,
                "unsupervised_max_s": self.unsupervised_max_s,
                "wall_s": self.wall_s,
                "stop_signal": self.stop_signal,
                "grace_s": self.grace_s,
                "linger_s": self.linger_s,
                "spool_bytes": self.spool_bytes,
                "max_spool_bytes": self.max_spool_bytes,
                "keep_free_bytes": self.keep_free_bytes,
                "on_full": self.on_full,
            }
        )


# --- what the shim has seen ---------------------------------------------------------------------------------


@frozen
class Meta:
    """A shim has the lock and waits at the gate. For diagnosis: liveness is the lock, never the pid."""

    protocol: int
    shim: str
    run_id: str
    pid: int
    start_ticks: int
    boot_id: str
    python: str
    subreaper: bool


@frozen
class Moment:
    """When something happened: `wall_us` since the epoch, `boottime_ns` since the boot named by `boot_id`."""

    wall_us: int
    boottime_ns: int
    boot_id: str


@frozen
class AgentRecord:
    """exec has worked; `session` is also the agent's process group."""

    pid: int
    start_ticks: int
    session: int
    at: Moment


@frozen
class Exited:
    """The agent ended. `status` is the raw wait status; exactly one of `code` and `signal` is set. `oom_kills`: how
    many processes of the run the kernel ended for want of memory, as far as the run has a cgroup of its own."""

    run_id: str
    status: int
    code: int | None
    signal: int | None
    core: bool
    stopped_by: StoppedBy | None
    utime_us: int
    stime_us: int
    maxrss_kb: int
    at: Moment
    oom_kills: int = 0


@frozen
class ExecFailed:
    """The agent never ran: `stage` (setup, cwd, exec) failed with `errno`."""

    run_id: str
    stage: str
    errno: int
    strerror: str
    cwd_missing: bool
    stopped_by: StoppedBy | None
    at: Moment


@frozen
class NotStarted:
    """The shim gave up before exec: the gate closed, the run was cancelled, or the spec is unusable."""

    run_id: str
    reason: str
    at: Moment


@frozen
class Backlog:
    """What the shim says of output that waits to be recorded. `number` counts what it said of holding the agent and is
    odd while it does; `held_us` counts since `since_us`. Below `out_given_up` and `err_given_up` no byte of a spool
    may be read any more: it was recorded, or it is gone."""

    number: int
    why: str
    since_us: int
    held_us: int
    waiting: int
    limit: int
    out_given_up: int
    err_given_up: int

    def given_up(self, channel: Channel) -> int:
        """The first byte of a spool that may be there."""
        return self.out_given_up if channel == "out" else self.err_given_up


ExitRecord: TypeAlias = Exited | ExecFailed | NotStarted


@frozen
class SealedRecord:
    """Nobody can write to the spools any more. `survivors` are pids that even SIGKILL did not end.

    `durable` is false when a spool could not be synced; `unwritten` counts bytes that a broken disk refused
    for good (a full one only makes the run wait).
    """

    run_id: str
    how: Literal["no_children", "killed"]
    out_size: int
    err_size: int
    in_consumed: int
    ctl_done: int
    survivors: tuple[int, ...]
    durable: bool
    unwritten: int
    at: Moment


# --- bytes to types -----------------------------------------------------------------------------------------


def parse_meta(data: bytes) -> Meta:
    """The record in meta.json. Raises TornRecord."""
    it = _Fields("meta.json", data)
    return Meta(
        protocol=it.number("protocol"),
        shim=it.text("shim"),
        run_id=it.text("run_id"),
        pid=it.number("pid"),
        start_ticks=it.number("start_ticks"),
        boot_id=it.text("boot_id"),
        python=it.text("python"),
        subreaper=it.flag("subreaper"),
    )


def parse_agent(data: bytes) -> AgentRecord:
    """The record in agent.json. Raises TornRecord."""
    it = _Fields("agent.json", data)
    return AgentRecord(
        pid=it.number("pid"),
        start_ticks=it.number("start_ticks"),
        session=it.number("session"),
        at=it.moment(),
    )


def parse_exit(data: bytes) -> ExitRecord:
    """The record in exit.json. Raises TornRecord."""
    it = _Fields("exit.json", data)
    match kind := it.text("kind"):
        case "exited":
            exited = Exited(
                run_id=it.text("run_id"),
                status=it.number("status"),
                code=it.maybe(it.number, "code"),
                signal=it.maybe(it.number, "signal"),
                core=it.flag("core"),
                stopped_by=it.stopped_by(),
                utime_us=it.number("utime_us"),
                stime_us=it.number("stime_us"),
                maxrss_kb=it.number("maxrss_kb"),
                at=it.moment(),
                oom_kills=it.number("oom_kills") if it.has("oom_kills") else 0,  # shims before it do not count
            )
            if (exited.code is None) == (exited.signal is None):
                raise TornRecord("exit.json", "it needs a code or a signal, and not both")
            return exited
        case "exec_failed":
            return ExecFailed(
                run_id=it.text("run_id"),
                stage=it.text("stage"),
                errno=it.number("errno"),
                strerror=it.text("strerror"),
                cwd_missing=it.flag("cwd_missing"),
                stopped_by=it.stopped_by(),
                at=it.moment(),
            )
        case "not_started":
            return NotStarted(run_id=it.text("run_id"), reason=it.text("reason"), at=it.moment())
        case _:
            raise TornRecord("exit.json", f"unknown kind {kind!r}")


def parse_sealed(data: bytes) -> SealedRecord:
    """The record in sealed.json. Raises TornRecord."""
    it = _Fields("sealed.json", data)
    return SealedRecord(
        run_id=it.text("run_id"),
        how=it.how(),
        out_size=it.number("out_size"),
        err_size=it.number("err_size"),
        in_consumed=it.number("in_consumed"),
        ctl_done=it.number("ctl_done"),
        survivors=it.numbers("survivors"),
        durable=it.flag("durable"),
        unwritten=it.number("unwritten"),
        at=it.moment(),
    )


def parse_backlog(data: bytes) -> Backlog:
    """The record in backlog.json. Raises TornRecord."""
    it = _Fields("backlog.json", data)
    return Backlog(
        number=it.number("number"),
        why=it.text("why"),
        since_us=it.number("since_us"),
        held_us=it.number("held_us"),
        waiting=it.number("waiting"),
        limit=it.number("limit"),
        out_given_up=it.number("out_given_up"),
        err_given_up=it.number("err_given_up"),
    )


def parse_protocol(data: bytes) -> int:
    """The protocol of a run folder, from its meta.json: the one field that every version has. Raises TornRecord."""
    return _Fields("meta.json", data).number("protocol")


class _Fields:
    """A parsed record that answers with the asked type or raises TornRecord."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        try:
            raw: object = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise TornRecord(name, f"not JSON ({len(data)} bytes)") from error
        if not isinstance(raw, dict):
            raise TornRecord(name, "not an object")
        self._raw: dict[str, object] = raw

    def has(self, key: str) -> bool:
        return key in self._raw

    def number(self, key: str) -> int:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TornRecord(self._name, f"{key} is not a whole number")
        return value

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise TornRecord(self._name, f"{key} is not a string")
        return value

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if not isinstance(value, bool):
            raise TornRecord(self._name, f"{key} is not true or false")
        return value

    def numbers(self, key: str) -> tuple[int, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise TornRecord(self._name, f"{key} is not a list of whole numbers")
        return tuple(value)

    def maybe(self, read: Callable[[str], _T], key: str) -> _T | None:
        return None if self._get(key) is None else read(key)

    def stopped_by(self) -> StoppedBy | None:
        value = self._raw.get("stopped_by")
        if value is not None and not isinstance(value, str):
            raise TornRecord(self._name, "stopped_by is not a string")
        return value

    def how(self) -> Literal["no_children", "killed"]:
        match self._get("how"):
            case "no_children":
                return "no_children"
            case "killed":
                return "killed"
            case other:
                raise TornRecord(self._name, f"unknown how {other!r}")

    def moment(self) -> Moment:
        return Moment(
            wall_us=self.number("wall_us"),
            boottime_ns=self.number("boottime_ns"),
            boot_id=self.text("boot_id"),
        )

    def _get(self, key: str) -> object:
        if key not in self._raw:
            raise TornRecord(self._name, f"{key} is missing")
        return self._raw[key]


def _dump(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
