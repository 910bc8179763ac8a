"""SupervisorService: trees with Erlang/OTP semantics."""

import asyncio
import contextlib
from typing import TypeAlias

from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as pb
from kaged.domain.errors import Invalid
from kaged.domain.machines import tree as trees
from kaged.domain.paging import Argument, parse_page_size, read_page_token, write_page_token
from kaged.rpc import convert, trees_in
from kaged.rpc.methods import Call
from kaged.runtime.core import Core
from kaged.runtime.engine import Caller
from kaged.runtime.trees.trees import TreeNotFound
from kaged.store.wire import wire_spec

_OfChild: TypeAlias = pb.RestartChildRequest | pb.TerminateChildRequest | pb.DeleteChildRequest


class SupervisorService:
    """See the module."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ApplyTree(self, request: pb.ApplyTreeRequest, call: Call) -> pb.ApplyTreeResponse:
        """Make a tree, or change one."""
        spec, leaves = trees_in.spec_in(request.tree, request.spec)
        caller = call.caller(convert.request_id_in(request.request_id), request)
        try:
            difference, receipt = await self._core.trees.apply(
                request.tree, spec, leaves, caller, validate_only=request.validate_only
            )
        except trees.SpecInvalid as error:
            raise trees_in.in_request(error, spec) from error
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
            state, seq = await self._recorded(request.tree, request.at_seq), request.at_seq
        else:
            state, seq = await self._now(request.tree)
        answer = pb.GetTreeResponse(tree=trees_in.tree_out(state, seq))
        if state.spec is not None:
            agents = await asyncio.to_thread(self._agents, state)
            answer.spec.CopyFrom(trees_in.spec_out(state.spec, agents))
        return answer

    async def _now(self, tree: str) -> tuple[trees.TreeState, int]:
        """A tree as it stands once that is durable; on a full disk, as it is recorded."""
        state, seq = self._core.trees.state(tree), self._core.journal.accepted_seq
        if await self._core.journal.settles(seq):
            return state, seq
        head = self._core.reader.head
        return await self._recorded(tree, head), head

    async def _recorded(self, tree: str, seq: int) -> trees.TreeState:
        found = await asyncio.to_thread(self._core.views.tree, tree, seq)
        if found is None or found[0].phase == "new":
            raise TreeNotFound(tree)
        return found[0]

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
        """One page, by name."""
        size = parse_page_size(request.page_size, default=100, maximum=1000)
        arguments: dict[str, Argument] = {"show_ended": request.show_ended}
        cursor = read_page_token(request.page_token, method="ListTrees", arguments=arguments)
        after = cursor.decode() if cursor else ""
        names = self._core.trees.names(after, size + 1, show_ended=request.show_ended)
        room = convert.PAGE_BYTES
        answer = pb.ListTreesResponse()
        for at, name in enumerate(names):
            if at == size or room <= 0:
                last = names[at - 1].encode()
                answer.next_page_token = write_page_token(last, method="ListTrees", arguments=arguments)
                break
            with contextlib.suppress(TreeNotFound):  # on a full disk: one that is not recorded yet
                answer.trees.append(trees_in.tree_out(*await self._now(name)))
                room -= answer.trees[-1].ByteSize()
        return answer

    async def StopTree(self, request: pb.StopTreeRequest, call: Call) -> pb.StopTreeResponse:
        """Stop all children in reverse order."""
        caller = call.caller(convert.request_id_in(request.request_id), request)
        receipt = await self._core.trees.stop(request.tree, caller)
        return pb.StopTreeResponse(tree=await self._as_of(request.tree, receipt.last_seq))

    async def DeleteTree(self, request: pb.DeleteTreeRequest, call: Call) -> pb.DeleteTreeResponse:
        """Take an ended tree out of the lists; with `force`, stop it first."""
        caller = call.caller(convert.request_id_in(request.request_id), request)
        receipt = await self._core.trees.delete(request.tree, caller, force=request.force)
        try:
            tree = await self._as_of(request.tree, receipt.last_seq)
        except TreeNotFound:  # gone at once: as it was
            tree = await self._as_of(request.tree, receipt.first_seq - 1)
        return pb.DeleteTreeResponse(tree=tree)

    async def RestartChild(self, request: pb.RestartChildRequest, call: Call) -> pb.RestartChildResponse:
        """Start a child that is stopped, or end its back-off; one that runs is refused, as in OTP."""
        receipt = await self._core.trees.restart_child(*_child(request), self._caller(request, call))
        return pb.RestartChildResponse(tree=await self._as_of(request.tree, receipt.last_seq))

    async def TerminateChild(self, request: pb.TerminateChildRequest, call: Call) -> pb.TerminateChildResponse:
        """Stop a child; its spec stays."""
        receipt = await self._core.trees.terminate_child(*_child(request), self._caller(request, call))
        return pb.TerminateChildResponse(tree=await self._as_of(request.tree, receipt.last_seq))

    async def DeleteChild(self, request: pb.DeleteChildRequest, call: Call) -> pb.DeleteChildResponse:
        """Take out the spec of a child that does not run."""
        receipt = await self._core.trees.delete_child(*_child(request), self._caller(request, call))
        return pb.DeleteChildResponse(tree=await self._as_of(request.tree, receipt.last_seq))

    def _caller(self, request: _OfChild, call: Call) -> Caller:
        return call.caller(convert.request_id_in(request.request_id), request)

    async def _as_of(self, tree: str, seq: int) -> pb.Tree:
        """A tree as of the last fact of a request: the same for each repeat."""
        return trees_in.tree_out(await self._recorded(tree, seq), seq)


def _child(request: _OfChild) -> tuple[str, str]:
    if not request.path:
        raise Invalid(("path", "is empty"))
    return request.tree, request.path
