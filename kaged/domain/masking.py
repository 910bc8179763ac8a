"""Overwriting secrets in output, in place, before it is recorded. Pure.

Two kinds of rules. *Injected secrets* are the values that Kage itself put into the agent's environment: searched
literally, always. Each value is searched whole, in its JSON spelling if that differs (most agents print JSON), and,
if it has several lines, by every line of at least 8 bytes. *Patterns* know well-known tokens by a literal prefix
(`PATTERNS`); they are off unless asked for.

A match becomes as many `*`, so offsets stay and "spool = journal" holds outside of the masks. Overlapping matches
become one mask under the rule of the first of them. Output comes in pieces, so the bytes at the end of a piece
that could be the beginning of a match are held back: any chunking gives the same bytes and the same masks.

Not here, and promised nowhere: encodings such as base64 or URL quoting, and values of fewer than 4 bytes (`too_short`
names them). This stops accidents, not an agent that wants to tell.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from kaged.domain.events.output import Mask
from kaged.domain.frozen import frozen

MIN_SECRET_BYTES: Final = 4
MIN_LINE_BYTES: Final = 8  # shorter lines of a long value (`{`, `true`, the end of a PEM) are no secrets by themselves
_PIECE_BYTES: Final = 4096  # a longer literal is searched as several, so that little is ever held back
_CHAIN_BYTES: Final = (
    2 * _PIECE_BYTES
)  # overlapping matches are joined up to here; only self-repeating junk gets that far


@frozen
class Pattern:
    """A literal prefix, then `least` to `most` bytes out of `body` (a regex class), through `end` if that is there."""

    rule: str
    prefix: bytes
    body: bytes
    least: int
    most: int
    end: bytes = b""


_TOKEN: Final = rb"[A-Za-z0-9_\-]"
_PEM: Final = rb"[A-Za-z0-9+/=\-\\ \r\n]"  # a backslash: in JSON its newlines are `\n`
_PEM_END: Final = rb"-----END [A-Z ]{0,20}PRIVATE KEY-----"
PATTERNS: Final = (
    Pattern(rule="anthropic-key", prefix=b"sk-ant-", body=_TOKEN, least=20, most=200),
    Pattern(rule="openai-key", prefix=b"sk-proj-", body=_TOKEN, least=20, most=200),
    *(
        Pattern(rule="github-token", prefix=prefix, body=rb"[A-Za-z0-9_]", least=30, most=255)
        for prefix in (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_")
    ),
    Pattern(rule="gitlab-token", prefix=b"glpat-", body=_TOKEN, least=20, most=64),
    *(
        Pattern(rule="aws-key-id", prefix=prefix, body=rb"[A-Z0-9]", least=16, most=16)
        for prefix in (b"AKIA", b"ASIA")
    ),
    *(
        Pattern(rule="slack-token", prefix=prefix, body=rb"[A-Za-z0-9\-]", least=20, most=200)
        for prefix in (b"xoxb-", b"xoxp-", b"xoxa-")
    ),
    Pattern(rule="google-key", prefix=b"AIza", body=_TOKEN, least=35, most=35),
    *(
        Pattern(
            rule="private-key", prefix=b"-----BEGIN " + kind + b"PRIVATE KEY-----", body=_PEM, least=20, most=8192,
            end=_PEM_END,
        )
        for kind in (b"", b"RSA ", b"EC ", b"DSA ", b"OPENSSH ", b"ENCRYPTED ")
    ),
)  # fmt: skip


@frozen
class Masked:
    """`data` may be recorded: the input without its last `held` bytes, secrets overwritten. Masks are offsets in it."""

    data: bytes
    masks: tuple[Mask, ...] = ()
    held: int = 0


@frozen
class _Literal:
    rule: str
    value: bytes

    def matches(self, data: bytes) -> Iterator[tuple[int, int, str]]:
        at = data.find(self.value)
        while at >= 0:
            yield at, at + len(self.value), self.rule
            at = data.find(self.value, at + 1)

    def unfinished(self, data: bytes) -> int:
        """Where the first match might begin that the data does not finish; its length if nowhere."""
        return _prefix_at_end(self.value, data)


class _Token:
    """A pattern made ready. It matches the longest run that it can, so what touches the end is not decided yet."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self._run = re.compile(pattern.body + b"{0,%d}" % pattern.most)
        self._end = re.compile(pattern.end) if pattern.end else None

    def _look(self, data: bytes) -> Iterator[tuple[int, int, bool]]:
        """(start, end, decided) of each prefix with its run."""
        prefix, most = self._pattern.prefix, self._pattern.most
        at = data.find(prefix)
        while at >= 0:
            body = at + len(prefix)
            run = self._run.match(data, body)
            assert run is not None  # it matches nothing at least
            stop = run.end()
            closing = self._end.search(data, body, stop) if self._end is not None else None
            if closing is not None:
                yield at, closing.end(), True
            else:
                yield at, stop, stop < len(data) or stop - body == most
            at = data.find(prefix, at + 1)

    def matches(self, data: bytes) -> Iterator[tuple[int, int, str]]:
        shortest = len(self._pattern.prefix) + self._pattern.least
        for start, end, _ in self._look(data):
            if end - start >= shortest:
                yield start, end, self._pattern.rule

    def unfinished(self, data: bytes) -> int:
        first = max(0, len(data) - len(self._pattern.prefix) - self._pattern.most)
        tail = data[first:]
        for at, _, decided in self._look(tail):
            if not decided:
                return first + at
        return _prefix_at_end(self._pattern.prefix, data)


def _prefix_at_end(value: bytes, data: bytes) -> int:
    """Where the longest end of the data begins that is a beginning, but not the whole, of the value."""
    first = value[:1]
    at = data.find(first, max(0, len(data) - len(value) + 1))
    while at >= 0:
        if value.startswith(data[at:]):
            return at
        at = data.find(first, at + 1)
    return len(data)


class Masker:
    """For one agent. Without secrets and patterns it gives the data back as it is."""

    def __init__(self, secrets: Mapping[str, str], *, patterns: Sequence[Pattern] = ()) -> None:
        literals: dict[bytes, str] = {}
        short: list[str] = []
        for name in sorted(secrets):
            spellings = list(_spellings(secrets[name]))
            if not spellings:
                short.append(name)
            for value in spellings:
                literals.setdefault(value, f"secret:{name}")
        self.too_short = tuple(short)
        self._rules: tuple[_Literal | _Token, ...] = (
            *(_Literal(rule=rule, value=value) for value, rule in literals.items()),
            *(_Token(pattern) for pattern in patterns),
        )
        longest = max((*map(len, literals), *(len(p.prefix) + p.most for p in patterns)), default=0)
        self.max_held = 2 * longest + _CHAIN_BYTES if longest else 0

    def mask(self, data: bytes, *, final: bool) -> Masked:
        """Overwrite what is secret.

        `data` begins where the data of the call before ended: the held bytes come again, in front of what follows
        them. Of more than `max_held` bytes some are always given back. `final`: nothing follows, nothing is held.
        """
        if not self._rules:
            return Masked(data=data)
        hits = sorted(
            (hit for rule in self._rules for hit in rule.matches(data)), key=lambda hit: (hit[0], -hit[1], hit[2])
        )
        spans, keep = self._spans(data, hits, final=final)
        if not spans:
            return Masked(data=data if keep == len(data) else data[:keep], held=len(data) - keep)
        out = bytearray(data[:keep])
        for mask in spans:
            out[mask.offset : mask.offset + mask.length] = b"*" * mask.length
        return Masked(data=bytes(out), masks=spans, held=len(data) - keep)

    def _spans(self, data: bytes, hits: list[tuple[int, int, str]], *, final: bool) -> tuple[tuple[Mask, ...], int]:
        """The masks that nothing to come can change, and how many bytes may be recorded.

        Recording stops only between two masks or where nothing unfinished begins, and a walk that begins there
        comes out as this one would have: that is why chunking does not matter.
        """
        edge = len(data) if final else min(rule.unfinished(data) for rule in self._rules)
        spans: list[Mask] = []
        span: tuple[int, int, str] | None = None
        for start, end, rule in hits:
            if start >= edge:
                break
            if span is None or start >= span[1]:
                if span is not None:
                    spans.append(_mask(span))
                span = start, end, rule
            elif end > span[1] and end - span[0] > _CHAIN_BYTES:
                # Everything known so far ends within this match, so the chain can be cut where it begins.
                spans.append(_mask((span[0], start, span[2])))
                span = start, end, rule
            elif end > span[1]:
                span = span[0], end, span[2]
        if span is not None and span[1] > edge:
            return tuple(spans), span[0]
        if span is not None:
            spans.append(_mask(span))
        return tuple(spans), edge


def _mask(span: tuple[int, int, str]) -> Mask:
    return Mask(offset=span[0], length=span[1] - span[0], rule=span[2])


def _spellings(secret: str) -> Iterator[bytes]:
    """The literals to search for one value, none if it is too short."""
    whole = secret.encode("utf-8", "surrogateescape")
    if len(whole) < MIN_SECRET_BYTES:
        return
    quoted = (json.dumps(secret, ensure_ascii=flag)[1:-1] for flag in (True, False))
    forms = [whole, *(form.encode("utf-8", "surrogateescape") for form in quoted)]
    for line in secret.splitlines() if len(secret.splitlines()) > 1 else ():
        stripped = line.strip().encode("utf-8", "surrogateescape")
        if len(stripped) >= MIN_LINE_BYTES:
            forms.append(stripped)
    for form in dict.fromkeys(forms):
        count = -(-len(form) // _PIECE_BYTES)  # evenly, so that no piece is so short that it is everywhere
        edges = [len(form) * number // count for number in range(count + 1)]
        for start, end in pairwise(edges):
            yield form[start:end]
