import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kaged.api.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_FORWARDS: _ClassVar[Direction]
    DIRECTION_BACKWARDS: _ClassVar[Direction]
DIRECTION_UNSPECIFIED: Direction
DIRECTION_FORWARDS: Direction
DIRECTION_BACKWARDS: Direction

class Check(_message.Message):
    __slots__ = ("stream", "revision", "absent", "exists")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    stream: str
    revision: int
    absent: bool
    exists: bool
    def __init__(self, stream: _Optional[str] = ..., revision: _Optional[int] = ..., absent: bool = ..., exists: bool = ...) -> None: ...

class AppendEventsRequest(_message.Message):
    __slots__ = ("request_id", "events", "checks")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.NewEvent]
    checks: _containers.RepeatedCompositeFieldContainer[Check]
    def __init__(self, request_id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_event_pb2.NewEvent, _Mapping]]] = ..., checks: _Optional[_Iterable[_Union[Check, _Mapping]]] = ...) -> None: ...

class AppendEventsResponse(_message.Message):
    __slots__ = ("appended",)
    APPENDED_FIELD_NUMBER: _ClassVar[int]
    appended: _containers.RepeatedCompositeFieldContainer[Appended]
    def __init__(self, appended: _Optional[_Iterable[_Union[Appended, _Mapping]]] = ...) -> None: ...

class Appended(_message.Message):
    __slots__ = ("seq", "revision", "deduplicated")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    revision: int
    deduplicated: bool
    def __init__(self, seq: _Optional[int] = ..., revision: _Optional[int] = ..., deduplicated: bool = ...) -> None: ...

class AppendGroup(_message.Message):
    __slots__ = ("events", "checks")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.NewEvent]
    checks: _containers.RepeatedCompositeFieldContainer[Check]
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.NewEvent, _Mapping]]] = ..., checks: _Optional[_Iterable[_Union[Check, _Mapping]]] = ...) -> None: ...

class AppendStreamRequest(_message.Message):
    __slots__ = ("batch", "groups", "want_revisions")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    WANT_REVISIONS_FIELD_NUMBER: _ClassVar[int]
    batch: int
    groups: _containers.RepeatedCompositeFieldContainer[AppendGroup]
    want_revisions: bool
    def __init__(self, batch: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[AppendGroup, _Mapping]]] = ..., want_revisions: bool = ...) -> None: ...

class AppendStreamResponse(_message.Message):
    __slots__ = ("batch", "first_seq", "last_seq", "exceptions")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    EXCEPTIONS_FIELD_NUMBER: _ClassVar[int]
    batch: int
    first_seq: int
    last_seq: int
    exceptions: _containers.RepeatedCompositeFieldContainer[GroupResult]
    def __init__(self, batch: _Optional[int] = ..., first_seq: _Optional[int] = ..., last_seq: _Optional[int] = ..., exceptions: _Optional[_Iterable[_Union[GroupResult, _Mapping]]] = ...) -> None: ...

class GroupResult(_message.Message):
    __slots__ = ("group", "failure", "appended")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    APPENDED_FIELD_NUMBER: _ClassVar[int]
    group: int
    failure: Failure
    appended: _containers.RepeatedCompositeFieldContainer[Appended]
    def __init__(self, group: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., appended: _Optional[_Iterable[_Union[Appended, _Mapping]]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message", "reason", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    reason: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ReadEventsRequest(_message.Message):
    __slots__ = ("stream", "from_seq", "to_seq", "from_revision", "to_revision", "from_time", "to_time", "direction", "filter", "limit", "max_batch", "min_seq", "head_only")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    FROM_REVISION_FIELD_NUMBER: _ClassVar[int]
    TO_REVISION_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    TO_TIME_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    HEAD_ONLY_FIELD_NUMBER: _ClassVar[int]
    stream: str
    from_seq: int
    to_seq: int
    from_revision: int
    to_revision: int
    from_time: _timestamp_pb2.Timestamp
    to_time: _timestamp_pb2.Timestamp
    direction: Direction
    filter: str
    limit: int
    max_batch: int
    min_seq: int
    head_only: bool
    def __init__(self, stream: _Optional[str] = ..., from_seq: _Optional[int] = ..., to_seq: _Optional[int] = ..., from_revision: _Optional[int] = ..., to_revision: _Optional[int] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., to_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., direction: _Optional[_Union[Direction, str]] = ..., filter: _Optional[str] = ..., limit: _Optional[int] = ..., max_batch: _Optional[int] = ..., min_seq: _Optional[int] = ..., head_only: bool = ...) -> None: ...

class ReadEventsResponse(_message.Message):
    __slots__ = ("events", "head_seq")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    head_seq: int
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., head_seq: _Optional[int] = ...) -> None: ...

class SubscribeEventsRequest(_message.Message):
    __slots__ = ("after_seq", "from_time", "now", "filter", "max_batch", "head_only", "heartbeat_s")
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    HEAD_ONLY_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_S_FIELD_NUMBER: _ClassVar[int]
    after_seq: int
    from_time: _timestamp_pb2.Timestamp
    now: bool
    filter: str
    max_batch: int
    head_only: bool
    heartbeat_s: float
    def __init__(self, after_seq: _Optional[int] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., now: bool = ..., filter: _Optional[str] = ..., max_batch: _Optional[int] = ..., head_only: bool = ..., heartbeat_s: _Optional[float] = ...) -> None: ...

class SubscribeEventsResponse(_message.Message):
    __slots__ = ("batch", "confirmed", "caught_up", "fell_behind", "checkpoint", "heartbeat")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    FELL_BEHIND_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    batch: EventBatch
    confirmed: Confirmed
    caught_up: CaughtUp
    fell_behind: FellBehind
    checkpoint: Position
    heartbeat: Position
    def __init__(self, batch: _Optional[_Union[EventBatch, _Mapping]] = ..., confirmed: _Optional[_Union[Confirmed, _Mapping]] = ..., caught_up: _Optional[_Union[CaughtUp, _Mapping]] = ..., fell_behind: _Optional[_Union[FellBehind, _Mapping]] = ..., checkpoint: _Optional[_Union[Position, _Mapping]] = ..., heartbeat: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class EventBatch(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...

class Confirmed(_message.Message):
    __slots__ = ("store_id", "after_seq", "head_seq")
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    store_id: str
    after_seq: int
    head_seq: int
    def __init__(self, store_id: _Optional[str] = ..., after_seq: _Optional[int] = ..., head_seq: _Optional[int] = ...) -> None: ...

class CaughtUp(_message.Message):
    __slots__ = ("seq", "time")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    seq: int
    time: _timestamp_pb2.Timestamp
    def __init__(self, seq: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FellBehind(_message.Message):
    __slots__ = ("seq", "time")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    seq: int
    time: _timestamp_pb2.Timestamp
    def __init__(self, seq: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("seq", "head_seq", "time")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    seq: int
    head_seq: int
    time: _timestamp_pb2.Timestamp
    def __init__(self, seq: _Optional[int] = ..., head_seq: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter", "order_by", "head_only")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    HEAD_ONLY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter: str
    order_by: str
    head_only: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ..., order_by: _Optional[str] = ..., head_only: bool = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetEventRequest(_message.Message):
    __slots__ = ("seq", "id")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    seq: int
    id: bytes
    def __init__(self, seq: _Optional[int] = ..., id: _Optional[bytes] = ...) -> None: ...

class GetEventResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ...) -> None: ...

class GetHeadRequest(_message.Message):
    __slots__ = ("min_seq",)
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    min_seq: int
    def __init__(self, min_seq: _Optional[int] = ...) -> None: ...

class GetHeadResponse(_message.Message):
    __slots__ = ("store_id", "head_seq", "first_seq", "root_hash", "recorded")
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    ROOT_HASH_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    store_id: str
    head_seq: int
    first_seq: int
    root_hash: bytes
    recorded: _timestamp_pb2.Timestamp
    def __init__(self, store_id: _Optional[str] = ..., head_seq: _Optional[int] = ..., first_seq: _Optional[int] = ..., root_hash: _Optional[bytes] = ..., recorded: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
