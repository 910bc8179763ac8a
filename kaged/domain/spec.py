"""What an agent is to be, checked. The door makes one of these; past it nobody checks again.

Times are seconds, sizes are bytes, 0 is "no limit". The defaults are Kage's; those of supervision follow OTP.
"""

import signal as signals
from collections.abc import Iterator, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Final, Literal

from kaged.domain import goal_spec, place_spec
from kaged.domain.frozen import frozen
from kaged.domain.goal_spec import GoalLoop
from kaged.domain.place_spec import Guard, Workspace
from kaged.domain.quantities import label_key_problem
from kaged.domain.restart import Backoff

RestartType = Literal["permanent", "transient", "temporary"]
Stdin = Literal["null", "pipe"]
Capture = Literal["pipe", "file", "pty"]
OnFull = Literal["pause", "stop", "drop_oldest"]
Violation = tuple[str, str]

MAX_ARGUMENTS_BYTES: Final = 128 << 10
MIN_SPOOL_BYTES: Final = 64 << 10
DEFAULT_BACKOFF: Final = Backoff(base_s=0.5, max_s=60, healthy_after_s=30)
_NAME_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_NEED_CGROUPS: Final = frozenset(("memory_bytes", "cpus", "processes"))
_NOT_HELD: Final = "cannot be enforced here; leave it out, or have systemd run kaged (docs/service.md)"
_EMPTY: Final[Mapping[str, str]] = MappingProxyType({})


@frozen
class Limits:
    """What an agent may use."""

    wall_time_s: float = 0
    idle_s: float = 0
    output_bytes: int = 0
    memory_bytes: int = 0
    cpus: float = 0
    processes: int = 0
    unsupervised_s: float = 0
    spool_bytes: int = 0
    on_full: OnFull = "pause"


@frozen
class RestartPolicy:
    """When a run is followed by another. `backoff` None: at once, as OTP does."""

    type: RestartType = "temporary"
    intensity: int = 5
    period_s: float = 60
    backoff: Backoff | None = DEFAULT_BACKOFF


@frozen
class StopPolicy:
    """Ask with `signal`, wait `grace_s`, then kill the whole tree."""

    signal: int = 15
    grace_s: float = 10


@frozen
class Terminal:
    """Size in characters."""

    rows: int = 24
    columns: int = 80


@frozen
class AgentSpec:
    """See the module. `secret_names` only: the values are kept apart and never come back."""

    name: str
    adapter: str = "command"
    command: tuple[str, ...]
    working_directory: str
    environment: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    secret_names: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    limits: Limits = Limits()
    restart: RestartPolicy = RestartPolicy()
    stop: StopPolicy = StopPolicy()
    success_exit_codes: tuple[int, ...] = ()
    stdin: Stdin = "null"
    capture: Capture = "pipe"
    merge_stderr: bool = False
    terminal: Terminal | None = None
    goal: str = ""
    loop: GoalLoop | None = None
    namespace: str = "default"
    priority: int = 0
    after: tuple[str, ...] = ()
    workspace: Workspace = Workspace()
    guard: Guard = Guard()


def name_problem(name: str) -> str:
    """What is wrong with a name, or an empty text."""
    if not name or len(name) > 63:
        return "must have 1 to 63 characters"
    if not _NAME_LETTERS.issuperset(name) or name[0] in "-." or name[-1] in "-.":
        return "must be lower-case letters, digits, `-`, `_` and `.`, and begin and end with neither `-` nor `.`"
    return ""


def violations(
    spec: AgentSpec, measures: Mapping[str, frozenset[str]], enforceable: frozenset[str]
) -> Iterator[Violation]:
    """All that is wrong with a spec: (field path, what).

    `measures`: of each adapter, what it can count of its agents; `enforceable`: limits that this machine can hold.
    """
    if problem := name_problem(spec.name):
        yield "spec.name", problem
    if spec.adapter not in measures:
        yield "spec.adapter", f"unknown adapter {spec.adapter!r}; known are {', '.join(sorted(measures))}"
    yield from _command(spec)
    for name in (*spec.environment, *spec.secret_names):
        if not name or "=" in name or "\0" in name:
            yield "spec.environment", f"{name!r} is not a name of a variable"
    for name, value in spec.environment.items():
        if "\0" in value:
            yield "spec.environment", f"the value of {name!r} holds a NUL"
    for key, value in spec.labels.items():
        if problem := label_key_problem(key):
            yield "spec.labels", problem
        if len(value) > 256 or not value.isprintable():
            yield "spec.labels", f"the value of {key!r} must be at most 256 printable characters"
    yield from _numbers(spec, enforceable)
    yield from _work(spec, measures.get(spec.adapter, frozenset()))
    if spec.capture == "pty" and spec.merge_stderr:
        yield "spec.merge_stderr", "a terminal has one stream anyway"


def _command(spec: AgentSpec) -> Iterator[Violation]:
    if not spec.command or not spec.command[0]:
        yield "spec.command", "is empty"
    if any("\0" in word for word in spec.command):
        yield "spec.command", "holds a NUL"
    if sum(len(word.encode("utf-8", "surrogateescape")) + 1 for word in spec.command) > MAX_ARGUMENTS_BYTES:
        yield "spec.command", f"is longer than {MAX_ARGUMENTS_BYTES} bytes"
    if not spec.working_directory.startswith("/") or "\0" in spec.working_directory:
        yield "spec.working_directory", "must be an absolute path"


def _work(spec: AgentSpec, measures: frozenset[str]) -> Iterator[Violation]:
    if problem := name_problem(spec.namespace):
        yield "spec.namespace", problem
    yield from place_spec.violations(spec.workspace)
    if not -1000 <= spec.priority <= 1000:
        yield "spec.priority", "must lie between -1000 and 1000"
    if spec.loop is None:
        return
    if not spec.goal.strip():
        yield "spec.goal", "is empty; a loop needs a goal to work towards"
    yield from goal_spec.violations(spec.loop, spec.adapter, measures)
    if spec.loop.checkpoint_every and spec.workspace.kind == "here":
        yield "spec.loop.checkpoint_every", "needs a workspace of the agent's own: a worktree or a copy"


def _numbers(spec: AgentSpec, enforceable: frozenset[str]) -> Iterator[Violation]:
    limits, restart = spec.limits, spec.restart
    for name in ("wall_time_s", "idle_s", "output_bytes", "memory_bytes", "cpus", "processes"):
        value = getattr(limits, name)
        if not 0 <= value < 2**62:
            yield f"spec.limits.{name}", "must be 0 (no limit) or more"
        elif value and name not in enforceable:
            yield f"spec.limits.{name}", _NOT_HELD if name in _NEED_CGROUPS else "cannot be enforced here; leave it out"
    if limits.spool_bytes and not MIN_SPOOL_BYTES <= limits.spool_bytes < 2**62:
        yield "spec.limits.spool_bytes", f"must be 0 (as the daemon is set) or at least {MIN_SPOOL_BYTES}"
    if restart.period_s <= 0:
        yield "spec.restart.period_s", "must be more than 0"
    if restart.backoff is not None and not 0 <= restart.backoff.base_s <= restart.backoff.max_s:
        yield "spec.restart.backoff_initial_s", "must lie between 0 and backoff_max_s"
    if not 1 <= spec.stop.signal <= int(max(signals.Signals)) + 1:
        yield "spec.stop.signal", "is not a signal"
    if not 0 <= spec.stop.grace_s <= 86_400:
        yield "spec.stop.grace_s", "must lie between 0 and 86400"
    for code in spec.success_exit_codes:
        if not 0 <= code <= 255:
            yield "spec.success_exit_codes", f"{code} is not an exit code"
    if spec.terminal and not (1 <= spec.terminal.rows <= 10_000 and 1 <= spec.terminal.columns <= 10_000):
        yield "spec.terminal", "rows and columns must lie between 1 and 10000"
