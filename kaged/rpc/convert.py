"""Between domain and messages, both ways. What comes in is checked here; past it nobody checks again."""

from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import approval_service_pb2 as approvals_pb
from kaged.api.v1 import spec_pb2
from kaged.domain.errors import Invalid
from kaged.domain.goal_spec import GoalLoop
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.machines.approval import ApprovalState
from kaged.domain.machines.goal.state import GoalState
from kaged.domain.quantities import parse_signal
from kaged.domain.spec import AgentSpec, Violation
from kaged.ports import TreeUsage
from kaged.rpc import workspace_words
from kaged.store.reading.selection import FIRST_AGENT_ACTOR
from kaged.store.wire import wire_goal, wire_spec

STATES: Final[dict[str, agents_pb.AgentState]] = {
    "pending": agents_pb.AGENT_STATE_PENDING,
    "starting": agents_pb.AGENT_STATE_STARTING,
    "running": agents_pb.AGENT_STATE_RUNNING,
    "waiting": agents_pb.AGENT_STATE_WAITING,
    "paused": agents_pb.AGENT_STATE_PAUSED,
    "stopping": agents_pb.AGENT_STATE_STOPPING,
    "succeeded": agents_pb.AGENT_STATE_SUCCEEDED,
    "failed": agents_pb.AGENT_STATE_FAILED,
    "cancelled": agents_pb.AGENT_STATE_CANCELLED,
    "stopped": agents_pb.AGENT_STATE_STOPPED,
}
STATE_WORDS: Final = {number: word for word, number in STATES.items()}
ENDED: Final = frozenset(("succeeded", "failed", "cancelled"))
AT_REST: Final = ENDED | {"stopped"}  # nothing will run until somebody asks
PAGE_BYTES: Final = 2 << 20  # a page is full above this, so that gRPC's default of 4 MiB takes it
MAX_SPEC_BYTES: Final = 256 << 10
MAX_VARIABLE_BYTES: Final = 128 << 10  # MAX_ARG_STRLEN: execve refuses a longer word
MAX_NOTE_BYTES: Final = 4096
MAX_SECONDS: Final = 1e9
_APPROVAL_STATES: Final = {
    "open": approvals_pb.APPROVAL_STATE_OPEN,
    "approved": approvals_pb.APPROVAL_STATE_APPROVED,
    "denied": approvals_pb.APPROVAL_STATE_DENIED,
    "expired": approvals_pb.APPROVAL_STATE_EXPIRED,
    "withdrawn": approvals_pb.APPROVAL_STATE_WITHDRAWN,
}


def timestamp(microseconds: int) -> Timestamp:
    """A time on the wire."""
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


def microseconds(time: Timestamp) -> int:
    """A time from the wire."""
    return int(time.seconds) * 1_000_000 + time.nanos // 1000


def spec_in(message: spec_pb2.AgentSpec, path: str = "spec") -> tuple[AgentSpec, Mapping[str, str]]:
    """A spec and its secrets. Raises Invalid for what could not be kept; `violations` checks the rest."""
    wrong: list[Violation] = []
    if message.ByteSize() > MAX_SPEC_BYTES:
        wrong.append((path, f"has {message.ByteSize()} bytes; at most {MAX_SPEC_BYTES}"))
    for name in ("restart", "limits"):
        part = getattr(message, name)
        for field, value in part.ListFields():
            if isinstance(value, float) and not abs(value) <= MAX_SECONDS:
                wrong.append((f"{path}.{name}.{field.name}", f"must be at most {MAX_SECONDS:.0f}"))
            elif isinstance(value, float) and value < 0 and field.name != "unsupervised_s":
                wrong.append((f"{path}.{name}.{field.name}", "is negative"))
    if message.stop.signal:
        try:
            parse_signal(message.stop.signal, path=f"{path}.stop.signal")
        except Invalid as error:
            wrong += error.violations
    known = (
        ("stdin", message.stdin, spec_pb2.StdinMode.values()),
        ("capture", message.capture, spec_pb2.CaptureMode.values()),
        ("restart.type", message.restart.type, spec_pb2.RestartType.values()),
        ("limits.on_full", message.limits.on_full, spec_pb2.FullPolicy.values()),
        ("workspace.kind", message.workspace.kind, spec_pb2.WorkspaceKind.values()),
    )
    wrong += [(f"{path}.{field}", f"{value} is not known") for field, value, values in known if value not in values]
    if not 0 <= message.loop.limits.time_s <= MAX_SECONDS:
        wrong.append((f"{path}.loop.limits.time_s", f"must lie between 0 and {MAX_SECONDS:.0f}"))
    unknown = wire_goal.unknown_criteria(message.loop)
    wrong += [(f"{path}.loop.success[{at}]", "says nothing that this release knows") for at in unknown]
    words = (("environment", message.environment), ("secret_environment", message.secret_environment))
    for field, variables in (*words, ("goal", {"KAGE_GOAL": message.goal})):
        for name, value in variables.items():
            if len(name.encode()) + len(value.encode()) + 2 > MAX_VARIABLE_BYTES:
                wrong.append((f"{path}.{field}", f"{name[:64]!r} is longer than {MAX_VARIABLE_BYTES} bytes"))
    if both := sorted(set(message.environment) & set(message.secret_environment)):
        wrong.append((f"{path}.secret_environment", f"{', '.join(both[:8])} stands in environment too"))
    if wrong:
        raise Invalid(*wrong)
    return wire_spec.from_wire(message), dict(message.secret_environment)


def note_in(note: str) -> str:
    """Words for the record. Raises Invalid."""
    if len(note.encode()) > MAX_NOTE_BYTES:
        raise Invalid(("note", f"is longer than {MAX_NOTE_BYTES} bytes"))
    return note


def states_in(states: Iterable["agents_pb.AgentState"]) -> frozenset[str]:
    """States to wait for; none said: all in which nothing runs until somebody asks. Raises Invalid."""
    words = []
    for state in states:
        if state not in STATE_WORDS:
            raise Invalid(("states", f"{state} is not a state that this release knows"))
        words.append(STATE_WORDS[state])
    return frozenset(words) or AT_REST


def signal_in(name: str, field: str) -> int:
    """A signal by name or number; 0 for an empty text."""
    return parse_signal(name, path=field) if name else 0


def grace_in(message: agents_pb.StopAgentRequest | agents_pb.RestartAgentRequest) -> float | None:
    """Seconds, or None when not said. Raises Invalid."""
    if not message.HasField("grace_s"):
        return None
    if not 0 <= message.grace_s <= 86_400:
        raise Invalid(("grace_s", "must lie between 0 and 86400"))
    return message.grace_s


def request_id_in(request_id: str) -> str:
    """A request id. Raises Invalid when it could not be a key."""
    if len(request_id) > 128 or not (request_id.isprintable() or not request_id):
        raise Invalid(("request_id", "must be at most 128 printable characters"))
    return request_id


def agent(state: AgentState, as_of_seq: int, *, sizes: tuple[int, int] = (0, 0)) -> agents_pb.Agent:
    """An agent as a message. `sizes`: bytes recorded of its live run."""
    message = agents_pb.Agent(
        id=state.id,
        name=state.spec.name,
        state=STATES[state.word],
        waiting_for=_waiting_for(state),
        spec=wire_spec.to_wire(state.spec),
        secret_names=state.spec.secret_names,
        restarts=state.restarts,
        supervisor=state.supervisor,
        actor=FIRST_AGENT_ACTOR + state.number - 1,
        create_time=timestamp(state.created_us),
        update_time=timestamp(state.updated_us),
        as_of_seq=as_of_seq,
        open_approvals=state.approvals,
        flagged=state.flagged,
        usage=agents_pb.Usage(
            turns=state.usage.turns,
            input_tokens=state.usage.input_tokens,
            output_tokens=state.usage.output_tokens,
            cost_microusd=state.usage.cost_microusd,
            native_session=state.usage.native_session,
        ),
    )
    message.spec.ClearField("secret_environment")
    if state.loop is not None:
        message.progress.CopyFrom(progress(*state.loop))
    if state.workspace is not None:
        message.workspace.CopyFrom(workspace_words.place(state.workspace))
    if state.due_us:
        message.restart_due.CopyFrom(timestamp(state.due_us))
    if state.ended is not None:
        end = state.ended
        message.outcome.CopyFrom(
            agents_pb.Outcome(
                reason=end.reason, detail=end.note, exit_code=end.exit_code, signal=end.signal, limit=end.limit
            )
        )
    if state.run is not None:
        message.run.CopyFrom(run(state.run, sizes))
    return message


def progress(loop: GoalLoop, goal: GoalState) -> agents_pb.Progress:
    """How far the work on a goal has come, as a message."""
    message = agents_pb.Progress(
        iterations=goal.iterations,
        limits=wire_goal.limits_to_wire(goal.limits(loop)),
        phase=goal.phase,
        paused_for=goal.paused,
        limit=goal.limit,
        worked_s=goal.worked_us / 1e6,
        last_verdict=goal.why,
        plan_done=goal.plan_done,
        plan_items=goal.plan_items,
        files_changed=goal.files_changed,
        lines_added=goal.lines_added,
        lines_removed=goal.lines_removed,
        pause_wanted=goal.pause_wanted,
        last_action=goal.last_action,
        rule=goal.rule,
        failure=goal.failure,
        failure_detail=goal.failure_detail,
    )
    if goal.until_us:
        message.resume_time.CopyFrom(timestamp(goal.until_us))
    return message


def _waiting_for(state: AgentState) -> str:
    if state.phase == "backoff":
        return "backoff"
    if state.queued:
        return "after" if state.spec.after else "queue"
    if state.phase == "idle" and state.supervisor:
        return "supervisor"
    if state.goal is not None and state.goal.paused == "rate_limit" and not state.approvals:
        return "rate_limit" if state.word == "waiting" else ""
    return "approval" if state.word == "waiting" else ""


def run(run: Run, sizes: tuple[int, int]) -> agents_pb.Run:
    """A run as a message."""
    message = agents_pb.Run(
        id=run.id,
        attempt=run.attempt,
        phase="started" if run.phase == "executed" else run.phase,
        pid=run.pid,
        exit_code=-1,
        stdout_bytes=sizes[0],
        stderr_bytes=sizes[1],
        held_by=run.held_by,
        set_aside=run.set_aside,
    )
    if run.executed_us:
        message.start_time.CopyFrom(timestamp(run.executed_us))
    if run.end is not None:
        end = run.end
        message.end_time.CopyFrom(timestamp(end.ended_us))
        message.end_kind = end.kind
        message.exit_code = end.exit_code
        message.signal = end.signal
        message.stdout_bytes, message.stderr_bytes = end.stdout_bytes, end.stderr_bytes
        message.survivors = end.survivors
        message.cpu_s = end.cpu_us / 1e6
        message.max_rss_bytes = end.max_rss_bytes
    return message


def health(usage: TreeUsage, cpus: float, now_us: int, up_since_us: int, last_output_us: int) -> agents_pb.Health:
    """Samples as a message."""
    message = agents_pb.Health(
        cpus=cpus,
        rss_bytes=usage.rss_bytes,
        processes=usage.processes,
        sample_time=timestamp(now_us),
    )
    if up_since_us:
        message.up_since.CopyFrom(timestamp(up_since_us))
    if last_output_us:
        message.last_output.CopyFrom(timestamp(last_output_us))
    return message


def approval(state: ApprovalState) -> approvals_pb.Approval:
    """A question as a message."""
    message = approvals_pb.Approval(
        id=state.id,
        agent=state.agent,
        run=state.run,
        state=_APPROVAL_STATES[state.state],
        kind=state.kind,
        title=state.title,
        tool=state.tool,
        data_json=state.data_json,
        why=state.why,
        create_time=timestamp(state.asked_us),
        note=state.note,
        answered_by=state.answered_by,
        rule=state.rule,
    )
    if state.deadline_us:
        message.expire_time.CopyFrom(timestamp(state.deadline_us))
    if state.answered_us:
        message.answer_time.CopyFrom(timestamp(state.answered_us))
    return message
