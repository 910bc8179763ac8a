"""What known commands read, write, take away and reach. Pure.

A program that is not known here does anything: it is not harmless, and every word of it that looks like a path is
`mentioned`. Harmless is only what is on the list of programs that read, without the options that make them write.
Paths are normal ones; a target that cannot be known is in `lost` with its text.
"""

from kaged.domain.frozen import frozen
from kaged.guardrails.shell.found import Found
from kaged.guardrails.shell.git import git_harmless, git_targets
from kaged.guardrails.shell.hosts import hosts_in
from kaged.guardrails.shell.options import has_flag
from kaged.guardrails.shell.readers import only_reads
from kaged.guardrails.shell.script import Command
from kaged.guardrails.shell.wrappers import SHELLS
from kaged.guardrails.shell.writers import WRITERS, find_writes, sed_reads


@frozen
class Effects:
    """See the module. `recursive`: whole trees are written or taken away."""

    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()  # texts of words that name what is written or taken away, and are not known
    hosts: tuple[str, ...] = ()
    recursive: bool = False
    harmless: bool = False


def effects_of(command: Command, home: str) -> Effects:
    """What one command does, by what is known of its program. Never raises."""
    found = Found(command, home)
    if command.remote:
        return Effects(hosts=hosts_in(command))
    name = command.name
    handler = WRITERS.get(name)
    harmless = False
    if handler is not None:
        handler(found, list(command.words[1:]))
    elif name == "git":
        harmless = git_harmless(command)
        for word in git_targets(command):
            found.write(word)
    elif name == "sed":
        harmless = sed_reads(found)
    elif name in ("find", "gfind"):
        find_writes(found, list(command.words[1:]))
        harmless = only_reads(command)
    elif name in SHELLS:
        harmless = has_flag(list(command.words[1:]), "c") or command.stdin == "text"  # what it runs is found by itself
    else:
        harmless = only_reads(command)
    for redirect in command.redirects:
        if redirect.kind == "write":
            found.write(redirect.word)
        else:
            found.mention(redirect.word)
    written = bool(found.writes or found.deletes or found.lost)
    for word in command.words[1:]:
        found.mention(word)
    return Effects(
        writes=tuple(dict.fromkeys(found.writes)),
        deletes=tuple(dict.fromkeys(found.deletes)),
        mentions=tuple(dict.fromkeys(found.mentions)),
        lost=tuple(dict.fromkeys(found.lost)),
        hosts=hosts_in(command),
        recursive=found.recursive,
        harmless=harmless and not written,
    )
