"""Kinds of agents that have a name here: the program and the adapter that speaks with it.

Any other program is run as it is, or with `--adapter`. Only kinds that a test drives are listed; docs/agents.md says
what each can do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A program with the arguments that make it speak its protocol."""

    adapter: str
    command: tuple[str, ...]


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "claude": Kind(adapter="claude-code", command=("claude",)),
        "codex": Kind(adapter="codex", command=("codex", "app-server")),
        "codex-exec": Kind(adapter="codex-exec", command=("codex", "exec")),
        "copilot": Kind(adapter="acp", command=("copilot", "--acp")),
        "gemini": Kind(adapter="acp", command=("gemini", "--acp")),
        "opencode": Kind(adapter="acp", command=("opencode", "acp")),
    }
)
