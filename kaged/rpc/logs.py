"""Output as lines: chunks of the journal, joined per run and stream and split at the reader (decision 13).

Lines are in order within each stream. A line longer than 1 MiB comes in pieces marked `partial`; so does an end of
output without a line end. Following ends when the agent has ended and everything was sent.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Final

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import event_pb2, fact_pb2
from kaged.rpc.convert import timestamp
from kaged.runtime.core import Core
from kaged.store.feed import Batch
from kaged.store.record import fields
from kaged.store.selection import Selection, select
from kaged.store.views import agent_stream

_MAX_LINE: Final = 1 << 20
_PAGE: Final = 64
_ANSWER_BYTES: Final = 1 << 20
_HEARTBEAT_S: Final = 3600.0


@dataclass(slots=True)
class _Splitter:
    """Lines of one stream of one run."""

    run: str
    channel: fact_pb2.OutputChannel
    rest: bytes = b""
    offset: int = 0
    last: event_pb2.Event | None = None

    def feed(self, event: event_pb2.Event, data: bytes, offset: int) -> Iterator[pb.LogLine]:
        if not self.rest:
            self.offset = offset
        self.last = event
        *lines, rest = (self.rest + data).split(b"\n") if self.rest else data.split(b"\n")
        for line in lines:
            yield self._line(line, partial=False)
            self.offset += len(line) + 1
        while len(rest) >= _MAX_LINE:
            yield self._line(rest[:_MAX_LINE], partial=True)
            self.offset += _MAX_LINE
            rest = rest[_MAX_LINE:]
        self.rest = rest

    def finish(self) -> Iterator[pb.LogLine]:
        if self.rest:
            yield self._line(self.rest, partial=True)
            self.rest = b""

    def _line(self, data: bytes, *, partial: bool) -> pb.LogLine:
        assert self.last is not None
        return _log_line(self.last, self.run, self.channel, data, self.offset, partial=partial)


def _log_line(
    event: event_pb2.Event, run: str, channel: fact_pb2.OutputChannel, data: bytes, offset: int, *, partial: bool
) -> pb.LogLine:
    return pb.LogLine(
        run=run,
        channel=channel,
        data=data,
        offset=offset,
        time=timestamp(event.recorded_us),
        partial=partial,
        seq=event.seq,
    )


@dataclass(slots=True)
class _Lines:
    """All streams of a request."""

    request: pb.StreamLogsRequest
    splitters: dict[tuple[str, int], _Splitter] = field(default_factory=dict)

    def feed(self, event: event_pb2.Event) -> Iterator[pb.LogLine]:
        if event.meta.type == "run.ended":
            for (run, _), ended in self.splitters.items():
                if run == event.meta.run:
                    yield from ended.finish()
            return
        if event.meta.type != "output.chunk":
            return
        chunk, request = event.meta.fact.output_chunk, self.request
        if (request.run and chunk.run != request.run) or (request.channel and chunk.channel != request.channel):
            return
        data, offset = event.body.output, chunk.offset
        if offset < request.from_offset:
            data = data[request.from_offset - offset :]
            offset = request.from_offset
        if not data:
            return
        if request.raw:
            yield _log_line(event, chunk.run, chunk.channel, data, offset, partial=True)
            return
        key = (chunk.run, int(chunk.channel))
        splitter = self.splitters.get(key)
        if splitter is None:
            splitter = self.splitters[key] = _Splitter(chunk.run, chunk.channel)
        yield from splitter.feed(event, data, offset)

    def finish(self) -> Iterator[pb.LogLine]:
        for each in self.splitters.values():
            yield from each.finish()


async def stream_logs(core: Core, agent: str, request: pb.StreamLogsRequest) -> AsyncIterator[pb.StreamLogsResponse]:
    """Answers for one request."""
    stream = agent_stream(agent)
    text = f'stream = "{stream}/output" OR (stream = "{stream}" AND (type = "run.ended" OR type = "agent.ended"))'
    selection = select(text, now_us=0)
    head = core.reader.head
    after = 0
    skip = 0
    if request.HasField("tail_lines"):
        after, skip = await asyncio.to_thread(_tail_start, core, selection, request, head)
    lines = _Lines(request)
    ended = False
    while after < head:
        page = await asyncio.to_thread(core.reader.page, selection, after, head, _PAGE)
        found: list[pb.LogLine] = []
        for event in _events(b"".join(page.frames)):
            ended = event.meta.type == "agent.ended" or (ended and event.meta.type != "output.chunk")
            found += lines.feed(event)
        if skip:
            found, skip = found[skip:], max(0, skip - len(found))
        for answer in _answers(found):
            yield answer
        if page.done:
            break
        after = page.reached
    state = core.world.agent(agent)
    if request.follow and state is not None and state.phase != "ended":
        async for message in core.feed.subscribe(selection, head, max_batch=_PAGE, heartbeat_s=_HEARTBEAT_S):
            if not isinstance(message, Batch):
                continue
            found = []
            over = False
            for event in _events(message.joined):
                found += lines.feed(event)
                over = over or event.meta.type == "agent.ended"
            for answer in _answers(found):
                yield answer
            if over:
                break
    for answer in _answers(list(lines.finish())):
        yield answer


def _events(joined: bytes) -> Iterator[event_pb2.Event]:
    for _, framed in fields(joined):
        start = 2 if framed[1] < 0x80 else 3 if framed[2] < 0x80 else 4 if framed[3] < 0x80 else 5
        yield event_pb2.Event.FromString(framed[start:])


def _answers(lines: list[pb.LogLine]) -> Iterator[pb.StreamLogsResponse]:
    batch: list[pb.LogLine] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.data)
        if size >= _ANSWER_BYTES:
            yield pb.StreamLogsResponse(lines=batch)
            batch, size = [], 0
    if batch:
        yield pb.StreamLogsResponse(lines=batch)


def _tail_start(core: Core, selection: Selection, request: pb.StreamLogsRequest, head: int) -> tuple[int, int]:
    """In a thread: where to begin for the last so many lines, and how many lines from there to leave out."""
    wanted, up_to, count = request.tail_lines, head, 0
    lines = _Lines(request)
    while up_to > 0:
        page = core.reader.page(selection, 0, up_to, _PAGE, reverse=True)
        for event in _events(b"".join(page.frames)):
            if event.meta.type == "output.chunk" and _wanted(event, request):
                count += event.body.output.count(b"\n")
        up_to = page.reached - 1
        if page.done or count > wanted:
            break
    after = max(0, up_to)
    total = 0
    start = after
    while start < head:
        page = core.reader.page(selection, start, head, _PAGE)
        for event in _events(b"".join(page.frames)):
            total += sum(1 for _ in lines.feed(event))
        if page.done:
            break
        start = page.reached
    total += sum(1 for _ in lines.finish())
    return after, max(0, total - wanted)


def _wanted(event: event_pb2.Event, request: pb.StreamLogsRequest) -> bool:
    chunk = event.meta.fact.output_chunk
    return (not request.run or chunk.run == request.run) and (not request.channel or chunk.channel == request.channel)
