"""EventService: append, read, follow. Requests to append are cut, not parsed; answers are stored bytes, joined."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from google.protobuf.message import DecodeError

from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb
from kaged.domain.errors import Invalid, Refusal
from kaged.domain.paging import Argument, parse_page_size, read_page_token, write_page_token
from kaged.rpc.convert import microseconds, request_id_in, timestamp
from kaged.rpc.methods import Call, raw_request
from kaged.rpc.plain_groups import plain_groups
from kaged.rpc.status import to_failure
from kaged.runtime.appends import Accepted, Appends, Check
from kaged.runtime.core import Core
from kaged.store.reading.messages import Batch, CaughtUp, Checkpoint, FellBehind
from kaged.store.reading.selection import Selection, select
from kaged.store.wire.record import decode_head, field_content, fields, payload, split, varint

_IN_FLIGHT: Final = 64  # messages of one append stream that wait for the disk; then the client waits
_BATCH: Final = 256
_MAX_BATCH: Final = 4096
_HEARTBEAT_S: Final = 15.0
_MIN_HEARTBEAT_S: Final = 0.05
_MAX_HEARTBEAT_S: Final = 86_400.0
_PAGE_BYTES: Final = 2 << 20  # a message holds that and one more event at most, so gRPC's default of 4 MiB takes it
_Answer = tuple[bytes, asyncio.Future[None] | None]  # one answer of an append stream, and what it waits for


class EventService:
    """See the module."""

    def __init__(self, core: Core, appends: Appends) -> None:
        self._core = core
        self._appends = appends
        self._reader = core.reader
        self._journal = core.journal

    # --- append ------------------------------------------------------------------------------------------------

    @raw_request
    async def AppendEvents(self, request: bytes, call: Call) -> pb.AppendEventsResponse:
        """Cut the request into events, append them as one group."""
        request_id, raws, checks = _group(request, events=2, checks=3)
        caller = call.caller_of_bytes(request_id_in(request_id), request)
        placed = await self._appends.append_once(raws, checks, caller)
        return pb.AppendEventsResponse(
            appended=[
                pb.Appended(seq=item.seq, revision=item.revision, deduplicated=item.deduplicated) for item in placed
            ]
        )

    @raw_request
    async def AppendStream(self, requests: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        """Accept messages as they come; answer each, in order, once it is on disk."""
        waiting: asyncio.Queue[_Answer | Exception | None] = asyncio.Queue(_IN_FLIGHT)
        reading = asyncio.ensure_future(self._take(requests, call.identity.actor, waiting))
        try:
            while (item := await waiting.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                answer, done = item
                if done is not None:
                    await self._journal.recorded(done)
                yield answer
        finally:
            reading.cancel()

    async def _take(
        self, requests: AsyncIterator[bytes], actor: int, waiting: "asyncio.Queue[_Answer | Exception | None]"
    ) -> None:
        try:
            async for request in requests:
                await waiting.put(await self._groups(request, actor))
        except Exception as error:  # noqa: BLE001  raised where the answers are sent; nobody else would hear of it
            await waiting.put(error)
            return
        await waiting.put(None)

    async def _groups(self, request: bytes, actor: int) -> "_Answer":
        plain = plain_groups(request)
        if plain is not None and plain[1]:
            taken = self._appends.try_append_plain(plain[1], actor)
            if taken is not None:
                told = pb.AppendStreamResponse(batch=plain[0], first_seq=taken.first_seq, last_seq=taken.last_seq)
                return told.SerializeToString(), taken.done
        batch, first, last, index = 0, 0, 0, 0
        done: asyncio.Future[None] | None = None
        exceptions: list[pb.GroupResult] = []
        cut = _cut(request)
        listed = any(pb.AppendStreamRequest.FromString(field).want_revisions for number, field in cut if number == 3)
        for number, field in cut:
            if number == 1:
                batch = pb.AppendStreamRequest.FromString(field).batch
            elif number == 2:
                try:
                    _, raws, checks = _group(field_content(field), events=1, checks=2)
                    accepted = self._appends.try_append(raws, checks, actor)
                    if accepted is None:
                        accepted = await self._appends.append(raws, checks, actor)
                except Refusal as error:
                    exceptions.append(pb.GroupResult(group=index, failure=to_failure(error)))
                else:
                    done = accepted.done or done
                    if accepted.plain and not listed and last in (0, accepted.placed[0].seq - 1):
                        first = first or accepted.placed[0].seq
                        last = accepted.placed[-1].seq
                    else:
                        exceptions.append(_exception(index, accepted))
                index += 1
        answer = pb.AppendStreamResponse(batch=batch, first_seq=first, last_seq=last, exceptions=exceptions)
        return answer.SerializeToString(), done

    # --- read --------------------------------------------------------------------------------------------------

    async def ReadEvents(self, request: pb.ReadEventsRequest, call: Call) -> AsyncIterator[bytes]:
        """A range, page by page; ends at the head as it was."""
        await self._reach(request.min_seq)
        selection = self._selection(request.filter, request.stream, head_only=request.head_only)
        reverse = request.direction == pb.DIRECTION_BACKWARDS
        head = self._reader.head
        after, up_to = await asyncio.to_thread(self._range, request, head)
        batches = self._core.feed.long_reads.batches(
            selection,
            after,
            up_to,
            max_batch=_batch_size(request.max_batch),
            limit=request.limit or 1 << 63,
            reverse=reverse,
        )
        async with contextlib.aclosing(batches):
            async for batch in batches:
                if batch.count:
                    yield batch.joined
        yield pb.ReadEventsResponse(head_seq=head).SerializeToString()

    def _range(self, request: pb.ReadEventsRequest, head: int) -> tuple[int, int]:
        """The range as (after, up to), in a thread."""
        after, up_to = max(0, request.from_seq - 1), request.to_seq or head
        if request.from_seq:
            self._reader.check_position(request.from_seq - 1)
        if request.HasField("from_time"):
            after = max(after, self._reader.seek_time(microseconds(request.from_time)) - 1)
        if request.HasField("to_time"):
            up_to = min(up_to, self._reader.at_time(microseconds(request.to_time)))
        if request.from_revision or request.to_revision:
            if not request.stream:
                raise Invalid(("stream", "is needed with from_revision or to_revision"))
            if request.from_revision:
                after = max(after, self._reader.seq_of_revision(request.stream, request.from_revision) - 1)
            if request.to_revision:
                up_to = min(up_to, self._reader.seq_of_revision(request.stream, request.to_revision + 1) - 1)
        return after, min(up_to, head)

    async def ListEvents(self, request: pb.ListEventsRequest, call: Call) -> pb.ListEventsResponse:
        """One page; the token carries the position and the head of the first page."""
        if request.order_by not in ("", "seq", "seq asc", "seq desc"):
            raise Invalid(("order_by", "is `seq` or `seq desc`"))
        reverse = request.order_by == "seq desc"
        size = parse_page_size(request.page_size, default=100, maximum=1000)
        arguments: dict[str, Argument] = {
            "filter": request.filter,
            "order_by": request.order_by,
            "head_only": request.head_only,
        }
        cursor = read_page_token(request.page_token, method="ListEvents", arguments=arguments)
        head = self._reader.head
        after, up_to, now_us = 0, head, self._journal.now_us()
        if cursor:
            after, up_to, now_us = (int(part) for part in cursor.split(b","))
        selection = select(request.filter, now_us=now_us, head_only=request.head_only)
        frames: list[bytes] = []
        done, room = after >= up_to, True
        while len(frames) < size and room and not done:
            page = await asyncio.to_thread(
                self._reader.page, selection, after, up_to, size - len(frames), reverse=reverse
            )
            done, reached = page.done, page.reached
            fitting = next(_in_messages([*frames, *page.frames]), [])
            if len(fitting) < len(frames) + len(page.frames):
                # Full by size: the next page begins after the last event that fits.
                done, room = False, False
                reached = decode_head(split(fitting[-1]).head).seq
            frames = fitting
            if reverse:
                up_to = reached - 1
            else:
                after = reached
        token = ""
        if not done:
            place = f"{after},{up_to},{now_us}".encode()
            token = write_page_token(place, method="ListEvents", arguments=arguments)
        answer = pb.ListEventsResponse.FromString(b"".join(frames))
        answer.next_page_token = token
        return answer

    async def GetEvent(self, request: pb.GetEventRequest, call: Call) -> bytes:
        """One event, as stored."""
        match request.WhichOneof("key"):
            case "seq":
                framed = self._reader.get(request.seq)
            case "id":
                if len(request.id) != 16:
                    raise Invalid(("id", "has 16 bytes"))
                framed = self._reader.find(request.id)
            case _:
                raise Invalid(("key", "give `seq` or `id`"))
        event = payload(framed)
        return b"\n" + varint(len(event)) + event

    async def GetHead(self, request: pb.GetHeadRequest, call: Call) -> pb.GetHeadResponse:
        """Where the journal stands."""
        await self._reach(request.min_seq)
        return pb.GetHeadResponse(
            store_id=self._journal.store_id,
            head_seq=self._reader.head,
            first_seq=self._journal.first_seq,
            root_hash=self._journal.root(),
            recorded=timestamp(self._journal.last_recorded_us),
        )

    async def _reach(self, seq: int) -> None:
        if seq > self._reader.head:
            await self._journal.wait_durable(seq)

    # --- follow ------------------------------------------------------------------------------------------------

    async def SubscribeEvents(self, request: pb.SubscribeEventsRequest, call: Call) -> AsyncIterator[bytes]:
        """First what is stored, then what happens."""
        selection = self._selection(request.filter, "", head_only=request.head_only)
        head = self._reader.head
        match request.WhichOneof("start"):
            case "after_seq":
                after = request.after_seq
            case "from_time":
                after = await asyncio.to_thread(self._reader.seek_time, microseconds(request.from_time)) - 1
            case _:
                after = head
        heartbeat_s = request.heartbeat_s or _HEARTBEAT_S
        if not 0 < heartbeat_s <= _MAX_HEARTBEAT_S:
            raise Invalid(("heartbeat_s", f"must lie between 0 and {_MAX_HEARTBEAT_S:.0f}"))
        messages = self._core.feed.subscribe(
            selection,
            after,
            max_batch=_batch_size(request.max_batch),
            heartbeat_s=max(_MIN_HEARTBEAT_S, heartbeat_s),
        )
        async with contextlib.aclosing(messages):
            # The first message comes before the confirmation is given: a subscription that is refused was never one.
            message = await anext(messages)
            confirmed = pb.Confirmed(store_id=self._journal.store_id, after_seq=after, head_seq=head)
            yield pb.SubscribeEventsResponse(confirmed=confirmed).SerializeToString()
            while True:
                if isinstance(message, Batch):
                    yield b"\n" + varint(len(message.joined)) + message.joined
                else:
                    yield self._mark(message).SerializeToString()
                message = await anext(messages)

    def _mark(self, message: object) -> pb.SubscribeEventsResponse:
        time = timestamp(self._core.system.now_us())
        head = self._reader.head
        match message:
            case CaughtUp(seq=seq):
                return pb.SubscribeEventsResponse(caught_up=pb.CaughtUp(seq=seq, time=time))
            case FellBehind(seq=seq):
                return pb.SubscribeEventsResponse(fell_behind=pb.FellBehind(seq=seq, time=time))
            case Checkpoint(seq=seq):
                return pb.SubscribeEventsResponse(checkpoint=pb.Position(seq=seq, head_seq=head, time=time))
            case _:
                seq = getattr(message, "seq", 0)
                return pb.SubscribeEventsResponse(heartbeat=pb.Position(seq=seq, head_seq=head, time=time))

    def _selection(self, text: str, stream: str, *, head_only: bool) -> Selection:
        return select(text, now_us=self._journal.now_us(), stream=stream, head_only=head_only)


def _batch_size(asked: int) -> int:
    return min(asked, _MAX_BATCH) if asked else _BATCH


def _in_messages(frames: list[bytes]) -> Iterator[list[bytes]]:
    """Frames in pieces that each fit into a message."""
    start = size = 0
    for at, framed in enumerate(frames):
        if size + len(framed) > _PAGE_BYTES and at > start:
            yield frames[start:at]
            start, size = at, 0
        size += len(framed)
    if frames:
        yield frames[start:]


def _cut(request: bytes) -> list[tuple[int, bytes]]:
    try:
        return list(fields(request))
    except ValueError as error:
        raise Invalid(("", f"not a valid request: {error}")) from None


def _group(data: bytes, *, events: int, checks: int) -> tuple[str, list[bytes], list[Check]]:
    """Cut a group: request id (field 1 when events are field 2), raw events, parsed checks."""
    request_id, raws, found = "", [], []
    for number, field in _cut(data):
        if number == events:
            raws.append(field[2:] if field[1] < 0x80 else field_content(field))
        elif number == checks:
            found.append(_check(field_content(field)))
        elif number == 1 and events != 1:
            try:
                request_id = field_content(field).decode()
            except UnicodeDecodeError:
                raise Invalid(("request_id", "is not UTF-8")) from None
    return request_id, raws, found


def _check(content: bytes) -> Check:
    try:
        check = pb.Check.FromString(content)
    except DecodeError:
        raise Invalid(("checks", "not a valid message")) from None
    match check.WhichOneof("expected"):
        case "revision":
            return Check(check.stream, revision=check.revision)
        case "absent" if check.absent:
            return Check(check.stream, exists=False)
        case "exists" if check.exists:
            return Check(check.stream, exists=True)
        case _:
            raise Invalid(("checks.expected", "give revision, absent or exists"))


def _exception(index: int, accepted: Accepted) -> pb.GroupResult:
    return pb.GroupResult(
        group=index,
        appended=[
            pb.Appended(seq=item.seq, revision=item.revision, deduplicated=item.deduplicated)
            for item in accepted.placed
        ],
    )


__all__ = ["EventService", "event_pb2"]
