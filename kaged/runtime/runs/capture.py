"""One run's output on its way into the journal: spool bytes to chunks, masks and signals. No I/O of its own.

A reading is what one look at the spools gives: the facts to commit together, and where the run stands after them.
Exactly once follows from the facts: the recorded offset is part of the chunk, so a crash before the commit reads the
same bytes again, and a crash after it does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kaged.domain.assignment import Assignment
from kaged.domain.events.facts import (
    ApprovalRequested,
    ApprovalWithdrawn,
    CaptureEvent,
    InputAccepted,
    Mask,
    OutputChunk,
    OutputDropped,
    OutputTruncated,
    RunRead,
    SignalHeard,
)
from kaged.domain.masking import Masker
from kaged.domain.run_records import Channel
from kaged.domain.signals import Ask, Heard, Signal, Unask
from kaged.ports import Adapter

CHUNK_BYTES: Final = 64 << 10
Fact = CaptureEvent | SignalHeard | ApprovalRequested | ApprovalWithdrawn | InputAccepted


@dataclass(slots=True)
class Place:
    """Where a run's output was recorded and understood to."""

    out_end: int = 0
    err_end: int = 0
    out_parsed: int = 0
    adapter_state: bytes = b""
    rest: bytes = b""  # recorded standard output that the adapter has not consumed; begins at `out_parsed`

    def end(self, channel: Channel) -> int:
        """Bytes of a stream that are recorded."""
        return self.out_end if channel == "out" else self.err_end


@dataclass(slots=True)
class Reading:
    """Facts to commit together, and the place after them."""

    facts: list[Fact] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    unasks: list[Unask] = field(default_factory=list)
    sends: bytes = b""
    done: bool = False
    recorded: int = 0


class Capture:
    """See the module."""

    def __init__(self, task: Assignment, adapter: Adapter, masker: Masker, place: Place) -> None:
        self.place = place
        self._task = task
        self._run = task.run
        self._adapter = adapter
        self._masker = masker

    @property
    def listens(self) -> bool:
        """Whether the adapter wants to see output."""
        return self._adapter.listens

    def shrunk(self, channel: Channel, found: int) -> OutputTruncated:
        """The spool is shorter than what was read of it: say so, and go on from where it is."""
        expected = self.place.end(channel)
        if channel == "out":
            self.place.out_end = found
        else:
            self.place.err_end = found
        return OutputTruncated(
            run=self._run,
            channel=channel,
            expected=expected,
            found=found,
            stdout_end=self.place.out_end,
            stderr_end=self.place.err_end,
        )

    def dropped(self, channel: Channel, end: int, limit: str) -> list[CaptureEvent]:
        """The bytes up to `end` that are not recorded are gone: say so, and go on behind them. What the adapter had
        not understood before them will not become whole any more."""
        place = self.place
        start = place.end(channel)
        if channel == "out":
            place.out_end = end
        else:
            place.err_end = end
        gone = OutputDropped(
            run=self._run,
            channel=channel,
            start=start,
            end=end,
            stdout_end=place.out_end,
            stderr_end=place.err_end,
            limit=limit,
        )
        if channel == "err" or not self._adapter.listens:
            return [gone]
        place.out_parsed, place.rest = end, b""
        return [gone, self._read()]

    def _read(self) -> RunRead:
        place = self.place
        return RunRead(
            run=self._run,
            stdout_parsed=place.out_parsed,
            stderr_parsed=place.err_end,
            adapter_state=place.adapter_state,
        )

    def take(self, out: bytes, err: bytes, *, final: bool) -> Reading:
        """Facts for bytes that follow what is recorded; changes `place` as if they were committed."""
        reading = Reading()
        masked_out = self._chunks("out", out, reading, final=final)
        self._chunks("err", err, reading, final=final)
        if self._adapter.listens and (masked_out or (final and self.place.rest)):
            self._listen(masked_out, reading, final=final)
        return reading

    def _chunks(self, channel: Channel, data: bytes, reading: Reading, *, final: bool) -> bytes:
        if not data:
            return b""
        # What could be the beginning of a secret is not recorded yet: it is read again with what follows it.
        masked = self._masker.mask(data, final=final)
        recorded = masked.data
        place = self.place
        at = 0
        while at < len(recorded):
            piece = recorded[at : at + CHUNK_BYTES] if len(recorded) > CHUNK_BYTES else recorded
            offset = place.end(channel)
            if channel == "out":
                place.out_end += len(piece)
            else:
                place.err_end += len(piece)
            reading.facts.append(
                OutputChunk(
                    run=self._run,
                    channel=channel,
                    offset=offset,
                    stdout_end=place.out_end,
                    stderr_end=place.err_end,
                    masks=_within(masked.masks, at, at + len(piece)),
                    data=piece,
                )
            )
            at += len(piece)
        reading.recorded += len(recorded)
        return recorded

    def _listen(self, data: bytes, reading: Reading, *, final: bool) -> None:
        place = self.place
        fed = self._adapter.feed(place.adapter_state, place.rest + data, final=final, task=self._task)
        place.rest = (place.rest + data)[fed.consumed :]
        place.out_parsed += fed.consumed
        reading.facts += self._heard(fed.signals, reading)
        reading.sends += fed.sends
        reading.done = fed.done
        if fed.consumed or fed.state != place.adapter_state:
            place.adapter_state = fed.state
            reading.facts.append(self._read())

    def _heard(self, signals: tuple[Signal, ...], reading: Reading) -> Iterator[Fact]:
        for signal in signals:
            match signal:
                case Heard():
                    yield SignalHeard(
                        type=f"signal.{signal.kind}",
                        run=self._run,
                        turn=signal.turn,
                        call=signal.call,
                        outcome=signal.outcome,
                        input_tokens=signal.input_tokens,
                        output_tokens=signal.output_tokens,
                        cost_microusd=signal.cost_microusd,
                        native_session=signal.native_session,
                        resets_us=signal.resets_us,
                        parent=signal.parent,
                        failure=signal.failure,
                        text=signal.text,
                        data_json=signal.data_json,
                        tool=signal.tool,
                    )
                case Ask():
                    reading.asks.append(signal)
                case Unask():
                    reading.unasks.append(signal)


def _within(masks: tuple[Mask, ...], start: int, end: int) -> tuple[Mask, ...]:
    """Masks of one chunk, cut at its edges, with offsets in it."""
    if not masks:
        return ()
    return tuple(
        Mask(
            offset=max(mask.offset, start) - start,
            length=min(mask.offset + mask.length, end) - max(mask.offset, start),
            rule=mask.rule,
        )
        for mask in masks
        if mask.offset < end and mask.offset + mask.length > start
    )
