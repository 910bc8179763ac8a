"""What must hold of every run in the journal, whatever happened to the daemon: the half of `kaged fsck` about agents.

- An agent is spawned before anything else of it, and ends once for each time that it was brought to life.
- A run is wanted once, started at most once, and ends once; nothing of it is recorded after its end. Runs of an agent
  come one after the other, counted without a gap. What has no end yet is in `live`: of an agent that has ended, that is
  a fault; otherwise a process must be there, or the next start of the daemon settles it (`kaged/offline/living.py`).
- Its output is one unbroken sequence of bytes per stream: offsets neither jump nor go back, but where bytes were
  given up, which is recorded.
- The sizes that its end reports are those that were recorded.
- Its orders and its input stand one behind the other without gaps.

A fault is `lost` (something is missing), `duplicated` (something happened twice) or `disorder` (a place goes back or
leaves a gap). One pass in order, a few words of memory for each agent and each run that has not ended. Pure over
events, so that a test that kills daemons judges with it, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from kaged.api.v1 import event_pb2
from kaged.domain.events import facts
from kaged.store.wire.codec import decode

Kind = Literal["lost", "duplicated", "disorder"]


class Fault(NamedTuple):
    """One broken promise, and the event that shows it."""

    seq: int
    kind: Kind
    what: str


@dataclass(slots=True)
class LiveRun:
    """A run without an end so far. `executed`: its program was seen to run."""

    seq: int
    started: bool = False
    executed: bool = False
    ends: dict[str, int] = field(default_factory=lambda: {"out": 0, "err": 0})
    input_end: int = 0
    orders_end: int = 0


@dataclass(slots=True)
class _Agent:
    attempts: int = 0
    over: bool = False
    run: str = ""  # that has not ended


@dataclass(slots=True)
class RunLedger:
    """Feed it every event in order; it yields what is wrong."""

    agents: int = 0
    runs: int = 0
    ended: int = 0
    output_bytes: int = 0
    live: dict[str, LiveRun] = field(default_factory=dict)
    _known: dict[str, _Agent] = field(default_factory=dict)

    def feed(self, event: event_pb2.Event) -> Iterator[Fault]:
        """Look at one event."""
        if not event.meta.HasField("fact"):
            return
        fact = decode(event)
        match fact:
            case None:
                pass
            case facts.Spawned() | facts.Ended():
                yield from self._life(event, fact)
            case facts.RunWanted():
                yield from self._wanted(event, fact)
            case facts.ApprovalAnswered() | facts.SignalHeard() if event.meta.run not in self.live:
                pass  # of its last words; what was asked may be answered after it
            case _ if event.meta.run:
                yield from self._happened(event, fact)

    def _life(self, event: event_pb2.Event, fact: facts.Spawned | facts.Ended) -> Iterator[Fault]:
        name, seq = event.meta.agent, event.seq
        agent = self._known.get(name)
        if isinstance(fact, facts.Spawned):
            if agent is not None:
                yield Fault(seq, "duplicated", f"agent {name} was spawned twice")
            self._known[name] = agent or _Agent()
            self.agents += 1
        elif agent is None:
            yield Fault(seq, "lost", f"agent {name} ended, but was never spawned")
        else:
            if agent.over:
                yield Fault(seq, "duplicated", f"agent {name} ended twice")
            if agent.run:
                yield Fault(seq, "lost", f"agent {name} ended, but its run {agent.run} did not")
            agent.over = True

    def _happened(self, event: event_pb2.Event, fact: object) -> Iterator[Fault]:
        name, seq = event.meta.run, event.seq
        run = self.live.get(name)
        if run is None:
            kind: Kind = "duplicated" if isinstance(fact, facts.RunEnded | facts.RunStarted) else "disorder"
            yield Fault(seq, kind, f"{event.meta.type} of run {name}, which is over or was never wanted")
            return
        for problem, what in self._check(run, fact, event):
            yield Fault(seq, problem, f"run {name}: {what}")
        if isinstance(fact, facts.RunEnded):
            self.ended += 1
            del self.live[name]
            if (agent := self._known.get(event.meta.agent)) is not None and agent.run == name:
                agent.run = ""

    def _wanted(self, event: event_pb2.Event, fact: facts.RunWanted) -> Iterator[Fault]:
        name, seq = event.meta.agent, event.seq
        agent = self._known.get(name)
        if agent is None:
            yield Fault(seq, "lost", f"run {fact.run} is wanted of agent {name}, which was never spawned")
            agent = self._known[name] = _Agent()
        if fact.attempt != agent.attempts + 1:
            kind: Kind = "lost" if fact.attempt > agent.attempts else "duplicated"
            yield Fault(seq, kind, f"run {fact.run} is attempt {fact.attempt} after {agent.attempts}")
        if agent.run:
            yield Fault(seq, "duplicated", f"run {fact.run} is wanted while {agent.run} of its agent has not ended")
            self.live.pop(agent.run, None)  # named: what follows is not its fault
        agent.attempts, agent.over, agent.run = fact.attempt, False, fact.run
        self.live[fact.run] = LiveRun(seq)
        self.runs += 1

    def _check(self, run: LiveRun, fact: object, event: event_pb2.Event) -> Iterator[tuple[Kind, str]]:
        match fact:
            case facts.RunStarted():
                if run.started:
                    yield "duplicated", "started twice"
                run.started = True
            case facts.RunExecuted():
                if run.executed:
                    yield "duplicated", "executed twice"
                run.executed = True
            case facts.OutputChunk():
                yield from self._output(run, fact, event)
            case facts.OutputTruncated():
                run.ends[fact.channel] = fact.found
            case facts.OutputDropped():
                if fact.start != run.ends[fact.channel]:
                    yield "disorder", f"{fact.channel} was given up from {fact.start}, not {run.ends[fact.channel]}"
                run.ends["out"], run.ends["err"] = fact.stdout_end, fact.stderr_end
            case facts.InputAccepted():
                if fact.offset != run.input_end:
                    yield _gap(fact.offset, run.input_end), f"input goes on at {fact.offset}, not at {run.input_end}"
                run.input_end = fact.offset + fact.length
            case facts.StopWanted() | facts.Signalled() | facts.Resized() if fact.length:
                if fact.offset != run.orders_end:
                    yield _gap(fact.offset, run.orders_end), f"orders go on at {fact.offset}, not at {run.orders_end}"
                run.orders_end = fact.offset + fact.length
            case facts.RunEnded():
                if (fact.stdout_bytes, fact.stderr_bytes) != (run.ends["out"], run.ends["err"]):
                    said, recorded = (
                        f"{fact.stdout_bytes} and {fact.stderr_bytes}",
                        f"{run.ends['out']} and {run.ends['err']}",
                    )
                    yield "lost", f"ended with {said} bytes, but {recorded} are recorded"
            case _:
                pass

    def _output(self, run: LiveRun, fact: facts.OutputChunk, event: event_pb2.Event) -> Iterator[tuple[Kind, str]]:
        size = (fact.stdout_end if fact.channel == "out" else fact.stderr_end) - fact.offset
        if fact.offset != run.ends[fact.channel]:
            yield (
                _gap(fact.offset, run.ends[fact.channel]),
                (f"{fact.channel} goes on at {fact.offset}, not at {run.ends[fact.channel]}"),
            )
        if size < 0:
            yield "disorder", f"{fact.channel} goes back from {fact.offset} to {fact.offset + size}"
        if not event.HasField("redaction") and len(event.body.output) != size:
            yield "lost", f"{fact.channel} has {len(event.body.output)} bytes where {size} were recorded"
        self.output_bytes += size
        run.ends["out"], run.ends["err"] = fact.stdout_end, fact.stderr_end


def _gap(found: int, due: int) -> Kind:
    """Bytes that are missing, or that are there twice."""
    return "lost" if found > due else "duplicated"
