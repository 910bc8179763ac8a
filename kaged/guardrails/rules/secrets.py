"""Secrets in arguments: tokens by their literal prefix (`kaged/domain/masking.py`), and values of the agent's own.

In the journal they are overwritten before anything is recorded; here the act itself is held: a key in a command line
or a file is a key in a place where nobody looks after it.
"""

from functools import lru_cache
from typing import Final

from kaged.domain.masking import PATTERNS, Masker
from kaged.guardrails.action import Action
from kaged.guardrails.context import Context
from kaged.guardrails.verdict import PASS, Verdict

RULE: Final = "secrets"


def judge(action: Action, context: Context) -> Verdict:
    """Ask or deny, as the policy says, when a secret is handed on."""
    word = context.policy.secret_arguments
    if word == "allow":
        return PASS
    if context.masked and "****" in action.text:
        return Verdict(verdict=word, rule=RULE, why="its arguments hold a secret (overwritten here)")
    masks = _finder().mask(action.text.encode("utf-8", "replace"), final=True).masks if action.text else ()
    return Verdict(verdict=word, rule=RULE, why=f"its arguments hold a secret: {masks[0].rule}") if masks else PASS


@lru_cache(maxsize=1)
def _finder() -> Masker:
    return Masker({}, patterns=PATTERNS)


def redacted(text: str) -> str:
    """The text with what looks like a secret overwritten."""
    data = text.encode("utf-8", "surrogateescape")
    return _finder().mask(data, final=True).data.decode("utf-8", "surrogateescape")
