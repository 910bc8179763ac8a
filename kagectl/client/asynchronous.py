"""The asyncio client: calls by value, coalesced appends, subscriptions that survive restarts.

    async with AsyncClient(find_address()) as client:
        seq = await client.append("notes/build", "build.finished", b'{"ok":true}')
        async for event in client.subscribe(after_seq=seq): ...

Promises as of the blocking client: mutating calls are repeatable, failures are ClientErrors. One client
belongs to one event loop.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from kagectl.client import channel as channels
from kagectl.client.address import Address, check_door, read_token
from kagectl.client.appender import Appender
from kagectl.client.cursor import Cursor
from kagectl.client.failures import ClientError, Unavailable
from kagectl.client.frames import frame_alone
from kagectl.client.ids import uuid7_bytes
from kagectl.client.methods import Stream, Unary
from kagectl.client.methods.events import READ_EVENTS, SUBSCRIBE_EVENTS
from kagectl.client.repeatable import mark_repeatable
from kagectl.client.rescue import translated
from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

_STEP_S = 0.2


class AsyncClient:
    """A line to one daemon. `patience_s`: how long calls, appends and subscriptions outlast a missing one."""

    def __init__(
        self,
        address: Address,
        *,
        token: str | None = None,
        timeout_s: float = 30.0,
        patience_s: float = 30.0,
        appends_in_flight: int = 2,
    ) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._patience_s = patience_s
        check_door(address)
        self._key = channels.key(read_token(address) if token is None else token)
        self._channel = grpc.aio.insecure_channel(channels.target(address), options=channels.OPTIONS)
        self._appender = Appender(self._channel, self._key, in_flight=appends_in_flight, patience_s=patience_s)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what was handed to `append`, then cut the line."""
        await self._appender.close()
        await self._channel.close(None)

    # --- calls -------------------------------------------------------------------------------------------

    async def call(self, method: Unary[Q, A], request: Q, *, timeout_s: float | None = None) -> A:
        """One answer. `timeout_s` bounds it all, repeats included; 0: no bound."""
        mark_repeatable(request)
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s if limit_s > 0 else None
        gone_since: float | None = None
        stub = self._channel.unary_unary(
            method.full_path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        while True:
            left_s = None if deadline is None else max(deadline - time.monotonic(), 0.001)
            try:
                answer: A = await stub(request, timeout=left_s, metadata=self._key)
                return answer
            except grpc.RpcError as error:
                failure = translated(error)
            now = time.monotonic()
            wait_s = min(max(failure.retry_after_s or _STEP_S, 0.01), 1.0)
            gone_since = now if gone_since is None or failure.retry_after_s is not None else gone_since
            patience = gone_since + self._patience_s if failure.retry_after_s is None else None
            ends = [end for end in (deadline, patience) if end is not None]
            check_door(self.address)  # it may be somebody else's by now
            if not failure.passing or any(now + wait_s > end for end in ends):
                raise failure
            await asyncio.sleep(wait_s)

    async def stream(self, method: Stream[Q, A], request: Q) -> AsyncIterator[A]:
        """Answers as they come, until the daemon ends them. Not resumed."""
        stub = self._channel.unary_stream(
            method.full_path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        answers = stub(request, metadata=self._key)
        try:
            async for answer in answers:
                yield answer
        except grpc.RpcError as error:
            raise translated(error) from None
        finally:
            answers.cancel()

    # --- appending ---------------------------------------------------------------------------------------

    async def append(
        self,
        stream: str,
        event_type: str,
        data: bytes,
        *,
        content_type: str = "application/json",
        tags: Mapping[str, str] | None = None,
    ) -> int:
        """Append one event of one's own; its seq, once it is on disk.

        Calls that wait at the same time share messages, so many tasks that append one event each are as
        fast as one that appends many. A call that is cancelled may still have been stored. Raises
        ClientError when it was refused; Unavailable when no daemon came back in time (it may be stored).
        """
        now_us = time.time_ns() // 1000
        group = frame_alone(uuid7_bytes(), now_us, stream, event_type, content_type, data, tags)
        return await self._appender.append_one(group)

    async def append_framed(self, *events: bytes, checks: tuple[pb.Check, ...] = ()) -> list[pb.Appended]:
        """Append events made by `frame_event`, all or none; where each stands.

        `revision` is told only of events that were stored before (`deduplicated`): the fast path knows
        positions in the journal, not in streams.
        """
        return await self._appender.append_group(events, [check.SerializeToString() for check in checks])

    # --- reading -----------------------------------------------------------------------------------------

    async def read_batches(self, request: pb.ReadEventsRequest) -> AsyncIterator[bytes]:
        """A range as it arrives: undecoded ReadEventsResponse messages, for programs that pass them on."""
        stub = self._channel.unary_stream(
            READ_EVENTS.full_path,
            request_serializer=READ_EVENTS.request.SerializeToString,
            response_deserializer=None,
        )
        answers = stub(request, metadata=self._key)
        try:
            async for answer in answers:
                yield answer
        except grpc.RpcError as error:
            raise translated(error) from None
        finally:
            answers.cancel()

    async def subscribe(
        self,
        *,
        after_seq: int | None = None,
        matching: str = "",
        head_only: bool = False,
        max_batch: int = 0,
    ) -> AsyncIterator[event_pb2.Event]:
        """Events from after `after_seq` on (None: from now on), without end, over restarts of the daemon.

        `matching`: a filter (docs/filters.md).
        """
        request = pb.SubscribeEventsRequest(filter=matching, head_only=head_only, max_batch=max_batch)
        if after_seq is None:
            request.now = True
        else:
            request.after_seq = after_seq
        async for message in self.messages(request):
            for event in message.batch.events:
                yield event

    async def messages(self, request: pb.SubscribeEventsRequest) -> AsyncIterator[pb.SubscribeEventsResponse]:
        """Every message of a subscription. A broken line is taken up again after the last message seen:
        no event is lost or repeated, and the reader notices nothing but another `confirmed`.
        """
        cursor = Cursor(request)
        gone_since: float | None = None
        while True:
            failure: ClientError | None = None
            try:
                async for message in self.stream(SUBSCRIBE_EVENTS, cursor.request()):
                    gone_since = None
                    cursor.take(message)
                    yield message
            except ClientError as error:
                if not error.passing:
                    raise
                failure = error
            now = time.monotonic()
            gone_since = now if gone_since is None else gone_since
            if now - gone_since > self._patience_s:
                raise failure or Unavailable("the daemon ends every subscription at once")
            wait_s = failure.retry_after_s if failure and failure.retry_after_s else _STEP_S
            await asyncio.sleep(min(max(wait_s, 0.05), 1.0))
            check_door(self.address)  # it may be somebody else's by now
