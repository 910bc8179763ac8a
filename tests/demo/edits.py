"""Small edits of Python source that a tired programmer might have to undo: `<` for `<=`, `+` for `-`, 1 for 2.

`edits(source)` lists them in order, each a replacement of one piece of one line. Pure and deterministic, so the
agent's search is the same each time. Standard library only: `agent.py` runs with any Python.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS = {
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">="),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<="),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
}
_OPERATORS = {ast.Add: ("-",), ast.Sub: ("+",), ast.Mult: ("//",), ast.FloorDiv: ("*", "%"), ast.Mod: ("//",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Replace bytes `start` to `end` of line `line` (from 1) by `new`."""

    line: int
    start: int
    end: int
    old: str
    new: str

    def apply(self, source: str) -> str:
        """The source with this edit."""
        lines = source.encode().splitlines(keepends=True)
        row = lines[self.line - 1]
        lines[self.line - 1] = row[: self.start] + self.new.encode() + row[self.end :]
        return b"".join(lines).decode()


def edits(source: str, functions: frozenset[str]) -> Iterator[Edit]:
    """Every edit inside these functions of a module, from top to bottom."""
    rows = source.encode().splitlines()
    for definition in ast.walk(ast.parse(source)):
        if isinstance(definition, ast.FunctionDef) and definition.name in functions:
            found = [edit for node in ast.walk(definition) for edit in _of(node, rows)]
            yield from sorted(found, key=lambda edit: (edit.line, edit.start, edit.new))


def _of(node: ast.AST, rows: list[bytes]) -> Iterator[Edit]:
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            yield from _between(left, right, _COMPARISONS.get(type(operator), ()), rows)
        case ast.BinOp(left=left, op=operator, right=right):
            yield from _between(left, right, _OPERATORS.get(type(operator), ()), rows)
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            end = node.end_col_offset or node.col_offset
            old = rows[node.lineno - 1][node.col_offset : end].decode()
            for new in (value + 1, value - 1):
                yield Edit(line=node.lineno, start=node.col_offset, end=end, old=old, new=str(new))


def _between(left: ast.expr, right: ast.expr, choices: tuple[str, ...], rows: list[bytes]) -> Iterator[Edit]:
    """The operator stands in the gap between two operands, beside blanks and brackets."""
    if left.end_lineno != right.lineno or left.end_col_offset is None:
        return
    gap = rows[right.lineno - 1][left.end_col_offset : right.col_offset]
    old = gap.strip(b" ()")
    start = left.end_col_offset + gap.find(old)
    for new in choices:
        yield Edit(line=right.lineno, start=start, end=start + len(old), old=old.decode(), new=new)
