from kaged.api.v1 import goal_pb2 as _goal_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkspaceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKSPACE_KIND_UNSPECIFIED: _ClassVar[WorkspaceKind]
    WORKSPACE_KIND_HERE: _ClassVar[WorkspaceKind]
    WORKSPACE_KIND_WORKTREE: _ClassVar[WorkspaceKind]
    WORKSPACE_KIND_COPY: _ClassVar[WorkspaceKind]

class FullPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FULL_POLICY_UNSPECIFIED: _ClassVar[FullPolicy]
    FULL_POLICY_PAUSE: _ClassVar[FullPolicy]
    FULL_POLICY_STOP: _ClassVar[FullPolicy]
    FULL_POLICY_DROP_OLDEST: _ClassVar[FullPolicy]

class RestartType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESTART_TYPE_UNSPECIFIED: _ClassVar[RestartType]
    RESTART_TYPE_PERMANENT: _ClassVar[RestartType]
    RESTART_TYPE_TRANSIENT: _ClassVar[RestartType]
    RESTART_TYPE_TEMPORARY: _ClassVar[RestartType]

class StdinMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STDIN_MODE_UNSPECIFIED: _ClassVar[StdinMode]
    STDIN_MODE_NULL: _ClassVar[StdinMode]
    STDIN_MODE_PIPE: _ClassVar[StdinMode]

class CaptureMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPTURE_MODE_UNSPECIFIED: _ClassVar[CaptureMode]
    CAPTURE_MODE_PIPE: _ClassVar[CaptureMode]
    CAPTURE_MODE_FILE: _ClassVar[CaptureMode]
    CAPTURE_MODE_TERMINAL: _ClassVar[CaptureMode]
WORKSPACE_KIND_UNSPECIFIED: WorkspaceKind
WORKSPACE_KIND_HERE: WorkspaceKind
WORKSPACE_KIND_WORKTREE: WorkspaceKind
WORKSPACE_KIND_COPY: WorkspaceKind
FULL_POLICY_UNSPECIFIED: FullPolicy
FULL_POLICY_PAUSE: FullPolicy
FULL_POLICY_STOP: FullPolicy
FULL_POLICY_DROP_OLDEST: FullPolicy
RESTART_TYPE_UNSPECIFIED: RestartType
RESTART_TYPE_PERMANENT: RestartType
RESTART_TYPE_TRANSIENT: RestartType
RESTART_TYPE_TEMPORARY: RestartType
STDIN_MODE_UNSPECIFIED: StdinMode
STDIN_MODE_NULL: StdinMode
STDIN_MODE_PIPE: StdinMode
CAPTURE_MODE_UNSPECIFIED: CaptureMode
CAPTURE_MODE_PIPE: CaptureMode
CAPTURE_MODE_FILE: CaptureMode
CAPTURE_MODE_TERMINAL: CaptureMode

class AgentSpec(_message.Message):
    __slots__ = ("name", "adapter", "command", "working_directory", "environment", "secret_environment", "labels", "limits", "restart", "stop", "success_exit_codes", "stdin", "capture", "merge_stderr", "terminal", "goal", "loop", "namespace", "priority", "after", "workspace", "guard")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretEnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    SECRET_ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_EXIT_CODES_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    MERGE_STDERR_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    GUARD_FIELD_NUMBER: _ClassVar[int]
    name: str
    adapter: str
    command: _containers.RepeatedScalarFieldContainer[str]
    working_directory: str
    environment: _containers.ScalarMap[str, str]
    secret_environment: _containers.ScalarMap[str, str]
    labels: _containers.ScalarMap[str, str]
    limits: Limits
    restart: RestartPolicy
    stop: StopPolicy
    success_exit_codes: _containers.RepeatedScalarFieldContainer[int]
    stdin: StdinMode
    capture: CaptureMode
    merge_stderr: bool
    terminal: TerminalSize
    goal: str
    loop: _goal_pb2.GoalLoop
    namespace: str
    priority: int
    after: _containers.RepeatedScalarFieldContainer[str]
    workspace: Workspace
    guard: Guard
    def __init__(self, name: _Optional[str] = ..., adapter: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., working_directory: _Optional[str] = ..., environment: _Optional[_Mapping[str, str]] = ..., secret_environment: _Optional[_Mapping[str, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., restart: _Optional[_Union[RestartPolicy, _Mapping]] = ..., stop: _Optional[_Union[StopPolicy, _Mapping]] = ..., success_exit_codes: _Optional[_Iterable[int]] = ..., stdin: _Optional[_Union[StdinMode, str]] = ..., capture: _Optional[_Union[CaptureMode, str]] = ..., merge_stderr: bool = ..., terminal: _Optional[_Union[TerminalSize, _Mapping]] = ..., goal: _Optional[str] = ..., loop: _Optional[_Union[_goal_pb2.GoalLoop, _Mapping]] = ..., namespace: _Optional[str] = ..., priority: _Optional[int] = ..., after: _Optional[_Iterable[str]] = ..., workspace: _Optional[_Union[Workspace, _Mapping]] = ..., guard: _Optional[_Union[Guard, _Mapping]] = ...) -> None: ...

class Workspace(_message.Message):
    __slots__ = ("kind", "repository", "base", "branch", "setup", "cleanup", "copy")
    KIND_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    SETUP_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    COPY_FIELD_NUMBER: _ClassVar[int]
    kind: WorkspaceKind
    repository: str
    base: str
    branch: str
    setup: str
    cleanup: str
    copy: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[_Union[WorkspaceKind, str]] = ..., repository: _Optional[str] = ..., base: _Optional[str] = ..., branch: _Optional[str] = ..., setup: _Optional[str] = ..., cleanup: _Optional[str] = ..., copy: _Optional[_Iterable[str]] = ...) -> None: ...

class Guard(_message.Message):
    __slots__ = ("approve", "rules", "protected_paths", "hosts", "answer_within_s")
    APPROVE_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_PATHS_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_WITHIN_S_FIELD_NUMBER: _ClassVar[int]
    approve: str
    rules: _containers.RepeatedCompositeFieldContainer[GuardRule]
    protected_paths: _containers.RepeatedScalarFieldContainer[str]
    hosts: _containers.RepeatedScalarFieldContainer[str]
    answer_within_s: float
    def __init__(self, approve: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[GuardRule, _Mapping]]] = ..., protected_paths: _Optional[_Iterable[str]] = ..., hosts: _Optional[_Iterable[str]] = ..., answer_within_s: _Optional[float] = ...) -> None: ...

class GuardRule(_message.Message):
    __slots__ = ("verdict", "tool", "path", "command", "expires_us")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_US_FIELD_NUMBER: _ClassVar[int]
    verdict: str
    tool: str
    path: str
    command: str
    expires_us: int
    def __init__(self, verdict: _Optional[str] = ..., tool: _Optional[str] = ..., path: _Optional[str] = ..., command: _Optional[str] = ..., expires_us: _Optional[int] = ...) -> None: ...

class AgentText(_message.Message):
    __slots__ = ("command", "working_directory", "environment", "goal", "loop", "workspace", "guard")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    GUARD_FIELD_NUMBER: _ClassVar[int]
    command: _containers.RepeatedScalarFieldContainer[str]
    working_directory: str
    environment: _containers.ScalarMap[str, str]
    goal: str
    loop: _goal_pb2.GoalLoop
    workspace: Workspace
    guard: Guard
    def __init__(self, command: _Optional[_Iterable[str]] = ..., working_directory: _Optional[str] = ..., environment: _Optional[_Mapping[str, str]] = ..., goal: _Optional[str] = ..., loop: _Optional[_Union[_goal_pb2.GoalLoop, _Mapping]] = ..., workspace: _Optional[_Union[Workspace, _Mapping]] = ..., guard: _Optional[_Union[Guard, _Mapping]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("wall_time_s", "idle_s", "output_bytes", "memory_bytes", "cpus", "processes", "unsupervised_s", "spool_bytes", "on_full")
    WALL_TIME_S_FIELD_NUMBER: _ClassVar[int]
    IDLE_S_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    UNSUPERVISED_S_FIELD_NUMBER: _ClassVar[int]
    SPOOL_BYTES_FIELD_NUMBER: _ClassVar[int]
    ON_FULL_FIELD_NUMBER: _ClassVar[int]
    wall_time_s: float
    idle_s: float
    output_bytes: int
    memory_bytes: int
    cpus: float
    processes: int
    unsupervised_s: float
    spool_bytes: int
    on_full: FullPolicy
    def __init__(self, wall_time_s: _Optional[float] = ..., idle_s: _Optional[float] = ..., output_bytes: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., cpus: _Optional[float] = ..., processes: _Optional[int] = ..., unsupervised_s: _Optional[float] = ..., spool_bytes: _Optional[int] = ..., on_full: _Optional[_Union[FullPolicy, str]] = ...) -> None: ...

class RestartPolicy(_message.Message):
    __slots__ = ("type", "intensity", "period_s", "backoff_initial_s", "backoff_max_s", "healthy_after_s", "backoff_off")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    INTENSITY_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_INITIAL_S_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_MAX_S_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_OFF_FIELD_NUMBER: _ClassVar[int]
    type: RestartType
    intensity: int
    period_s: float
    backoff_initial_s: float
    backoff_max_s: float
    healthy_after_s: float
    backoff_off: bool
    def __init__(self, type: _Optional[_Union[RestartType, str]] = ..., intensity: _Optional[int] = ..., period_s: _Optional[float] = ..., backoff_initial_s: _Optional[float] = ..., backoff_max_s: _Optional[float] = ..., healthy_after_s: _Optional[float] = ..., backoff_off: bool = ...) -> None: ...

class StopPolicy(_message.Message):
    __slots__ = ("signal", "grace_s")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    GRACE_S_FIELD_NUMBER: _ClassVar[int]
    signal: str
    grace_s: float
    def __init__(self, signal: _Optional[str] = ..., grace_s: _Optional[float] = ...) -> None: ...

class TerminalSize(_message.Message):
    __slots__ = ("rows", "columns")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class SignalText(_message.Message):
    __slots__ = ("text", "data_json", "tool")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    text: str
    data_json: str
    tool: str
    def __init__(self, text: _Optional[str] = ..., data_json: _Optional[str] = ..., tool: _Optional[str] = ...) -> None: ...

class QuestionText(_message.Message):
    __slots__ = ("title", "tool", "data_json", "why")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    title: str
    tool: str
    data_json: str
    why: str
    def __init__(self, title: _Optional[str] = ..., tool: _Optional[str] = ..., data_json: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...
