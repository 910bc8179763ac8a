import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MergeMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MERGE_MODE_UNSPECIFIED: _ClassVar[MergeMode]
    MERGE_MODE_FAST_FORWARD: _ClassVar[MergeMode]
    MERGE_MODE_COMMIT: _ClassVar[MergeMode]
    MERGE_MODE_SQUASH: _ClassVar[MergeMode]
MERGE_MODE_UNSPECIFIED: MergeMode
MERGE_MODE_FAST_FORWARD: MergeMode
MERGE_MODE_COMMIT: MergeMode
MERGE_MODE_SQUASH: MergeMode

class GetWorkspaceDiffRequest(_message.Message):
    __slots__ = ("agent", "no_patch")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NO_PATCH_FIELD_NUMBER: _ClassVar[int]
    agent: str
    no_patch: bool
    def __init__(self, agent: _Optional[str] = ..., no_patch: bool = ...) -> None: ...

class GetWorkspaceDiffResponse(_message.Message):
    __slots__ = ("agent", "path", "branch", "base", "base_commit", "head_commit", "files", "patch", "truncated", "commits", "uncommitted", "left_out", "overlaps")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    UNCOMMITTED_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    OVERLAPS_FIELD_NUMBER: _ClassVar[int]
    agent: str
    path: str
    branch: str
    base: str
    base_commit: str
    head_commit: str
    files: _containers.RepeatedCompositeFieldContainer[FileChange]
    patch: bytes
    truncated: bool
    commits: int
    uncommitted: int
    left_out: _containers.RepeatedScalarFieldContainer[str]
    overlaps: _containers.RepeatedCompositeFieldContainer[Overlap]
    def __init__(self, agent: _Optional[str] = ..., path: _Optional[str] = ..., branch: _Optional[str] = ..., base: _Optional[str] = ..., base_commit: _Optional[str] = ..., head_commit: _Optional[str] = ..., files: _Optional[_Iterable[_Union[FileChange, _Mapping]]] = ..., patch: _Optional[bytes] = ..., truncated: bool = ..., commits: _Optional[int] = ..., uncommitted: _Optional[int] = ..., left_out: _Optional[_Iterable[str]] = ..., overlaps: _Optional[_Iterable[_Union[Overlap, _Mapping]]] = ...) -> None: ...

class FileChange(_message.Message):
    __slots__ = ("path", "status", "old_path", "added", "removed")
    PATH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OLD_PATH_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    path: str
    status: str
    old_path: str
    added: int
    removed: int
    def __init__(self, path: _Optional[str] = ..., status: _Optional[str] = ..., old_path: _Optional[str] = ..., added: _Optional[int] = ..., removed: _Optional[int] = ...) -> None: ...

class MergeWorkspaceRequest(_message.Message):
    __slots__ = ("agent", "request_id", "into", "mode", "message", "live")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    into: str
    mode: MergeMode
    message: str
    live: bool
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., into: _Optional[str] = ..., mode: _Optional[_Union[MergeMode, str]] = ..., message: _Optional[str] = ..., live: bool = ...) -> None: ...

class MergeWorkspaceResponse(_message.Message):
    __slots__ = ("agent", "kind", "into", "before", "commit", "uncommitted", "left_out")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    UNCOMMITTED_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    kind: str
    into: str
    before: str
    commit: str
    uncommitted: int
    left_out: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agent: _Optional[str] = ..., kind: _Optional[str] = ..., into: _Optional[str] = ..., before: _Optional[str] = ..., commit: _Optional[str] = ..., uncommitted: _Optional[int] = ..., left_out: _Optional[_Iterable[str]] = ...) -> None: ...

class SnapshotWorkspaceRequest(_message.Message):
    __slots__ = ("agent", "request_id", "note")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    note: str
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class SnapshotWorkspaceResponse(_message.Message):
    __slots__ = ("agent", "repository", "ref", "commit", "files", "note")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    repository: str
    ref: str
    commit: str
    files: int
    note: str
    def __init__(self, agent: _Optional[str] = ..., repository: _Optional[str] = ..., ref: _Optional[str] = ..., commit: _Optional[str] = ..., files: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class GetWorkspaceSnapshotsRequest(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    def __init__(self, agent: _Optional[str] = ...) -> None: ...

class GetWorkspaceSnapshotsResponse(_message.Message):
    __slots__ = ("agent", "repository", "snapshots")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    agent: str
    repository: str
    snapshots: _containers.RepeatedCompositeFieldContainer[WorkspaceSnapshot]
    def __init__(self, agent: _Optional[str] = ..., repository: _Optional[str] = ..., snapshots: _Optional[_Iterable[_Union[WorkspaceSnapshot, _Mapping]]] = ...) -> None: ...

class WorkspaceSnapshot(_message.Message):
    __slots__ = ("number", "ref", "commit", "create_time", "note", "turn", "native_session", "seq")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    NATIVE_SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    number: int
    ref: str
    commit: str
    create_time: _timestamp_pb2.Timestamp
    note: str
    turn: int
    native_session: str
    seq: int
    def __init__(self, number: _Optional[int] = ..., ref: _Optional[str] = ..., commit: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ..., turn: _Optional[int] = ..., native_session: _Optional[str] = ..., seq: _Optional[int] = ...) -> None: ...

class RestoreWorkspaceRequest(_message.Message):
    __slots__ = ("agent", "request_id", "number")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    agent: str
    request_id: str
    number: int
    def __init__(self, agent: _Optional[str] = ..., request_id: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class RestoreWorkspaceResponse(_message.Message):
    __slots__ = ("agent", "number", "ref", "commit", "files", "turn", "kept")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    number: int
    ref: str
    commit: str
    files: int
    turn: int
    kept: str
    def __init__(self, agent: _Optional[str] = ..., number: _Optional[int] = ..., ref: _Optional[str] = ..., commit: _Optional[str] = ..., files: _Optional[int] = ..., turn: _Optional[int] = ..., kept: _Optional[str] = ...) -> None: ...

class GetOverlapsRequest(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    def __init__(self, agent: _Optional[str] = ...) -> None: ...

class GetOverlapsResponse(_message.Message):
    __slots__ = ("overlaps",)
    OVERLAPS_FIELD_NUMBER: _ClassVar[int]
    overlaps: _containers.RepeatedCompositeFieldContainer[Overlap]
    def __init__(self, overlaps: _Optional[_Iterable[_Union[Overlap, _Mapping]]] = ...) -> None: ...

class Overlap(_message.Message):
    __slots__ = ("agents", "names", "repository", "paths")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedScalarFieldContainer[str]
    names: _containers.RepeatedScalarFieldContainer[str]
    repository: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agents: _Optional[_Iterable[str]] = ..., names: _Optional[_Iterable[str]] = ..., repository: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...
