"""Filter text and a schema to a typed tree (AIP-160 subset), or Invalid that says where and why.

    expression = factor { ["AND"] factor }        two factors side by side are joined by AND
    factor     = term { "OR" term }               OR binds tighter than AND, as AIP-160 has it
    term       = { "NOT" | "-" } ( "(" expression ")" | field comparator value )

Bounded: bytes, nesting and number of comparisons. Never raises anything but Invalid, whatever the text.
Reads no clock: times relative to now ("5m" = five minutes ago) become absolute with the caller's `now_us`.

Deliberately not here: free-text search over all fields, functions, fields on the right side, fuzzy matching.
"""

import re

from kaged.domain.errors import Invalid
from kaged.domain.filter.lexer import Lexer, Literals, Token
from kaged.domain.filter.schema import Field, Schema
from kaged.domain.filter.times import EARLIEST_US, parse_time_us
from kaged.domain.filter.tree import (
    Compare,
    Everything,
    Has,
    Match,
    Node,
    Operator,
    conjunction,
    disjunction,
    height,
    negation,
)
from kaged.domain.quantities import parse_duration_us, shown

MAX_BYTES = 8192
MAX_DEPTH = 32
MAX_TERMS = 200

_ORDERED: dict[str, Operator] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_COMPARATORS = "=, !=, <, <=, >, >= or :"


def parse(
    text: str, schema: Schema, *, now_us: int | None = None, path: str = "filter", max_bytes: int = MAX_BYTES
) -> Node:
    """The filter as a tree; blank text is Everything. `now_us` (microseconds since 1970 UTC) allows "5m"."""
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > max_bytes:
        raise Invalid((path, f"{size_bytes} bytes long, at most {max_bytes} are allowed"))
    return _Parser(Lexer(text, path=path), schema, now_us).whole()


class _Parser:
    def __init__(self, lexer: Lexer, schema: Schema, now_us: int | None) -> None:
        self._lexer = lexer
        self._schema = schema
        self._now_us = now_us
        self._depth = 0
        self._terms = 0

    def whole(self) -> Node:
        if self._lexer.peek().kind == "end":
            return Everything()
        node = self._expression()
        if (token := self._lexer.peek()).kind != "end":
            raise self._lexer.refuse(token.column, f"unexpected {token.text!r}", found=token.text)
        if height(node) > MAX_DEPTH:
            raise self._lexer.refuse(1, f"nested deeper than {MAX_DEPTH} levels")
        return node

    def _expression(self) -> Node:
        factors = [self._factor()]
        while (token := self._lexer.peek()).kind not in ("end", ")"):
            if token.text == "AND":
                self._lexer.take()
            factors.append(self._factor())
        return conjunction(factors)

    def _factor(self) -> Node:
        terms = [self._term()]
        while self._lexer.peek().text == "OR":
            self._lexer.take()
            terms.append(self._term())
        return disjunction(terms)

    def _term(self) -> Node:
        negated = False
        while (token := self._lexer.take()).kind == "-" or token.text == "NOT":
            negated = not negated
        node = self._group(token) if token.kind == "(" else self._restriction(token)
        return negation(node) if negated else node

    def _group(self, opening: Token) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._lexer.refuse(opening.column, f"nested deeper than {MAX_DEPTH} levels", found="(")
        node = self._expression()
        if (closing := self._lexer.take()).kind != ")":
            raise self._lexer.refuse(opening.column, "this parenthesis is never closed", found=closing.text)
        self._depth -= 1
        return node

    def _restriction(self, name: Token) -> Node:
        if name.kind != "name":
            seen = repr(name.text) if name.text else "the end"
            raise self._lexer.refuse(name.column, f"expected a field, found {seen}", found=name.text)
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self._lexer.refuse(name.column, f"more than {MAX_TERMS} comparisons", found=name.text)
        key = self._lexer.key()
        comparator = self._lexer.peek()
        field = self._schema.fields.get(name.text)
        if field is None:
            raise self._unknown_field(name, compared=comparator.kind == "comparator")
        if comparator.kind != "comparator":
            seen = repr(comparator.text) if comparator.text else "the end"
            example = f"; write {field.name} = true" if field.kind == "boolean" else ""
            raise self._lexer.refuse(
                comparator.column,
                f"expected {_COMPARATORS} after {field.name!r}, found {seen}{example}",
                found=comparator.text,
            )
        self._lexer.take()
        value = self._lexer.value()
        if field.kind == "map":
            return self._map(field, key, comparator, value)
        if key is not None:
            raise self._lexer.refuse(key.column, f"{field.name!r} holds {field.kind}, it has no keys", found=key.text)
        return self._scalar(field, comparator, value)

    def _map(self, field: Field, key: Literals | None, comparator: Token, value: Literals) -> Node:
        if key is not None:
            plain = key.text if not key.quoted else "".join(key.pieces)
            if key.quoted and len(key.pieces) > 1:
                raise self._lexer.refuse(key.column, "a key takes no *; write \\* for the star itself", found=key.text)
            return self._text(Field(name=field.name, kind="text"), plain, comparator, value)
        if comparator.text != ":":
            raise self._lexer.refuse(
                comparator.column,
                f"a map: write {field.name}.key {comparator.text} value or {field.name}:key",
                found=comparator.text,
            )
        if _is_star(value):
            return Has(field=field.name)
        if len(value.pieces) > 1:
            raise self._lexer.refuse(
                value.column, f"a key takes no *; {field.name}:* alone asks for any key", found=value.text
            )
        return Has(field=field.name, key=value.pieces[0])

    def _scalar(self, field: Field, comparator: Token, value: Literals) -> Node:
        if field.kind == "text":
            return self._text(field, None, comparator, value)
        if _is_star(value) and comparator.text in ("=", ":", "!="):
            return _signed(Has(field=field.name), comparator)
        if comparator.text in _ORDERED and field.kind in ("enum", "boolean"):
            raise self._lexer.refuse(
                comparator.column, f"{field.name!r} has no order: use = or !=", found=comparator.text
            )
        if len(value.pieces) > 1:
            raise self._lexer.refuse(value.column, f"{field.name!r} takes no * in its value", found=value.text)
        leaf = Compare(
            field=field.name,
            kind=field.kind,
            operator=_ORDERED.get(comparator.text, "="),
            value=self._typed(field, value),
        )
        return _signed(leaf, comparator)

    def _text(self, field: Field, key: str | None, comparator: Token, value: Literals) -> Node:
        """A comparison with text: of a text field, or of the value at a key of a map."""
        pieces = value.pieces
        if comparator.text in _ORDERED:
            if len(pieces) > 1:
                raise self._lexer.refuse(
                    value.column,
                    "a * works with =, != and : only; write \\* in quotes for the star itself",
                    found=value.text,
                )
            operator = _ORDERED[comparator.text]
            return Compare(field=field.name, key=key, kind="text", operator=operator, value=pieces[0])
        leaf: Node
        if _is_star(value):
            leaf = Has(field=field.name, key=key)
        elif len(pieces) == 1 and comparator.text == ":" and key is None:
            if not pieces[0]:
                raise self._lexer.refuse(value.column, 'every text contains ""; did you mean = ""?', found=value.text)
            leaf = Match(field=field.name, shape="contains", text=pieces[0])
        elif len(pieces) == 1:
            leaf = Compare(field=field.name, key=key, kind="text", operator="=", value=pieces[0])
        elif len(pieces) == 2 and not pieces[1]:
            leaf = Match(field=field.name, key=key, shape="prefix", text=pieces[0])
        elif len(pieces) == 2 and not pieces[0]:
            leaf = Match(field=field.name, key=key, shape="suffix", text=pieces[1])
        elif len(pieces) == 3 and not pieces[0] and not pieces[2]:
            leaf = Match(field=field.name, key=key, shape="contains", text=pieces[1])
        else:
            raise self._lexer.refuse(
                value.column,
                "a * may stand at the start and at the end only; write \\* in quotes for the star itself",
                found=value.text,
            )
        return _signed(leaf, comparator)

    def _typed(self, field: Field, value: Literals) -> str | int | bool:
        text = value.pieces[0]
        match field.kind:
            case "time":
                return self._time(value)
            case "integer":
                if _INTEGER.fullmatch(text) and -(2**63) <= (number := int(text)) < 2**64:
                    return number
                wanted = "a whole number"
            case "boolean":
                if text.lower() in ("true", "false"):
                    return text.lower() == "true"
                wanted = "true or false"
            case _:
                name = text.lower().removeprefix(field.wire_prefix.lower())
                if name in field.values:
                    return name
                wanted = "one of " + ", ".join(field.values) + _did_you_mean(name, field.values)
        raise self._lexer.refuse(value.column, f"{field.name!r} takes {wanted}; found {shown(text)}", found=value.text)

    def _time(self, value: Literals) -> int:
        text = value.pieces[0].strip()
        if (time_us := parse_time_us(text)) is not None:
            return time_us
        ago = text.removeprefix("-")
        if text == "now" or not ago[-1:].isdigit():  # a bare number could be anything
            try:
                ago_us = 0 if text == "now" else parse_duration_us(ago, path="")
            except Invalid:
                ago_us = None
            if ago_us is not None:
                if self._now_us is None:
                    raise self._lexer.refuse(
                        value.column, "a time relative to now cannot be used here", found=value.text
                    )
                # Farther back than a time can be written means "since ever".
                return max(self._now_us - ago_us, EARLIEST_US)
        raise self._lexer.refuse(
            value.column,
            f"expected a time, found {shown(text)}: write 2026-01-31T10:00:00Z, or 5m for five minutes ago",
            found=value.text,
        )

    def _unknown_field(self, name: Token, *, compared: bool) -> Invalid:
        fields = list(self._schema.fields)
        close = _did_you_mean(name.text, fields)
        listed = f"fields: {', '.join(fields)}"
        if name.text.upper() in ("AND", "OR", "NOT"):
            what = f"{name.text!r} is written in capitals: {name.text.upper()}"
        elif not compared and not close:
            what = f"{shown(name.text)} is compared with nothing: write field = {shown(name.text)}"
        else:
            what = f"{self._schema.noun}s have no field {shown(name.text)}{close}"
        return self._lexer.refuse(name.column, what, found=name.text, hint=listed)


def _is_star(value: Literals) -> bool:
    """`*` or `**`: any value at all."""
    return len(value.pieces) > 1 and not any(value.pieces)


def _signed(leaf: Node, comparator: Token) -> Node:
    return negation(leaf) if comparator.text == "!=" else leaf


def _did_you_mean(word: str, known: list[str] | tuple[str, ...]) -> str:
    import difflib  # noqa: PLC0415 - 3 ms of every start, needed for refusals only

    close = difflib.get_close_matches(word[:64].lower(), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
