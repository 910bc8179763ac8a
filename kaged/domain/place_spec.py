"""Where an agent works and what it may do of itself: the wishes, as the spec holds them. Pure.

Made real by `kaged/workspace` and `kaged/guardrails`. Not here: what a policy adds to them.
"""

from typing import Literal

from kaged.domain.frozen import frozen

WorkspaceKind = Literal["here", "worktree", "copy"]
Verdict = Literal["allow", "deny", "ask"]
ApproveLevel = Literal["", "none", "on-write", "on-commit", "always"]


@frozen
class Workspace:
    """Where it works. Empty texts: found from the working directory, or made from the agent's name."""

    kind: WorkspaceKind = "here"
    repository: str = ""
    base: str = ""
    branch: str = ""
    setup: str = ""
    cleanup: str = ""
    copy: tuple[str, ...] = ()


@frozen
class GuardRule:
    """One rule; an empty text fits anything. `expires_us` 0: never."""

    verdict: Verdict
    tool: str = ""
    path: str = ""
    command: str = ""
    expires_us: int = 0


@frozen
class Guard:
    """What it may do of itself. `approve` empty: as the policy says."""

    approve: ApproveLevel = ""
    rules: tuple[GuardRule, ...] = ()
    protected_paths: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    answer_within_s: float = 0
