"""What the API tests say often: events to append, and what a refusal told. Not here: the daemon (`daemon_kit`)."""

# mypy: disable-error-code="no-untyped-call,no-any-return"
# (generated stubs are untyped)

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from kaged.api.v1 import event_pb2, event_service_pb2
from tests.e2e.daemon_kit import DEADLINE_S, Kaged


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A refusal as a client sees it."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    fields: tuple[str, ...]
    retry_s: float | None

    @property
    def hint(self) -> str:
        return self.metadata.get("hint", "")


def refused(call: Callable[[], object]) -> Refused:
    """What a call was refused with. Fails when it was not, or when it lacks what each refusal must carry."""
    try:
        answer = call()
        if isinstance(answer, Iterator):  # a stream tells when it is read
            answer = list(answer)
    except grpc.RpcError as error:
        return details(error)
    pytest.fail(f"not refused: {answer!r:.500}")


def details(error: grpc.RpcError) -> Refused:
    """The refusal in an error."""
    call = cast("grpc.Call", error)
    trailing = {item.key: item.value for item in cast("Any", call.trailing_metadata() or ())}
    assert "grpc-status-details-bin" in trailing, f"no google.rpc.Status in {call.code()}: {call.details()}"
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    assert status.code == call.code().value[0]
    assert status.message == call.details()
    info = error_details_pb2.ErrorInfo()
    violations: tuple[str, ...] = ()
    retry_s = None
    for packed in status.details:
        bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if packed.Unpack(bad):
            violations = tuple(item.field for item in bad.field_violations)
        elif packed.Unpack(retry):
            retry_s = retry.retry_delay.ToMicroseconds() / 1e6
        else:
            assert packed.Unpack(info), packed.type_url
    assert info.domain == "kage.dev"
    assert info.reason
    assert info.reason == info.reason.upper()
    found = Refused(
        code=call.code(),
        message=str(call.details()),
        reason=info.reason,
        metadata=dict(info.metadata),
        fields=violations,
        retry_s=retry_s,
    )
    if found.code is grpc.StatusCode.INVALID_ARGUMENT:
        assert found.fields, f"INVALID_ARGUMENT without a field: {found}"
    if found.code is grpc.StatusCode.UNAVAILABLE:
        assert found.retry_s is not None
    return found


def uuid7(*, ahead_s: float = 0.0) -> bytes:
    """An event id, made now or `ahead_s` seconds from now."""
    milliseconds = int((time.time() + ahead_s) * 1000)
    chance = bytearray(os.urandom(10))
    chance[0] = 0x70 | chance[0] & 0x0F
    chance[2] = 0x80 | chance[2] & 0x3F
    return milliseconds.to_bytes(6, "big") + bytes(chance)


def new_event(
    stream: str, kind: str = "note.taken", data: bytes = b"x", *, event_id: bytes = b"", **meta: Any
) -> event_pb2.NewEvent:
    """An event to append."""
    event = event_pb2.NewEvent(meta=event_pb2.Meta(id=event_id, stream=stream, type=kind, **meta))
    event.body.custom.data = data
    return event


def append(
    kaged: Kaged, *events: event_pb2.NewEvent, request_id: str = "", checks: Any = ()
) -> list[event_service_pb2.Appended]:
    """Append as one group."""
    request = event_service_pb2.AppendEventsRequest(events=events, request_id=request_id, checks=checks)
    return list(kaged.events.AppendEvents(request, timeout=DEADLINE_S).appended)


def head(kaged: Kaged) -> int:
    """Where the journal stands."""
    return int(kaged.events.GetHead(event_service_pb2.GetHeadRequest(), timeout=DEADLINE_S).head_seq)


def raw_call(kaged: Kaged, method: str, *requests: bytes, streaming: bool = False, metadata: Any = None) -> list[bytes]:
    """Any method with any bytes: `method` is `Service/Method`. All answers."""
    path = f"/kaged.api.v1.{method}"
    metadata = [("authorization", f"Bearer {kaged.token}")] if metadata is None else metadata
    with grpc.insecure_channel(f"unix:{kaged.socket}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        if streaming:
            call = cast("Any", channel).stream_stream(path)
            return list(call(iter(requests), timeout=DEADLINE_S, metadata=metadata))
        return list(cast("Any", channel).unary_stream(path)(requests[0], timeout=DEADLINE_S, metadata=metadata))


@contextlib.contextmanager
def stream(call: Any) -> Iterator[Any]:
    """A streaming call that is cancelled at the end."""
    try:
        yield call
    finally:
        call.cancel()


def known_fields(message: Message) -> list[str]:
    """Names of the fields that are set."""
    return [field.name for field, _ in message.ListFields()]
