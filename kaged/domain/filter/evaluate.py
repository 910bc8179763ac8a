"""What a tree means, as one fast function of a row.

The law, for each leaf (tests hold an independent copy of it):
- text: unset is "". Comparisons are exact, case counts, order is by code point.
- integer, time, enum: an unset value equals nothing and is in order with nothing.
- boolean: unset is false.
- map: an absent key equals nothing and is in order with nothing; a present one may be "".
- `Has`: not None and not empty text; for a map, not empty; for a key, present.
- `Not` is plain negation: `tags.env != "prod"` holds where there is no `env` at all.

Compiling once per distinct filter and calling per row is the hot path of every subscription, hence the
closures, the cheap-first order of AND and the set look-up for `a = "x" OR a = "y"`.
"""

import operator
from collections.abc import Callable, Mapping
from typing import TypeVar, assert_never, cast

from kaged.domain.filter.schema import Value
from kaged.domain.filter.tree import And, Compare, Everything, Has, Match, Node, Not, Or, fields_of

RowT = TypeVar("RowT")
Accessors = Mapping[str, Callable[[RowT], Value]]
Predicate = Callable[[RowT], bool]

_Order = Callable[[object, object], bool]
# Both sides are of the kind that the schema gives, which these signatures cannot say.
_ORDER = cast(
    "Mapping[str, _Order]",
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq},
)


def compile_filter(node: Node, accessors: Accessors[RowT]) -> Predicate[RowT]:
    """The filter as a function of a row. `accessors` must know every field in `fields_of(node)`."""
    match node:
        case Everything():
            return lambda row: True
        case Not(term=term):
            return _negated(term, accessors)
        case And(terms=terms):
            return _all([compile_filter(term, accessors) for term in sorted(terms, key=_cost)])
        case Or(terms=terms):
            return _any(_alternatives(terms, accessors))
        case Has():
            return _has(node, accessors)
        case Match():
            return _match(node, _text_getter(accessors, node.field, node.key))
        case Compare():
            return _compare(node, accessors)
        case _:
            assert_never(node)


def evaluate(node: Node, value_of: Callable[[str], Value]) -> bool:
    """Whether one row, given as a function from field to value, matches. For one-off use; else compile."""

    def accessor(field: str) -> Callable[[Callable[[str], Value]], Value]:
        return lambda row: row(field)

    return compile_filter(node, {field: accessor(field) for field in fields_of(node)})(value_of)


def _has(node: Has, accessors: Accessors[RowT]) -> Predicate[RowT]:
    key = node.key
    if key is not None:
        get_map = _map_getter(accessors, node.field)
        return lambda row: (held := get_map(row)) is not None and key in held
    get = accessors[node.field]
    # 0 and False are values; None, "" and an empty map are not.
    return lambda row: bool(value := get(row)) or value == 0


def _negated(term: Node, accessors: Accessors[RowT]) -> Predicate[RowT]:
    inner = compile_filter(term, accessors)
    return lambda row: not inner(row)


def _all(terms: list[Predicate[RowT]]) -> Predicate[RowT]:
    match terms:
        case [first, second]:
            return lambda row: first(row) and second(row)
        case [first, second, third]:
            return lambda row: first(row) and second(row) and third(row)

    def every(row: RowT) -> bool:
        for term in terms:  # noqa: SIM110 - all() with a generator costs twice as much
            if not term(row):
                return False
        return True

    return every


def _any(terms: list[Predicate[RowT]]) -> Predicate[RowT]:
    match terms:
        case [only]:
            return only
        case [first, second]:
            return lambda row: first(row) or second(row)

    def some(row: RowT) -> bool:
        for term in terms:  # noqa: SIM110 - any() with a generator costs twice as much
            if term(row):
                return True
        return False

    return some


def _alternatives(terms: tuple[Node, ...], accessors: Accessors[RowT]) -> list[Predicate[RowT]]:
    """The terms of an OR, cheap first; those that ask one field for one of some values become one look-up."""
    wanted: dict[str, set[object]] = {}
    others: list[Node] = []
    for term in terms:
        match term:
            case Compare(key=None, operator="=", kind="text" | "enum" | "integer" | "time", value=value) if value != "":
                wanted.setdefault(term.field, set()).add(value)
            case _:
                others.append(term)
    looked_up = [_one_of(accessors[field], frozenset(values)) for field, values in wanted.items()]
    return looked_up + [compile_filter(term, accessors) for term in sorted(others, key=_cost)]


def _one_of(get: Callable[[RowT], Value], values: frozenset[object]) -> Predicate[RowT]:
    return lambda row: get(row) in values


def _match(node: Match, get: Callable[[RowT], str | None]) -> Predicate[RowT]:
    text = node.text  # never empty, so an unset value, read as "", does not match
    match node.shape:
        case "prefix":
            return lambda row: (get(row) or "").startswith(text)
        case "suffix":
            return lambda row: (get(row) or "").endswith(text)
        case "contains":
            return lambda row: text in (get(row) or "")
        case _:
            assert_never(node.shape)


def _compare(node: Compare, accessors: Accessors[RowT]) -> Predicate[RowT]:
    wanted, get = node.value, accessors[node.field]
    if node.key is not None:
        at_key = _text_getter(accessors, node.field, node.key)
        if node.operator == "=":
            return lambda row: at_key(row) == wanted
        in_order = _ORDER[node.operator]
        return lambda row: (value := at_key(row)) is not None and in_order(value, wanted)
    if node.kind == "boolean":
        return lambda row: bool(get(row)) == wanted
    if node.kind == "text" and (node.operator != "=" or wanted == ""):
        order = _ORDER[node.operator]
        return lambda row: order(get(row) or "", wanted)
    if node.operator == "=":
        return lambda row: get(row) == wanted
    in_order = _ORDER[node.operator]
    return lambda row: (value := get(row)) is not None and in_order(value, wanted)


def _map_getter(accessors: Accessors[RowT], field: str) -> Callable[[RowT], Mapping[str, str] | None]:
    # The schema's kind says what the accessor gives; rows are the daemon's own and are trusted here.
    return cast("Callable[[RowT], Mapping[str, str] | None]", accessors[field])


def _text_getter(accessors: Accessors[RowT], field: str, key: str | None) -> Callable[[RowT], str | None]:
    if key is None:
        return cast("Callable[[RowT], str | None]", accessors[field])
    get_map, wanted = _map_getter(accessors, field), key
    return lambda row: held.get(wanted) if (held := get_map(row)) else None


def _cost(node: Node) -> int:
    """A rough order: equality, order, patterns, maps, then whatever is composed."""
    match node:
        case Compare(key=None, operator="="):
            return 0
        case Compare(key=None) | Has(key=None):
            return 1
        case Match(key=None):
            return 2
        case Not(term=term):
            return _cost(term) + 1
        case And(terms=terms) | Or(terms=terms):
            return 4 + len(terms)
        case _:
            return 3
