"""gRPC's exception as ours, for both of its APIs."""

from typing import Protocol, cast

import grpc

from kagectl.client.failures import ClientError, from_status


class _Failed(Protocol):
    """What a failed call of either of gRPC's two APIs can tell."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> "object": ...


def translated(error: grpc.RpcError) -> ClientError:
    """gRPC's exception as ours, with the details that the daemon sent."""
    if not hasattr(error, "trailing_metadata"):
        return ClientError(str(error), code="UNKNOWN")
    failed = cast("_Failed", error)
    details: bytes | None = None
    pairs = failed.trailing_metadata() or ()
    for name, value in cast("tuple[tuple[str, str | bytes], ...]", pairs):
        if name == "grpc-status-details-bin" and isinstance(value, bytes):
            details = value
    return from_status(failed.code().name, failed.details() or "", details)
