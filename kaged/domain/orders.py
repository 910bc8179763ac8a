"""What the daemon may tell a running shim, and the bytes that say it. Pure.

The bytes are fixed here because the journal records where each order stands in the run's control file: the same
wish must give the same bytes when recovery repeats it.
"""

import json
from typing import TypeAlias

from kaged.domain.frozen import frozen


@frozen
class SignalOrder:
    """Send a signal to the agent's process group, or to every process of its tree."""

    signal: int
    whole_tree: bool = False


@frozen
class ResizeOrder:
    """Give the agent's terminal another size. Ignored for runs without one."""

    rows: int
    cols: int


@frozen
class StopOrder:
    """Signal the agent's group, and kill the whole tree after `grace_s`. Repeating can only shorten it."""

    signal: int = 15
    grace_s: float = 10


Order: TypeAlias = SignalOrder | ResizeOrder | StopOrder


def order_line(n: int, order: Order) -> bytes:
    """One line of ctl.log. `n` starts at 1 and grows; the shim obeys each number once."""
    match order:
        case SignalOrder():
            wish: dict[str, object] = {"op": "signal", "signal": order.signal, "whole_tree": order.whole_tree}
        case ResizeOrder():
            wish = {"op": "resize", "rows": order.rows, "cols": order.cols}
        case StopOrder():
            wish = {"op": "stop", "signal": order.signal, "grace_s": order.grace_s}
    return json.dumps({"n": n, **wish}, separators=(",", ":")).encode("ascii") + b"\n"
