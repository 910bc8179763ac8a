"""What becomes of an agent that did, without asking, what a rule forbids. Pure.

    record   it goes on; the event and its flag tell
    pause    an agent with a loop is interrupted and held until a person lets it go on; another one goes on, flagged
    stop     it is stopped

A person should have been asked (verdict `ask`): that is recorded, whatever the policy says, because it may well be
what the person would have allowed. A loop and a flood hold it, because each moment of them costs.
"""

from collections.abc import Iterable

from kaged.domain.events.guardrail import GuardrailJudged
from kaged.guardrails.rules import flood, loops


def broken(judged: Iterable[GuardrailJudged]) -> str:
    """The first rule that something was done against for which the agent is to be held; empty: none."""
    for fact in judged:
        if fact.after and (fact.verdict == "deny" or (fact.verdict == "ask" and fact.rule in (loops.RULE, flood.RULE))):
            return fact.rule
    return ""
