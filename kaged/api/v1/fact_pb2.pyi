from kaged.api.v1 import spec_pb2 as _spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OutputChannel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_CHANNEL_UNSPECIFIED: _ClassVar[OutputChannel]
    OUTPUT_CHANNEL_STDOUT: _ClassVar[OutputChannel]
    OUTPUT_CHANNEL_STDERR: _ClassVar[OutputChannel]
OUTPUT_CHANNEL_UNSPECIFIED: OutputChannel
OUTPUT_CHANNEL_STDOUT: OutputChannel
OUTPUT_CHANNEL_STDERR: OutputChannel

class Fact(_message.Message):
    __slots__ = ("daemon_started", "daemon_stopped", "event_redacted", "daemon_request_noted", "daemon_reloaded", "daemon_stop_wanted", "agent_spawned", "agent_stop_wanted", "agent_restart_scheduled", "agent_signalled", "agent_ended", "agent_removed", "agent_resized", "agent_stopped", "run_wanted", "run_started", "run_executed", "run_ended", "run_read", "run_set_aside", "output_chunk", "output_truncated", "input_accepted", "output_dropped", "output_held", "output_released", "signal", "approval_requested", "approval_answered", "approval_withdrawn", "supervisor", "goal_judged", "goal_pause_wanted", "goal_paused", "goal_resumed", "guardrail_judged", "guardrail_rule_added", "guardrail_rule_removed", "workspace_wanted", "workspace_made", "workspace_failed", "workspace_snapshotted", "workspace_merged", "workspace_removed", "workspace_overlapped", "workspace_restored")
    DAEMON_STARTED_FIELD_NUMBER: _ClassVar[int]
    DAEMON_STOPPED_FIELD_NUMBER: _ClassVar[int]
    EVENT_REDACTED_FIELD_NUMBER: _ClassVar[int]
    DAEMON_REQUEST_NOTED_FIELD_NUMBER: _ClassVar[int]
    DAEMON_RELOADED_FIELD_NUMBER: _ClassVar[int]
    DAEMON_STOP_WANTED_FIELD_NUMBER: _ClassVar[int]
    AGENT_SPAWNED_FIELD_NUMBER: _ClassVar[int]
    AGENT_STOP_WANTED_FIELD_NUMBER: _ClassVar[int]
    AGENT_RESTART_SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    AGENT_SIGNALLED_FIELD_NUMBER: _ClassVar[int]
    AGENT_ENDED_FIELD_NUMBER: _ClassVar[int]
    AGENT_REMOVED_FIELD_NUMBER: _ClassVar[int]
    AGENT_RESIZED_FIELD_NUMBER: _ClassVar[int]
    AGENT_STOPPED_FIELD_NUMBER: _ClassVar[int]
    RUN_WANTED_FIELD_NUMBER: _ClassVar[int]
    RUN_STARTED_FIELD_NUMBER: _ClassVar[int]
    RUN_EXECUTED_FIELD_NUMBER: _ClassVar[int]
    RUN_ENDED_FIELD_NUMBER: _ClassVar[int]
    RUN_READ_FIELD_NUMBER: _ClassVar[int]
    RUN_SET_ASIDE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CHUNK_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    INPUT_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DROPPED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_HELD_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_RELEASED_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_ANSWERED_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    SUPERVISOR_FIELD_NUMBER: _ClassVar[int]
    GOAL_JUDGED_FIELD_NUMBER: _ClassVar[int]
    GOAL_PAUSE_WANTED_FIELD_NUMBER: _ClassVar[int]
    GOAL_PAUSED_FIELD_NUMBER: _ClassVar[int]
    GOAL_RESUMED_FIELD_NUMBER: _ClassVar[int]
    GUARDRAIL_JUDGED_FIELD_NUMBER: _ClassVar[int]
    GUARDRAIL_RULE_ADDED_FIELD_NUMBER: _ClassVar[int]
    GUARDRAIL_RULE_REMOVED_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_WANTED_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_MADE_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_FAILED_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_SNAPSHOTTED_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_MERGED_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_REMOVED_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_OVERLAPPED_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_RESTORED_FIELD_NUMBER: _ClassVar[int]
    daemon_started: DaemonStarted
    daemon_stopped: DaemonStopped
    event_redacted: EventRedacted
    daemon_request_noted: DaemonRequestNoted
    daemon_reloaded: DaemonReloaded
    daemon_stop_wanted: DaemonStopWanted
    agent_spawned: AgentSpawned
    agent_stop_wanted: AgentStopWanted
    agent_restart_scheduled: AgentRestartScheduled
    agent_signalled: AgentSignalled
    agent_ended: AgentEnded
    agent_removed: AgentRemoved
    agent_resized: AgentResized
    agent_stopped: AgentStopped
    run_wanted: RunWanted
    run_started: RunStarted
    run_executed: RunExecuted
    run_ended: RunEnded
    run_read: RunRead
    run_set_aside: RunSetAside
    output_chunk: OutputChunk
    output_truncated: OutputTruncated
    input_accepted: InputAccepted
    output_dropped: OutputDropped
    output_held: OutputHeld
    output_released: OutputReleased
    signal: SignalFact
    approval_requested: ApprovalRequested
    approval_answered: ApprovalAnswered
    approval_withdrawn: ApprovalWithdrawn
    supervisor: SupervisorFact
    goal_judged: GoalJudged
    goal_pause_wanted: GoalPauseWanted
    goal_paused: GoalPaused
    goal_resumed: GoalResumed
    guardrail_judged: GuardrailJudged
    guardrail_rule_added: GuardrailRuleAdded
    guardrail_rule_removed: GuardrailRuleRemoved
    workspace_wanted: WorkspaceWanted
    workspace_made: WorkspaceMade
    workspace_failed: WorkspaceFailed
    workspace_snapshotted: WorkspaceSnapshotted
    workspace_merged: WorkspaceMerged
    workspace_removed: WorkspaceRemoved
    workspace_overlapped: WorkspaceOverlapped
    workspace_restored: WorkspaceRestored
    def __init__(self, daemon_started: _Optional[_Union[DaemonStarted, _Mapping]] = ..., daemon_stopped: _Optional[_Union[DaemonStopped, _Mapping]] = ..., event_redacted: _Optional[_Union[EventRedacted, _Mapping]] = ..., daemon_request_noted: _Optional[_Union[DaemonRequestNoted, _Mapping]] = ..., daemon_reloaded: _Optional[_Union[DaemonReloaded, _Mapping]] = ..., daemon_stop_wanted: _Optional[_Union[DaemonStopWanted, _Mapping]] = ..., agent_spawned: _Optional[_Union[AgentSpawned, _Mapping]] = ..., agent_stop_wanted: _Optional[_Union[AgentStopWanted, _Mapping]] = ..., agent_restart_scheduled: _Optional[_Union[AgentRestartScheduled, _Mapping]] = ..., agent_signalled: _Optional[_Union[AgentSignalled, _Mapping]] = ..., agent_ended: _Optional[_Union[AgentEnded, _Mapping]] = ..., agent_removed: _Optional[_Union[AgentRemoved, _Mapping]] = ..., agent_resized: _Optional[_Union[AgentResized, _Mapping]] = ..., agent_stopped: _Optional[_Union[AgentStopped, _Mapping]] = ..., run_wanted: _Optional[_Union[RunWanted, _Mapping]] = ..., run_started: _Optional[_Union[RunStarted, _Mapping]] = ..., run_executed: _Optional[_Union[RunExecuted, _Mapping]] = ..., run_ended: _Optional[_Union[RunEnded, _Mapping]] = ..., run_read: _Optional[_Union[RunRead, _Mapping]] = ..., run_set_aside: _Optional[_Union[RunSetAside, _Mapping]] = ..., output_chunk: _Optional[_Union[OutputChunk, _Mapping]] = ..., output_truncated: _Optional[_Union[OutputTruncated, _Mapping]] = ..., input_accepted: _Optional[_Union[InputAccepted, _Mapping]] = ..., output_dropped: _Optional[_Union[OutputDropped, _Mapping]] = ..., output_held: _Optional[_Union[OutputHeld, _Mapping]] = ..., output_released: _Optional[_Union[OutputReleased, _Mapping]] = ..., signal: _Optional[_Union[SignalFact, _Mapping]] = ..., approval_requested: _Optional[_Union[ApprovalRequested, _Mapping]] = ..., approval_answered: _Optional[_Union[ApprovalAnswered, _Mapping]] = ..., approval_withdrawn: _Optional[_Union[ApprovalWithdrawn, _Mapping]] = ..., supervisor: _Optional[_Union[SupervisorFact, _Mapping]] = ..., goal_judged: _Optional[_Union[GoalJudged, _Mapping]] = ..., goal_pause_wanted: _Optional[_Union[GoalPauseWanted, _Mapping]] = ..., goal_paused: _Optional[_Union[GoalPaused, _Mapping]] = ..., goal_resumed: _Optional[_Union[GoalResumed, _Mapping]] = ..., guardrail_judged: _Optional[_Union[GuardrailJudged, _Mapping]] = ..., guardrail_rule_added: _Optional[_Union[GuardrailRuleAdded, _Mapping]] = ..., guardrail_rule_removed: _Optional[_Union[GuardrailRuleRemoved, _Mapping]] = ..., workspace_wanted: _Optional[_Union[WorkspaceWanted, _Mapping]] = ..., workspace_made: _Optional[_Union[WorkspaceMade, _Mapping]] = ..., workspace_failed: _Optional[_Union[WorkspaceFailed, _Mapping]] = ..., workspace_snapshotted: _Optional[_Union[WorkspaceSnapshotted, _Mapping]] = ..., workspace_merged: _Optional[_Union[WorkspaceMerged, _Mapping]] = ..., workspace_removed: _Optional[_Union[WorkspaceRemoved, _Mapping]] = ..., workspace_overlapped: _Optional[_Union[WorkspaceOverlapped, _Mapping]] = ..., workspace_restored: _Optional[_Union[WorkspaceRestored, _Mapping]] = ...) -> None: ...

class DaemonStarted(_message.Message):
    __slots__ = ("version", "pid", "boot_id", "adopted", "settled", "after_clean_stop")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    AFTER_CLEAN_STOP_FIELD_NUMBER: _ClassVar[int]
    version: str
    pid: int
    boot_id: str
    adopted: int
    settled: int
    after_clean_stop: bool
    def __init__(self, version: _Optional[str] = ..., pid: _Optional[int] = ..., boot_id: _Optional[str] = ..., adopted: _Optional[int] = ..., settled: _Optional[int] = ..., after_clean_stop: bool = ...) -> None: ...

class DaemonStopped(_message.Message):
    __slots__ = ("agents", "reason")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agents: str
    reason: str
    def __init__(self, agents: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DaemonRequestNoted(_message.Message):
    __slots__ = ("method",)
    METHOD_FIELD_NUMBER: _ClassVar[int]
    method: str
    def __init__(self, method: _Optional[str] = ...) -> None: ...

class DaemonReloaded(_message.Message):
    __slots__ = ("applied", "needs_restart")
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    NEEDS_RESTART_FIELD_NUMBER: _ClassVar[int]
    applied: _containers.RepeatedScalarFieldContainer[str]
    needs_restart: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, applied: _Optional[_Iterable[str]] = ..., needs_restart: _Optional[_Iterable[str]] = ...) -> None: ...

class DaemonStopWanted(_message.Message):
    __slots__ = ("agents", "timeout_s", "agents_kept", "agents_stopping")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    AGENTS_KEPT_FIELD_NUMBER: _ClassVar[int]
    AGENTS_STOPPING_FIELD_NUMBER: _ClassVar[int]
    agents: str
    timeout_s: float
    agents_kept: int
    agents_stopping: int
    def __init__(self, agents: _Optional[str] = ..., timeout_s: _Optional[float] = ..., agents_kept: _Optional[int] = ..., agents_stopping: _Optional[int] = ...) -> None: ...

class EventRedacted(_message.Message):
    __slots__ = ("first_seq", "last_seq", "bodies", "reason")
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    BODIES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    first_seq: int
    last_seq: int
    bodies: int
    reason: str
    def __init__(self, first_seq: _Optional[int] = ..., last_seq: _Optional[int] = ..., bodies: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class AgentSpawned(_message.Message):
    __slots__ = ("number", "spec", "supervisor", "queued")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SUPERVISOR_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    number: int
    spec: _spec_pb2.AgentSpec
    supervisor: str
    queued: bool
    def __init__(self, number: _Optional[int] = ..., spec: _Optional[_Union[_spec_pb2.AgentSpec, _Mapping]] = ..., supervisor: _Optional[str] = ..., queued: bool = ...) -> None: ...

class AgentStopWanted(_message.Message):
    __slots__ = ("cause", "limit", "signal", "grace_s", "run", "order", "offset", "length")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    GRACE_S_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    cause: str
    limit: str
    signal: int
    grace_s: float
    run: str
    order: int
    offset: int
    length: int
    def __init__(self, cause: _Optional[str] = ..., limit: _Optional[str] = ..., signal: _Optional[int] = ..., grace_s: _Optional[float] = ..., run: _Optional[str] = ..., order: _Optional[int] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class AgentRestartScheduled(_message.Message):
    __slots__ = ("due_us", "delay_us", "consecutive")
    DUE_US_FIELD_NUMBER: _ClassVar[int]
    DELAY_US_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_FIELD_NUMBER: _ClassVar[int]
    due_us: int
    delay_us: int
    consecutive: int
    def __init__(self, due_us: _Optional[int] = ..., delay_us: _Optional[int] = ..., consecutive: _Optional[int] = ...) -> None: ...

class AgentSignalled(_message.Message):
    __slots__ = ("run", "signal", "whole_tree", "order", "offset", "length")
    RUN_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    WHOLE_TREE_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    run: str
    signal: int
    whole_tree: bool
    order: int
    offset: int
    length: int
    def __init__(self, run: _Optional[str] = ..., signal: _Optional[int] = ..., whole_tree: bool = ..., order: _Optional[int] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class AgentEnded(_message.Message):
    __slots__ = ("outcome", "reason", "exit_code", "signal", "limit")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    reason: str
    exit_code: int
    signal: int
    limit: str
    def __init__(self, outcome: _Optional[str] = ..., reason: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., limit: _Optional[str] = ...) -> None: ...

class AgentRemoved(_message.Message):
    __slots__ = ("keep_workspace",)
    KEEP_WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    keep_workspace: bool
    def __init__(self, keep_workspace: bool = ...) -> None: ...

class AgentStopped(_message.Message):
    __slots__ = ("outcome", "reason", "exit_code", "signal")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    reason: str
    exit_code: int
    signal: int
    def __init__(self, outcome: _Optional[str] = ..., reason: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ...) -> None: ...

class AgentResized(_message.Message):
    __slots__ = ("run", "rows", "columns", "order", "offset", "length")
    RUN_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    run: str
    rows: int
    columns: int
    order: int
    offset: int
    length: int
    def __init__(self, run: _Optional[str] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ..., order: _Optional[int] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class RunWanted(_message.Message):
    __slots__ = ("run", "attempt", "cause", "ordinal")
    RUN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    run: str
    attempt: int
    cause: str
    ordinal: int
    def __init__(self, run: _Optional[str] = ..., attempt: _Optional[int] = ..., cause: _Optional[str] = ..., ordinal: _Optional[int] = ...) -> None: ...

class RunStarted(_message.Message):
    __slots__ = ("run", "shim_pid", "shim_start_ticks", "boot_id", "protocol")
    RUN_FIELD_NUMBER: _ClassVar[int]
    SHIM_PID_FIELD_NUMBER: _ClassVar[int]
    SHIM_START_TICKS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    run: str
    shim_pid: int
    shim_start_ticks: int
    boot_id: str
    protocol: int
    def __init__(self, run: _Optional[str] = ..., shim_pid: _Optional[int] = ..., shim_start_ticks: _Optional[int] = ..., boot_id: _Optional[str] = ..., protocol: _Optional[int] = ...) -> None: ...

class RunExecuted(_message.Message):
    __slots__ = ("run", "pid", "start_ticks", "session", "at_us")
    RUN_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    run: str
    pid: int
    start_ticks: int
    session: int
    at_us: int
    def __init__(self, run: _Optional[str] = ..., pid: _Optional[int] = ..., start_ticks: _Optional[int] = ..., session: _Optional[int] = ..., at_us: _Optional[int] = ...) -> None: ...

class RunEnded(_message.Message):
    __slots__ = ("run", "kind", "exit_code", "signal", "core_dumped", "how", "ended_us", "boot_id", "cpu_us", "max_rss_bytes", "stdout_bytes", "stderr_bytes", "stopped_by", "survivors", "errno")
    RUN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    CORE_DUMPED_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    ENDED_US_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    CPU_US_FIELD_NUMBER: _ClassVar[int]
    MAX_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDOUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDERR_BYTES_FIELD_NUMBER: _ClassVar[int]
    STOPPED_BY_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    ERRNO_FIELD_NUMBER: _ClassVar[int]
    run: str
    kind: str
    exit_code: int
    signal: int
    core_dumped: bool
    how: str
    ended_us: int
    boot_id: str
    cpu_us: int
    max_rss_bytes: int
    stdout_bytes: int
    stderr_bytes: int
    stopped_by: str
    survivors: int
    errno: int
    def __init__(self, run: _Optional[str] = ..., kind: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., core_dumped: bool = ..., how: _Optional[str] = ..., ended_us: _Optional[int] = ..., boot_id: _Optional[str] = ..., cpu_us: _Optional[int] = ..., max_rss_bytes: _Optional[int] = ..., stdout_bytes: _Optional[int] = ..., stderr_bytes: _Optional[int] = ..., stopped_by: _Optional[str] = ..., survivors: _Optional[int] = ..., errno: _Optional[int] = ...) -> None: ...

class RunRead(_message.Message):
    __slots__ = ("run", "stdout_parsed", "stderr_parsed", "adapter_state")
    RUN_FIELD_NUMBER: _ClassVar[int]
    STDOUT_PARSED_FIELD_NUMBER: _ClassVar[int]
    STDERR_PARSED_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_STATE_FIELD_NUMBER: _ClassVar[int]
    run: str
    stdout_parsed: int
    stderr_parsed: int
    adapter_state: bytes
    def __init__(self, run: _Optional[str] = ..., stdout_parsed: _Optional[int] = ..., stderr_parsed: _Optional[int] = ..., adapter_state: _Optional[bytes] = ...) -> None: ...

class OutputChunk(_message.Message):
    __slots__ = ("run", "channel", "offset", "length", "stdout_end", "stderr_end", "masks")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    STDOUT_END_FIELD_NUMBER: _ClassVar[int]
    STDERR_END_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    run: str
    channel: OutputChannel
    offset: int
    length: int
    stdout_end: int
    stderr_end: int
    masks: _containers.RepeatedCompositeFieldContainer[Mask]
    def __init__(self, run: _Optional[str] = ..., channel: _Optional[_Union[OutputChannel, str]] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ..., stdout_end: _Optional[int] = ..., stderr_end: _Optional[int] = ..., masks: _Optional[_Iterable[_Union[Mask, _Mapping]]] = ...) -> None: ...

class Mask(_message.Message):
    __slots__ = ("offset", "length", "rule")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    offset: int
    length: int
    rule: str
    def __init__(self, offset: _Optional[int] = ..., length: _Optional[int] = ..., rule: _Optional[str] = ...) -> None: ...

class OutputTruncated(_message.Message):
    __slots__ = ("run", "channel", "expected", "found", "stdout_end", "stderr_end")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    STDOUT_END_FIELD_NUMBER: _ClassVar[int]
    STDERR_END_FIELD_NUMBER: _ClassVar[int]
    run: str
    channel: OutputChannel
    expected: int
    found: int
    stdout_end: int
    stderr_end: int
    def __init__(self, run: _Optional[str] = ..., channel: _Optional[_Union[OutputChannel, str]] = ..., expected: _Optional[int] = ..., found: _Optional[int] = ..., stdout_end: _Optional[int] = ..., stderr_end: _Optional[int] = ...) -> None: ...

class OutputDropped(_message.Message):
    __slots__ = ("run", "channel", "start", "end", "stdout_end", "stderr_end", "limit")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    STDOUT_END_FIELD_NUMBER: _ClassVar[int]
    STDERR_END_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    run: str
    channel: OutputChannel
    start: int
    end: int
    stdout_end: int
    stderr_end: int
    limit: str
    def __init__(self, run: _Optional[str] = ..., channel: _Optional[_Union[OutputChannel, str]] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., stdout_end: _Optional[int] = ..., stderr_end: _Optional[int] = ..., limit: _Optional[str] = ...) -> None: ...

class OutputHeld(_message.Message):
    __slots__ = ("run", "number", "limit", "waiting_bytes", "limit_bytes", "since_us")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WAITING_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    run: str
    number: int
    limit: str
    waiting_bytes: int
    limit_bytes: int
    since_us: int
    def __init__(self, run: _Optional[str] = ..., number: _Optional[int] = ..., limit: _Optional[str] = ..., waiting_bytes: _Optional[int] = ..., limit_bytes: _Optional[int] = ..., since_us: _Optional[int] = ...) -> None: ...

class OutputReleased(_message.Message):
    __slots__ = ("run", "number", "held_us")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    HELD_US_FIELD_NUMBER: _ClassVar[int]
    run: str
    number: int
    held_us: int
    def __init__(self, run: _Optional[str] = ..., number: _Optional[int] = ..., held_us: _Optional[int] = ...) -> None: ...

class RunSetAside(_message.Message):
    __slots__ = ("run", "protocol", "spoken")
    RUN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SPOKEN_FIELD_NUMBER: _ClassVar[int]
    run: str
    protocol: int
    spoken: int
    def __init__(self, run: _Optional[str] = ..., protocol: _Optional[int] = ..., spoken: _Optional[int] = ...) -> None: ...

class InputAccepted(_message.Message):
    __slots__ = ("run", "offset", "length", "eof")
    RUN_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    EOF_FIELD_NUMBER: _ClassVar[int]
    run: str
    offset: int
    length: int
    eof: bool
    def __init__(self, run: _Optional[str] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ..., eof: bool = ...) -> None: ...

class SignalFact(_message.Message):
    __slots__ = ("run", "turn", "call", "outcome", "input_tokens", "output_tokens", "cost_microusd", "native_session", "resets_us", "parent", "plan_done", "plan_items", "failure")
    RUN_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    NATIVE_SESSION_FIELD_NUMBER: _ClassVar[int]
    RESETS_US_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PLAN_DONE_FIELD_NUMBER: _ClassVar[int]
    PLAN_ITEMS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    run: str
    turn: int
    call: str
    outcome: str
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    native_session: str
    resets_us: int
    parent: str
    plan_done: int
    plan_items: int
    failure: str
    def __init__(self, run: _Optional[str] = ..., turn: _Optional[int] = ..., call: _Optional[str] = ..., outcome: _Optional[str] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cost_microusd: _Optional[int] = ..., native_session: _Optional[str] = ..., resets_us: _Optional[int] = ..., parent: _Optional[str] = ..., plan_done: _Optional[int] = ..., plan_items: _Optional[int] = ..., failure: _Optional[str] = ...) -> None: ...

class ApprovalRequested(_message.Message):
    __slots__ = ("approval", "run", "key", "kind", "deadline_us", "rule")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_US_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    approval: str
    run: str
    key: str
    kind: str
    deadline_us: int
    rule: str
    def __init__(self, approval: _Optional[str] = ..., run: _Optional[str] = ..., key: _Optional[str] = ..., kind: _Optional[str] = ..., deadline_us: _Optional[int] = ..., rule: _Optional[str] = ...) -> None: ...

class GuardrailJudged(_message.Message):
    __slots__ = ("run", "key", "call", "verdict", "rule", "after")
    RUN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    run: str
    key: str
    call: str
    verdict: str
    rule: str
    after: bool
    def __init__(self, run: _Optional[str] = ..., key: _Optional[str] = ..., call: _Optional[str] = ..., verdict: _Optional[str] = ..., rule: _Optional[str] = ..., after: bool = ...) -> None: ...

class GuardrailRuleAdded(_message.Message):
    __slots__ = ("rule", "verdict", "tool", "path", "command", "scope", "owner", "expires_us", "approval")
    RULE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_US_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    rule: str
    verdict: str
    tool: str
    path: str
    command: str
    scope: str
    owner: str
    expires_us: int
    approval: str
    def __init__(self, rule: _Optional[str] = ..., verdict: _Optional[str] = ..., tool: _Optional[str] = ..., path: _Optional[str] = ..., command: _Optional[str] = ..., scope: _Optional[str] = ..., owner: _Optional[str] = ..., expires_us: _Optional[int] = ..., approval: _Optional[str] = ...) -> None: ...

class GuardrailRuleRemoved(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    def __init__(self, rule: _Optional[str] = ...) -> None: ...

class ApprovalAnswered(_message.Message):
    __slots__ = ("approval", "outcome", "run")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    approval: str
    outcome: str
    run: str
    def __init__(self, approval: _Optional[str] = ..., outcome: _Optional[str] = ..., run: _Optional[str] = ...) -> None: ...

class ApprovalWithdrawn(_message.Message):
    __slots__ = ("approval", "cause")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    approval: str
    cause: str
    def __init__(self, approval: _Optional[str] = ..., cause: _Optional[str] = ...) -> None: ...

class SupervisorFact(_message.Message):
    __slots__ = ("tree", "path", "at_us", "data_json")
    TREE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    tree: str
    path: str
    at_us: int
    data_json: str
    def __init__(self, tree: _Optional[str] = ..., path: _Optional[str] = ..., at_us: _Optional[int] = ..., data_json: _Optional[str] = ...) -> None: ...

class GoalJudged(_message.Message):
    __slots__ = ("iteration", "verdict", "why", "checks", "turn_failed", "said", "files", "ended_us", "files_changed", "lines_added", "lines_removed", "tried")
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    TURN_FAILED_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    ENDED_US_FIELD_NUMBER: _ClassVar[int]
    FILES_CHANGED_FIELD_NUMBER: _ClassVar[int]
    LINES_ADDED_FIELD_NUMBER: _ClassVar[int]
    LINES_REMOVED_FIELD_NUMBER: _ClassVar[int]
    TRIED_FIELD_NUMBER: _ClassVar[int]
    iteration: int
    verdict: str
    why: str
    checks: _containers.RepeatedCompositeFieldContainer[CheckResult]
    turn_failed: bool
    said: str
    files: str
    ended_us: int
    files_changed: int
    lines_added: int
    lines_removed: int
    tried: str
    def __init__(self, iteration: _Optional[int] = ..., verdict: _Optional[str] = ..., why: _Optional[str] = ..., checks: _Optional[_Iterable[_Union[CheckResult, _Mapping]]] = ..., turn_failed: bool = ..., said: _Optional[str] = ..., files: _Optional[str] = ..., ended_us: _Optional[int] = ..., files_changed: _Optional[int] = ..., lines_added: _Optional[int] = ..., lines_removed: _Optional[int] = ..., tried: _Optional[str] = ...) -> None: ...

class CheckResult(_message.Message):
    __slots__ = ("passed", "exit_code", "took_us", "timed_out")
    PASSED_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    TOOK_US_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    passed: bool
    exit_code: int
    took_us: int
    timed_out: bool
    def __init__(self, passed: bool = ..., exit_code: _Optional[int] = ..., took_us: _Optional[int] = ..., timed_out: bool = ...) -> None: ...

class GoalPauseWanted(_message.Message):
    __slots__ = ("now", "sent", "rule")
    NOW_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    now: bool
    sent: bool
    rule: str
    def __init__(self, now: bool = ..., sent: bool = ..., rule: _Optional[str] = ...) -> None: ...

class GoalPaused(_message.Message):
    __slots__ = ("cause", "limit", "until_us", "rule", "failure")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    cause: str
    limit: str
    until_us: int
    rule: str
    failure: str
    def __init__(self, cause: _Optional[str] = ..., limit: _Optional[str] = ..., until_us: _Optional[int] = ..., rule: _Optional[str] = ..., failure: _Optional[str] = ...) -> None: ...

class GoalResumed(_message.Message):
    __slots__ = ("add_iterations", "add_tokens", "add_cost_microusd", "add_time_us")
    ADD_ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    ADD_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ADD_COST_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    ADD_TIME_US_FIELD_NUMBER: _ClassVar[int]
    add_iterations: int
    add_tokens: int
    add_cost_microusd: int
    add_time_us: int
    def __init__(self, add_iterations: _Optional[int] = ..., add_tokens: _Optional[int] = ..., add_cost_microusd: _Optional[int] = ..., add_time_us: _Optional[int] = ...) -> None: ...

class WorkspaceWanted(_message.Message):
    __slots__ = ("kind", "path", "cwd", "repository", "git_dir", "branch", "base", "base_commit", "start_commit", "fresh")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    GIT_DIR_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    START_COMMIT_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    kind: str
    path: str
    cwd: str
    repository: str
    git_dir: str
    branch: str
    base: str
    base_commit: str
    start_commit: str
    fresh: bool
    def __init__(self, kind: _Optional[str] = ..., path: _Optional[str] = ..., cwd: _Optional[str] = ..., repository: _Optional[str] = ..., git_dir: _Optional[str] = ..., branch: _Optional[str] = ..., base: _Optional[str] = ..., base_commit: _Optional[str] = ..., start_commit: _Optional[str] = ..., fresh: bool = ...) -> None: ...

class WorkspaceMade(_message.Message):
    __slots__ = ("copied",)
    COPIED_FIELD_NUMBER: _ClassVar[int]
    copied: int
    def __init__(self, copied: _Optional[int] = ...) -> None: ...

class WorkspaceFailed(_message.Message):
    __slots__ = ("run", "failure")
    RUN_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    run: str
    failure: str
    def __init__(self, run: _Optional[str] = ..., failure: _Optional[str] = ...) -> None: ...

class WorkspaceSnapshotted(_message.Message):
    __slots__ = ("repository", "ref", "number", "commit", "tree", "files", "turn", "native_session")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    NATIVE_SESSION_FIELD_NUMBER: _ClassVar[int]
    repository: str
    ref: str
    number: int
    commit: str
    tree: str
    files: int
    turn: int
    native_session: str
    def __init__(self, repository: _Optional[str] = ..., ref: _Optional[str] = ..., number: _Optional[int] = ..., commit: _Optional[str] = ..., tree: _Optional[str] = ..., files: _Optional[int] = ..., turn: _Optional[int] = ..., native_session: _Optional[str] = ...) -> None: ...

class WorkspaceMerged(_message.Message):
    __slots__ = ("kind", "into", "before", "commit", "uncommitted")
    KIND_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    UNCOMMITTED_FIELD_NUMBER: _ClassVar[int]
    kind: str
    into: str
    before: str
    commit: str
    uncommitted: int
    def __init__(self, kind: _Optional[str] = ..., into: _Optional[str] = ..., before: _Optional[str] = ..., commit: _Optional[str] = ..., uncommitted: _Optional[int] = ...) -> None: ...

class WorkspaceOverlapped(_message.Message):
    __slots__ = ("other", "files")
    OTHER_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    other: str
    files: int
    def __init__(self, other: _Optional[str] = ..., files: _Optional[int] = ...) -> None: ...

class WorkspaceRestored(_message.Message):
    __slots__ = ("number", "ref", "commit", "files", "turn", "kept")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    number: int
    ref: str
    commit: str
    files: int
    turn: int
    kept: str
    def __init__(self, number: _Optional[int] = ..., ref: _Optional[str] = ..., commit: _Optional[str] = ..., files: _Optional[int] = ..., turn: _Optional[int] = ..., kept: _Optional[str] = ...) -> None: ...

class WorkspaceRemoved(_message.Message):
    __slots__ = ("kept_branch",)
    KEPT_BRANCH_FIELD_NUMBER: _ClassVar[int]
    kept_branch: str
    def __init__(self, kept_branch: _Optional[str] = ...) -> None: ...
