"""Loop detector: the same call, with the same arguments, again and again without anything else in between."""

from typing import Final

from kaged.guardrails.action import Action
from kaged.guardrails.context import Context
from kaged.guardrails.verdict import PASS, Verdict

RULE: Final = "loop"


def judge(action: Action, context: Context) -> Verdict:
    """Ask or deny, as the policy says, from the n-th time on."""
    policy = context.policy
    if not policy.loop_calls or context.repeats < policy.loop_calls or policy.loop == "allow":
        return PASS
    return Verdict(verdict=policy.loop, rule=RULE, why=f"the same call {context.repeats} times in a row")
