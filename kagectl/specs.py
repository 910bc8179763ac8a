"""What the options of `spawn` and `run` say, as an AgentSpec. Reads env files; starts nothing.

The caller's PATH, HOME, LANG, USER, SHELL and TERM go along by default, so that a program found here is
found there; everything else of the environment stays out unless it is named.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from kagectl import guards, loops
from kagectl.agent_kinds import KINDS
from kagectl.errors import Complaint
from kagectl.quantities import duration_s, pair, size_bytes, span_s
from kagectl.workspaces import WorkspaceOptions, choose
from kaged.api.v1 import goal_pb2
from kaged.api.v1 import spec_pb2 as pb

INHERITED = ("PATH", "HOME", "LANG", "USER", "SHELL", "TERM")

RESTARTS = {
    "no": pb.RESTART_TYPE_TEMPORARY,
    "on-failure": pb.RESTART_TYPE_TRANSIENT,
    "always": pb.RESTART_TYPE_PERMANENT,
    "temporary": pb.RESTART_TYPE_TEMPORARY,
    "transient": pb.RESTART_TYPE_TRANSIENT,
    "permanent": pb.RESTART_TYPE_PERMANENT,
}
STDINS = {"null": pb.STDIN_MODE_NULL, "pipe": pb.STDIN_MODE_PIPE}
FULL_POLICIES = {
    "pause": pb.FULL_POLICY_PAUSE,
    "stop": pb.FULL_POLICY_STOP,
    "drop-oldest": pb.FULL_POLICY_DROP_OLDEST,
}
CAPTURES = {
    "pipe": pb.CAPTURE_MODE_PIPE,
    "file": pb.CAPTURE_MODE_FILE,
    "terminal": pb.CAPTURE_MODE_TERMINAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecOptions(WorkspaceOptions):
    """The options as they were written; None or empty: not said."""

    command: tuple[str, ...] = ()
    file: str | None = None
    name: str | None = None
    cwd: str | None = None
    env: tuple[str, ...] = ()
    env_file: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    inherit: bool = True
    label: tuple[str, ...] = ()
    agent: str | None = None
    adapter: str | None = None
    restart: str | None = None
    max_restarts: int | None = None
    restart_window: str | None = None
    backoff: str | None = None
    stop_signal: str | None = None
    grace: str | None = None
    success_exit_code: tuple[int, ...] = ()
    wall_time: str | None = None
    idle: str | None = None
    max_output: str | None = None
    max_backlog: str | None = None
    on_full: str | None = None
    memory: str | None = None
    cpus: float | None = None
    pids: int | None = None
    stdin: str | None = None
    capture: str | None = None
    merge_stderr: bool = False
    goal: str | None = None
    until: tuple[str, ...] = ()
    until_any: bool = False
    max_iterations: int | None = None
    max_cost: str | None = None
    max_tokens: str | None = None
    max_time: str | None = None
    abort: tuple[str, ...] = ()
    check_timeout: str | None = None
    checkpoint_every: int | None = None
    namespace: str | None = None
    priority: int | None = None
    after: tuple[str, ...] = ()
    approve: str | None = None
    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    answer_within: str | None = None


def spec_of(options: SpecOptions, *, base: pb.AgentSpec, env: Mapping[str, str], here: str) -> pb.AgentSpec:
    """`base` (from a spec file, or empty) with the options on top. `env`, `here`: the caller's own.

    Raises Complaint for what is malformed or missing; the daemon checks the rest.
    """
    spec = pb.AgentSpec()
    spec.CopyFrom(base)
    if options.agent:
        kind = KINDS[options.agent]
        spec.adapter = kind.adapter
        spec.command[:] = (*kind.command, *options.command)
    elif options.command:
        spec.command[:] = options.command
    if not spec.command and (options.adapter or spec.adapter or "command") in ("command", "jsonl"):
        raise Complaint("what is to be run is missing", hint="put the command after --, or name a kind: --agent claude")
    spec.name = options.name or spec.name
    spec.adapter = options.adapter or spec.adapter
    spec.goal = options.goal or spec.goal
    directory = options.cwd or spec.working_directory
    spec.working_directory = os.path.normpath(os.path.join(here, os.path.expanduser(directory or ".")))
    choose(spec, options, here, cwd_given=bool(directory))
    _environment(spec, options, env)
    spec.labels.update(pair(text, what="--label") for text in options.label)
    _restart(spec.restart, options)
    _limits(spec.limits, options)
    if options.stop_signal:
        spec.stop.signal = options.stop_signal
    if options.grace is not None:
        spec.stop.grace_s = duration_s(options.grace, what="--grace")
    spec.success_exit_codes.extend(options.success_exit_code)
    if options.stdin:
        spec.stdin = STDINS[options.stdin]
    if options.capture:
        spec.capture = CAPTURES[options.capture]
    spec.merge_stderr = options.merge_stderr or spec.merge_stderr
    _work(spec, options)
    guards.hold(spec, options)
    return spec


def _work(spec: pb.AgentSpec, options: SpecOptions) -> None:
    spec.namespace = options.namespace or spec.namespace
    spec.priority = options.priority if options.priority is not None else spec.priority
    spec.after.extend(options.after)
    limits = goal_pb2.GoalLimits()
    loops.limits(
        limits,
        iterations=options.max_iterations,
        tokens_text=options.max_tokens,
        cost=options.max_cost,
        time=options.max_time,
        option="max",
    )
    loop = goal_pb2.GoalLoop(
        success=[loops.criterion(text) for text in options.until],
        any=options.until_any,
        limits=limits if limits.ByteSize() else None,
        check_timeout_s=duration_s(options.check_timeout, what="--check-timeout") if options.check_timeout else 0,
        checkpoint_every=options.checkpoint_every or 0,
    )
    loops.abort(options.abort, loop.abort)
    if loop.ByteSize():
        if options.until:
            del spec.loop.success[:]
        spec.loop.MergeFrom(loop)
    if spec.HasField("loop") and not spec.goal:
        raise Complaint("what is to be achieved is missing", hint="--goal 'make the tests pass'")


def _environment(spec: pb.AgentSpec, options: SpecOptions, env: Mapping[str, str]) -> None:
    given: dict[str, str] = {}
    if options.inherit:
        given.update((name, env[name]) for name in INHERITED if name in env)
    given.update(spec.environment)
    for path in options.env_file:
        given.update(read_env_file(path))
    for text in options.env:
        name, separator, value = text.partition("=")
        if not name or (not separator and name not in env):
            raise Complaint(f"--env {text}: write NAME=value, or the name of a variable that is set here")
        given[name] = value if separator else env[name]
    for text in options.secret:
        name, separator, value = text.partition("=")
        if not separator and name not in env:
            raise Complaint(f"--secret {name}: it is not set here", hint=f"export {name}, or write {name}=value")
        spec.secret_environment[name] = value if separator else env[name]
        given.pop(name, None)
    spec.environment.clear()
    spec.environment.update(given)


def _restart(policy: pb.RestartPolicy, options: SpecOptions) -> None:
    if options.restart:
        policy.type = RESTARTS[options.restart]
    if options.max_restarts is not None:
        policy.intensity = options.max_restarts
    if options.restart_window:
        policy.period_s = duration_s(options.restart_window, what="--restart-window")
    if options.backoff in ("off", "0", "none"):
        policy.backoff_off = True
    elif options.backoff:
        policy.backoff_initial_s, policy.backoff_max_s = span_s(options.backoff, what="--backoff")


def _limits(limits: pb.Limits, options: SpecOptions) -> None:
    if options.wall_time:
        limits.wall_time_s = duration_s(options.wall_time, what="--wall-time")
    if options.idle:
        limits.idle_s = duration_s(options.idle, what="--idle")
    if options.max_output:
        limits.output_bytes = size_bytes(options.max_output, what="--max-output")
    if options.max_backlog:
        limits.spool_bytes = size_bytes(options.max_backlog, what="--max-backlog")
    if options.on_full:
        limits.on_full = FULL_POLICIES[options.on_full]
    if options.memory:
        limits.memory_bytes = size_bytes(options.memory, what="--memory")
    if options.cpus is not None:
        limits.cpus = options.cpus
    if options.pids is not None:
        limits.processes = options.pids


def read_env_file(path: str) -> dict[str, str]:
    """`NAME=value` lines; blank lines and `#` lines are skipped; quotes around a value are taken off."""
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise Complaint(f"{path}:{number}: expected NAME=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found


def read_text(path: str) -> str:
    """A small text file. Raises Complaint when it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise Complaint(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Complaint(f"{path} is not UTF-8 text") from None


def read_document(path: str) -> dict[str, object]:
    """A TOML or JSON file as a dictionary; JSON when the name ends in `.json`."""
    text = read_text(path)
    try:
        data: object = json.loads(text) if path.endswith(".json") else tomllib.loads(text)
    except ValueError as error:
        raise Complaint(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise Complaint(f"{path}: expected a table of settings")
    return data


def words(found: object, *, what: str) -> list[str]:
    """A list of texts out of a document."""
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise Complaint(f"{what} must be a list of texts")
    return found
