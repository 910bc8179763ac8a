"""Follows the journal live, prints it for people, and remembers what was seen, so that the story can wait for it.

The subscription goes on over the death of the daemon; `gaps` counts positions that were skipped or seen twice.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kagectl.client import AsyncClient
from kaged.api.v1 import event_pb2, fact_pb2, spec_pb2
from kaged.api.v1 import event_service_pb2 as pb
from tests.demo.screen import Screen


@dataclass(slots=True, kw_only=True)
class AgentSeen:
    """What events told about one agent."""

    job: str
    pid: int = 0
    executed: int = 0
    output_bytes: int = 0
    turns: int = 0
    paused: str = ""  # what for; empty when it is not
    ended: str = ""

    def rests(self) -> bool:
        """Whether it has nothing to do until somebody acts."""
        return bool(self.paused or self.ended)


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

    def wanted(self) -> bool:
        """Whether a person is waited for."""
        return bool(self.open_questions) or any(
            agent.paused not in ("", "rate_limit") for agent in self.agents.values()
        )


class Follower:
    """One subscription from the beginning of the journal."""

    def __init__(self, client: AsyncClient, screen: Screen) -> None:
        self.seen = Seen()
        self._client = client
        self._screen = screen
        self._changed = asyncio.Condition()

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
            case "workspace_made" if agent:
                self._screen.fact(agent.job, "workspace.made     a worktree and branch of its own")
            case "workspace_merged" if agent:
                self._screen.fact(agent.job, f"workspace.merged   {fact.workspace_merged.kind.replace('_', ' ')}")
            case "goal_judged" if agent:
                agent.turns = fact.goal_judged.iteration
                self._judged(agent, fact.goal_judged)
            case "goal_paused" if agent:
                agent.paused = fact.goal_paused.limit or fact.goal_paused.cause
                limit = f": {fact.goal_paused.limit}" if fact.goal_paused.limit else ""
                self._screen.fact(agent.job, f"goal.paused        {fact.goal_paused.cause}{limit}", bright=True)
            case "goal_resumed" if agent:
                agent.paused = ""
                self._screen.fact(
                    agent.job, f"goal.resumed       {fact.goal_resumed.add_iterations} more turns", bright=True
                )
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
            case "signal.turn.started" if said.text:
                self._screen.say(job, said.text)
            case "signal.tool.started" | "signal.tool.requested":
                self._screen.start(job, event.meta.fact.signal.call, _call(said))
            case "signal.tool.finished":
                result = _first_line(said.data_json.strip('"') or said.text)
                self._screen.finish(job, event.meta.fact.signal.call, result, ok=event.meta.fact.signal.outcome == "ok")
            case _:
                pass

    def _judged(self, agent: AgentSeen, judged: fact_pb2.GoalJudged) -> None:
        """One line for a turn that was looked at: what the check came to, and what follows."""
        came_to = ", ".join("the check holds" if check.passed else "the check fails" for check in judged.checks)
        follows = {"next": "", "succeeded": ": done", "failed": ": given up"}.get(judged.verdict, judged.verdict)
        text = f"goal.judged        turn {judged.iteration}: {came_to or judged.why}{follows}"
        self._screen.fact(agent.job, text, bright=judged.verdict != "next")


def _call(said: spec_pb2.SignalText) -> str:
    """A tool call in a line: our agent says what it tries, another its tool and what it is about."""
    given = json.loads(said.data_json or "{}")
    if not isinstance(given, dict):
        return said.tool
    about = next((str(given[key]) for key in ("command", "file_path", "path", "pattern") if key in given), said.text)
    return str(given.get("what") or f"{said.tool} {_first_line(about)}")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def elapsed(since: float) -> str:
    """Seconds since a moment of the monotonic clock."""
    return f"{time.monotonic() - since:.1f} s"
