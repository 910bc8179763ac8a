"""The blocking client: one channel, calls by value (`client.call(agents.GET_AGENT, request)`).

Promises: every mutating request gets a `request_id`, so a call that met a restarting daemon is repeated
within its deadline and still happens once; every failure is a ClientError with the daemon's own words.
May be used from several threads. Not here: coalesced appends (AsyncClient) and anything on the screen.
"""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from kagectl.client import channel as channels
from kagectl.client.address import Address, check_door, probe, read_token
from kagectl.client.failures import Unavailable
from kagectl.client.methods import Stream, Unary
from kagectl.client.repeatable import mark_repeatable
from kagectl.client.rescue import translated

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

_STEP_S = 0.2  # between two tries of a call that found nobody


class Client:
    """A line to one daemon. `timeout_s` bounds each unary call, repeats included; streams have no bound.

    `patience_s` is how long a call may find nobody at the socket before it gives up: longer than a
    restart of the daemon, shorter than a person's patience.
    """

    def __init__(
        self, address: Address, *, token: str | None = None, timeout_s: float = 30.0, patience_s: float = 5.0
    ) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._patience_s = patience_s
        check_door(address)
        self._key = channels.key(read_token(address) if token is None else token)
        self._channel = grpc.insecure_channel(channels.target(address), options=channels.OPTIONS)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut the line; streams that are open end."""
        self._channel.close()

    def call(self, method: Unary[Q, A], request: Q, *, timeout_s: float | None = None, repeat: bool = True) -> A:
        """One answer. `timeout_s` 0: no bound. `repeat` False: a daemon that goes away is an error at once."""
        mark_repeatable(request)
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s if limit_s > 0 else None
        gone_since: float | None = None
        again = False
        stub = self._channel.unary_unary(
            method.full_path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        while True:
            left_s = None if deadline is None else max(deadline - time.monotonic(), 0.001)
            try:
                if again:
                    probe(self.address)
                answer: A = stub(request, timeout=left_s, metadata=self._key, wait_for_ready=again)
                return answer
            except grpc.RpcError as error:
                failure = translated(error)
            except Unavailable as error:
                failure = error
            # gRPC makes progress with a new connection only while a call waits for it: a call that fails
            # at once would find a daemon that came back after seconds. So from now on calls wait for the
            # line, and only when somebody listens, so that a missing daemon is still told soon.
            again = True
            now = time.monotonic()
            # A daemon that says when to come back is there and busy: it has the whole time limit.
            gone_since = now if gone_since is None or failure.retry_after_s is not None else gone_since
            patience = gone_since + self._patience_s if failure.retry_after_s is None else None
            wait_s = failure.retry_after_s if failure.retry_after_s is not None else _STEP_S
            wait_s = min(max(wait_s, 0.01), 1.0)
            ends = [end for end in (deadline, patience) if end is not None]
            if not repeat or not failure.passing or any(now + wait_s > end for end in ends):
                raise failure
            time.sleep(wait_s)

    def stream(
        self, method: Stream[Q, A], request: Q, *, timeout_s: float | None = None, again: bool = False
    ) -> Iterator[A]:
        """Answers as they come, until the daemon ends them. Not resumed: the caller knows from where.

        `again`: a daemon that went away is expected back; raises Unavailable while nobody listens.
        """
        if again:
            probe(self.address)
        stub = self._channel.unary_stream(
            method.full_path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        answers = stub(request, timeout=timeout_s, metadata=self._key, wait_for_ready=again)
        try:
            yield from answers
        except grpc.RpcError as error:
            raise translated(error) from None
        finally:
            answers.cancel()  # type: ignore[no-untyped-call]  # the stubs left its types out

    def stream_bytes(self, method: Stream[Q, A], request: Q) -> Iterator[bytes]:
        """Like `stream`, but the answers as they arrived, undecoded: for programs that only pass them on."""
        stub = self._channel.unary_stream(
            method.full_path, request_serializer=method.request.SerializeToString, response_deserializer=None
        )
        answers = stub(request, metadata=self._key)
        try:
            yield from answers
        except grpc.RpcError as error:
            raise translated(error) from None
        finally:
            answers.cancel()  # type: ignore[no-untyped-call]  # the stubs left its types out
