"""The part of AgentService that is about loops: hold an agent at the end of a turn, let it go on."""

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.domain.errors import Invalid
from kaged.rpc import convert
from kaged.rpc.methods import Call
from kaged.runtime.core import Core
from kaged.store.wire import wire_goal

_MAX_GUIDANCE = 64 << 10


class AgentLoops:
    """See the module."""

    _core: Core

    async def PauseAgent(self, request: pb.PauseAgentRequest, call: Call) -> pb.PauseAgentResponse:
        """Hold it at the end of its turn, or interrupt the turn."""
        caller = call.caller(convert.request_id_in(request.request_id), request)
        note = convert.note_in(request.note)
        answer = await self._core.goals.pause(request.agent, caller, now=request.now, note=note)
        return pb.PauseAgentResponse(agent=convert.agent(answer.state, answer.as_of_seq))

    async def ResumeAgent(self, request: pb.ResumeAgentRequest, call: Call) -> pb.ResumeAgentResponse:
        """Let it go on."""
        if len(request.guidance.encode()) > _MAX_GUIDANCE:
            raise Invalid(("guidance", f"is longer than {_MAX_GUIDANCE} bytes"))
        if not 0 <= request.add.time_s <= convert.MAX_SECONDS:
            raise Invalid(("add.time_s", f"must lie between 0 and {convert.MAX_SECONDS:.0f}"))
        caller = call.caller(convert.request_id_in(request.request_id), request)
        add = wire_goal.limits_from_wire(request.add)
        answer = await self._core.goals.resume(request.agent, caller, guidance=request.guidance, add=add)
        return pb.ResumeAgentResponse(agent=convert.agent(answer.state, answer.as_of_seq))
