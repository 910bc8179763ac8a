"""ApprovalService: what agents ask, and the answers."""

import asyncio

from kaged.api.v1 import approval_service_pb2 as pb
from kaged.domain.paging import Argument, parse_page_size, read_page_token, write_page_token
from kaged.rpc import convert
from kaged.rpc.methods import Call
from kaged.rpc.rule_words import remember_in, remembered
from kaged.runtime.core import Core
from kaged.store.reading.selection import select

_AT_ONCE = 16  # questions are looked at in small numbers, because each may be large


class ApprovalService:
    """See the module."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ListApprovals(self, request: pb.ListApprovalsRequest, call: Call) -> pb.ListApprovalsResponse:
        """One page, newest first."""
        size = parse_page_size(request.page_size, default=100, maximum=1000)
        arguments: dict[str, Argument] = {"agent": request.agent, "show_answered": request.show_answered}
        cursor = read_page_token(request.page_token, method="ListApprovals", arguments=arguments)
        agent = self._core.agents.resolve(request.agent) if request.agent else ""
        up_to = int(cursor) if cursor else self._core.reader.head
        text = 'type = "approval.requested"' + (f' AND agent = "{agent}"' if agent else "")
        selection = select(text, now_us=0)
        found: list[pb.Approval] = []
        done = up_to <= 0
        while len(found) < size and not done and sum(item.ByteSize() for item in found) < convert.PAGE_BYTES:
            count = min(size - len(found), _AT_ONCE)
            page = await asyncio.to_thread(self._core.reader.page, selection, 0, up_to, count, reverse=True)
            asked = await asyncio.to_thread(self._core.approvals.asked_in, page.frames)
            wanted = [item for item in asked if request.show_answered or item.state == "open"]
            found += [convert.approval(item) for item in wanted]
            done, up_to = page.done, page.reached - 1
        token = "" if done else write_page_token(str(up_to).encode(), method="ListApprovals", arguments=arguments)
        return pb.ListApprovalsResponse(approvals=found, next_page_token=token)

    async def GetApproval(self, request: pb.GetApprovalRequest, call: Call) -> pb.GetApprovalResponse:
        """One approval."""
        approval = self._core.approvals.resolve(request.approval)
        return pb.GetApprovalResponse(approval=convert.approval(self._core.approvals.get(approval)))

    async def AnswerApproval(self, request: pb.AnswerApprovalRequest, call: Call) -> pb.AnswerApprovalResponse:
        """Answer one."""
        approval = self._core.approvals.resolve(request.approval)
        caller = call.caller(convert.request_id_in(request.request_id), request)
        wish = remember_in(request)
        state = await self._core.approvals.answer(
            approval, caller, approve=request.approve, note=convert.note_in(request.note), wish=wish
        )
        rules = self._core.approvals.remembered_with(approval) if wish is not None else ()
        return pb.AnswerApprovalResponse(approval=convert.approval(state), rules=[remembered(each) for each in rules])

    async def ListApprovalRules(self, request: pb.ListApprovalRulesRequest, call: Call) -> pb.ListApprovalRulesResponse:
        """One page of what is let through without asking."""
        size = parse_page_size(request.page_size, default=100, maximum=1000)
        arguments: dict[str, Argument] = {"agent": request.agent}
        cursor = read_page_token(request.page_token, method="ListApprovalRules", arguments=arguments)
        rules = self._core.rules.rules(self._core.journal.now_us())
        if request.agent:
            state = self._core.agents.load(self._core.agents.resolve(request.agent))
            owners = (("agent", state.id), ("namespace", state.spec.namespace))
            rules = [each for each in rules if (each.fact.scope, each.fact.owner) in owners]
        after = int(cursor) if cursor else 0
        rules = [each for each in rules if each.seq > after]
        page, more = rules[:size], len(rules) > size
        last = str(page[-1].seq).encode() if more else b""
        token = write_page_token(last, method="ListApprovalRules", arguments=arguments) if more else ""
        return pb.ListApprovalRulesResponse(rules=[remembered(each) for each in page], next_page_token=token)

    async def RemoveApprovalRule(
        self, request: pb.RemoveApprovalRuleRequest, call: Call
    ) -> pb.RemoveApprovalRuleResponse:
        """Take one back."""
        caller = call.caller(convert.request_id_in(request.request_id), request)
        return pb.RemoveApprovalRuleResponse(rule=remembered(await self._core.rules.remove(request.rule, caller)))
