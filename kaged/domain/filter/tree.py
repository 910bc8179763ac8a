"""The parsed filter: an immutable tree, and its canonical text.

Trees are built with `conjunction`, `disjunction` and `negation`, which flatten, drop repeats and order the
terms. So filters that differ only in spacing, order, repeats or `!=` against `NOT =` are equal trees, have
equal text, and share one evaluation. `parse(str(tree)) == tree`, given room for its length.

`a != b` is `Not(a = b)`, everywhere. Values are already typed: a time is microseconds, an enum is one of its
values. Not here: what a tree means (evaluate.py) and what an index can do with it (planning.py).
"""

import re
from collections.abc import Iterable
from typing import Literal

from kaged.domain.filter.schema import Kind
from kaged.domain.filter.times import format_time
from kaged.domain.frozen import frozen

Operator = Literal["=", "<", "<=", ">", ">="]
Shape = Literal["prefix", "suffix", "contains"]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_./-]+")
_SPECIAL = re.compile(r'[\x00-\x1f\x7f\\"*]')
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"', "*": "\\*"}


@frozen
class Everything:
    """The empty filter: every row."""

    def __str__(self) -> str:
        return ""


@frozen
class Has:
    """The field is set; with a key, the map holds the key; a map without a key is not empty."""

    field: str
    key: str | None = None

    def __str__(self) -> str:
        return f"{path(self.field, self.key)}:*"


@frozen
class Compare:
    """The field, or the value at `key` of a map, stands in this relation to `value`. Exact, by code point."""

    field: str
    key: str | None = None
    kind: Kind
    operator: Operator
    value: str | int | bool

    def __str__(self) -> str:
        return f"{path(self.field, self.key)} {self.operator} {self.literal()}"

    def literal(self) -> str:
        """The value as a filter writes it."""
        if isinstance(self.value, str):
            return quoted(self.value)
        if self.kind == "time":
            return quoted(format_time(self.value))
        return str(self.value).lower()


@frozen
class Match:
    """The text starts with, ends with or contains `text`, which is never empty."""

    field: str
    key: str | None = None
    shape: Shape
    text: str

    def __str__(self) -> str:
        return f"{path(self.field, self.key)} = {self.literal()}"

    def literal(self) -> str:
        """The pattern as a filter writes it."""
        before = "" if self.shape == "prefix" else "*"
        after = "" if self.shape == "suffix" else "*"
        return f'"{before}{escaped(self.text)}{after}"'


@frozen
class Not:
    """The term does not hold."""

    term: "Node"

    def __str__(self) -> str:
        match self.term:
            case Match() | Compare(operator="="):
                return f"{path(self.term.field, self.term.key)} != {self.term.literal()}"
            case And() | Or():
                return f"NOT ({self.term})"
            case _:
                return f"NOT {self.term}"


@frozen
class And:
    """Every term holds. Two or more, none of them an And."""

    terms: tuple["Node", ...]

    def __str__(self) -> str:
        return " AND ".join(f"({term})" if isinstance(term, Or) else str(term) for term in self.terms)


@frozen
class Or:
    """At least one term holds. Two or more, none of them an Or."""

    terms: tuple["Node", ...]

    def __str__(self) -> str:
        return " OR ".join(f"({term})" if isinstance(term, And) else str(term) for term in self.terms)


Leaf = Has | Compare | Match
Node = Everything | Has | Compare | Match | Not | And | Or


def conjunction(terms: Iterable[Node]) -> Node:
    """All of the terms (at least one, none of them Everything), in their canonical form."""
    flat = [inner for term in terms for inner in (term.terms if isinstance(term, And) else (term,))]
    unique = tuple(sorted(set(flat), key=str))
    return unique[0] if len(unique) == 1 else And(terms=unique)


def disjunction(terms: Iterable[Node]) -> Node:
    """Any of the terms (at least one, none of them Everything), in their canonical form."""
    flat = [inner for term in terms for inner in (term.terms if isinstance(term, Or) else (term,))]
    unique = tuple(sorted(set(flat), key=str))
    return unique[0] if len(unique) == 1 else Or(terms=unique)


def negation(term: Node) -> Node:
    """Not the term; two of them cancel out."""
    return term.term if isinstance(term, Not) else Not(term=term)


def height(node: Node) -> int:
    """Levels of And, Or and Not; the canonical text never nests its parentheses deeper than this."""
    match node:
        case And(terms=terms) | Or(terms=terms):
            return 1 + max(height(term) for term in terms)
        case Not(term=term):
            return 1 + height(term)
        case _:
            return 0


def fields_of(node: Node) -> frozenset[str]:
    """The fields that the filter reads: what a row must be able to tell."""
    match node:
        case Everything():
            return frozenset()
        case And(terms=terms) | Or(terms=terms):
            return frozenset().union(*(fields_of(term) for term in terms))
        case Not(term=term):
            return fields_of(term)
        case _:
            return frozenset((node.field,))


def path(field: str, key: str | None) -> str:
    """`field`, `field.key`, or `field."any key"`."""
    if key is None:
        return field
    return f"{field}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{field}.{quoted(key)}"


def quoted(text: str) -> str:
    """The text between double quotes, with no wildcard in it."""
    return f'"{escaped(text)}"'


def escaped(text: str) -> str:
    """The text with quotes, backslashes, stars and control characters escaped."""
    return _SPECIAL.sub(lambda found: _NAMED.get(found[0]) or f"\\u{ord(found[0]):04x}", text)
