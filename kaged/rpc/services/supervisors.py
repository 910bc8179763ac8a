"""SupervisorService: trees with Erlang/OTP semantics."""

import asyncio
from typing import Literal

from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as pb
from kaged.domain.errors import Invalid
from kaged.domain.machines import tree as trees
from kaged.domain.paging import parse_page_size, read_page_token, write_page_token
from kaged.rpc import convert, trees_in
from kaged.rpc.methods import Call
from kaged.runtime.core import Core
from kaged.runtime.trees import TreeNotFound
from kaged.store.wire import wire_spec


class SupervisorService:
    """See the module."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ApplyTree(self, request: pb.ApplyTreeRequest, call: Call) -> pb.ApplyTreeResponse:
        """Make a tree, or change one."""
        spec, leaves = trees_in.spec_in(request.tree, request.spec)
        caller = call.caller(convert.request_id_in(request.request_id), request)
        difference, receipt = await self._core.trees.apply(
            request.tree, spec, leaves, caller, validate_only=request.validate_only
        )
        answer = pb.ApplyTreeResponse(
            added=difference.added, changed=difference.changed, removed=difference.removed, kept=difference.kept
        )
        if not request.validate_only:
            answer.tree.CopyFrom(await self._as_of(request.tree, receipt.last_seq))
        return answer

    async def GetTree(self, request: pb.GetTreeRequest, call: Call) -> pb.GetTreeResponse:
        """One tree as it stands, or as of an earlier seq."""
        if request.at_seq:
            self._core.reader.check_position(request.at_seq)
            found = await asyncio.to_thread(self._core.views.tree, request.tree, request.at_seq)
            if found is None:
                raise TreeNotFound(request.tree)
            state, seq = found[0], request.at_seq
        else:
            state, seq = self._core.trees.state(request.tree), self._core.journal.accepted_seq
            await self._core.journal.wait_durable(seq)
        answer = pb.GetTreeResponse(tree=trees_in.tree_out(state, seq))
        if state.spec is not None:
            agents = await asyncio.to_thread(self._agents, state)
            answer.spec.CopyFrom(trees_in.spec_out(state.spec, agents))
        return answer

    def _agents(self, state: trees.TreeState) -> dict[str, spec_pb2.AgentSpec]:
        found: dict[str, spec_pb2.AgentSpec] = {}
        for node in state.nodes.values():
            if isinstance(node, trees.Leaf):
                agent = self._core.world.agent(node.spec.work)
                if agent is None:
                    row = self._core.views.agent(node.spec.work)
                    agent = row[0] if row is not None else None
                if agent is not None:
                    found[agent.id] = wire_spec.to_wire(agent.spec)
        return found

    async def ListTrees(self, request: pb.ListTreesRequest, call: Call) -> pb.ListTreesResponse:
        """All trees, by name."""
        size = parse_page_size(request.page_size, default=100, maximum=1000)
        cursor = read_page_token(request.page_token, method="ListTrees", arguments={})
        names = [name for name in self._core.trees.names() if cursor is None or name > cursor.decode()]
        seq, room = self._core.journal.accepted_seq, convert.PAGE_BYTES
        answer = pb.ListTreesResponse()
        for at, name in enumerate(names):
            if at == size or room <= 0:
                answer.next_page_token = write_page_token(names[at - 1].encode(), method="ListTrees", arguments={})
                break
            answer.trees.append(trees_in.tree_out(self._core.trees.state(name), seq))
            room -= answer.trees[-1].ByteSize()
        await self._core.journal.wait_durable(seq)
        return answer

    async def StopTree(self, request: pb.StopTreeRequest, call: Call) -> pb.StopTreeResponse:
        """Stop all children in reverse order."""
        caller = call.caller(convert.request_id_in(request.request_id), request)
        receipt = await self._core.trees.ask(request.tree, "stop", "", caller)
        return pb.StopTreeResponse(tree=await self._as_of(request.tree, receipt.last_seq))

    async def RestartChild(self, request: pb.RestartChildRequest, call: Call) -> pb.RestartChildResponse:
        """Start a child that is stopped, or end its back-off; one that runs is refused, as in OTP."""
        return pb.RestartChildResponse(tree=await self._ask("restart", request, call))

    async def TerminateChild(self, request: pb.TerminateChildRequest, call: Call) -> pb.TerminateChildResponse:
        """Stop a child; its spec stays."""
        return pb.TerminateChildResponse(tree=await self._ask("terminate", request, call))

    async def DeleteChild(self, request: pb.DeleteChildRequest, call: Call) -> pb.DeleteChildResponse:
        """Take out the spec of a child that does not run."""
        return pb.DeleteChildResponse(tree=await self._ask("delete", request, call))

    async def _ask(
        self,
        verb: Literal["restart", "terminate", "delete"],
        request: pb.RestartChildRequest | pb.TerminateChildRequest | pb.DeleteChildRequest,
        call: Call,
    ) -> pb.Tree:
        if not request.path:
            raise Invalid(("path", "is empty"))
        caller = call.caller(convert.request_id_in(request.request_id), request)
        receipt = await self._core.trees.ask(request.tree, verb, request.path, caller)
        return await self._as_of(request.tree, receipt.last_seq)

    async def _as_of(self, name: str, seq: int) -> pb.Tree:
        """A tree as of the last fact of a request: the same for each repeat."""
        found = await asyncio.to_thread(self._core.views.tree, name, seq)
        if found is None:
            raise TreeNotFound(name)
        return trees_in.tree_out(found[0], seq)
