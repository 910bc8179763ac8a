"""What the journal says at the end, and whether it is all there.

Everything is read back through the socket: nothing that the story remembered counts here, but for the processes
that it saw before the daemon died.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kagectl.client import AsyncClient
from kagectl.client.methods.agents import LIST_AGENTS
from kagectl.client.methods.approvals import LIST_APPROVALS
from kagectl.client.methods.events import READ_EVENTS
from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import approval_service_pb2 as approvals_pb
from kaged.api.v1 import event_pb2, fact_pb2
from kaged.api.v1 import event_service_pb2 as events_pb

_CHANNELS = {fact_pb2.OUTPUT_CHANNEL_STDOUT: ".out", fact_pb2.OUTPUT_CHANNEL_STDERR: ".err"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One agent."""

    name: str
    state: str
    runs: int
    pid: int
    events: int
    turns: int
    output_bytes: int
    approvals: str
    same_bytes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The table and what is wrong; nothing wrong is success."""

    rows: tuple[Row, ...]
    events: int
    daemons: int
    pauses: int
    wrong: tuple[str, ...]


async def read_back(client: AsyncClient, folder: Path, pids: Mapping[str, int]) -> Verdict:
    """Read the whole journal again. `folder` holds the agents' own transcripts, `pids` the first run's by name."""
    events: list[event_pb2.Event] = []
    async for batch in client.stream(READ_EVENTS, events_pb.ReadEventsRequest(from_seq=1)):
        events.extend(batch.events)
    wrong = []
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        wrong.append("the journal's positions have gaps")
    listed = await client.call(LIST_AGENTS, agents_pb.ListAgentsRequest(show_ended=True))
    asked = await client.call(LIST_APPROVALS, approvals_pb.ListApprovalsRequest(show_answered=True))
    rows = []
    for agent in sorted(listed.agents, key=lambda agent: agent.create_time.ToMicroseconds()):
        mine = [event for event in events if event.meta.agent == agent.id]
        recorded = dict.fromkeys(_CHANNELS.values(), b"")
        for event in mine:
            if event.meta.fact.HasField("output_chunk"):
                recorded[_CHANNELS[event.meta.fact.output_chunk.channel]] += event.body.output
        written = {
            end: path.read_bytes() if (path := folder / f"{agent.name}{end}").exists() else b"" for end in recorded
        }
        questions = [one for one in asked.approvals if one.agent == agent.id]
        approved = sum(one.state == approvals_pb.APPROVAL_STATE_APPROVED for one in questions)
        executed = [event.meta.fact.run_executed.pid for event in mine if event.meta.type == "run.executed"]
        row = Row(
            name=agent.name,
            state=agents_pb.AgentState.Name(agent.state).removeprefix("AGENT_STATE_").lower(),
            runs=agent.run.attempt,
            pid=agent.run.pid or (executed[-1] if executed else 0),
            events=len(mine),
            turns=sum(event.meta.type == "goal.judged" for event in mine),
            output_bytes=sum(len(data) for data in recorded.values()),
            approvals=f"{approved} of {len(questions)}",
            same_bytes=recorded == written,
        )
        rows.append(row)
        wrong += _complaints(row, written, executed, pids.get(agent.name, 0), approved)
    if len(rows) != len(pids):
        wrong.append(f"{len(rows)} agents in the journal, {len(pids)} were spawned")
    daemons = sum(event.meta.type == "daemon.started" for event in events)
    pauses = sum(event.meta.type == "goal.paused" for event in events)
    return Verdict(rows=tuple(rows), events=len(events), daemons=daemons, pauses=pauses, wrong=tuple(wrong))


def _complaints(row: Row, written: Mapping[str, bytes], executed: list[int], pid: int, approved: int) -> list[str]:
    found = []
    if row.state != "succeeded":
        found.append(f"{row.name} is {row.state}, not succeeded")
    if not row.same_bytes:
        sizes = sum(len(data) for data in written.values())
        found.append(f"{row.name} wrote {sizes} bytes, the journal has {row.output_bytes} or others")
    if not row.output_bytes:
        found.append(f"{row.name} has no output in the journal")
    if executed != [pid]:
        found.append(f"{row.name} ran as {executed}, it should be the one process {pid}")
    if approved < 1:
        found.append(f"{row.name} has no approved question: it committed without asking")
    if not row.turns:
        found.append(f"{row.name} was never judged")
    return found
