"""From chunks to lines: output events in, answers of StreamLogs out, each with the place where it ends. Pure.

Lines are in order within each stream. A line longer than 1 MiB comes in pieces marked `partial`; so does an end of
output without a line end. The place is a seq whose events were told whole and how many lines of the events after it
were: with what `opening` finds before that seq, `Lines` begun there makes the same lines again, so a reader that
leaves out the told ones has no gap and no repeat.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import event_pb2, fact_pb2
from kaged.rpc.convert import timestamp
from kaged.store.wire.record import fields

MAX_LINE: Final = 1 << 20
ENDS: Final = ("agent.ended", "agent.stopped")  # nothing comes after these until somebody asks
LIFE: Final = ("run.wanted", "run.ended", *ENDS)
_ANSWER_BYTES: Final = 1 << 20
_LINE_BYTES: Final = 96  # about what a line costs beside its text
_Key = tuple[str, int]  # run, channel


@dataclass(slots=True)
class Splitter:
    """Lines of one stream of one run."""

    run: str
    channel: fact_pb2.OutputChannel
    rest: bytes = b""
    offset: int = 0
    last: event_pb2.Event | None = None
    max_line: int = MAX_LINE  # smaller in tests only

    def feed(self, event: event_pb2.Event, data: bytes, offset: int) -> Iterator[pb.LogLine]:
        """The lines that end here."""
        if not self.rest:
            self.offset = offset
        self.last = event
        *lines, rest = (self.rest + data).split(b"\n") if self.rest else data.split(b"\n")
        for line in lines:
            yield self._line(line, partial=False)
            self.offset += len(line) + 1
        while len(rest) >= self.max_line:
            yield self._line(rest[: self.max_line], partial=True)
            self.offset += self.max_line
            rest = rest[self.max_line :]
        self.rest = rest

    def finish(self) -> Iterator[pb.LogLine]:
        """What no line end follows."""
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
class Lines:
    """All streams of a request, from a place on."""

    request: pb.StreamLogsRequest
    skip: int = 0  # so many lines are left out before the first is told
    splitters: dict[_Key, Splitter] = field(default_factory=dict)
    ended: bool = False  # as of the last event
    told: int = 0  # the events up to this seq were told whole
    part: int = 0  # lines of those after it that were told
    max_line: int = MAX_LINE  # these two are smaller in tests only
    answer_bytes: int = _ANSWER_BYTES

    def answers(self, joined: bytes, *, final: bool = False) -> list[bytes]:
        """What to send for some events. In a thread when there are many."""
        answer, size = pb.StreamLogsResponse(), 0
        found: list[bytes] = []
        for line in self._lines(joined, final=final):
            if self.skip:
                self.skip -= 1
                continue
            answer.lines.append(line)
            size += len(line.data) + _LINE_BYTES
            if size >= self.answer_bytes:
                found.append(self._closed(answer))
                answer, size = pb.StreamLogsResponse(), 0
        if size:
            found.append(self._closed(answer))
        return found

    def _closed(self, answer: pb.StreamLogsResponse) -> bytes:
        answer.after_seq, answer.skip_lines = self.told, self.part
        return answer.SerializeToString()

    def _lines(self, joined: bytes, *, final: bool) -> Iterator[pb.LogLine]:
        for event in events_in(joined):
            for line in self.feed(event):
                self.part += 1
                yield line
            self.told, self.part = event.seq, 0
        if final:  # not counted: who comes again when they have grown gets them whole
            yield from self.finish()

    def feed(self, event: event_pb2.Event) -> Iterator[pb.LogLine]:
        """Lines that end with this event."""
        match event.meta.type:
            case "output.chunk":
                yield from self._chunk(event)
            case "output.dropped":  # a line that had begun before the gap does not go on behind it
                dropped = event.meta.fact.output_dropped
                splitter = self.splitters.get((dropped.run, int(dropped.channel)))
                if splitter is not None:
                    yield from splitter.finish()
            case "run.wanted":
                self.ended = False
            case "run.ended":
                yield from self._finish(event.meta.run)
            case kind if kind in ENDS:
                self.ended = True
            case _:
                pass

    def _chunk(self, event: event_pb2.Event) -> Iterator[pb.LogLine]:
        chunk = event.meta.fact.output_chunk
        if not is_wanted(event, self.request):
            return
        data, offset = _from(self.request.from_offset, event.body.output, chunk.offset)
        if not data:
            return
        if self.request.raw:
            yield _log_line(event, chunk.run, chunk.channel, data, offset, partial=True)
            return
        key = (chunk.run, int(chunk.channel))
        splitter = self.splitters.get(key)
        if splitter is None:
            splitter = self.splitters[key] = Splitter(chunk.run, chunk.channel, max_line=self.max_line)
        yield from splitter.feed(event, data, offset)

    def finish(self) -> Iterator[pb.LogLine]:
        """What no line end follows, of all streams."""
        for run in dict.fromkeys(run for run, _ in self.splitters):
            yield from self._finish(run)

    def _finish(self, run: str) -> Iterator[pb.LogLine]:
        """Always in the same order, or one who comes again in between would leave out the wrong line."""
        for key in sorted(key for key in self.splitters if key[0] == run):
            yield from self.splitters[key].finish()


def opening(
    request: pb.StreamLogsRequest, after: int, newest_first: Iterable[event_pb2.Event], *, max_line: int = MAX_LINE
) -> Lines:
    """Lines that go on after a seq: with the beginnings of lines that end behind it, and whether all had ended.

    Looks at the events up to that seq only as far back as it must: to the last line end of each stream of the run.
    """
    lines = Lines(request, skip=request.skip_lines, told=after, max_line=max_line)
    open_lines: dict[_Key, _OpenLine] = {}
    first = True
    for event in newest_first:
        if event.meta.type in LIFE:
            lines.ended = first and event.meta.type in ENDS
            break
        first = False
        if request.raw:
            break
        if event.meta.type not in ("output.chunk", "output.dropped"):
            continue
        fact = event.meta.fact
        chunk = fact.output_chunk if fact.HasField("output_chunk") else fact.output_dropped
        if not open_lines:
            sizes = {fact_pb2.OUTPUT_CHANNEL_STDOUT: chunk.stdout_end, fact_pb2.OUTPUT_CHANNEL_STDERR: chunk.stderr_end}
            for channel, end in sizes.items():
                wanted = end and request.channel in (fact_pb2.OUTPUT_CHANNEL_UNSPECIFIED, channel)
                if wanted and request.run in ("", chunk.run):
                    open_lines[chunk.run, int(channel)] = _OpenLine(chunk.run, channel)
        found = open_lines.get((chunk.run, int(chunk.channel)))
        if isinstance(chunk, fact_pb2.OutputDropped):
            if found is not None:
                found.whole = True  # lines begin anew behind a gap
        elif found is not None and not found.whole:
            found.before(event, *_from(request.from_offset, event.body.output, chunk.offset))
        if all(each.whole for each in open_lines.values()):
            break
    lines.splitters = {key: each.splitter(max_line) for key, each in open_lines.items() if each.newest is not None}
    return lines


@dataclass(slots=True)
class _OpenLine:
    """The line of a stream that has not ended yet, found from its end backwards."""

    run: str
    channel: fact_pb2.OutputChannel
    newest: event_pb2.Event | None = None
    whole: bool = False  # its beginning was found
    start: int = 0
    size: int = 0
    pieces: deque[bytes] = field(default_factory=deque)  # its last bytes, at least MAX_LINE of them if there are
    kept: int = 0

    def before(self, event: event_pb2.Event, data: bytes, offset: int) -> None:
        self.newest = self.newest or event
        at = data.rfind(b"\n") + 1
        self.whole = at > 0 or event.meta.fact.output_chunk.offset == 0 or not data
        if not data:
            return
        piece = data[at:]
        self.start, self.size = offset + at, self.size + len(piece)
        if self.kept < MAX_LINE:
            self.pieces.appendleft(piece)
            self.kept += len(piece)

    def splitter(self, max_line: int) -> Splitter:
        left = self.size % max_line  # the rest was told in pieces
        rest = b"".join(self.pieces)[-left:] if left else b""
        return Splitter(self.run, self.channel, rest, self.start + self.size - left, self.newest, max_line)


def events_in(joined: bytes) -> Iterator[event_pb2.Event]:
    """Events of a batch as it is sent."""
    for _, framed in fields(joined):
        start = 2 if framed[1] < 0x80 else 3 if framed[2] < 0x80 else 4 if framed[3] < 0x80 else 5
        yield event_pb2.Event.FromString(framed[start:])


def is_wanted(event: event_pb2.Event, request: pb.StreamLogsRequest) -> bool:
    """Whether a chunk is of the run and stream that were asked for."""
    chunk = event.meta.fact.output_chunk
    return (not request.run or chunk.run == request.run) and (not request.channel or chunk.channel == request.channel)


def _from(start: int, data: bytes, offset: int) -> tuple[bytes, int]:
    """Only the bytes from an offset on."""
    return (data, offset) if offset >= start else (data[start - offset :], start)
