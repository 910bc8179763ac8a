"""What every match of a filter must have: for choosing an index or a range before looking at rows.

Answers are necessary conditions, never sufficient ones: the rows they select are still filtered. "Don't
know" is always right and means "read everything"; a `NOT` is not looked into.
"""

from collections.abc import Iterable

from kaged.domain.filter.tree import And, Compare, Match, Node, Or
from kaged.domain.frozen import frozen


@frozen
class Need:
    """A text that a field must be, or with `prefix` must start with. Never empty."""

    text: str
    prefix: bool = False

    def covers(self, other: "Need") -> bool:
        """Whether all that satisfies `other` also satisfies this."""
        return other.text.startswith(self.text) if self.prefix else self == other


@frozen
class Bounds:
    """The smallest range that holds every match, ends included; None is open. Low over high: no match."""

    low: int | None = None
    high: int | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing can match."""
        return self.low is not None and self.high is not None and self.low > self.high


def required(node: Node, field: str, key: str | None = None) -> frozenset[Need] | None:
    """The texts or prefixes of which any match must have one in `field` (for a map: at `key`).

    None: nothing is implied. The empty set: no row can match. No need covers another, and there are at most
    as many as the filter has comparisons. Unset text is not in indexes, so `field = ""` implies nothing.
    """
    match node:
        case Compare(kind="text" | "enum", operator="=", value=str() as text) if text:
            return frozenset((Need(text=text),)) if (node.field, node.key) == (field, key) else None
        case Match(shape="prefix"):
            return frozenset((Need(text=node.text, prefix=True),)) if (node.field, node.key) == (field, key) else None
        case And(terms=terms):
            result: frozenset[Need] | None = None
            for needs in (required(term, field, key) for term in terms):
                result = needs if result is None else result if needs is None else _both(result, needs)
            return result
        case Or(terms=terms):
            parts = [required(term, field, key) for term in terms]
            known = [part for part in parts if part is not None]
            return _widest(need for part in known for need in part) if len(known) == len(parts) else None
        case _:
            return None


def bounds(node: Node, field: str) -> Bounds:
    """The range of an integer or time field (microseconds) that holds every match."""
    match node:
        case Compare(kind="integer" | "time", value=int() as value) if node.field == field:
            match node.operator:
                case "=":
                    return Bounds(low=value, high=value)
                case "<":
                    return Bounds(high=value - 1)
                case "<=":
                    return Bounds(high=value)
                case ">":
                    return Bounds(low=value + 1)
                case ">=":
                    return Bounds(low=value)
        case And(terms=terms):
            parts = [bounds(term, field) for term in terms]
            lows = [part.low for part in parts if part.low is not None]
            highs = [part.high for part in parts if part.high is not None]
            return Bounds(low=max(lows, default=None), high=min(highs, default=None))
        case Or(terms=terms):
            # An empty part adds nothing; if all are empty, any of them says so.
            parts = [bounds(term, field) for term in terms]
            parts = [part for part in parts if not part.empty] or parts[:1]
            lows = [part.low for part in parts if part.low is not None]
            highs = [part.high for part in parts if part.high is not None]
            return Bounds(
                low=min(lows) if len(lows) == len(parts) else None,
                high=max(highs) if len(highs) == len(parts) else None,
            )
    return Bounds()


def _both(left: frozenset[Need], right: frozenset[Need]) -> frozenset[Need]:
    """Where the two overlap: of each pair the narrower, if the wider covers it."""
    narrow = [b for b in right if any(a.covers(b) for a in left)]
    return _widest(narrow + [a for a in left if any(b.covers(a) for b in right)])


def _widest(needs: Iterable[Need]) -> frozenset[Need]:
    distinct = frozenset(needs)
    return frozenset(need for need in distinct if not any(other != need and other.covers(need) for other in distinct))
