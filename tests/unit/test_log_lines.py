"""Output as lines: every byte once, and a reader that comes again goes on where it was, whatever the chunks were."""

from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import event_pb2
from kaged.rpc.log_lines import Lines, opening
from kaged.store.wire.record import varint
from tests.search import examples

MAX_LINE, ANSWER_BYTES = 7, 300
OUT, ERR = 1, 2


class History:
    """The events of one agent's output, made step by step."""

    def __init__(self) -> None:
        self.events: list[event_pb2.Event] = []
        self.run = 0
        self.ends = {OUT: 0, ERR: 0}

    def add(self, kind: str) -> event_pb2.Event:
        event = event_pb2.Event(seq=3 * len(self.events) + 2, recorded_us=1)
        event.meta.type = kind
        event.meta.run = f"r{self.run}"
        self.events.append(event)
        return event

    def start(self) -> None:
        self.run += 1
        self.ends = {OUT: 0, ERR: 0}
        self.add("run.wanted")

    def write(self, channel: int, data: bytes) -> None:
        event = self.add("output.chunk")
        chunk = event.meta.fact.output_chunk
        chunk.run, chunk.channel, chunk.offset = f"r{self.run}", channel, self.ends[channel]  # type: ignore[assignment]
        event.body.output = data
        self.ends[channel] += len(data)
        chunk.stdout_end, chunk.stderr_end = self.ends[OUT], self.ends[ERR]

    def drop(self, channel: int, size: int) -> None:
        event = self.add("output.dropped")
        dropped = event.meta.fact.output_dropped
        dropped.run, dropped.channel, dropped.start = f"r{self.run}", channel, self.ends[channel]  # type: ignore[assignment]
        self.ends[channel] += size
        dropped.end, dropped.stdout_end, dropped.stderr_end = self.ends[channel], self.ends[OUT], self.ends[ERR]


words = st.text(alphabet="ab\n", min_size=1, max_size=20).map(str.encode)
steps = st.one_of(
    st.tuples(st.just("write"), st.sampled_from([OUT, ERR]), words),
    st.tuples(st.just("write"), st.sampled_from([OUT, ERR]), words),
    st.tuples(st.just("drop"), st.sampled_from([OUT, ERR]), words),
    st.tuples(st.sampled_from(["again", "rest", "end", "truncated"]), st.just(0), st.just(b"")),
)


def history_of(told: list[tuple[str, int, bytes]]) -> History:
    history = History()
    history.start()
    for kind, channel, data in told:
        match kind:
            case "write":
                history.write(channel, data)
            case "drop":
                history.drop(channel, len(data))
            case "truncated":
                history.add("output.truncated")
            case "again":
                history.add("run.ended")
                history.start()
            case _:
                history.add("run.ended")
                history.add("agent.ended" if kind == "end" else "agent.stopped")
                history.start()
    return history


def joined(events: list[event_pb2.Event]) -> bytes:
    return b"".join(b"\n" + varint(event.ByteSize()) + event.SerializeToString() for event in events)


def answers(lines: Lines, events: list[event_pb2.Event], sizes: list[int]) -> Iterator[pb.StreamLogsResponse]:
    lines.max_line, lines.answer_bytes = MAX_LINE, ANSWER_BYTES
    at = 0
    for size in [*sizes, len(events)]:
        for answer in lines.answers(joined(events[at : at + size])):
            yield pb.StreamLogsResponse.FromString(answer)
        at += size


def shape(line: pb.LogLine) -> tuple[str, int, int, bytes, bool, int]:
    return line.run, line.channel, line.offset, line.data, line.partial, line.seq


requests = st.builds(
    lambda channel, run, offset, raw: pb.StreamLogsRequest(
        channel=channel, run=run, from_offset=offset if run and channel else 0, raw=raw
    ),
    st.sampled_from([0, OUT, ERR]),
    st.sampled_from(["", "", "r1", "r2"]),
    st.integers(0, 9),
    st.booleans(),
)


@given(
    told=st.lists(steps, max_size=25),
    request=requests,
    sizes=st.lists(st.integers(1, 5), max_size=8),
    breaks=st.lists(st.integers(0, 20), max_size=4),
)
@settings(max_examples=examples(400), deadline=None)
@example(
    told=[("write", 2, b"a"), ("write", 1, b"a" * MAX_LINE), ("write", 1, b"a"), ("again", 0, b"")],
    request=pb.StreamLogsRequest(),
    sizes=[],
    breaks=[1],
)
def test_a_reader_that_comes_again_with_its_place_misses_no_line_and_gets_none_twice(
    told: list[tuple[str, int, bytes]], request: pb.StreamLogsRequest, sizes: list[int], breaks: list[int]
) -> None:
    events = history_of(told).events
    whole = [shape(line) for answer in answers(Lines(request), events, [len(events)]) for line in answer.lines]
    seen: list[tuple[str, int, int, bytes, bool, int]] = []
    asked = pb.StreamLogsRequest()
    asked.CopyFrom(request)
    for stop_after in [*breaks, 1 << 30]:
        before = [event for event in events if event.seq <= asked.after_seq]
        lines = opening(asked, asked.after_seq, reversed(before), max_line=MAX_LINE)
        rest = events[len(before) :]
        for count, answer in enumerate(answers(lines, rest, sizes)):
            if count == stop_after:
                break
            seen += map(shape, answer.lines)
            asked.after_seq, asked.skip_lines = answer.after_seq, answer.skip_lines
    assert seen == whole


@given(told=st.lists(steps, max_size=25), cut=st.integers(0, 40))
@settings(max_examples=examples(200), deadline=None)
def test_whether_all_has_ended_is_known_at_any_place(told: list[tuple[str, int, bytes]], cut: int) -> None:
    events = history_of(told).events[:cut]
    straight = Lines(pb.StreamLogsRequest())
    straight.answers(joined(events))
    assert opening(pb.StreamLogsRequest(), 1 << 40, reversed(events)).ended == straight.ended


def test_a_place_is_found_without_reading_further_back_than_the_line_that_is_open() -> None:
    history = History()
    history.start()
    for _ in range(100):
        history.write(OUT, b"one\ntwo")
    read: list[int] = []

    def backwards() -> Iterator[event_pb2.Event]:
        for event in reversed(history.events):
            read.append(event.seq)
            yield event

    lines = opening(pb.StreamLogsRequest(), history.events[-1].seq, backwards())
    assert len(read) == 1
    history.write(OUT, b" and a half\n")
    (answer,) = lines.answers(joined(history.events[-1:]))
    (line,) = pb.StreamLogsResponse.FromString(answer).lines
    assert (line.data, line.offset) == (b"two and a half", 99 * 7 + 4)


def test_no_line_is_joined_over_a_gap() -> None:
    history = history_of([("write", OUT, b"a\nbe"), ("drop", OUT, b"fore"), ("write", OUT, b"c\n")])
    seen = [line for answer in answers(Lines(pb.StreamLogsRequest()), history.events, [9]) for line in answer.lines]
    assert [(line.offset, line.data, line.partial) for line in seen] == [
        (0, b"a", False),
        (2, b"be", True),
        (8, b"c", False),
    ]
