"""Every adapter of this build under its name. A new one is a new file and a line here: nothing is found by luck."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kaged.adapters.acp import PROVIDES as ACP
from kaged.adapters.claude_code import PROVIDES as CLAUDE_CODE
from kaged.adapters.codex import PROVIDES as CODEX
from kaged.adapters.command import PROVIDES as COMMAND
from kaged.adapters.jsonl import PROVIDES as JSONL
from kaged.ports import Adapter

_CLASSES: Final[tuple[type[Adapter], ...]] = (
    *ACP,
    *CLAUDE_CODE,
    *CODEX,
    *COMMAND,
    *JSONL,
)

ADAPTERS: Final[Mapping[str, Adapter]] = MappingProxyType({kind.name: kind() for kind in _CLASSES})
