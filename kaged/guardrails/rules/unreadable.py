"""What cannot be read is not harmless: `eval "$x"`, `base64 -d | sh`, a quote without its end."""

from typing import Final

from kaged.guardrails.action import Action
from kaged.guardrails.context import Context
from kaged.guardrails.verdict import PASS, Verdict

RULE: Final = "unreadable"


def judge(action: Action, context: Context) -> Verdict:
    """Ask or deny, as the policy says."""
    word = context.policy.unreadable
    if not action.unknown or word == "allow":
        return PASS
    return Verdict(verdict=word, rule=RULE, why=action.unknown[0])
