"""Columns of text. Pure; the width of the screen comes in as a value."""

from collections.abc import Sequence
from typing import NamedTuple

from kagectl.render.paint import PLAIN, Paint


class Cell(NamedTuple):
    """Text with a colour."""

    text: str
    colour: str = ""


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[Cell | str]],
    *,
    paint: Paint = PLAIN,
    width: int | None = None,
    right: Sequence[str] = (),
) -> str:
    """Aligned columns, two spaces apart; the last one is cut at `width` characters, the others never.

    `right` names the headers of columns of numbers. Without rows the headers alone come back.
    """
    cells = [[each if isinstance(each, Cell) else Cell(each) for each in row] for row in rows]
    widths = [
        max(len(header), *(len(row[column].text) for row in cells)) if cells else len(header)
        for column, header in enumerate(headers)
    ]
    lines = [_line([Cell(header, "bold") for header in headers], widths, headers, paint, width, right)]
    lines += [_line(row, widths, headers, paint, width, right) for row in cells]
    return "\n".join(lines)


def _line(
    row: Sequence[Cell],
    widths: Sequence[int],
    headers: Sequence[str],
    paint: Paint,
    width: int | None,
    right: Sequence[str],
) -> str:
    parts: list[str] = []
    used = 0
    last = len(row) - 1
    for column, cell in enumerate(row):
        text = cell.text
        if column == last:
            text = cut(text, None if width is None else max(width - used, 8))
            parts.append(paint(text, cell.colour))
            break
        padding = " " * (widths[column] - len(text))
        painted = paint(text, cell.colour)
        parts.append(padding + painted if headers[column] in right else painted + padding)
        parts.append("  ")
        used += widths[column] + 2
    return "".join(parts).rstrip() if not paint.enabled else "".join(parts)


def cut(text: str, width: int | None) -> str:
    """At most `width` characters; an ellipsis shows that there was more."""
    if width is None or len(text) <= width:
        return text
    return text[: max(width - 1, 0)] + "…"


def facts(pairs: Sequence[tuple[str, Cell | str]], *, paint: Paint = PLAIN, indent: str = "") -> str:
    """`name  value` lines, one a line; pairs with an empty value are left out."""
    shown = [(name, each if isinstance(each, Cell) else Cell(each)) for name, each in pairs]
    shown = [(name, cell) for name, cell in shown if cell.text]
    widest = max((len(name) for name, _ in shown), default=0)
    return "\n".join(
        f"{indent}{paint(name.ljust(widest), 'bold')}  {paint(cell.text, cell.colour)}" for name, cell in shown
    )
