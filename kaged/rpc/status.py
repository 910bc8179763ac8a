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
    (errors.Unavailable, code_pb2.UNAVAILABLE),
    (errors.Broken, code_pb2.UNAVAILABLE),
    (errors.Refusal, code_pb2.FAILED_PRECONDITION),
)


def code_of(error: KageError) -> int:
    """google.rpc.Code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), code_pb2.INTERNAL)


def _metadata(error: KageError) -> dict[str, str]:
    return {**error.facts, "hint": error.hint} if error.hint else dict(error.facts)


def to_status(error: KageError) -> status_pb2.Status:
    """An error as google.rpc.Status with its details."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=_metadata(error))
    ]
    if isinstance(error, errors.Invalid):
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=what)
            for field, what in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if isinstance(error, errors.Unavailable):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        wrapped = any_pb2.Any()
        wrapped.Pack(detail)
        packed.append(wrapped)
    return status_pb2.Status(code=code_of(error), message=error.message, details=packed)


def to_failure(error: KageError) -> event_service_pb2.Failure:
    """The same inside an answer."""
    return event_service_pb2.Failure(
        code=code_of(error), message=error.message, reason=error.reason, metadata=_metadata(error)
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
