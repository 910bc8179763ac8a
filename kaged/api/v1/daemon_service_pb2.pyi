import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShutdownMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHUTDOWN_MODE_UNSPECIFIED: _ClassVar[ShutdownMode]
    SHUTDOWN_MODE_KEEP_AGENTS: _ClassVar[ShutdownMode]
    SHUTDOWN_MODE_STOP_AGENTS: _ClassVar[ShutdownMode]

class DaemonPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DAEMON_PHASE_UNSPECIFIED: _ClassVar[DaemonPhase]
    DAEMON_PHASE_RECOVERING: _ClassVar[DaemonPhase]
    DAEMON_PHASE_SERVING: _ClassVar[DaemonPhase]
    DAEMON_PHASE_READ_ONLY: _ClassVar[DaemonPhase]
    DAEMON_PHASE_DRAINING: _ClassVar[DaemonPhase]
SHUTDOWN_MODE_UNSPECIFIED: ShutdownMode
SHUTDOWN_MODE_KEEP_AGENTS: ShutdownMode
SHUTDOWN_MODE_STOP_AGENTS: ShutdownMode
DAEMON_PHASE_UNSPECIFIED: DaemonPhase
DAEMON_PHASE_RECOVERING: DaemonPhase
DAEMON_PHASE_SERVING: DaemonPhase
DAEMON_PHASE_READ_ONLY: DaemonPhase
DAEMON_PHASE_DRAINING: DaemonPhase

class DaemonStatus(_message.Message):
    __slots__ = ("version", "phase", "detail", "pid", "start_time", "store_id", "state_dir", "socket", "agent_socket", "head_seq", "first_seq", "agents", "trees", "open_approvals", "fsync_p50_us", "fsync_p99_us", "disk_free_bytes", "subscribers", "api_revision", "listen", "shim_protocol", "enforced_limits", "scopes", "agent_path", "python_version", "open_files_limit", "newest_event_time", "shared_with_group")
    class AgentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_DIR_FIELD_NUMBER: _ClassVar[int]
    SOCKET_FIELD_NUMBER: _ClassVar[int]
    AGENT_SOCKET_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    TREES_FIELD_NUMBER: _ClassVar[int]
    OPEN_APPROVALS_FIELD_NUMBER: _ClassVar[int]
    FSYNC_P50_US_FIELD_NUMBER: _ClassVar[int]
    FSYNC_P99_US_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBERS_FIELD_NUMBER: _ClassVar[int]
    API_REVISION_FIELD_NUMBER: _ClassVar[int]
    LISTEN_FIELD_NUMBER: _ClassVar[int]
    SHIM_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ENFORCED_LIMITS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    AGENT_PATH_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    OPEN_FILES_LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    SHARED_WITH_GROUP_FIELD_NUMBER: _ClassVar[int]
    version: str
    phase: DaemonPhase
    detail: str
    pid: int
    start_time: _timestamp_pb2.Timestamp
    store_id: str
    state_dir: str
    socket: str
    agent_socket: str
    head_seq: int
    first_seq: int
    agents: _containers.ScalarMap[str, int]
    trees: int
    open_approvals: int
    fsync_p50_us: int
    fsync_p99_us: int
    disk_free_bytes: int
    subscribers: int
    api_revision: int
    listen: _containers.RepeatedScalarFieldContainer[str]
    shim_protocol: int
    enforced_limits: _containers.RepeatedScalarFieldContainer[str]
    scopes: bool
    agent_path: str
    python_version: str
    open_files_limit: int
    newest_event_time: _timestamp_pb2.Timestamp
    shared_with_group: str
    def __init__(self, version: _Optional[str] = ..., phase: _Optional[_Union[DaemonPhase, str]] = ..., detail: _Optional[str] = ..., pid: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., store_id: _Optional[str] = ..., state_dir: _Optional[str] = ..., socket: _Optional[str] = ..., agent_socket: _Optional[str] = ..., head_seq: _Optional[int] = ..., first_seq: _Optional[int] = ..., agents: _Optional[_Mapping[str, int]] = ..., trees: _Optional[int] = ..., open_approvals: _Optional[int] = ..., fsync_p50_us: _Optional[int] = ..., fsync_p99_us: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ..., subscribers: _Optional[int] = ..., api_revision: _Optional[int] = ..., listen: _Optional[_Iterable[str]] = ..., shim_protocol: _Optional[int] = ..., enforced_limits: _Optional[_Iterable[str]] = ..., scopes: bool = ..., agent_path: _Optional[str] = ..., python_version: _Optional[str] = ..., open_files_limit: _Optional[int] = ..., newest_event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., shared_with_group: _Optional[str] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: DaemonStatus
    def __init__(self, status: _Optional[_Union[DaemonStatus, _Mapping]] = ...) -> None: ...

class GetStatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatsResponse(_message.Message):
    __slots__ = ("status", "events_appended", "commits", "bytes_appended", "output_bytes", "runs_started", "rss_bytes", "cpu_s", "loop_delay_p99_us", "store_bytes", "fell_behind", "store")
    class StoreEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_APPENDED_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    BYTES_APPENDED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUNS_STARTED_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_S_FIELD_NUMBER: _ClassVar[int]
    LOOP_DELAY_P99_US_FIELD_NUMBER: _ClassVar[int]
    STORE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FELL_BEHIND_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    status: DaemonStatus
    events_appended: int
    commits: int
    bytes_appended: int
    output_bytes: int
    runs_started: int
    rss_bytes: int
    cpu_s: float
    loop_delay_p99_us: int
    store_bytes: int
    fell_behind: int
    store: _containers.ScalarMap[str, str]
    def __init__(self, status: _Optional[_Union[DaemonStatus, _Mapping]] = ..., events_appended: _Optional[int] = ..., commits: _Optional[int] = ..., bytes_appended: _Optional[int] = ..., output_bytes: _Optional[int] = ..., runs_started: _Optional[int] = ..., rss_bytes: _Optional[int] = ..., cpu_s: _Optional[float] = ..., loop_delay_p99_us: _Optional[int] = ..., store_bytes: _Optional[int] = ..., fell_behind: _Optional[int] = ..., store: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ReloadRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    def __init__(self, request_id: _Optional[str] = ...) -> None: ...

class ReloadResponse(_message.Message):
    __slots__ = ("applied", "needs_restart")
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    NEEDS_RESTART_FIELD_NUMBER: _ClassVar[int]
    applied: _containers.RepeatedScalarFieldContainer[str]
    needs_restart: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, applied: _Optional[_Iterable[str]] = ..., needs_restart: _Optional[_Iterable[str]] = ...) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ("mode", "timeout_s", "request_id")
    MODE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    mode: ShutdownMode
    timeout_s: float
    request_id: str
    def __init__(self, mode: _Optional[_Union[ShutdownMode, str]] = ..., timeout_s: _Optional[float] = ..., request_id: _Optional[str] = ...) -> None: ...

class ShutdownResponse(_message.Message):
    __slots__ = ("agents_kept", "agents_stopping")
    AGENTS_KEPT_FIELD_NUMBER: _ClassVar[int]
    AGENTS_STOPPING_FIELD_NUMBER: _ClassVar[int]
    agents_kept: int
    agents_stopping: int
    def __init__(self, agents_kept: _Optional[int] = ..., agents_stopping: _Optional[int] = ...) -> None: ...

class WatchStatusRequest(_message.Message):
    __slots__ = ("min_interval_s",)
    MIN_INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    min_interval_s: float
    def __init__(self, min_interval_s: _Optional[float] = ...) -> None: ...

class WatchStatusResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: DaemonStatus
    def __init__(self, status: _Optional[_Union[DaemonStatus, _Mapping]] = ...) -> None: ...
