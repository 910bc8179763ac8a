"""Where things stand in the lines of single programs: the roots of a `find`, the host of an `ssh`. Pure."""

from typing import Final

from kaged.guardrails.shell.script import Command
from kaged.guardrails.shell.words import UNKNOWN, Word, words_in


def find_roots(command: Command) -> tuple[Word, ...]:
    """The folders that a `find` begins in; none named: the working directory."""
    roots: list[Word] = []
    for word in command.words[1:]:
        if word.text in ("-H", "-L", "-P") or word.text.startswith("-O"):
            continue
        if word.text.startswith(("-", "(", "!", "\\(")):
            break
        roots.append(word)
    return tuple(roots) or (Word(text="."),)


def in_roots(words: tuple[Word, ...], roots: tuple[Word, ...]) -> tuple[Word, ...]:
    """What `find -exec` hands over is somewhere below its roots: a pattern there."""
    out: list[Word] = []
    for word in words:
        if word.text == UNKNOWN and all(root.exact for root in roots):
            out += (Word(text=root.text.rstrip("/") + "/**", glob=True) for root in roots)
        else:
            out.append(word)
    return tuple(out)


_SSH_VALUES: Final = words_in(
    """
    -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w
    """
)


def behind_host(command: Command) -> tuple[Word, ...]:
    """The command in an `ssh` line."""
    at = host_at(command)
    return command.words[at + 1 :] if at else ()


def host_at(command: Command) -> int:
    """Where the host stands in an `ssh` line; 0: nowhere."""
    at = 1
    while at < len(command.words):
        text = command.words[at].text
        if text in _SSH_VALUES:
            at += 2
        elif text.startswith("-"):
            at += 1
        else:
            return at
    return 0
