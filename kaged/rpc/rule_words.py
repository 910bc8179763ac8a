"""Remembered rules between the API's shapes and the domain's."""

import math
from typing import Final

from kaged.api.v1 import approval_service_pb2 as pb
from kaged.domain.errors import Invalid
from kaged.rpc.convert import timestamp
from kaged.runtime.rule_book import Remembered
from kaged.runtime.wishes import Wish

_MAX_S: Final = 10 * 366 * 86_400.0


def remember_in(request: pb.AnswerApprovalRequest) -> Wish | None:
    """What is to be remembered with an answer, if anything is. Raises Invalid."""
    if not request.HasField("remember"):
        return None
    asked = request.remember
    if not request.approve:
        raise Invalid(("remember", "goes with a yes only"), hint="a rule that denies belongs into a policy file")
    if asked.scope not in (pb.RULE_SCOPE_UNSPECIFIED, pb.RULE_SCOPE_AGENT, pb.RULE_SCOPE_NAMESPACE):
        raise Invalid(("remember.scope", f"{asked.scope} is not a scope of this release"))
    if not (math.isfinite(asked.for_s) and 0 <= asked.for_s <= _MAX_S):
        raise Invalid(("remember.for_s", "must be 0 (until it is removed) or seconds, at most ten years"))
    scope = asked.scope == pb.RULE_SCOPE_NAMESPACE
    return Wish(
        scope="namespace" if scope else "agent",
        for_s=asked.for_s,
        command=asked.command.strip(),
        path=asked.path.strip(),
    )


def remembered(rule: Remembered) -> pb.ApprovalRule:
    """A rule as a message."""
    fact = rule.fact
    message = pb.ApprovalRule(
        id=fact.rule,
        verdict=fact.verdict,
        tool=fact.tool,
        path=fact.path,
        command=fact.command,
        scope=pb.RULE_SCOPE_AGENT if fact.scope == "agent" else pb.RULE_SCOPE_NAMESPACE,
        owner=fact.owner,
        approval=fact.approval,
        create_time=timestamp(rule.added_us),
    )
    if fact.expires_us:
        message.expire_time.CopyFrom(timestamp(fact.expires_us))
    return message
