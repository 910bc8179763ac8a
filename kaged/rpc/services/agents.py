"""AgentService: convert, ask, convert back; and the two streams, watch and logs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from google.protobuf.field_mask_pb2 import FieldMask

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.domain.errors import Invalid, Precondition
from kaged.domain.filter import AGENTS, Node, parse
from kaged.domain.machines.agent import AgentState
from kaged.domain.paging import Argument, parse_page_size, read_page_token, write_page_token
from kaged.domain.world import Changed
from kaged.rpc import convert, workspace_words
from kaged.rpc.agent_rows import agent_filter
from kaged.rpc.logs import stream_logs
from kaged.rpc.methods import Call
from kaged.rpc.read_mask import mask_in, masked
from kaged.rpc.services.agent_loops import AgentLoops
from kaged.runtime.agents import Answer
from kaged.runtime.core import Core
from kaged.runtime.refusals import AgentNotFound

_MAX_INPUT = 1 << 20
_MAX_MESSAGE = 128 << 10  # escaped it is at most some six times as long


@dataclass(slots=True)
class _Page:
    """Agents that fit into one answer, by count and by size."""

    size: int
    mask: FieldMask | None = None
    agents: list[pb.Agent] = field(default_factory=list)
    room: int = convert.PAGE_BYTES

    @property
    def full(self) -> bool:
        return len(self.agents) >= self.size or self.room <= 0

    def add(self, agent: pb.Agent) -> None:
        agent = masked(agent, self.mask)
        self.agents.append(agent)
        self.room -= agent.ByteSize()


class AgentEnded(Precondition):
    """The agent has ended and will not reach the state that is waited for."""

    reason = "AGENT_ENDED"

    def __init__(self, name: str, word: str) -> None:
        super().__init__(f"agent {name} has ended ({word}) and will not get there", hint="restart it", state=word)


class AgentStopped(Precondition):
    """The agent is stopped, its tree does not start it of itself, and so it will not reach the state waited for."""

    reason = "AGENT_STOPPED"

    def __init__(self, name: str, supervisor: str) -> None:
        tree, _, path = supervisor.partition("/")
        super().__init__(
            f"agent {name} is stopped and will not get there of itself",
            hint=f"kagectl tree restart {tree} {path}",
            tree=tree,
            path=path,
        )


class AgentService(AgentLoops):
    """See the module."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # --- asking ------------------------------------------------------------------------------------------------

    async def SpawnAgent(self, request: pb.SpawnAgentRequest, call: Call) -> pb.SpawnAgentResponse:
        """Accept an agent."""
        spec, secrets = convert.spec_in(request.spec)
        caller = call.caller(convert.request_id_in(request.request_id), request)
        await self._core.workspaces.making.check(spec, caller)
        if request.validate_only:
            named = self._core.agents.named(spec, self._core.system.short_id())
            checked = self._core.agents.check(named, secrets)
            state = AgentState(id="", number=1, spec=checked)
            return pb.SpawnAgentResponse(agent=convert.agent(state, self._core.reader.head))
        return pb.SpawnAgentResponse(agent=self._agent(await self._core.agents.spawn(spec, secrets, caller)))

    async def StopAgent(self, request: pb.StopAgentRequest, call: Call) -> pb.StopAgentResponse:
        """Ask it to end."""
        answer = await self._core.agents.stop(
            request.agent,
            call.caller(convert.request_id_in(request.request_id), request),
            grace_s=convert.grace_in(request),
            signal=convert.signal_in(request.signal, "signal"),
            note=convert.note_in(request.note),
        )
        return pb.StopAgentResponse(agent=self._agent(answer))

    async def SignalAgent(self, request: pb.SignalAgentRequest, call: Call) -> pb.SignalAgentResponse:
        """Send a signal."""
        signal = convert.signal_in(request.signal, "signal")
        if not signal:
            raise Invalid(("signal", "is empty"))
        caller = call.caller(convert.request_id_in(request.request_id), request)
        answer = await self._core.agents.signal(request.agent, caller, signal=signal, whole_tree=request.whole_tree)
        return pb.SignalAgentResponse(agent=self._agent(answer))

    async def RestartAgent(self, request: pb.RestartAgentRequest, call: Call) -> pb.RestartAgentResponse:
        """Stop the run and start a new one."""
        caller = call.caller(convert.request_id_in(request.request_id), request)
        answer = await self._core.agents.restart(request.agent, caller, grace_s=convert.grace_in(request))
        return pb.RestartAgentResponse(agent=self._agent(answer))

    async def RemoveAgent(self, request: pb.RemoveAgentRequest, call: Call) -> pb.RemoveAgentResponse:
        """Take it out of the lists."""
        caller = call.caller(convert.request_id_in(request.request_id), request)
        answer, gone = await self._core.workspaces.removing.remove(request.agent, caller, keep=request.keep_workspace)
        return pb.RemoveAgentResponse(agent=self._agent(answer), workspace=workspace_words.removed(gone))

    async def SendInput(self, request: pb.SendInputRequest, call: Call) -> pb.SendInputResponse:
        """Write to its standard input."""
        if len(request.data) > _MAX_INPUT:
            raise Invalid(("data", f"has {len(request.data)} bytes; at most {_MAX_INPUT}"), hint="send it in pieces")
        if not request.data and not request.eof and not request.message:
            raise Invalid(("data", "is empty, and `eof` is not set"))
        if request.data and request.message:
            raise Invalid(("message", "give `data` or `message`, not both"))
        if len(request.message.encode()) > _MAX_MESSAGE:
            raise Invalid(("message", f"is longer than {_MAX_MESSAGE} bytes"))
        caller = call.caller(convert.request_id_in(request.request_id), request)
        answer, offset = await self._core.agents.send(
            request.agent, caller, data=request.data, eof=request.eof, message=request.message
        )
        return pb.SendInputResponse(offset=offset, seq=answer.receipt.first_seq)

    async def ResizeTerminal(self, request: pb.ResizeTerminalRequest, call: Call) -> pb.ResizeTerminalResponse:
        """Resize its terminal."""
        size = request.size
        if not (1 <= size.rows <= 10_000 and 1 <= size.columns <= 10_000):
            raise Invalid(("size", "rows and columns must lie between 1 and 10000"))
        caller = call.caller(convert.request_id_in(request.request_id), request)
        await self._core.agents.resize(request.agent, caller, rows=size.rows, columns=size.columns)
        return pb.ResizeTerminalResponse()

    def _agent(self, answer: Answer) -> pb.Agent:
        return convert.agent(answer.state, answer.as_of_seq)

    # --- reading -----------------------------------------------------------------------------------------------

    async def GetAgent(self, request: pb.GetAgentRequest, call: Call) -> pb.GetAgentResponse:
        """One agent, now or as of an earlier seq."""
        if request.at_seq and request.HasField("at_time"):
            raise Invalid(("at_time", "give at_seq or at_time, not both"))
        mask = mask_in(request.read_mask, pb.Agent)
        agent = self._core.agents.resolve(request.agent)
        at_seq = request.at_seq
        if request.HasField("at_time"):
            at_seq = await asyncio.to_thread(self._core.reader.at_time, convert.microseconds(request.at_time))
            if not at_seq:
                raise AgentNotFound(request.agent)
        if at_seq:
            self._core.reader.check_position(at_seq)
            return pb.GetAgentResponse(agent=masked(await self._as_of(agent, at_seq), mask))
        return pb.GetAgentResponse(agent=masked(await self._now(agent), mask))

    async def _as_of(self, agent: str, seq: int) -> pb.Agent:
        """An agent as it is recorded up to a seq."""
        found = await asyncio.to_thread(self._core.views.agent, agent, seq)
        if found is None:
            raise AgentNotFound(agent)
        sizes = await asyncio.to_thread(self._core.figures.sizes_at, found[0], seq)
        return convert.agent(found[0], seq, sizes=sizes)

    async def _now(self, agent: str) -> pb.Agent:
        """An agent as it stands, once that is durable; on a full disk, as it is recorded."""
        state = self._core.world.agent(agent)
        if state is None:
            return await self._as_of(agent, self._core.reader.head)
        seq = self._core.journal.accepted_seq
        message = convert.agent(state, seq, sizes=self._core.figures.sizes(state))
        if not await self._core.journal.settles(seq):
            return await self._as_of(agent, self._core.reader.head)
        health = self._core.figures.health(state)
        if health is not None:
            message.health.CopyFrom(convert.health(*health))
        return message

    async def ListAgents(self, request: pb.ListAgentsRequest, call: Call) -> pb.ListAgentsResponse:
        """One page, newest first."""
        size = parse_page_size(request.page_size, default=100, maximum=1000)
        arguments: dict[str, Argument] = {
            "filter": request.filter,
            "show_ended": request.show_ended,
            "at_seq": request.at_seq,
        }
        cursor = read_page_token(request.page_token, method="ListAgents", arguments=arguments)
        now_us = self._core.journal.now_us()
        below = 2**63
        if cursor:
            below, now_us = (int(part) for part in cursor.split(b","))
        matches = agent_filter(self._parse(request.filter, now_us))
        page = _Page(size, mask_in(request.read_mask, pb.Agent))
        token = ""
        if request.at_seq:
            self._core.reader.check_position(request.at_seq)
        seq, rest = request.at_seq or self._core.journal.accepted_seq, 0
        stored = request.show_ended or bool(request.at_seq)
        if not stored:
            rest, seq = self._live(page, below, matches)
        if not await self._core.journal.settles(seq):  # a full disk: as it is recorded
            stored, seq, page = True, self._core.reader.head, _Page(size, page.mask)
        if stored:
            rest = await asyncio.to_thread(self._stored, page, below, seq, request.show_ended, matches)
        if rest > 1:
            token = write_page_token(f"{rest},{now_us}".encode(), method="ListAgents", arguments=arguments)
        return pb.ListAgentsResponse(agents=page.agents, next_page_token=token, as_of_seq=seq)

    def _live(self, page: _Page, below: int, matches: Callable[[AgentState], bool]) -> tuple[int, int]:
        """What has not ended, newest first, as accepted now; where the next page begins (0: nowhere), and the seq."""
        seq = self._core.journal.accepted_seq
        states = [kept.state for kept in self._core.world.agents.values() if kept.state.number < below]
        wanted = sorted(
            (state for state in states if state.phase != "ended" and matches(state)), key=lambda state: -state.number
        )
        for state in wanted:
            if page.full:
                return below, seq
            page.add(convert.agent(state, seq, sizes=self._core.figures.sizes(state)))
            below = state.number
        return 0, seq

    def _stored(
        self, page: _Page, below: int, seq: int, show_ended: bool, matches: Callable[[AgentState], bool]
    ) -> int:
        """The same from states as of a seq. In a thread: it looks at all that ever were."""
        while numbered := self._core.views.numbered(below, 64):
            for number, agent in numbered:
                row = self._core.views.agent(agent, seq)
                shown = row is not None and not row[0].removed and (show_ended or row[0].phase != "ended")
                if row is not None and shown and matches(row[0]):
                    if page.full:
                        return below
                    page.add(convert.agent(row[0], seq, sizes=self._core.figures.sizes_at(row[0], seq)))
                below = number
        return 0

    def _parse(self, text: str, now_us: int) -> Node:
        return parse(text, AGENTS, now_us=now_us)

    async def WatchAgents(self, request: pb.WatchAgentsRequest, call: Call) -> AsyncIterator[pb.WatchAgentsResponse]:
        """What there is, then every change; changes of one agent are coalesced while the reader is slow."""
        matches = agent_filter(self._parse(request.filter, self._core.journal.now_us()))
        dirty: dict[str, None] = {}
        wake = asyncio.Event()

        def changed(change: Changed) -> None:
            if change.kind == "agent":
                dirty[change.id] = None
                wake.set()

        stop = self._core.engine.watch(changed)
        try:
            known: set[str] = set()
            for kept in list(self._core.world.agents.values()):
                if kept.state.phase != "ended" and matches(kept.state):
                    known.add(kept.state.id)
                    yield pb.WatchAgentsResponse(agent=await self._now(kept.state.id))
            yield pb.WatchAgentsResponse(caught_up_seq=self._core.reader.head)
            while True:
                await wake.wait()
                wake.clear()
                while dirty:
                    agent = next(iter(dirty))
                    del dirty[agent]
                    state = self._core.world.agent(agent)
                    if state is None:
                        found = await asyncio.to_thread(self._core.views.agent, agent)
                        state = found[0] if found is not None else None
                    if state is not None and not state.removed and matches(state):
                        known.add(agent)
                        yield pb.WatchAgentsResponse(agent=await self._now(agent))
                    elif agent in known:
                        known.discard(agent)
                        yield pb.WatchAgentsResponse(gone=agent)
        finally:
            stop()

    async def WaitAgent(self, request: pb.WaitAgentRequest, call: Call) -> pb.WaitAgentResponse:
        """Wait until nothing of it will run of itself, or for another state."""
        wanted = convert.states_in(request.states)
        agent = self._core.agents.resolve(request.agent)
        wake = asyncio.Event()

        def changed(change: Changed) -> None:
            if change.kind == "agent" and change.id == agent:
                wake.set()

        stop = self._core.engine.watch(changed)
        try:
            while True:
                wake.clear()
                message = await self._now(agent)
                word = convert.STATE_WORDS[message.state]
                if word == "stopped" and not self._rests(agent):
                    pass  # somebody has asked for its start, and that is on its way
                elif word in wanted:
                    return pb.WaitAgentResponse(agent=message)
                elif word in convert.ENDED:
                    raise AgentEnded(message.name, word)
                elif word == "stopped":
                    raise AgentStopped(message.name, message.supervisor)
                await wake.wait()
        finally:
            stop()

    def _rests(self, agent: str) -> bool:
        state = self._core.world.agent(agent)
        return state is None or self._core.trees.rests(state)

    async def StreamLogs(self, request: pb.StreamLogsRequest, call: Call) -> AsyncIterator[bytes]:
        """Its output by lines."""
        agent = self._core.agents.resolve(request.agent)
        async with contextlib.aclosing(stream_logs(self._core, agent, request)) as answers:
            async for answer in answers:
                yield answer
