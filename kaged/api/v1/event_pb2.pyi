from kaged.api.v1 import fact_pb2 as _fact_pb2
from kaged.api.v1 import spec_pb2 as _spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RedactionReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REDACTION_REASON_UNSPECIFIED: _ClassVar[RedactionReason]
    REDACTION_REASON_REQUESTED: _ClassVar[RedactionReason]
    REDACTION_REASON_RETENTION: _ClassVar[RedactionReason]
REDACTION_REASON_UNSPECIFIED: RedactionReason
REDACTION_REASON_REQUESTED: RedactionReason
REDACTION_REASON_RETENTION: RedactionReason

class NewEvent(_message.Message):
    __slots__ = ("meta", "body")
    META_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    meta: Meta
    body: Body
    def __init__(self, meta: _Optional[_Union[Meta, _Mapping]] = ..., body: _Optional[_Union[Body, _Mapping]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("seq", "recorded_us", "revision", "actor", "meta", "body", "redaction")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    RECORDED_US_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    REDACTION_FIELD_NUMBER: _ClassVar[int]
    seq: int
    recorded_us: int
    revision: int
    actor: int
    meta: Meta
    body: Body
    redaction: Redaction
    def __init__(self, seq: _Optional[int] = ..., recorded_us: _Optional[int] = ..., revision: _Optional[int] = ..., actor: _Optional[int] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ..., body: _Optional[_Union[Body, _Mapping]] = ..., redaction: _Optional[_Union[Redaction, _Mapping]] = ...) -> None: ...

class Meta(_message.Message):
    __slots__ = ("id", "stream", "type", "occurred_us", "version", "agent", "run", "tags", "correlation", "causation", "traceparent", "ignorable", "request", "fact")
    ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_US_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    IGNORABLE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    stream: str
    type: str
    occurred_us: int
    version: int
    agent: str
    run: str
    tags: _containers.RepeatedCompositeFieldContainer[Tag]
    correlation: str
    causation: bytes
    traceparent: str
    ignorable: bool
    request: RequestMark
    fact: _fact_pb2.Fact
    def __init__(self, id: _Optional[bytes] = ..., stream: _Optional[str] = ..., type: _Optional[str] = ..., occurred_us: _Optional[int] = ..., version: _Optional[int] = ..., agent: _Optional[str] = ..., run: _Optional[str] = ..., tags: _Optional[_Iterable[_Union[Tag, _Mapping]]] = ..., correlation: _Optional[str] = ..., causation: _Optional[bytes] = ..., traceparent: _Optional[str] = ..., ignorable: bool = ..., request: _Optional[_Union[RequestMark, _Mapping]] = ..., fact: _Optional[_Union[_fact_pb2.Fact, _Mapping]] = ...) -> None: ...

class Tag(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class RequestMark(_message.Message):
    __slots__ = ("id", "digest", "events")
    ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    digest: bytes
    events: int
    def __init__(self, id: _Optional[str] = ..., digest: _Optional[bytes] = ..., events: _Optional[int] = ...) -> None: ...

class Body(_message.Message):
    __slots__ = ("custom", "output", "input", "agent", "note", "signal", "question", "tree_json")
    CUSTOM_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    TREE_JSON_FIELD_NUMBER: _ClassVar[int]
    custom: CustomPayload
    output: bytes
    input: bytes
    agent: _spec_pb2.AgentText
    note: str
    signal: _spec_pb2.SignalText
    question: _spec_pb2.QuestionText
    tree_json: str
    def __init__(self, custom: _Optional[_Union[CustomPayload, _Mapping]] = ..., output: _Optional[bytes] = ..., input: _Optional[bytes] = ..., agent: _Optional[_Union[_spec_pb2.AgentText, _Mapping]] = ..., note: _Optional[str] = ..., signal: _Optional[_Union[_spec_pb2.SignalText, _Mapping]] = ..., question: _Optional[_Union[_spec_pb2.QuestionText, _Mapping]] = ..., tree_json: _Optional[str] = ...) -> None: ...

class CustomPayload(_message.Message):
    __slots__ = ("content_type", "schema", "data")
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    content_type: str
    schema: str
    data: bytes
    def __init__(self, content_type: _Optional[str] = ..., schema: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class Redaction(_message.Message):
    __slots__ = ("body_sha256", "reason", "body_bytes")
    BODY_SHA256_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    body_sha256: bytes
    reason: RedactionReason
    body_bytes: int
    def __init__(self, body_sha256: _Optional[bytes] = ..., reason: _Optional[_Union[RedactionReason, str]] = ..., body_bytes: _Optional[int] = ...) -> None: ...
