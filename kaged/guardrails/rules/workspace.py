"""Workspace boundary: what is written, moved or taken away lies in the agent's workspace.

A link out of the workspace is outside, as far as `Context.real` tells where it leads. A target that cannot be known
(`rm -rf "$x"`) counts as outside.
"""

from typing import Final

from kaged.guardrails.action import Action
from kaged.guardrails.context import Context
from kaged.guardrails.paths import fits, glob_root, has_glob, inside
from kaged.guardrails.verdict import PASS, Verdict

RULE: Final = "workspace"


def judge(action: Action, context: Context) -> Verdict:
    """Deny or ask, as the policy says, when something outside is written."""
    word = context.policy.outside
    if word == "allow":
        return PASS
    for path in action.written:
        if outside(path, context):
            return Verdict(verdict=word, rule=RULE, why=f"it changes {path}, outside of {context.workspace}")
    if action.lost:
        shown = action.lost[0].replace("\ufffd", "…")[:80]
        return Verdict(verdict=word, rule=RULE, why=f"what it changes is not known: {shown!r}")
    return PASS


def outside(path: str, context: Context) -> bool:
    """Whether any of what a path can be lies outside of all that may be written."""
    return any(not _in_reach(each, context) for each in context.really(path))


def _in_reach(path: str, context: Context) -> bool:
    root = glob_root(path) if has_glob(path) else path
    folders = [context.workspace, context.real.get(context.workspace, context.workspace)]
    if any(inside(root, folder) for folder in folders if folder != "/") or context.workspace == "/":
        return True
    return any(fits(root, pattern, context.workspace, context.home) for pattern in context.policy.writable)
