"""The level of approval: which acts a person looks at first.

    none       what no rule holds back goes on
    on-commit  what changes commits, branches or a remote is asked
    on-write   what changes anything is asked: all but reading, and looking something up
    always     everything is asked

What a person has allowed in advance (`people.py`) is answered already. A level never allows what another
rule holds back.
"""

from typing import Final

from kaged.guardrails.action import Action
from kaged.guardrails.context import Context
from kaged.guardrails.rules.people import allows
from kaged.guardrails.verdict import PASS, Verdict

RULE: Final = "approve"


def judge(action: Action, context: Context) -> Verdict:
    """Ask, where the level wants a person and no rule of a person has answered."""
    level = context.policy.approve
    why = _wanted(action, context)
    if not why or allows(action, context):
        return PASS
    return Verdict(verdict="ask", rule=f"{RULE}.{level}", why=why)


def _wanted(action: Action, context: Context) -> str:
    match context.policy.approve:
        case "none":
            return ""
        case "on-commit":
            return _commits(action)
        case "on-write":
            if action.harmless or (action.kind == "network" and not action.unknown):
                return ""
            return _commits(action) or ("it may change something" if action.kind in _UNSEEN else "it changes files")
        case "always":
            # What ran without asking was the agent's to decide; to note each look at a file would be noise.
            return "" if context.after else "everything is asked"


_UNSEEN: Final = frozenset({"command", "other"})


def _commits(action: Action) -> str:
    if action.history:
        return f"it changes history: {action.history}"
    if action.unknown and action.kind == "command":
        return f"it may change history: {action.unknown[0]}"
    return ""
