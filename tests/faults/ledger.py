"""Checks a whole journal against the promises: what was asked, what agents did, and what the journal says of it.

Feed it every event in order with `take`, then `check` what was planned. Each finding is one of three: `lost` (a
byte, an end, an answer or a fact is missing or wrong), `duplicated` (something is there twice), `disorder` (a place
goes back or leaves a gap). It knows nothing of how the journal came to be.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from kaged.api.v1 import event_pb2
from tests.faults import soak_agent

Kind = Literal["lost", "duplicated", "disorder"]
OUT, ERR = 1, 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise."""

    kind: Kind
    what: str


@dataclass(slots=True)
class Planned:
    """An agent that was asked for, and everything that was acknowledged about it."""

    agent: str
    kind: str
    seed: int
    request_id: str
    inputs: list[bytes] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)  # outcome, note
    stopped: bool = False
    tree: bool = False  # a child of a tree: started again and stopped as the tree likes


@dataclass(slots=True)
class RunSeen:
    """What the journal holds of one run."""

    agent: str
    wanted: int = 0
    started: int = 0
    executed: int = 0
    ends: list[event_pb2.Event] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=lambda: {OUT: 0, ERR: 0})
    sums: dict[int, "hashlib._Hash"] = field(default_factory=lambda: {OUT: hashlib.sha256(), ERR: hashlib.sha256()})
    text: bytearray = field(default_factory=bytearray)  # standard output, where it is needed whole
    inputs: bytearray = field(default_factory=bytearray)


class Ledger:
    """See the module."""

    def __init__(self, plan: Iterable[Planned]) -> None:
        self.plan = {item.agent: item for item in plan}
        self.runs: dict[str, RunSeen] = {}
        self.findings: list[Finding] = []
        self.events = 0
        self.bytes = 0
        self.ends: dict[str, int] = {}
        self._spawned: dict[str, int] = {}
        self._requests: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._outcomes: dict[str, str] = {}
        self._revisions: dict[str, int] = {}
        self._asked: dict[str, str] = {}
        self._settled: dict[str, list[str]] = {}

    def find(self, kind: Kind, what: str) -> None:
        """Note a broken promise."""
        self.findings.append(Finding(kind, what))

    # --- reading -----------------------------------------------------------------------------------------------

    def take(self, event: event_pb2.Event) -> None:
        """The next event."""
        self.events += 1
        meta, fact = event.meta, event.meta.fact
        if event.seq != self.events:
            self.find("disorder", f"seq {event.seq} where {self.events} was due")
            self.events = event.seq
        revision = self._revisions.get(meta.stream, 0) + 1
        if event.revision != revision:
            self.find("disorder", f"{meta.stream} revision {event.revision} where {revision} was due")
        self._revisions[meta.stream] = event.revision
        if meta.request.id:
            self._requests[meta.request.id] = self._requests.get(meta.request.id, 0) + 1
        run = self.runs.setdefault(meta.run, RunSeen(meta.agent)) if meta.run else RunSeen("")
        match fact.WhichOneof("kind"):
            case "agent_spawned":
                self._spawned[meta.agent] = self._spawned.get(meta.agent, 0) + 1
            case "agent_ended":
                self._ended[meta.agent] = self._ended.get(meta.agent, 0) + 1
                self._outcomes[meta.agent] = fact.agent_ended.outcome
            case "run_wanted":
                run.wanted += 1
            case "run_started":
                run.started += 1
            case "run_executed":
                run.executed += 1
            case "run_ended":
                run.ends.append(event)
            case "output_chunk":
                self._chunk(run, event)
            case "output_truncated":
                self.find("lost", f"{meta.run}: output truncated")
            case "input_accepted":
                if fact.input_accepted.offset != len(run.inputs):
                    self.find("disorder", f"{meta.run}: input at {fact.input_accepted.offset}, not {len(run.inputs)}")
                run.inputs += event.body.input
            case "approval_requested":
                self._asked[fact.approval_requested.approval] = meta.run
            case "approval_answered":
                answered = fact.approval_answered
                self._settled.setdefault(answered.approval, []).append(answered.outcome)
            case "approval_withdrawn":
                self._settled.setdefault(fact.approval_withdrawn.approval, []).append("withdrawn")
            case _:
                pass

    def _chunk(self, run: RunSeen, event: event_pb2.Event) -> None:
        chunk, data = event.meta.fact.output_chunk, event.body.output
        if run.ends:
            self.find("disorder", f"{chunk.run}: output after its end, seq {event.seq}")
        size = run.sizes[chunk.channel]
        if chunk.offset != size:
            kind: Kind = "duplicated" if chunk.offset < size else "lost"
            self.find(kind, f"{chunk.run}: channel {chunk.channel} at {chunk.offset} where {size} was due")
        if len(data) != chunk.length:
            self.find("lost", f"{chunk.run}: chunk of {chunk.length} with {len(data)} bytes")
        run.sizes[chunk.channel] = chunk.offset + chunk.length
        if (chunk.stdout_end, chunk.stderr_end) != (run.sizes[OUT], run.sizes[ERR]):
            self.find("disorder", f"{chunk.run}: ends {chunk.stdout_end}, {chunk.stderr_end}, not {run.sizes}")
        run.sums[chunk.channel].update(data)
        self.bytes += len(data)
        planned = self.plan.get(run.agent)
        if planned is not None and planned.kind in ("echo", "asker") and chunk.channel == OUT:
            run.text += data

    # --- judging -----------------------------------------------------------------------------------------------

    def check(self) -> list[Finding]:
        """Everything that is wrong, once the last event was taken and every agent has ended."""
        for agent in self.plan:
            for name, counts in (("agent.spawned", self._spawned), ("agent.ended", self._ended)):
                if (count := counts.get(agent, 0)) != 1:
                    self.find("duplicated" if count else "lost", f"{agent}: {count} times {name}")
        for agent in self._spawned.keys() - self.plan.keys():
            self.find("duplicated", f"{agent} was spawned and nobody was told of it")
        for request, count in self._requests.items():
            if count != 1:
                self.find("duplicated", f"request {request} was carried out {count} times")
        for run_id, run in self.runs.items():
            self._check_run(run_id, run)
        for approval, run_id in self._asked.items():
            if len(settled := self._settled.get(approval, [])) != 1:
                self.find("duplicated" if settled else "lost", f"approval {approval} of {run_id}: {settled}")
        for planned in self.plan.values():
            self._check_agent(planned)
        return self.findings

    def _check_run(self, run_id: str, run: RunSeen) -> None:
        if run.wanted != 1 or run.started > 1 or run.executed > 1:
            self.find("duplicated", f"{run_id}: wanted {run.wanted}, started {run.started}, executed {run.executed}")
        if len(run.ends) != 1:
            self.find("duplicated" if run.ends else "lost", f"{run_id}: {len(run.ends)} ends")
            return
        end = run.ends[0].meta.fact.run_ended
        self.ends[end.kind] = self.ends.get(end.kind, 0) + 1
        if (end.stdout_bytes, end.stderr_bytes) != (run.sizes[OUT], run.sizes[ERR]):
            self.find("lost", f"{run_id}: its end tells {end.stdout_bytes}, {end.stderr_bytes}, not {run.sizes}")
        if end.survivors:
            self.find("lost", f"{run_id}: {end.survivors} processes survived it")
        planned = self.plan.get(run.agent)
        if planned is None:
            return
        match end.kind:
            case "lost" if planned.kind == "victim":
                self._check_exit(run_id, run, planned)
            case "exited":
                if not run.executed:
                    self.find("lost", f"{run_id}: exited without run.executed")
                self._check_exit(run_id, run, planned)
            case "exec_failed":
                if planned.kind != "missing" or end.errno != 2:
                    self.find("lost", f"{run_id}: {planned.kind} exec_failed, errno {end.errno}")
            case "not_started":
                if run.executed or any(run.sizes.values()):
                    self.find("lost", f"{run_id}: not started, but it ran: {run.sizes}")
            case _:
                self.find("lost", f"{run_id}: {planned.kind} {end.kind}")

    def _check_exit(self, run_id: str, run: RunSeen, planned: Planned) -> None:
        end = run.ends[0].meta.fact.run_ended
        attempt = int(run_id.rpartition(".")[2])
        if planned.kind == "echo":
            wanted = b"".join(planned.inputs)
            if bytes(run.text) != wanted or bytes(run.inputs) != wanted:
                said, sent = len(run.text), len(wanted)
                self.find("lost", f"{run_id}: echoed {said}, accepted {len(run.inputs)}, sent {sent} bytes")
            status = (planned.seed % 100, 0)
        elif planned.kind == "asker":
            status = (0, 0)
            self._check_answer(run_id, run, planned)
        elif planned.kind == "goal":
            status = (-1, 15) if end.stopped_by == "request" else (0, 0)  # one that stays when all is done is stopped
        elif planned.kind == "victim":
            status = (-1, 0)  # its shim was killed: nobody saw how it ended, and nobody says so
        elif planned.kind == "ticker":
            status = (-1, 15)
            if not (planned.stopped or planned.tree) or end.stopped_by != "request":
                self.find("lost", f"{run_id}: stopped by {end.stopped_by!r}")
        else:
            status = soak_agent.end(planned.kind, planned.seed, attempt)
        cut = planned.tree and end.stopped_by == "request"
        if (end.exit_code, end.signal) != status and not (cut and end.signal == 15):
            got = (end.exit_code, end.signal)
            self.find("lost", f"{run_id}: {planned.kind} ended with {got}, not {status}, {end.stopped_by!r}")
        if planned.kind in ("echo", "asker", "goal"):  # judged by what was heard and said; a goal, by its errand
            return
        for channel, name in ((OUT, "out"), (ERR, "err")):
            size, digest = _truth(planned, attempt, name, run.sizes[channel], cut=cut)
            if (size, digest) != (run.sizes[channel], run.sums[channel].digest()):
                have = run.sizes[channel]
                self.find("lost", f"{run_id}: {planned.kind} std{name} has {have} bytes; {size} are true")

    def _check_answer(self, run_id: str, run: RunSeen, planned: Planned) -> None:
        said = [item for item in bytes(run.text).split(b"\n") if b'"answer ' in item]
        wanted = [f"answer 1 {outcome} {note}".encode() for outcome, note in planned.answers]
        if len(said) != 1 or len(wanted) != 1 or wanted[0] not in said[0]:
            self.find("duplicated" if len(said) > 1 else "lost", f"{run_id}: heard {said}, answered {wanted}")

    def _check_agent(self, planned: Planned) -> None:
        runs = [(run_id, run) for run_id, run in self.runs.items() if run.agent == planned.agent and run.ends]
        runs.sort(key=lambda item: int(item[0].rpartition(".")[2]))
        real = [run for _, run in runs if run.ends[0].meta.fact.run_ended.kind not in ("not_started",)]
        if planned.tree:
            return
        outcome = self._outcomes.get(planned.agent, "")
        last = real[-1].ends[0].meta.fact.run_ended if real else None
        good = last is not None and (last.exit_code == 0 or planned.kind == "goal")
        wanted = "cancelled" if planned.stopped else "succeeded" if good else "failed"
        if outcome != wanted:
            self.find("lost", f"{planned.agent}: {planned.kind} {outcome}, not {wanted}")
        if planned.kind == "restart":
            if last is None or last.exit_code != 0:
                self.find("lost", f"{planned.agent}: was not started again until it succeeded")
            return
        if len(real) > 1:
            self.find("duplicated", f"{planned.agent}: {planned.kind} ran {len(real)} times")
        if not real and len(runs) <= 5 and not planned.stopped:
            self.find("lost", f"{planned.agent}: {planned.kind} never ran, after {len(runs)} starts")


def _truth(planned: Planned, attempt: int, channel: str, limit: int, *, cut: bool) -> tuple[int, bytes]:
    """Size and hash of what the agent wrote; of an endless one, or one that was stopped, as much as is there."""
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(planned, attempt, channel, limit, cut=cut):
        digest.update(piece)
        size += len(piece)
    return size, digest.digest()


def _pieces(planned: Planned, attempt: int, channel: str, limit: int, *, cut: bool) -> Iterator[bytes]:
    if planned.kind not in soak_agent.ENDLESS and not cut:
        yield from soak_agent.output(planned.kind, planned.seed, attempt, channel)
        return
    left = limit
    if channel == "err" and planned.kind in soak_agent.ENDLESS:
        return
    for piece in soak_agent.output(planned.kind, planned.seed, attempt, channel):
        if left <= 0:
            return
        yield piece[:left]
        left -= len(piece)
