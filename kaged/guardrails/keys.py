"""Every key of a policy file: what it is, which part of a `Policy` it sets, and which way is tighter.

    [guard]                 approve = "on-commit"
    [guard.commands]        force-push = "deny"
    [namespace.web.guard]   the same keys, for one namespace; in the user's file only

A repository's own file may only tighten: a verdict may get stricter, a limit lower, a list of what is forbidden longer.
"""

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from kaged.domain.frozen import frozen
from kaged.guardrails.context import DANGERS

KeyKind = Literal["level", "verdict", "patterns", "hosts", "yes", "count", "size", "duration", "rules", "after"]
Tight = Literal["stricter", "longer", "never", "lower", "yes"]


@frozen
class Key:
    """One key. `tight`: what a repository may do with it; `never`: it may not set it at all."""

    name: str
    kind: KeyKind
    part: str
    tight: Tight
    what: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "KAGE_" + self.name.upper().replace(".", "_").replace("-", "_")


def _key(name: str, kind: KeyKind, part: str, tight: Tight, what: str) -> Key:
    return Key(name=f"guard.{name}", kind=kind, part=part, tight=tight, what=what)


_ALL: Final = (
    _key("approve", "level", "approve", "stricter", "which acts a person looks at first"),
    _key("rules", "rules", "rules", "longer", "allow, ask or deny by tool, path, command"),
    _key("protected", "patterns", "protected", "longer", "paths that may not be changed"),
    _key("outside", "verdict", "outside", "stricter", "changes outside of the workspace"),
    _key("writable", "patterns", "writable", "never", "paths outside of the workspace that may be changed"),
    _key("unreadable", "verdict", "unreadable", "stricter", "commands that cannot be read"),
    _key("answer-within", "duration", "answer_within_s", "never", "after this a question expires; 0: never"),
    *(_key(f"commands.{name}", "verdict", f"dangers.{name}", "stricter", what) for name, (_, what) in DANGERS.items()),
    _key("network.allow", "hosts", "hosts_allowed", "never", "hosts that may be reached"),
    _key("network.deny", "hosts", "hosts_denied", "longer", "hosts that may not be reached"),
    _key("network.other", "verdict", "hosts_other", "stricter", "hosts in neither list"),
    _key("after-the-act", "after", "after_the_act", "stricter", "what becomes of an agent that did what is forbidden"),
    _key("secrets.arguments", "verdict", "secret_arguments", "stricter", "calls with a secret in their arguments"),
    _key("secrets.patterns", "yes", "secret_patterns", "yes", "overwrite well-known tokens in agents' output"),
    _key("loop.calls", "count", "loop_calls", "lower", "the same call so often in a row is a loop; 0: never"),
    _key("loop.verdict", "verdict", "loop", "stricter", "what becomes of a loop"),
    _key("flood.bytes-per-minute", "size", "flood_bytes", "lower", "more output than this is a flood; 0: never"),
    _key("flood.verdict", "verdict", "flood", "stricter", "what becomes of a flood"),
)
KEYS: Final[Mapping[str, Key]] = MappingProxyType({key.name: key for key in _ALL})
TABLES: Final = frozenset(name.rpartition(".")[0] for name in KEYS)
RULE_FIELDS: Final = ("verdict", "tool", "path", "command", "expires")


def nearest(name: str) -> str:
    """The known key that a wrong one was probably meant to be; empty when none is near."""
    found = difflib.get_close_matches(name, [*KEYS, *sorted(TABLES)], n=1, cutoff=0.6)
    if found:
        return found[0]
    last = name.rpartition(".")[2]
    return next((key for key in KEYS if key.rpartition(".")[2] == last), "")
