import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kaged.api.v1 import fact_pb2 as _fact_pb2
from kaged.api.v1 import goal_pb2 as _goal_pb2
from kaged.api.v1 import spec_pb2 as _spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGENT_STATE_UNSPECIFIED: _ClassVar[AgentState]
    AGENT_STATE_PENDING: _ClassVar[AgentState]
    AGENT_STATE_STARTING: _ClassVar[AgentState]
    AGENT_STATE_RUNNING: _ClassVar[AgentState]
    AGENT_STATE_WAITING: _ClassVar[AgentState]
    AGENT_STATE_PAUSED: _ClassVar[AgentState]
    AGENT_STATE_STOPPING: _ClassVar[AgentState]
    AGENT_STATE_SUCCEEDED: _ClassVar[AgentState]
    AGENT_STATE_FAILED: _ClassVar[AgentState]
    AGENT_STATE_CANCELLED: _ClassVar[AgentState]
    AGENT_STATE_STOPPED: _ClassVar[AgentState]
AGENT_STATE_UNSPECIFIED: AgentState
AGENT_STATE_PENDING: AgentState
AGENT_STATE_STARTING: AgentState
AGENT_STATE_RUNNING: AgentState
AGENT_STATE_WAITING: AgentState
AGENT_STATE_PAUSED: AgentState
AGENT_STATE_STOPPING: AgentState
AGENT_STATE_SUCCEEDED: AgentState
AGENT_STATE_FAILED: AgentState
AGENT_STATE_CANCELLED: AgentState
AGENT_STATE_STOPPED: AgentState

class Agent(_message.Message):
    __slots__ = ("id", "name", "state", "waiting_for", "spec", "secret_names", "outcome", "run", "restarts", "restart_due", "supervisor", "actor", "create_time", "update_time", "as_of_seq", "open_approvals", "usage", "health", "progress", "workspace", "flagged")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SECRET_NAMES_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    RESTART_DUE_FIELD_NUMBER: _ClassVar[int]
    SUPERVISOR_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    AS_OF_SEQ_FIELD_NUMBER: _ClassVar[int]
    OPEN_APPROVALS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    FLAGGED_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    state: AgentState
    waiting_for: str
    spec: _spec_pb2.AgentSpec
    secret_names: _containers.RepeatedScalarFieldContainer[str]
    outcome: Outcome
    run: Run
    restarts: int
    restart_due: _timestamp_pb2.Timestamp
    supervisor: str
    actor: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    as_of_seq: int
    open_approvals: _containers.RepeatedScalarFieldContainer[str]
    usage: Usage
    health: Health
    progress: Progress
    workspace: AgentWorkspace
    flagged: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[AgentState, str]] = ..., waiting_for: _Optional[str] = ..., spec: _Optional[_Union[_spec_pb2.AgentSpec, _Mapping]] = ..., secret_names: _Optional[_Iterable[str]] = ..., outcome: _Optional[_Union[Outcome, _Mapping]] = ..., run: _Optional[_Union[Run, _Mapping]] = ..., restarts: _Optional[int] = ..., restart_due: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., supervisor: _Optional[str] = ..., actor: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., as_of_seq: _Optional[int] = ..., open_approvals: _Optional[_Iterable[str]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., health: _Optional[_Union[Health, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., workspace: _Optional[_Union[AgentWorkspace, _Mapping]] = ..., flagged: _Optional[str] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("iterations", "limits", "phase", "paused_for", "limit", "resume_time", "worked_s", "last_verdict", "plan_done", "plan_items", "files_changed", "lines_added", "lines_removed", "pause_wanted", "last_action", "rule", "failure", "failure_detail")
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TIME_FIELD_NUMBER: _ClassVar[int]
    WORKED_S_FIELD_NUMBER: _ClassVar[int]
    LAST_VERDICT_FIELD_NUMBER: _ClassVar[int]
    PLAN_DONE_FIELD_NUMBER: _ClassVar[int]
    PLAN_ITEMS_FIELD_NUMBER: _ClassVar[int]
    FILES_CHANGED_FIELD_NUMBER: _ClassVar[int]
    LINES_ADDED_FIELD_NUMBER: _ClassVar[int]
    LINES_REMOVED_FIELD_NUMBER: _ClassVar[int]
    PAUSE_WANTED_FIELD_NUMBER: _ClassVar[int]
    LAST_ACTION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_DETAIL_FIELD_NUMBER: _ClassVar[int]
    iterations: int
    limits: _goal_pb2.GoalLimits
    phase: str
    paused_for: str
    limit: str
    resume_time: _timestamp_pb2.Timestamp
    worked_s: float
    last_verdict: str
    plan_done: int
    plan_items: int
    files_changed: int
    lines_added: int
    lines_removed: int
    pause_wanted: bool
    last_action: str
    rule: str
    failure: str
    failure_detail: str
    def __init__(self, iterations: _Optional[int] = ..., limits: _Optional[_Union[_goal_pb2.GoalLimits, _Mapping]] = ..., phase: _Optional[str] = ..., paused_for: _Optional[str] = ..., limit: _Optional[str] = ..., resume_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., worked_s: _Optional[float] = ..., last_verdict: _Optional[str] = ..., plan_done: _Optional[int] = ..., plan_items: _Optional[int] = ..., files_changed: _Optional[int] = ..., lines_added: _Optional[int] = ..., lines_removed: _Optional[int] = ..., pause_wanted: bool = ..., last_action: _Optional[str] = ..., rule: _Optional[str] = ..., failure: _Optional[str] = ..., failure_detail: _Optional[str] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("reason", "detail", "exit_code", "signal", "limit")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    detail: str
    exit_code: int
    signal: int
    limit: str
    def __init__(self, reason: _Optional[str] = ..., detail: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., limit: _Optional[str] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("id", "attempt", "phase", "pid", "start_time", "end_time", "end_kind", "exit_code", "signal", "stdout_bytes", "stderr_bytes", "survivors", "cpu_s", "max_rss_bytes", "held_by", "set_aside")
    ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    END_KIND_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STDOUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDERR_BYTES_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    CPU_S_FIELD_NUMBER: _ClassVar[int]
    MAX_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    HELD_BY_FIELD_NUMBER: _ClassVar[int]
    SET_ASIDE_FIELD_NUMBER: _ClassVar[int]
    id: str
    attempt: int
    phase: str
    pid: int
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    end_kind: str
    exit_code: int
    signal: int
    stdout_bytes: int
    stderr_bytes: int
    survivors: int
    cpu_s: float
    max_rss_bytes: int
    held_by: str
    set_aside: bool
    def __init__(self, id: _Optional[str] = ..., attempt: _Optional[int] = ..., phase: _Optional[str] = ..., pid: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_kind: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., stdout_bytes: _Optional[int] = ..., stderr_bytes: _Optional[int] = ..., survivors: _Optional[int] = ..., cpu_s: _Optional[float] = ..., max_rss_bytes: _Optional[int] = ..., held_by: _Optional[str] = ..., set_aside: bool = ...) -> None: ...

class AgentWorkspace(_message.Message):
    __slots__ = ("kind", "phase", "path", "working_directory", "repository", "branch", "base", "base_commit", "snapshot", "snapshot_repository", "merged_into")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    MERGED_INTO_FIELD_NUMBER: _ClassVar[int]
    kind: str
    phase: str
    path: str
    working_directory: str
    repository: str
    branch: str
    base: str
    base_commit: str
    snapshot: str
    snapshot_repository: str
    merged_into: str
    def __init__(self, kind: _Optional[str] = ..., phase: _Optional[str] = ..., path: _Optional[str] = ..., working_directory: _Optional[str] = ..., repository: _Optional[str] = ..., branch: _Optional[str] = ..., base: _Optional[str] = ..., base_commit: _Optional[str] = ..., snapshot: _Optional[str] = ..., snapshot_repository: _Optional[str] = ..., merged_into: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("turns", "input_tokens", "output_tokens", "cost_microusd", "native_session")
    TURNS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    NATIVE_SESSION_FIELD_NUMBER: _ClassVar[int]
    turns: int
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    native_session: str
    def __init__(self, turns: _Optional[int] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cost_microusd: _Optional[int] = ..., native_session: _Optional[str] = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ("cpus", "rss_bytes", "processes", "up_since", "last_output", "sample_time")
    CPUS_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    UP_SINCE_FIELD_NUMBER: _ClassVar[int]
    LAST_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_TIME_FIELD_NUMBER: _ClassVar[int]
    cpus: float
    rss_bytes: int
    processes: int
    up_since: _timestamp_pb2.Timestamp
    last_output: _timestamp_pb2.Timestamp
    sample_time: _timestamp_pb2.Timestamp
    def __init__(self, cpus: _Optional[float] = ..., rss_bytes: _Optional[int] = ..., processes: _Optional[int] = ..., up_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_output: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sample_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SpawnAgentRequest(_message.Message):
    __slots__ = ("spec", "request_id", "validate_only")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    spec: _spec_pb2.AgentSpec
    request_id: str
    validate_only: bool
    def __init__(self, spec: _Optional[_Union[_spec_pb2.AgentSpec, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class SpawnAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class GetAgentRequest(_message.Message):
    __slots__ = ("agent", "at_seq", "at_time", "read_mask")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    AT_SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_TIME_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    agent: str
    at_seq: int
    at_time: _timestamp_pb2.Timestamp
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, agent: _Optional[str] = ..., at_seq: _Optional[int] = ..., at_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class GetAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class ListAgentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter", "show_ended", "at_seq", "read_mask")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SHOW_ENDED_FIELD_NUMBER: _ClassVar[int]
    AT_SEQ_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter: str
    show_ended: bool
    at_seq: int
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ..., show_ended: bool = ..., at_seq: _Optional[int] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListAgentsResponse(_message.Message):
    __slots__ = ("agents", "next_page_token", "as_of_seq")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AS_OF_SEQ_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[Agent]
    next_page_token: str
    as_of_seq: int
    def __init__(self, agents: _Optional[_Iterable[_Union[Agent, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., as_of_seq: _Optional[int] = ...) -> None: ...

class WatchAgentsRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: str
    def __init__(self, filter: _Optional[str] = ...) -> None: ...

class WatchAgentsResponse(_message.Message):
    __slots__ = ("agent", "gone", "caught_up_seq")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_SEQ_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    gone: str
    caught_up_seq: int
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ..., gone: _Optional[str] = ..., caught_up_seq: _Optional[int] = ...) -> None: ...

class StopAgentRequest(_message.Message):
    __slots__ = ("agent", "request_id", "grace_s", "signal", "note")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_S_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    grace_s: float
    signal: str
    note: str
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., grace_s: _Optional[float] = ..., signal: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class StopAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class SignalAgentRequest(_message.Message):
    __slots__ = ("agent", "request_id", "signal", "whole_tree")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    WHOLE_TREE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    signal: str
    whole_tree: bool
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., signal: _Optional[str] = ..., whole_tree: bool = ...) -> None: ...

class SignalAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class RestartAgentRequest(_message.Message):
    __slots__ = ("agent", "request_id", "grace_s")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_S_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    grace_s: float
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., grace_s: _Optional[float] = ...) -> None: ...

class RestartAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class RemoveAgentRequest(_message.Message):
    __slots__ = ("agent", "request_id", "keep_workspace")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    keep_workspace: bool
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., keep_workspace: bool = ...) -> None: ...

class RemoveAgentResponse(_message.Message):
    __slots__ = ("agent", "workspace")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    workspace: RemovedWorkspace
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ..., workspace: _Optional[_Union[RemovedWorkspace, _Mapping]] = ...) -> None: ...

class RemovedWorkspace(_message.Message):
    __slots__ = ("path", "snapshot", "repository", "kept_branch", "note")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    KEPT_BRANCH_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    path: str
    snapshot: str
    repository: str
    kept_branch: str
    note: str
    def __init__(self, path: _Optional[str] = ..., snapshot: _Optional[str] = ..., repository: _Optional[str] = ..., kept_branch: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class SendInputRequest(_message.Message):
    __slots__ = ("agent", "request_id", "data", "eof", "message")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EOF_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    data: bytes
    eof: bool
    message: str
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., data: _Optional[bytes] = ..., eof: bool = ..., message: _Optional[str] = ...) -> None: ...

class SendInputResponse(_message.Message):
    __slots__ = ("offset", "seq")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    offset: int
    seq: int
    def __init__(self, offset: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class ResizeTerminalRequest(_message.Message):
    __slots__ = ("agent", "request_id", "size")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    size: _spec_pb2.TerminalSize
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., size: _Optional[_Union[_spec_pb2.TerminalSize, _Mapping]] = ...) -> None: ...

class ResizeTerminalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StreamLogsRequest(_message.Message):
    __slots__ = ("agent", "run", "channel", "from_offset", "tail_lines", "follow", "raw", "after_seq", "skip_lines")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    SKIP_LINES_FIELD_NUMBER: _ClassVar[int]
    agent: str
    run: str
    channel: _fact_pb2.OutputChannel
    from_offset: int
    tail_lines: int
    follow: bool
    raw: bool
    after_seq: int
    skip_lines: int
    def __init__(self, agent: _Optional[str] = ..., run: _Optional[str] = ..., channel: _Optional[_Union[_fact_pb2.OutputChannel, str]] = ..., from_offset: _Optional[int] = ..., tail_lines: _Optional[int] = ..., follow: bool = ..., raw: bool = ..., after_seq: _Optional[int] = ..., skip_lines: _Optional[int] = ...) -> None: ...

class StreamLogsResponse(_message.Message):
    __slots__ = ("lines", "after_seq", "skip_lines")
    LINES_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    SKIP_LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[LogLine]
    after_seq: int
    skip_lines: int
    def __init__(self, lines: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ..., after_seq: _Optional[int] = ..., skip_lines: _Optional[int] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("run", "channel", "data", "offset", "time", "partial", "seq")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    run: str
    channel: _fact_pb2.OutputChannel
    data: bytes
    offset: int
    time: _timestamp_pb2.Timestamp
    partial: bool
    seq: int
    def __init__(self, run: _Optional[str] = ..., channel: _Optional[_Union[_fact_pb2.OutputChannel, str]] = ..., data: _Optional[bytes] = ..., offset: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., partial: bool = ..., seq: _Optional[int] = ...) -> None: ...

class WaitAgentRequest(_message.Message):
    __slots__ = ("agent", "states")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    agent: str
    states: _containers.RepeatedScalarFieldContainer[AgentState]
    def __init__(self, agent: _Optional[str] = ..., states: _Optional[_Iterable[_Union[AgentState, str]]] = ...) -> None: ...

class WaitAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class PauseAgentRequest(_message.Message):
    __slots__ = ("agent", "request_id", "now", "note")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    now: bool
    note: str
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., now: bool = ..., note: _Optional[str] = ...) -> None: ...

class PauseAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class ResumeAgentRequest(_message.Message):
    __slots__ = ("agent", "request_id", "guidance", "add")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    guidance: str
    add: _goal_pb2.GoalLimits
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., guidance: _Optional[str] = ..., add: _Optional[_Union[_goal_pb2.GoalLimits, _Mapping]] = ...) -> None: ...

class ResumeAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...
