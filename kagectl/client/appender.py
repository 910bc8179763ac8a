"""Appends that wait at the same time share messages: one writer, a few messages in flight, one result each.

    append -> pending -> (a slot is free) -> one message of groups -> in flight -> answer -> futures

Groups keep the order in which they were handed over. When the line breaks, what was in flight is sent again
first, in the same order, with the same event ids: the daemon recognises what it has stored, so a resend
stores nothing twice. After `patience_s` without a daemon everything that waits fails with Unavailable.
Bounded: at most `max_pending_bytes` wait; beyond that, `append` waits for room before it hands over.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import grpc
import grpc.aio

from kagectl.client.failures import ClientError, Unavailable, code_word
from kagectl.client.frames import frame_group, frame_request
from kagectl.client.rescue import translated
from kaged.api.v1 import event_service_pb2 as pb

PATH = "/kaged.api.v1.EventService/AppendStream"
MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # soft: a message takes groups until it is over this
MAX_MESSAGE_GROUPS = 1000
MAX_GROUP_BYTES = 15 * 1024 * 1024
MAX_PENDING_BYTES = 64 * 1024 * 1024
_STEP_S = 0.1


Line: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"
Result: TypeAlias = int | list[pb.Appended]
"""The seq of a group's first event, or where each stands when some were stored before."""


class _Waiting:
    """One group on its way. Slots, no dataclass: one is made for every append."""

    __slots__ = ("data", "events", "future")

    def __init__(self, data: bytes, events: int, future: "asyncio.Future[Result]") -> None:
        self.data = data
        self.events = events
        self.future = future


class Appender:
    """The coalescing end of AppendStream for one client. Its task starts with the first append."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        key: tuple[tuple[str, str], ...],
        *,
        in_flight: int = 2,
        patience_s: float = 30.0,
        max_pending_bytes: int = MAX_PENDING_BYTES,
    ) -> None:
        self._open = channel.stream_stream(PATH, request_serializer=None, response_deserializer=None)
        self._key = key
        self._slots = in_flight
        self._patience_s = patience_s
        self._max_pending_bytes = max_pending_bytes
        self._pending: deque[_Waiting] = deque()
        self._pending_bytes = 0
        self._in_flight: deque[tuple[int, list[_Waiting]]] = deque()
        self._batch = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._progress = False
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._closing = False

    async def append_one(self, group: bytes) -> int:
        """Append one framed group of one event; its seq."""
        if self._pending_bytes > self._max_pending_bytes:
            await self._wait_for_room()
        result = await self._hand_over(group, 1)
        return result if isinstance(result, int) else result[0].seq

    async def append_group(self, events: Sequence[bytes], checks: Sequence[bytes]) -> list[pb.Appended]:
        """Append framed events under serialized checks, all or none; where each stands."""
        if not events:
            raise ClientError("nothing to append", code="INVALID_ARGUMENT", reason="INVALID_REQUEST")
        if self._pending_bytes > self._max_pending_bytes:
            await self._wait_for_room()
        result = await self._hand_over(frame_group(events, checks), len(events))
        if isinstance(result, int):
            return [pb.Appended(seq=result + index) for index in range(len(events))]
        return result

    def _hand_over(self, data: bytes, events: int) -> "asyncio.Future[Result]":
        if self._closing:
            raise ClientError("this client is closed", code="CANCELLED", reason="CLIENT_CLOSED")
        if len(data) > MAX_GROUP_BYTES:
            raise ClientError(
                f"{len(data)} bytes of events in one append, at most {MAX_GROUP_BYTES} fit",
                code="RESOURCE_EXHAUSTED",
                reason="TOO_MUCH",
            )
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._work(), name="kage-append")
        future: asyncio.Future[Result] = self._loop.create_future()
        self._pending.append(_Waiting(data, events, future))
        self._pending_bytes += len(data)
        if not self._wake.is_set():
            self._wake.set()
        return future

    async def _wait_for_room(self) -> None:
        while self._pending_bytes > self._max_pending_bytes and not self._closing:
            self._room.clear()
            await self._room.wait()

    async def close(self) -> None:
        """Wait for the results of what was handed over, at most `patience_s`, then end the stream."""
        self._closing = True
        self._wake.set()
        self._room.set()
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._task, self._patience_s)
        except TimeoutError:
            self._fail(Unavailable("the client was closed before the daemon answered"))

    # --- the one task ------------------------------------------------------------------------------------

    async def _work(self) -> None:
        gone_since: float | None = None
        while not self._finished():
            if not self._pending and not self._in_flight:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._progress = False
            failure = await self._one_line()
            if failure is None:
                continue
            if not failure.passing:
                # The daemon cut this line on purpose. Which message it did not like is not told, so all
                # that were on their way get its answer; what waits behind them gets a new line.
                self._fail_in_flight(failure)
                continue
            now = time.monotonic()
            gone_since = now if self._progress or gone_since is None else gone_since
            if now - gone_since > self._patience_s:
                self._fail(failure)
                gone_since = None
                continue
            await asyncio.sleep(_STEP_S)

    def _finished(self) -> bool:
        return self._closing and not self._pending and not self._in_flight

    async def _one_line(self) -> ClientError | None:
        """Work one stream until it breaks (why) or everything is done and the client closes (None)."""
        call: Line = self._open(metadata=self._key)  # type: ignore[call-arg]  # the stubs demand an iterator
        reader = asyncio.ensure_future(self._read(call))
        try:
            for number, groups in tuple(self._in_flight):
                await call.write(frame_request(number, (each.data for each in groups)))
            while not reader.done():
                if self._pending and len(self._in_flight) < self._slots:
                    await call.write(self._next_message())
                elif self._finished():
                    return None
                else:
                    self._wake.clear()
                    await self._wake.wait()
            return await reader
        except (grpc.RpcError, asyncio.InvalidStateError):
            return await reader  # the reader knows why the line broke
        finally:
            reader.cancel()
            call.cancel()

    def _next_message(self) -> bytes:
        groups: list[_Waiting] = []
        size = 0
        while self._pending and len(groups) < MAX_MESSAGE_GROUPS and size < MAX_MESSAGE_BYTES:
            if groups and size + len(self._pending[0].data) > MAX_GROUP_BYTES:
                break
            waiting = self._pending.popleft()
            size += len(waiting.data)
            groups.append(waiting)
        self._pending_bytes -= size
        if not self._room.is_set() and self._pending_bytes <= self._max_pending_bytes:
            self._room.set()
        self._batch += 1
        self._in_flight.append((self._batch, groups))
        return frame_request(self._batch, [each.data for each in groups])

    async def _read(self, call: Line) -> ClientError:
        """Settle answers until the line ends; why it ended."""
        try:
            while True:
                raw = await call.read()
                if not isinstance(raw, bytes):  # grpc.aio.EOF
                    return Unavailable("the daemon ended the append stream")
                self._settle(pb.AppendStreamResponse.FromString(raw))
                self._progress = True
                self._wake.set()
        except grpc.RpcError as error:
            return translated(error)
        except ClientError as error:
            return error
        finally:
            self._wake.set()

    def _settle(self, answer: pb.AppendStreamResponse) -> None:
        if not self._in_flight or self._in_flight[0][0] != answer.batch:
            raise ClientError(f"the daemon answered batch {answer.batch} out of turn", code="INTERNAL")
        _, groups = self._in_flight.popleft()
        seq = answer.first_seq
        if not answer.exceptions:
            for waiting in groups:
                if not waiting.future.done():
                    waiting.future.set_result(seq)
                seq += waiting.events
            return
        exceptions = {each.group: each for each in answer.exceptions}
        for index, waiting in enumerate(groups):
            told = exceptions.get(index)
            if told is None:
                if not waiting.future.done():
                    waiting.future.set_result(seq)
                seq += waiting.events
                continue
            # A group of which a part was new took seqs among its neighbours'.
            for each in told.appended:
                seq += not each.deduplicated and each.seq == seq
            if waiting.future.done():
                continue
            if told.HasField("failure"):
                waiting.future.set_exception(_refusal(told.failure))
            else:
                waiting.future.set_result(list(told.appended))

    def _fail_in_flight(self, failure: ClientError) -> None:
        while self._in_flight:
            for waiting in self._in_flight.popleft()[1]:
                if not waiting.future.done():
                    waiting.future.set_exception(failure)

    def _fail(self, failure: ClientError) -> None:
        self._fail_in_flight(failure)
        while self._pending:
            waiting = self._pending.popleft()
            if not waiting.future.done():
                waiting.future.set_exception(failure)
        self._pending_bytes = 0
        self._room.set()


def _refusal(failure: pb.Failure) -> ClientError:
    metadata = dict(failure.metadata)
    hint = metadata.pop("hint", "")
    return ClientError(
        failure.message, code=code_word(failure.code), reason=failure.reason, hint=hint, metadata=metadata
    )
