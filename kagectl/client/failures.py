"""What can go wrong between a caller and the daemon: one exception, with the daemon's own facts in it.

`ClientError.code` is the canonical word of google.rpc.Code ("NOT_FOUND"), `reason` the stable UPPER_SNAKE
word for programs, `hint` what to do next, `violations` the fields that were wrong. `Unavailable` is the one
kind that callers branch on: the daemon is not there now and may be later.
"""

from collections.abc import Mapping, Sequence

_CODES = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]


class ClientError(Exception):
    """A call did not do what was asked."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "FAILED_PRECONDITION",
        reason: str = "",
        hint: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[tuple[str, str]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.hint = hint
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s

    @property
    def passing(self) -> bool:
        """Whether it is worth waiting for and trying again."""
        return False


class Unavailable(ClientError):
    """Nobody answers at the socket, or the daemon cannot serve now. A repeat may work."""

    @property
    def passing(self) -> bool:
        """Whether it is worth waiting for: a daemon that restarts is, a full disk is for a person."""
        return not self.reason.startswith("STORE_")

    def __init__(
        self,
        message: str,
        *,
        reason: str = "UNAVAILABLE",
        hint: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(
            message,
            code="UNAVAILABLE",
            reason=reason,
            hint=hint,
            metadata=metadata,
            retry_after_s=retry_after_s,
        )


def code_word(number: int) -> str:
    """google.rpc.Code as its word; a number that nobody knows is UNKNOWN."""
    return _CODES[number] if 0 <= number < len(_CODES) else "UNKNOWN"


def from_status(code: str, message: str, details: bytes | None) -> ClientError:
    """The exception for a failed call; `details` is `grpc-status-details-bin`, a google.rpc.Status."""
    reason = hint = ""
    metadata: dict[str, str] = {}
    violations: list[tuple[str, str]] = []
    retry_after_s: float | None = None
    if details:
        from google.rpc import error_details_pb2, status_pb2  # noqa: PLC0415 - 10 ms that only an error pays

        status = status_pb2.Status.FromString(details)
        message = status.message or message
        for packed in status.details:
            info = error_details_pb2.ErrorInfo()
            bad = error_details_pb2.BadRequest()
            retry = error_details_pb2.RetryInfo()
            if packed.Unpack(info):
                reason = info.reason
                metadata = dict(info.metadata)
                hint = metadata.pop("hint", "")
            elif packed.Unpack(bad):
                violations = [(each.field, each.description) for each in bad.field_violations]
            elif packed.Unpack(retry):
                retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    if not reason and (code == "CANCELLED" or (code == "INTERNAL" and "RST_STREAM" in message)):
        code, message = "UNAVAILABLE", "the daemon ended the call"  # what a server that stops does to its streams
    if code == "UNAVAILABLE":
        return Unavailable(
            message or "the daemon is not available",
            reason=reason or "UNAVAILABLE",
            hint=hint,
            metadata=metadata,
            retry_after_s=retry_after_s,
        )
    return ClientError(
        message or code.lower().replace("_", " "),
        code=code,
        reason=reason,
        hint=hint,
        metadata=metadata,
        violations=violations,
        retry_after_s=retry_after_s,
    )
