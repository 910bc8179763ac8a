"""The one table from our errors to gRPC statuses: code by kind, ErrorInfo always, the rest where it fits."""

import logging
from typing import Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from kaged.api.v1 import event_service_pb2
from kaged.domain import errors
from kaged.domain.errors import KageError

DOMAIN: Final = "kage.dev"
log = logging.getLogger("kaged.rpc")

_CODES: Final[tuple[tuple[type[KageError], int], ...]] = (
    (errors.Invalid, code_pb2.INVALID_ARGUMENT),
    (errors.NotFound, code_pb2.NOT_FOUND),
    (errors.AlreadyExists, code_pb2.ALREADY_EXISTS),
    (errors.Precondition, code_pb2.FAILED_PRECONDITION),
    (errors.Denied, code_pb2.PERMISSION_DENIED),
    (errors.Unauthenticated, code_pb2.UNAUTHENTICATED),
    (errors.TooMuch, code_pb2.RESOURCE_EXHAUSTED),
    (errors.OutOfRange, code_pb2.OUT_OF_RANGE),
    (errors.Late, code_pb2.DEADLINE_EXCEEDED),
    (errors.Unimplemented, code_pb2.UNIMPLEMENTED),
    (errors.Unavailable, code_pb2.UNAVAILABLE),
    (errors.Broken, code_pb2.UNAVAILABLE),
    (errors.Refusal, code_pb2.FAILED_PRECONDITION),
)


def code_of(error: KageError) -> int:
    """google.rpc.Code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), code_pb2.INTERNAL)


# A refusal travels as HTTP/2 headers, of which clients take 8 KiB by default, and what a caller sent is often part
# of it. So each text is cut, and of many violations the first are told.
_MESSAGE_BYTES: Final = 600
_FACT_BYTES: Final = 200
_VIOLATIONS: Final = 8
_DETAILS_BYTES: Final = 4096


def _metadata(error: KageError) -> dict[str, str]:
    facts = {**error.facts, "hint": error.hint} if error.hint else error.facts
    return {key: _cut(value, _FACT_BYTES) for key, value in facts.items()}


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit // 4:
        return text
    data = text.encode("utf-8", "replace")
    return text if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "…"


def _violations(error: errors.Invalid) -> error_details_pb2.BadRequest:
    told = [
        error_details_pb2.BadRequest.FieldViolation(
            field=_cut(field, _FACT_BYTES) or "request", description=_cut(what, _FACT_BYTES)
        )
        for field, what in error.violations[:_VIOLATIONS]
    ]
    if len(error.violations) > len(told):
        told[-1].description += f" (and {len(error.violations) - len(told)} more)"
    return error_details_pb2.BadRequest(field_violations=told)


def to_status(error: KageError) -> status_pb2.Status:
    """An error as google.rpc.Status with its details."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=_metadata(error))
    ]
    if isinstance(error, errors.Invalid):
        details.append(_violations(error))
    if isinstance(error, errors.Broken):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int((error.retry_after_s if isinstance(error, errors.Unavailable) else 1.0) * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=code_of(error), message=_cut(error.message, _MESSAGE_BYTES))
    for detail in details:
        wrapped = any_pb2.Any()
        wrapped.Pack(detail)
        if status.ByteSize() + wrapped.ByteSize() <= _DETAILS_BYTES:
            status.details.append(wrapped)
    return status


def to_failure(error: KageError) -> event_service_pb2.Failure:
    """The same inside an answer."""
    return event_service_pb2.Failure(
        code=code_of(error), message=_cut(error.message, _MESSAGE_BYTES), reason=error.reason, metadata=_metadata(error)
    )


_GRPC_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


async def abort(context: "grpc.aio.ServicerContext[object, object]", error: KageError) -> None:
    """End the call with an error. Never returns."""
    status = to_status(error)
    await context.abort(
        _GRPC_CODES[status.code],
        status.message,
        (("grpc-status-details-bin", status.SerializeToString()),),
    )


def bug(method: str, error: Exception) -> KageError:
    """An error that is not one of ours: log it whole, tell the caller what to report."""
    log.error("bug method=%s", method, exc_info=error)
    return errors.Bug(
        f"{method} failed inside kaged: {type(error).__name__}: {error}",
        hint="this is a bug of Kage; the daemon's log has the traceback",
        method=method,
    )
