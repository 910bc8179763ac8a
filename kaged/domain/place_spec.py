"""Where an agent works and what it may do of itself: the wishes, as the spec holds them. Pure.

Made real by `kaged/workspace` and `kaged/guardrails`. Not here: what a policy adds to them.
"""

from collections.abc import Iterator
from typing import Final, Literal

from kaged.domain.frozen import frozen

WorkspaceKind = Literal["here", "worktree", "copy"]
Verdict = Literal["allow", "deny", "ask"]
ApproveLevel = Literal["", "none", "on-write", "on-commit", "always"]
MAX_LINE_BYTES: Final = 64 << 10
MAX_PATTERNS: Final = 200


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


def violations(place: Workspace) -> Iterator[tuple[str, str]]:
    """What is wrong with the wish for a place, as far as it shows without looking at the disk."""
    for name in ("repository", "base", "branch", "setup", "cleanup"):
        value = getattr(place, name)
        if "\0" in value or len(value.encode("utf-8", "surrogateescape")) > MAX_LINE_BYTES:
            yield f"spec.workspace.{name}", f"must be at most {MAX_LINE_BYTES} bytes without a NUL"
    if place.repository and not place.repository.startswith("/"):
        yield "spec.workspace.repository", "must be an absolute path"
    for name in ("base", "branch"):
        if getattr(place, name).startswith("-"):
            yield f"spec.workspace.{name}", "begins with `-`"
        if getattr(place, name) and place.kind != "worktree":
            yield f"spec.workspace.{name}", "is of a worktree; set `kind` to that, or leave it out"
    if place.copy and place.kind != "worktree":
        yield "spec.workspace.copy", "is of a worktree; a copy has all files anyway"
    if len(place.copy) > MAX_PATTERNS or any(not item or "\0" in item or "\n" in item for item in place.copy):
        yield "spec.workspace.copy", f"must be at most {MAX_PATTERNS} patterns, none of them empty"


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
