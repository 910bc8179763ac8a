"""Output cut into lines of a bounded size. Pure; any chunking of the same bytes gives the same lines."""

from kaged.domain.frozen import frozen


@frozen
class Cut:
    """Lines without their newline, each with whether it is whole; how many bytes they took; whether one goes on."""

    lines: tuple[tuple[bytes, bool], ...]
    consumed: int
    in_long_line: bool


def cut_lines(data: bytes, *, in_long_line: bool, max_line_bytes: int, final: bool) -> Cut:
    """The lines in `data`. One of more than `max_line_bytes` comes in pieces of that size, none of which is whole.

    `in_long_line`: data begins inside such a line. `final`: what has no newline is a line too.
    """
    lines: list[tuple[bytes, bool]] = []
    at = 0
    while at < len(data):
        newline = data.find(b"\n", at, at + max_line_bytes + 1)
        if newline >= 0:
            lines.append((data[at:newline], not in_long_line))
            at, in_long_line = newline + 1, False
        elif len(data) - at > max_line_bytes:
            lines.append((data[at : at + max_line_bytes], False))
            at, in_long_line = at + max_line_bytes, True
        elif final:
            lines.append((data[at:], not in_long_line))
            at, in_long_line = len(data), False
        else:
            break
    return Cut(lines=tuple(lines), consumed=at, in_long_line=in_long_line)
