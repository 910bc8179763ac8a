"""What must hold of every run in the journal, whatever happened to the daemon: the half of `kaged fsck` about agents.

- A run is wanted once, started at most once, and ends at most once; nothing of it is recorded after its end.
- Its output is one unbroken sequence of bytes per stream: offsets neither jump nor go back, but where bytes were
  given up, which is recorded.
- The sizes that its end reports are those that were recorded.
- Its orders and its input stand one behind the other without gaps.

One pass in order, a few words of memory for each run that has not ended. Pure over events.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kaged.api.v1 import event_pb2
from kaged.domain.events import agent as facts
from kaged.store.wire.codec import decode


@dataclass(slots=True)
class _Run:
    started: bool = False
    ends: dict[str, int] = field(default_factory=lambda: {"out": 0, "err": 0})
    input_end: int = 0
    orders_end: int = 0


@dataclass(slots=True)
class RunLedger:
    """Feed it every event in order; it yields (seq, what is wrong)."""

    runs: int = 0
    output_bytes: int = 0
    _live: dict[str, _Run] = field(default_factory=dict)
    _attempts: dict[str, int] = field(default_factory=dict)

    def feed(self, event: event_pb2.Event) -> Iterator[tuple[int, str]]:
        """Look at one event."""
        run = event.meta.run
        if not run or not event.meta.HasField("fact"):
            return
        fact = decode(event)
        if isinstance(fact, facts.RunWanted):
            yield from self._wanted(event, fact)
            return
        known = self._live.get(run)
        if known is None:
            if not isinstance(fact, facts.ApprovalAnswered | facts.SignalHeard) and fact is not None:
                yield event.seq, f"{event.meta.type} of run {run}, which is over or was never wanted"
            return
        for what in self._check(known, fact):
            yield event.seq, f"run {run}: {what}"
        if isinstance(fact, facts.RunEnded):
            del self._live[run]

    def _wanted(self, event: event_pb2.Event, fact: facts.RunWanted) -> Iterator[tuple[int, str]]:
        before = self._attempts.get(event.meta.agent, 0)
        if fact.attempt != before + 1:
            yield event.seq, f"run {fact.run} is attempt {fact.attempt} after {before}"
        if any(run.rpartition(".")[0] == event.meta.agent for run in self._live):
            yield event.seq, f"run {fact.run} is wanted while another run of its agent has not ended"
        self._attempts[event.meta.agent] = fact.attempt
        self._live[fact.run] = _Run()
        self.runs += 1

    def _check(self, run: _Run, fact: object) -> Iterator[str]:
        match fact:
            case facts.RunStarted():
                if run.started:
                    yield "started twice"
                run.started = True
            case facts.OutputChunk():
                size = fact.stdout_end if fact.channel == "out" else fact.stderr_end
                if fact.offset != run.ends[fact.channel]:
                    yield f"{fact.channel} goes on at {fact.offset}, not at {run.ends[fact.channel]}"
                self.output_bytes += size - fact.offset
                run.ends["out"], run.ends["err"] = fact.stdout_end, fact.stderr_end
            case facts.OutputTruncated():
                run.ends[fact.channel] = fact.found
            case facts.OutputDropped():
                if fact.start != run.ends[fact.channel]:
                    yield f"{fact.channel} was given up from {fact.start} on, not from {run.ends[fact.channel]}"
                run.ends["out"], run.ends["err"] = fact.stdout_end, fact.stderr_end
            case facts.InputAccepted():
                if fact.offset != run.input_end:
                    yield f"input goes on at {fact.offset}, not at {run.input_end}"
                run.input_end = fact.offset + fact.length
            case facts.StopWanted() | facts.Signalled() | facts.Resized() if fact.length:
                if fact.offset != run.orders_end:
                    yield f"orders go on at {fact.offset}, not at {run.orders_end}"
                run.orders_end = fact.offset + fact.length
            case facts.RunEnded():
                if (fact.stdout_bytes, fact.stderr_bytes) != (run.ends["out"], run.ends["err"]):
                    recorded = f"{run.ends['out']} and {run.ends['err']}"
                    yield f"ended with {fact.stdout_bytes} and {fact.stderr_bytes} bytes, but {recorded} are recorded"
            case _:
                pass
