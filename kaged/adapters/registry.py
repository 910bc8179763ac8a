"""Every adapter of this build under its name. A new one is a new file and a line here: nothing is found by luck."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kaged.adapters.acp.adapter import AcpAdapter
from kaged.adapters.claude_code.adapter import ClaudeCodeAdapter
from kaged.adapters.codex.adapter import CodexAdapter
from kaged.adapters.codex_exec import CodexExecAdapter
from kaged.adapters.command import CommandAdapter
from kaged.adapters.jsonl import JsonlAdapter
from kaged.ports import Adapter

_CLASSES: Final[tuple[type[Adapter], ...]] = (
    AcpAdapter,
    ClaudeCodeAdapter,
    CodexAdapter,
    CodexExecAdapter,
    CommandAdapter,
    JsonlAdapter,
)

ADAPTERS: Final[Mapping[str, Adapter]] = MappingProxyType({kind.name: kind() for kind in _CLASSES})
