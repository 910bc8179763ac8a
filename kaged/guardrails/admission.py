"""What is wrong with an agent's guard before it starts: a level that it cannot be held to, patterns that fit nothing.

Nothing is lowered in silence: an agent that would not ask is not started, with the reason and the way out.
"""

from collections.abc import Iterator
from typing import Final

from kaged.domain.spec import AgentSpec
from kaged.guardrails import levels
from kaged.guardrails.context import LEVELS
from kaged.guardrails.paths import pattern_problem
from kaged.guardrails.policy import Ground

_PLAIN: Final = "command"
_BY_GIT: Final = "acp"


def violations(spec: AgentSpec, ground: Ground) -> Iterator[tuple[str, str]]:
    """(field path, what is wrong). No policy's level holds for a plain command: it asks nothing, as everybody knows."""
    guard = spec.guard
    if guard.approve not in ("", *LEVELS):
        yield "spec.guard.approve", f"{guard.approve!r} is not one of {', '.join(LEVELS)}"
        return
    held = spec.adapter != _PLAIN and bool(ground.approve_from)
    level = guard.approve or (ground.policy.approve if held else "")
    if problem := levels.problem(level, spec.adapter, spec.command):
        said = "" if guard.approve else f" ({ground.approve_from})"
        yield "spec.guard.approve", f"{level}{said} {problem}"
    elif level == "on-commit" and spec.adapter == _BY_GIT and spec.workspace.kind == "here":
        # The protocol cannot make such an agent ask, but git holds its commits where the hooks are its own.
        said = "" if guard.approve else f" ({ground.approve_from})"
        yield "spec.guard.approve", f"{level}{said} needs a workspace of its own: --workspace worktree or copy"
    for number, rule in enumerate(guard.rules):
        at = f"spec.guard.rules[{number}]"
        if rule.verdict not in ("allow", "ask", "deny"):
            yield f"{at}.verdict", f"{rule.verdict!r} is not one of allow, ask, deny"
        if rule.path and rule.command:
            yield at, "has a path and a command: nothing has both; make two rules of it"
        if rule.path and (problem := pattern_problem(rule.path)):
            yield f"{at}.path", f"{rule.path!r} {problem}"
    for pattern in guard.protected_paths:
        if problem := pattern_problem(pattern):
            yield "spec.guard.protected_paths", f"{pattern!r} {problem}"
    if not 0 <= guard.answer_within_s < 2**32:
        yield "spec.guard.answer_within_s", "must be 0 (never) or a number of seconds"
