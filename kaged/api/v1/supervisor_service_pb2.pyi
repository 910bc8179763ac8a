import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kaged.api.v1 import spec_pb2 as _spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Strategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STRATEGY_UNSPECIFIED: _ClassVar[Strategy]
    STRATEGY_ONE_FOR_ONE: _ClassVar[Strategy]
    STRATEGY_ONE_FOR_ALL: _ClassVar[Strategy]
    STRATEGY_REST_FOR_ONE: _ClassVar[Strategy]

class AutoShutdown(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTO_SHUTDOWN_UNSPECIFIED: _ClassVar[AutoShutdown]
    AUTO_SHUTDOWN_NEVER: _ClassVar[AutoShutdown]
    AUTO_SHUTDOWN_ANY_SIGNIFICANT: _ClassVar[AutoShutdown]
    AUTO_SHUTDOWN_ALL_SIGNIFICANT: _ClassVar[AutoShutdown]
STRATEGY_UNSPECIFIED: Strategy
STRATEGY_ONE_FOR_ONE: Strategy
STRATEGY_ONE_FOR_ALL: Strategy
STRATEGY_REST_FOR_ONE: Strategy
AUTO_SHUTDOWN_UNSPECIFIED: AutoShutdown
AUTO_SHUTDOWN_NEVER: AutoShutdown
AUTO_SHUTDOWN_ANY_SIGNIFICANT: AutoShutdown
AUTO_SHUTDOWN_ALL_SIGNIFICANT: AutoShutdown

class SupervisorSpec(_message.Message):
    __slots__ = ("strategy", "intensity", "period_s", "auto_shutdown", "children")
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    INTENSITY_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    AUTO_SHUTDOWN_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    strategy: Strategy
    intensity: int
    period_s: float
    auto_shutdown: AutoShutdown
    children: _containers.RepeatedCompositeFieldContainer[ChildSpec]
    def __init__(self, strategy: _Optional[_Union[Strategy, str]] = ..., intensity: _Optional[int] = ..., period_s: _Optional[float] = ..., auto_shutdown: _Optional[_Union[AutoShutdown, str]] = ..., children: _Optional[_Iterable[_Union[ChildSpec, _Mapping]]] = ...) -> None: ...

class ChildSpec(_message.Message):
    __slots__ = ("id", "restart", "brutal", "shutdown_ms", "infinity", "significant", "agent", "supervisor")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    BRUTAL_FIELD_NUMBER: _ClassVar[int]
    SHUTDOWN_MS_FIELD_NUMBER: _ClassVar[int]
    INFINITY_FIELD_NUMBER: _ClassVar[int]
    SIGNIFICANT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    SUPERVISOR_FIELD_NUMBER: _ClassVar[int]
    id: str
    restart: _spec_pb2.RestartType
    brutal: bool
    shutdown_ms: int
    infinity: bool
    significant: bool
    agent: _spec_pb2.AgentSpec
    supervisor: SupervisorSpec
    def __init__(self, id: _Optional[str] = ..., restart: _Optional[_Union[_spec_pb2.RestartType, str]] = ..., brutal: bool = ..., shutdown_ms: _Optional[int] = ..., infinity: bool = ..., significant: bool = ..., agent: _Optional[_Union[_spec_pb2.AgentSpec, _Mapping]] = ..., supervisor: _Optional[_Union[SupervisorSpec, _Mapping]] = ...) -> None: ...

class ApplyTreeRequest(_message.Message):
    __slots__ = ("tree", "spec", "request_id", "validate_only")
    TREE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    tree: str
    spec: SupervisorSpec
    request_id: str
    validate_only: bool
    def __init__(self, tree: _Optional[str] = ..., spec: _Optional[_Union[SupervisorSpec, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class ApplyTreeResponse(_message.Message):
    __slots__ = ("tree", "added", "changed", "removed", "kept")
    TREE_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    added: _containers.RepeatedScalarFieldContainer[str]
    changed: _containers.RepeatedScalarFieldContainer[str]
    removed: _containers.RepeatedScalarFieldContainer[str]
    kept: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ..., added: _Optional[_Iterable[str]] = ..., changed: _Optional[_Iterable[str]] = ..., removed: _Optional[_Iterable[str]] = ..., kept: _Optional[_Iterable[str]] = ...) -> None: ...

class Tree(_message.Message):
    __slots__ = ("name", "phase", "reason", "root", "as_of_seq")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    AS_OF_SEQ_FIELD_NUMBER: _ClassVar[int]
    name: str
    phase: str
    reason: str
    root: TreeNode
    as_of_seq: int
    def __init__(self, name: _Optional[str] = ..., phase: _Optional[str] = ..., reason: _Optional[str] = ..., root: _Optional[_Union[TreeNode, _Mapping]] = ..., as_of_seq: _Optional[int] = ...) -> None: ...

class TreeNode(_message.Message):
    __slots__ = ("id", "path", "kind", "phase", "agent", "restart", "significant", "strategy", "restarts_in_window", "intensity", "restart_due", "children")
    ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    SIGNIFICANT_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_IN_WINDOW_FIELD_NUMBER: _ClassVar[int]
    INTENSITY_FIELD_NUMBER: _ClassVar[int]
    RESTART_DUE_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    id: str
    path: str
    kind: str
    phase: str
    agent: str
    restart: _spec_pb2.RestartType
    significant: bool
    strategy: Strategy
    restarts_in_window: int
    intensity: int
    restart_due: _timestamp_pb2.Timestamp
    children: _containers.RepeatedCompositeFieldContainer[TreeNode]
    def __init__(self, id: _Optional[str] = ..., path: _Optional[str] = ..., kind: _Optional[str] = ..., phase: _Optional[str] = ..., agent: _Optional[str] = ..., restart: _Optional[_Union[_spec_pb2.RestartType, str]] = ..., significant: bool = ..., strategy: _Optional[_Union[Strategy, str]] = ..., restarts_in_window: _Optional[int] = ..., intensity: _Optional[int] = ..., restart_due: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., children: _Optional[_Iterable[_Union[TreeNode, _Mapping]]] = ...) -> None: ...

class GetTreeRequest(_message.Message):
    __slots__ = ("tree", "at_seq")
    TREE_FIELD_NUMBER: _ClassVar[int]
    AT_SEQ_FIELD_NUMBER: _ClassVar[int]
    tree: str
    at_seq: int
    def __init__(self, tree: _Optional[str] = ..., at_seq: _Optional[int] = ...) -> None: ...

class GetTreeResponse(_message.Message):
    __slots__ = ("tree", "spec")
    TREE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    spec: SupervisorSpec
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ..., spec: _Optional[_Union[SupervisorSpec, _Mapping]] = ...) -> None: ...

class ListTreesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "show_ended")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SHOW_ENDED_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    show_ended: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., show_ended: bool = ...) -> None: ...

class ListTreesResponse(_message.Message):
    __slots__ = ("trees", "next_page_token")
    TREES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trees: _containers.RepeatedCompositeFieldContainer[Tree]
    next_page_token: str
    def __init__(self, trees: _Optional[_Iterable[_Union[Tree, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StopTreeRequest(_message.Message):
    __slots__ = ("tree", "request_id")
    TREE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tree: str
    request_id: str
    def __init__(self, tree: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class StopTreeResponse(_message.Message):
    __slots__ = ("tree",)
    TREE_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ...) -> None: ...

class DeleteTreeRequest(_message.Message):
    __slots__ = ("tree", "force", "request_id")
    TREE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tree: str
    force: bool
    request_id: str
    def __init__(self, tree: _Optional[str] = ..., force: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteTreeResponse(_message.Message):
    __slots__ = ("tree",)
    TREE_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ...) -> None: ...

class RestartChildRequest(_message.Message):
    __slots__ = ("tree", "path", "request_id")
    TREE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tree: str
    path: str
    request_id: str
    def __init__(self, tree: _Optional[str] = ..., path: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RestartChildResponse(_message.Message):
    __slots__ = ("tree",)
    TREE_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ...) -> None: ...

class TerminateChildRequest(_message.Message):
    __slots__ = ("tree", "path", "request_id")
    TREE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tree: str
    path: str
    request_id: str
    def __init__(self, tree: _Optional[str] = ..., path: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class TerminateChildResponse(_message.Message):
    __slots__ = ("tree",)
    TREE_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ...) -> None: ...

class DeleteChildRequest(_message.Message):
    __slots__ = ("tree", "path", "request_id")
    TREE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tree: str
    path: str
    request_id: str
    def __init__(self, tree: _Optional[str] = ..., path: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteChildResponse(_message.Message):
    __slots__ = ("tree",)
    TREE_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ...) -> None: ...
