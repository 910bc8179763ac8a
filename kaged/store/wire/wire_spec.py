"""Agent specs between the domain and the wire. Used by the codec (events) and by rpc (requests and answers)."""

import signal
from typing import Final

from kaged.api.v1 import spec_pb2
from kaged.domain.place_spec import Guard, Workspace
from kaged.domain.quantities import format_signal
from kaged.domain.restart import Backoff
from kaged.domain.spec import (
    DEFAULT_BACKOFF,
    AgentSpec,
    Capture,
    Limits,
    OnFull,
    RestartPolicy,
    RestartType,
    Stdin,
    StopPolicy,
    Terminal,
)
from kaged.store.wire import wire_goal

RESTART_TYPES: Final[dict[RestartType, spec_pb2.RestartType]] = {
    "permanent": spec_pb2.RESTART_TYPE_PERMANENT,
    "transient": spec_pb2.RESTART_TYPE_TRANSIENT,
    "temporary": spec_pb2.RESTART_TYPE_TEMPORARY,
}
STDIN_MODES: Final[dict[Stdin, spec_pb2.StdinMode]] = {
    "null": spec_pb2.STDIN_MODE_NULL,
    "pipe": spec_pb2.STDIN_MODE_PIPE,
}
CAPTURE_MODES: Final[dict[Capture, spec_pb2.CaptureMode]] = {
    "pipe": spec_pb2.CAPTURE_MODE_PIPE,
    "file": spec_pb2.CAPTURE_MODE_FILE,
    "pty": spec_pb2.CAPTURE_MODE_TERMINAL,
}
FULL_POLICIES: Final[dict[OnFull, spec_pb2.FullPolicy]] = {
    "pause": spec_pb2.FULL_POLICY_PAUSE,
    "stop": spec_pb2.FULL_POLICY_STOP,
    "drop_oldest": spec_pb2.FULL_POLICY_DROP_OLDEST,
}
_FULL_WORDS: Final = {number: word for word, number in FULL_POLICIES.items()}
_RESTART_WORDS: Final = {number: word for word, number in RESTART_TYPES.items()}
_STDIN_WORDS: Final = {number: word for word, number in STDIN_MODES.items()}
_CAPTURE_WORDS: Final = {number: word for word, number in CAPTURE_MODES.items()}


def restart_word(number: spec_pb2.RestartType, default: RestartType) -> RestartType:
    """The domain's word; the default for "not said" and for words of a newer API."""
    return _RESTART_WORDS.get(number, default)


def to_wire(spec: AgentSpec, *, text: bool = True) -> spec_pb2.AgentSpec:
    """A spec as a message; without `text` what is in `text_of` is left out."""
    limits, restart, stop = spec.limits, spec.restart, spec.stop
    message = spec_pb2.AgentSpec(
        name=spec.name,
        adapter=spec.adapter,
        labels=spec.labels,
        secret_environment=dict.fromkeys(spec.secret_names, ""),
        limits=spec_pb2.Limits(
            wall_time_s=limits.wall_time_s,
            idle_s=limits.idle_s,
            output_bytes=limits.output_bytes,
            memory_bytes=limits.memory_bytes,
            cpus=limits.cpus,
            processes=limits.processes,
            unsupervised_s=limits.unsupervised_s,
            spool_bytes=limits.spool_bytes,
            on_full=FULL_POLICIES[limits.on_full],
        ),
        restart=restart_to_wire(restart),
        stop=spec_pb2.StopPolicy(signal=format_signal(stop.signal).removeprefix("SIG"), grace_s=stop.grace_s),
        success_exit_codes=spec.success_exit_codes,
        stdin=STDIN_MODES[spec.stdin],
        capture=CAPTURE_MODES[spec.capture],
        merge_stderr=spec.merge_stderr,
        namespace=spec.namespace,
        priority=spec.priority,
        after=spec.after,
    )
    if spec.loop is not None:
        message.loop.CopyFrom(wire_goal.loop_to_wire(spec.loop, text=text))
    if spec.terminal is not None:
        message.terminal.rows = spec.terminal.rows
        message.terminal.columns = spec.terminal.columns
    if text:
        message.command.extend(spec.command)
        message.working_directory = spec.working_directory
        message.environment.update(spec.environment)
        message.goal = spec.goal
        if spec.workspace != Workspace():
            message.workspace.CopyFrom(wire_goal.workspace_to_wire(spec.workspace))
        if spec.guard != Guard():
            message.guard.CopyFrom(wire_goal.guard_to_wire(spec.guard))
    return message


def restart_to_wire(policy: RestartPolicy) -> spec_pb2.RestartPolicy:
    """A restart policy as a message."""
    backoff = policy.backoff
    return spec_pb2.RestartPolicy(
        type=RESTART_TYPES[policy.type],
        intensity=policy.intensity,
        period_s=policy.period_s,
        backoff_initial_s=backoff.base_s if backoff else 0,
        backoff_max_s=backoff.max_s if backoff else 0,
        healthy_after_s=backoff.healthy_after_s if backoff else 0,
        backoff_off=backoff is None,
    )


def from_wire(
    message: spec_pb2.AgentSpec, text: spec_pb2.AgentText | None = None, *, default_stdin: Stdin = "null"
) -> AgentSpec:
    """A spec from a message; defaults are filled in. `text` overrides the message's textual half."""
    limits, stop = message.limits, message.stop
    words = text if text is not None else message
    loop = words.loop if words.HasField("loop") else message.loop if message.HasField("loop") else None
    return AgentSpec(
        name=message.name,
        adapter=message.adapter or "command",
        command=tuple(words.command),
        working_directory=words.working_directory,
        environment=dict(words.environment),
        secret_names=tuple(sorted(message.secret_environment)),
        labels=dict(message.labels),
        limits=Limits(
            wall_time_s=limits.wall_time_s,
            idle_s=limits.idle_s,
            output_bytes=limits.output_bytes,
            memory_bytes=limits.memory_bytes,
            cpus=limits.cpus,
            processes=limits.processes,
            unsupervised_s=limits.unsupervised_s,
            spool_bytes=limits.spool_bytes,
            on_full=_FULL_WORDS.get(limits.on_full, "pause"),
        ),
        restart=restart_from_wire(message.restart, "temporary" if loop is None else "transient"),
        stop=StopPolicy(
            signal=_signal_number(stop.signal) if stop.signal else 15,
            grace_s=stop.grace_s if stop.HasField("grace_s") else 10,
        ),
        success_exit_codes=tuple(message.success_exit_codes),
        stdin=_STDIN_WORDS.get(message.stdin, default_stdin),
        capture=_CAPTURE_WORDS.get(message.capture, "pipe"),
        merge_stderr=message.merge_stderr,
        terminal=_terminal(message),
        goal=words.goal,
        loop=wire_goal.loop_from_wire(loop) if loop is not None else None,
        namespace=message.namespace or "default",
        priority=message.priority,
        after=tuple(message.after),
        workspace=wire_goal.workspace_from_wire(words.workspace),
        guard=wire_goal.guard_from_wire(words.guard),
    )


def _terminal(message: spec_pb2.AgentSpec) -> Terminal | None:
    if message.capture != spec_pb2.CAPTURE_MODE_TERMINAL:
        return None
    return Terminal(rows=message.terminal.rows or 24, columns=message.terminal.columns or 80)


def restart_from_wire(message: spec_pb2.RestartPolicy, default: RestartType = "temporary") -> RestartPolicy:
    """A restart policy with its defaults filled in; `default`: the type that is meant when none is said."""
    backoff = None
    if not message.backoff_off:
        base = message.backoff_initial_s or DEFAULT_BACKOFF.base_s
        backoff = Backoff(
            base_s=base,
            max_s=max(base, message.backoff_max_s or DEFAULT_BACKOFF.max_s),
            healthy_after_s=message.healthy_after_s or DEFAULT_BACKOFF.healthy_after_s,
        )
    said = message.type != spec_pb2.RESTART_TYPE_UNSPECIFIED or message.intensity or message.period_s
    return RestartPolicy(
        type=restart_word(message.type, default),
        intensity=message.intensity if said and message.intensity else 5,
        period_s=message.period_s or 60,
        backoff=backoff,
    )


def _signal_number(name: str) -> int:
    """Names are checked at the door; a number that has no name here stays what it is."""
    word = name.upper().removeprefix("SIG")
    if word.isdigit():
        return int(word)
    try:
        return int(signal.Signals[f"SIG{word}"])
    except KeyError:
        return 0


def text_of(spec: AgentSpec) -> spec_pb2.AgentText:
    """The textual half of a spec, for the body of its event."""
    return spec_pb2.AgentText(
        command=spec.command,
        working_directory=spec.working_directory,
        environment=spec.environment,
        goal=spec.goal,
        loop=wire_goal.loop_to_wire(spec.loop) if spec.loop is not None else None,
        workspace=wire_goal.workspace_to_wire(spec.workspace) if spec.workspace != Workspace() else None,
        guard=wire_goal.guard_to_wire(spec.guard) if spec.guard != Guard() else None,
    )
