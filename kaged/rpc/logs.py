"""Output as lines: chunks of the journal, joined per run and stream and split at the reader (decision 13).

Lines are in order within each stream. A line longer than 1 MiB comes in pieces marked `partial`; so does an end of
output without a line end. Following ends when the agent has ended and everything was sent.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import event_pb2, fact_pb2
from kaged.domain.errors import Invalid
from kaged.rpc.convert import timestamp
from kaged.runtime.core import Core
from kaged.store.derived.views import agent_stream
from kaged.store.reading.messages import Batch
from kaged.store.reading.selection import Selection, select
from kaged.store.wire.record import fields

_MAX_LINE: Final = 1 << 20
_PAGE: Final = 16  # chunks of at most 64 KiB
_ANSWER_BYTES: Final = 1 << 20
_LINE_BYTES: Final = 96  # about what a line costs beside its text
_LARGE_BYTES: Final = 64 << 10  # more is split in a thread
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
    skip: int = 0  # so many lines are left out before the first is told
    splitters: dict[tuple[str, int], _Splitter] = field(default_factory=dict)
    ended: bool = False  # as of the last event

    def answers(self, joined: bytes, *, final: bool = False) -> list[bytes]:
        """What to send for some events. In a thread when there are many."""
        return list(_in_messages(self._skipped(self._lines(joined, final=final))))

    def _skipped(self, lines: Iterator[pb.LogLine]) -> Iterator[pb.LogLine]:
        for line in lines:
            if self.skip:
                self.skip -= 1
            else:
                yield line

    def _lines(self, joined: bytes, *, final: bool) -> Iterator[pb.LogLine]:
        for event in _events(joined):
            yield from self.feed(event)
        if final:
            yield from self.finish()

    def feed(self, event: event_pb2.Event) -> Iterator[pb.LogLine]:
        match event.meta.type:
            case "agent.ended":
                self.ended = True
            case "run.wanted":
                self.ended = False
            case "run.ended":
                for (run, _), over in self.splitters.items():
                    if run == event.meta.run:
                        yield from over.finish()
            case "output.chunk":
                yield from self._chunk(event)

    def _chunk(self, event: event_pb2.Event) -> Iterator[pb.LogLine]:
        chunk, request = event.meta.fact.output_chunk, self.request
        if not _wanted(event, request):
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


async def stream_logs(core: Core, agent: str, request: pb.StreamLogsRequest) -> AsyncGenerator[bytes, None]:
    """Answers for one request, as bytes. Raises Invalid for a run that is not the agent's."""
    await _check(core, agent, request)
    stream = agent_stream(agent)
    kinds = 'type = "run.wanted" OR type = "run.ended" OR type = "agent.ended"'
    selection = select(f'stream = "{stream}/output" OR (stream = "{stream}" AND ({kinds}))', now_us=0)
    head = core.reader.head
    after = 0
    lines = _Lines(request)
    if request.HasField("tail_lines"):
        after, lines.skip = await asyncio.to_thread(_tail_start, core, selection, request, head)
    done = after >= head
    while not done:
        page = await asyncio.to_thread(core.reader.page, selection, after, head, _PAGE)
        for answer in await asyncio.to_thread(lines.answers, b"".join(page.frames)):
            yield answer
        done, after = page.done, page.reached
    ended = lines.ended
    if request.follow and not ended:
        # From the same place on: what has ended since is told here.
        following = core.feed.subscribe(selection, head, max_batch=_PAGE, heartbeat_s=_HEARTBEAT_S)
        async with contextlib.aclosing(following):
            async for message in following:
                if isinstance(message, Batch):
                    large = len(message.joined) > _LARGE_BYTES
                    answers = (
                        await asyncio.to_thread(lines.answers, message.joined)
                        if large
                        else lines.answers(message.joined)
                    )
                    for answer in answers:
                        yield answer
                    if lines.ended:
                        break
    for answer in lines.answers(b"", final=True):
        yield answer


async def _check(core: Core, agent: str, request: pb.StreamLogsRequest) -> None:
    if request.channel not in fact_pb2.OutputChannel.values():
        raise Invalid(("channel", f"{request.channel} is not known"))
    if request.from_offset and not (request.run and request.channel):
        raise Invalid(("from_offset", "is a place in one stream of one run: give `run` and `channel`"))
    if not request.run:
        return
    state = core.world.agent(agent)
    if state is None:
        found = await asyncio.to_thread(core.views.agent, agent)
        state = found[0] if found is not None else None
    last = state.run.attempt if state is not None and state.run is not None else 0
    number = request.run.removeprefix(f"{agent}.")
    known = len(number) < 10 and number.isdecimal() and 1 <= int(number) <= last
    if not known or request.run != f"{agent}.{int(number)}":
        raise Invalid(("run", f"{request.run[:100]!r} is not a run of this agent; its last is {agent}.{last}"))


def _events(joined: bytes) -> Iterator[event_pb2.Event]:
    for _, framed in fields(joined):
        start = 2 if framed[1] < 0x80 else 3 if framed[2] < 0x80 else 4 if framed[3] < 0x80 else 5
        yield event_pb2.Event.FromString(framed[start:])


def _in_messages(lines: Iterable[pb.LogLine]) -> Iterator[bytes]:
    batch: list[pb.LogLine] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line.data) + _LINE_BYTES
        if size >= _ANSWER_BYTES:
            yield pb.StreamLogsResponse(lines=batch).SerializeToString()
            batch, size = [], 0
    if batch:
        yield pb.StreamLogsResponse(lines=batch).SerializeToString()


def _tail_start(core: Core, selection: Selection, request: pb.StreamLogsRequest, head: int) -> tuple[int, int]:
    """In a thread: where to begin for the last so many lines, and how many lines from there to leave out."""
    wanted, up_to, count = request.tail_lines, head, 0
    while up_to > 0:
        page = core.reader.page(selection, 0, up_to, _PAGE, reverse=True)
        for event in _events(b"".join(page.frames)):
            if event.meta.type == "output.chunk" and _wanted(event, request):
                count += event.body.output.count(b"\n")
        up_to = page.reached - 1
        if page.done or count > wanted:
            break
    after = start = max(0, up_to)
    lines = _Lines(request)
    total = 0
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
