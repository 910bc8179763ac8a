"""What a filter may name: the fields of one kind of row, and what each holds.

A schema is data only, shared by every shape of row; how a value is read from a row is given to
`compile_filter` as accessors. A row's value is a `Value`; None (and, for text, "") means unset.

    text     str                 = != < <= > >= : with * at the start or end
    enum     str of `values`     = != :
    integer  int                 = != < <= > >= :
    time     int, microseconds since 1970 UTC      as integer; written as RFC 3339 or "5m" (ago)
    boolean  bool                = != :
    map      Mapping[str, str]   field.key as text, field:key for presence
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Literal

from kaged.domain.frozen import frozen

Kind = Literal["text", "enum", "integer", "time", "boolean", "map"]
Value = str | int | bool | Mapping[str, str] | None


@frozen
class Field:
    """One field. `values` and `wire_prefix` are for enums: "AGENT_STATE_RUNNING" also means "running"."""

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    wire_prefix: str = ""


@frozen
class Schema:
    """The fields of one kind of row; `noun` names the row in messages."""

    noun: str
    fields: Mapping[str, Field]

    def attributes(self) -> Mapping[str, Callable[[object], Value]]:
        """Accessors for rows that have an attribute for each field, of the field's name."""
        return {name: attrgetter(name) for name in self.fields}


def schema(noun: str, *fields: Field) -> Schema:
    """A schema of these fields."""
    return Schema(noun=noun, fields={field.name: field for field in fields})
