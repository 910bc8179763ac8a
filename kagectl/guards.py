"""What an agent may do of itself, from options and spec files: a level, rules, protected paths, hosts.

A rule is a text: `git push*` is a command, `path:infra/**` a path, `tool:WebFetch` a tool. kaged judges by them;
here they are only read.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import click

from kagectl.errors import Complaint
from kagectl.quantities import duration_s
from kaged.api.v1 import spec_pb2 as pb

F = TypeVar("F", bound=Callable[..., object])

LEVELS = ("none", "on-commit", "on-write", "always")
VERDICTS = ("allow", "ask", "deny")
_KINDS = ("command", "path", "tool")

OPTIONS: tuple[Callable[[F], F], ...] = (
    click.option(
        "--approve",
        type=click.Choice(LEVELS),
        default=None,
        help="What a person looks at first; default: as your policy says (kagectl config show).",
    ),
    click.option("--allow", multiple=True, metavar="RULE", help="Needs no person: 'make *', path:src/**, tool:Read."),
    click.option("--ask", multiple=True, metavar="RULE", help="Needs a person."),
    click.option("--deny", multiple=True, metavar="RULE", help="Not at all."),
    click.option("--protect", multiple=True, metavar="PATTERN", help="Paths that it must not change."),
    click.option("--host", multiple=True, metavar="HOST", help="Reach this one (*.example.org), and no others."),
    click.option("--answer-within", metavar="TIME", default=None, help="After this, its questions expire."),
)


class GuardWords(Protocol):
    """The options as they were written; None or empty: not said."""

    @property
    def approve(self) -> str | None: ...
    @property
    def allow(self) -> tuple[str, ...]: ...
    @property
    def ask(self) -> tuple[str, ...]: ...
    @property
    def deny(self) -> tuple[str, ...]: ...
    @property
    def protect(self) -> tuple[str, ...]: ...
    @property
    def host(self) -> tuple[str, ...]: ...
    @property
    def answer_within(self) -> str | None: ...


def rule(text: str, verdict: str, *, what: str) -> pb.GuardRule:
    """One rule. Raises Complaint for an empty one."""
    kind, colon, pattern = text.partition(":")
    if not colon or kind not in _KINDS:
        kind, pattern = "command", text
    if not pattern.strip():
        raise Complaint(f"{what}: the rule {text!r} says nothing", hint="such as 'make *', path:src/**, tool:Read")
    found = pb.GuardRule(verdict=verdict)
    setattr(found, kind, pattern.strip())
    return found


def rules(allow: Sequence[str], ask: Sequence[str], deny: Sequence[str], *, what: str = "--") -> list[pb.GuardRule]:
    """Rules of all three kinds. Raises Complaint."""
    given = zip(VERDICTS, (allow, ask, deny), strict=True)
    return [rule(text, verdict, what=f"{what}{verdict}") for verdict, texts in given for text in texts]


def hold(spec: pb.AgentSpec, words: GuardWords) -> None:
    """Put the options into a spec, on top of what its file says. Raises Complaint."""
    guard = pb.Guard()
    guard.CopyFrom(spec.guard)
    guard.approve = words.approve or guard.approve
    guard.rules.extend(rules(words.allow, words.ask, words.deny))
    guard.protected_paths.extend(words.protect)
    guard.hosts.extend(words.host)
    if words.answer_within:
        guard.answer_within_s = duration_s(words.answer_within, what="--answer-within")
    if guard.ByteSize():
        spec.guard.CopyFrom(guard)
