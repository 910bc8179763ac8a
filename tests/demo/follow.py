"""Follows the journal live, prints it for people, and remembers what was seen, so that the story can wait for it.

The subscription goes on over the death of the daemon; `gaps` counts positions that were skipped or seen twice.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from kagectl.client import AsyncClient
from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb
from tests.demo.screen import Screen


@dataclass(slots=True, kw_only=True)
class AgentSeen:
    """What events told about one agent."""

    job: str
    pid: int = 0
    executed: int = 0
    output_bytes: int = 0
    ended: str = ""


@dataclass(slots=True, kw_only=True)
class Seen:
    """What events told about all of them."""

    agents: dict[str, AgentSeen] = field(default_factory=dict)
    open_questions: dict[str, str] = field(default_factory=dict)  # approval -> agent
    head_seq: int = 0
    gaps: int = 0
    daemons: int = 0

    def all_ended(self) -> bool:
        """Whether every agent came to its end."""
        return bool(self.agents) and all(agent.ended for agent in self.agents.values())


class Follower:
    """One subscription from the beginning of the journal."""

    def __init__(self, client: AsyncClient, screen: Screen) -> None:
        self.seen = Seen()
        self._client = client
        self._screen = screen
        self._changed = asyncio.Condition()
        self._rest: dict[str, bytes] = {}

    async def run(self) -> None:
        """Follow without end; cancel it."""
        request = pb.SubscribeEventsRequest(after_seq=0)
        async for message in self._client.messages(request):
            if not message.HasField("batch"):
                continue
            async with self._changed:
                for event in message.batch.events:
                    self._take(event)
                self._changed.notify_all()

    async def wait(self, condition: Callable[[Seen], bool], what: str, timeout_s: float) -> None:
        """Until what was seen is enough. Raises TimeoutError that names what was waited for."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: condition(self.seen))
        except TimeoutError:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}") from None

    def _take(self, event: event_pb2.Event) -> None:
        seen, meta, fact = self.seen, event.meta, event.meta.fact
        seen.gaps += event.seq != seen.head_seq + 1
        seen.head_seq = event.seq
        agent = seen.agents.get(meta.agent)
        match fact.WhichOneof("kind"):
            case "daemon_started":
                seen.daemons += 1
                found = f", adopted {fact.daemon_started.adopted} running agents" if seen.daemons > 1 else ""
                self._screen.fact("kaged", f"daemon.started     pid {fact.daemon_started.pid}{found}")
            case "run_executed" if agent:
                agent.pid = fact.run_executed.pid
                agent.executed += 1
                self._screen.fact(agent.job, f"run.executed       pid {agent.pid}")
            case "output_chunk" if agent:
                agent.output_bytes += fact.output_chunk.length
                self._output(agent.job, meta.agent, event.body.output)
            case "signal" if agent:
                self._signal(agent.job, event)
            case "approval_requested" if agent:
                seen.open_questions[fact.approval_requested.approval] = meta.agent
                self._screen.fact(agent.job, f"approval.requested {event.body.question.title}?", bright=True)
            case "approval_answered":
                seen.open_questions.pop(fact.approval_answered.approval, None)
                if agent:
                    self._screen.fact(agent.job, f"approval.answered  {fact.approval_answered.outcome}", bright=True)
            case "approval_withdrawn":
                seen.open_questions.pop(fact.approval_withdrawn.approval, None)
            case "agent_ended" if agent:
                agent.ended = fact.agent_ended.outcome
                self._screen.fact(
                    agent.job, f"agent.ended        {agent.ended} ({fact.agent_ended.reason})", bright=True
                )
            case "agent_spawned":
                job = fact.agent_spawned.spec.name
                seen.agents[meta.agent] = AgentSeen(job=job)
                self._screen.fact(job, "agent.spawned")
            case _:
                pass

    def _signal(self, job: str, event: event_pb2.Event) -> None:
        said = event.body.signal
        match event.meta.type:
            case "signal.message":
                self._screen.say(job, said.text)
            case "signal.tool.started":
                what = json.loads(said.data_json or "{}").get("what", said.text)
                self._screen.start(job, event.meta.fact.signal.call, what)
            case "signal.tool.finished":
                result = said.data_json.strip('"') or said.text
                self._screen.finish(job, event.meta.fact.signal.call, result, ok=event.meta.fact.signal.outcome == "ok")
            case _:
                pass

    def _output(self, job: str, agent: str, data: bytes) -> None:
        """Plain commands have no signals: what they print is shown, Claude's stream-json as words."""
        *lines, self._rest[agent] = (self._rest.get(agent, b"") + data).split(b"\n")
        for line in lines:
            for text in _claude_words(line):
                self._screen.say(job, text)


def _claude_words(line: bytes) -> Iterator[str]:
    """What a line of stream-json says to people; nothing of the lines of other protocols."""
    try:
        heard = json.loads(line)
    except ValueError:
        return
    if not isinstance(heard, dict) or heard.get("type") != "assistant":
        return
    for part in heard.get("message", {}).get("content", []):
        if part.get("type") == "text":
            yield part["text"]
        elif part.get("type") == "tool_use":
            yield f"[{part.get('name')}] {json.dumps(part.get('input'))}"


def elapsed(since: float) -> str:
    """Seconds since a moment of the monotonic clock."""
    return f"{time.monotonic() - since:.1f} s"
