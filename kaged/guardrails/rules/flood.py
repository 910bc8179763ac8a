"""Output flood: more output within a minute than anybody will ever read."""

from typing import Final

from kaged.guardrails.action import Action
from kaged.guardrails.context import Context
from kaged.guardrails.verdict import PASS, Verdict

RULE: Final = "flood"


def judge(action: Action, context: Context) -> Verdict:
    """What the policy says, once the last minute held more than it allows."""
    policy = context.policy
    if not policy.flood_bytes or context.output_bytes <= policy.flood_bytes or policy.flood == "allow":
        return PASS
    return Verdict(
        verdict=policy.flood, rule=RULE,
        why=f"{context.output_bytes:,} bytes of output within a minute, {policy.flood_bytes:,} are allowed",
    )  # fmt: skip
