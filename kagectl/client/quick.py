"""A client that starts fast: plain successes by `http2`, everything else by the full `Client`.

    call -> http2 -> an answer
                  -> None or a broken line -> gRPC is imported, the call is repeated there

Same promises as `Client`: a mutating request has a `request_id` before the first try, so the repeat gets the
first answer. KAGE_GRPC=1 in the environment of kagectl turns the fast way off.
"""

import os
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from google.protobuf.message import Message

from kagectl.client import http2
from kagectl.client.address import Address, probe, read_token
from kagectl.client.failures import ClientError
from kagectl.client.methods import Stream, Unary
from kagectl.client.repeatable import mark_repeatable

if TYPE_CHECKING:
    from kagectl.client.synchronous import Client

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class QuickClient:
    """A line to one daemon for a short-lived program. Raises at once when nobody listens."""

    def __init__(self, address: Address, *, timeout_s: float = 30.0) -> None:
        probe(address)
        self.address = address
        self.timeout_s = timeout_s
        self._token = read_token(address)
        self._quick = not os.environ.get("KAGE_GRPC")
        self._full: Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut the line."""
        if self._full is not None:
            self._full.close()

    def call(self, method: Unary[Q, A], request: Q, *, timeout_s: float | None = None, repeat: bool = True) -> A:
        """One answer, as `Client.call`."""
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        mark_repeatable(request)
        if self._full is None and self._quick and repeat:
            data = request.SerializeToString()
            started = time.monotonic()
            if len(data) <= http2.MAX_REQUEST_BYTES:
                answer = self._try(method.full_path, data, limit_s)
                if answer is not None:
                    return method.answer.FromString(answer)
            limit_s = max(limit_s - (time.monotonic() - started), 0.001) if limit_s > 0 else 0.0
        return self._client().call(method, request, timeout_s=limit_s, repeat=repeat)

    def _try(self, path: str, data: bytes, limit_s: float) -> bytes | None:
        try:
            return http2.call(self.address, path, self._token, data, timeout_s=limit_s if limit_s > 0 else None)
        except TimeoutError:
            raise ClientError("the daemon did not answer in time", code="DEADLINE_EXCEEDED") from None
        except OSError:
            return None  # it went away between two calls: the full client knows how to wait for it

    def stream(
        self, method: Stream[Q, A], request: Q, *, timeout_s: float | None = None, again: bool = False
    ) -> Iterator[A]:
        """Answers as they come, as `Client.stream`."""
        return self._client().stream(method, request, timeout_s=timeout_s, again=again)

    def _client(self) -> "Client":
        if self._full is None:
            from kagectl.client.synchronous import Client  # noqa: PLC0415 - 60 ms that short calls do not pay

            self._full = Client(self.address, token=self._token, timeout_s=self.timeout_s)
        return self._full
