"""Which map reads which kind of agent. A kind that is not here is read as `jsonl` is: by the usual names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from kaged.domain.signals import Ask
from kaged.guardrails.action import Action
from kaged.guardrails.tools import acp, claude_code, codex, jsonl
from kaged.guardrails.tools.reading import Call

Understand = Callable[[str, Call, str, str, str], Action]
_MAPS: Final[Mapping[str, Understand]] = MappingProxyType(
    {
        "claude-code": claude_code.action,
        "codex": codex.action,
        "codex-exec": codex.action,
        "acp": acp.action,
        "jsonl": jsonl.action,
    }
)


def proposed(adapter: str, ask: Ask, *, folder: str, home: str) -> Action:
    """What an agent asks to do. Never raises."""
    return understood(adapter, ask.tool, ask.data_json, ask.title, folder=folder, home=home)


def understood(adapter: str, tool: str, data_json: str, title: str, *, folder: str, home: str) -> Action:
    """What a tool call does, asked for or heard of. Never raises."""
    return _MAPS.get(adapter, jsonl.action)(tool, Call(data_json), title, folder, home)
