"""What rules judge an action by: the policy that holds, and what is known of the agent at this moment. Pure values."""

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Final, Literal

from kaged.domain.frozen import frozen
from kaged.guardrails.verdict import VerdictWord

Level = Literal["none", "on-commit", "on-write", "always"]
LEVELS: Final[tuple[Level, ...]] = ("none", "on-commit", "on-write", "always")  # from the loosest
AfterTheAct = Literal["record", "pause", "stop"]
AFTER_THE_ACT: Final[tuple[AfterTheAct, ...]] = ("record", "pause", "stop")  # from the loosest
Scope = Literal["once", "agent", "namespace", "everywhere"]

_NO_PATHS: Final[Mapping[str, str]] = MappingProxyType({})

DANGERS: Final[Mapping[str, tuple[VerdictWord, str]]] = MappingProxyType(
    {
        "recursive-delete": ("deny", "takes whole folders away outside of the workspace"),
        "disk": ("deny", "tools that write to disks and file systems as a whole"),
        "owner": ("deny", "what only the owner may do with kaged and kagectl"),
        "force-push": ("ask", "overwrites what is on a remote"),
        "history-rewrite": ("ask", "rebase, amend, filter-branch, branch -D"),
        "discard-work": ("ask", "reset --hard, clean -f, checkout -- FILE"),
        "git-config": ("ask", "changes what git runs of itself"),
        "privilege": ("ask", "sudo, su, setuid bits, privileged containers"),
        "publish": ("ask", "puts packages, images or releases before the world"),
        "system": ("ask", "services, kernel, users, firewall, shutdown, things that run later"),
        "processes": ("ask", "ends processes that are not known to be its own"),
        "infrastructure": ("ask", "destroys what runs elsewhere: terraform, kubectl, cloud and database tools"),
    }
)
"""Kinds of dangerous commands, with the verdict that they get when no policy says anything."""


@frozen
class PeopleRule:
    """What a person said in advance. Empty texts fit anything; a rule without any fits everything.

    `owner`: the agent's id for `once` and `agent`, the namespace's name for `namespace`. `source` says where it was
    said, for the one who wonders. `expires_us` 0: never.
    """

    verdict: VerdictWord
    tool: str = ""
    path: str = ""
    command: str = ""
    scope: Scope = "everywhere"
    owner: str = ""
    expires_us: int = 0
    source: str = ""
    id: str = ""


@frozen
class Policy:
    """What holds for an agent, all layers merged. Patterns of paths are relative to the workspace."""

    approve: Level = "always"
    rules: tuple[PeopleRule, ...] = ()
    protected: tuple[str, ...] = ()
    outside: VerdictWord = "ask"
    writable: tuple[str, ...] = ()
    unreadable: VerdictWord = "ask"
    dangers: Mapping[str, VerdictWord] = field(default_factory=lambda: _DEFAULT_DANGERS)
    hosts_allowed: tuple[str, ...] = ()
    hosts_denied: tuple[str, ...] = ()
    hosts_other: VerdictWord = "allow"
    secret_arguments: VerdictWord = "ask"  # noqa: S105  a verdict
    secret_patterns: bool = True
    loop_calls: int = 5
    loop: VerdictWord = "ask"
    flood_bytes: int = 64 << 20
    flood: VerdictWord = "ask"
    answer_within_s: float = 0
    after_the_act: AfterTheAct = "pause"


_DEFAULT_DANGERS: Final[Mapping[str, VerdictWord]] = MappingProxyType(
    {name: word for name, (word, _) in DANGERS.items()}
)
DEFAULT_POLICY: Final = Policy()


@frozen
class Context:
    """What is known around an action. Times are microseconds since 1970 UTC.

    `workspace`: the folder that it may write in; `guarded`: folders of Kage's own that are not to be touched at all.
    `real`: where a path really is, for those that lead through links. `spent`: ids of rules that held once and did.
    `repeats`: how often in a row this very call was made, this one included. `output_bytes`: of the last minute.
    `masked`: a secret was overwritten in what the action was read from. `after`: it has happened already.
    """

    policy: Policy = DEFAULT_POLICY
    workspace: str = "/"
    home: str = ""
    guarded: tuple[str, ...] = ()
    agent: str = ""
    namespace: str = "default"
    now_us: int = 0
    real: Mapping[str, str] = field(default_factory=lambda: _NO_PATHS)
    spent: frozenset[str] = frozenset()
    repeats: int = 1
    output_bytes: int = 0
    masked: bool = False
    after: bool = False

    def really(self, path: str) -> tuple[str, ...]:
        """A path as it is written, and where it really is."""
        real = self.real.get(path, path)
        return (path,) if real == path else (path, real)
