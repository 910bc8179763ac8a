"""Which levels of approval an adapter can keep. A level that it cannot keep is refused at the spawn, with the reason.

To keep a level means that the agent asks, and waits, before every act that the level is about. What makes an agent of
each kind do that is its adapter's launch; what undoes it are flags in the spec's command, found here.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from kaged.domain.late_pattern import late_pattern
from kaged.guardrails.context import Level

_KEEPS: Final[Mapping[str, tuple[Level, ...]]] = MappingProxyType(
    {
        "command": ("none",),
        "claude-code": ("none", "on-commit", "on-write", "always"),
        "codex": ("none", "on-commit", "on-write"),
        "acp": ("none", "on-commit"),
        "jsonl": ("none", "on-commit", "on-write", "always"),
    }
)
_WHY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "command": "a plain command asks nothing; run it as an agent that does (--agent, or --adapter jsonl)",
        "codex": "codex reads without asking; use on-write, which asks before everything else",
        "acp": "agents of this protocol ask only what their own settings do not allow; use on-commit, which git holds",
    }
)
# Flags with which an agent stops asking.
_UNASKED: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "claude-code": late_pattern(
            r"--(allow-)?dangerously-skip-permissions|--permission-mode[= ](bypassPermissions|acceptEdits|dontAsk|auto)"
            r"|--allowed-?[tT]ools\b|--permission-prompt-tool[= ](?!stdio)"
        ),
        "codex": late_pattern(
            r"--dangerously-bypass-approvals-and-sandbox|--full-auto|--yolo|approval_policy\s*=\s*.?never"
            r"|(-a|--ask-for-approval)[= ]never|approval_policy\s*=\s*.?on-failure"
        ),
        "acp": late_pattern(
            r"(^|\s)(-y|--yolo|--auto|--allow-all-tools|--allow-all)(\s|$)|--approval-mode[= ](yolo|auto_edit)"
        ),
    }
)


def problem(level: str, adapter: str, command: Sequence[str]) -> str:
    """Why an agent of this kind, with this command, cannot be held to the level; empty: it can."""
    if level in ("", "none"):
        return ""
    keeps = _KEEPS.get(adapter, ("none",))
    if level not in keeps:
        return f"cannot be kept: {_WHY.get(adapter, 'agents of this kind do not ask')}"
    unasked = _UNASKED.get(adapter)
    found = unasked.search(" ".join(command)) if unasked is not None else None
    if found is not None:
        return f"cannot be kept with {found.group().strip()!r} in the command: the agent would not ask"
    return ""
