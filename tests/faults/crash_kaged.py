"""kaged as tests build it: the same program with a trap at its crash points. No wheel holds this file.

    KAGED_CRASH_AT=run.started:2 python tests/faults/crash_kaged.py --state-dir ...

It kills itself with SIGKILL as it passes that point for the second time (`:1` may be left out), after one line on
standard error. `KAGED_CRASH_SEEN=FILE` appends the name of each point, once, as it is passed for the first time.
"""

import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

from kaged.crash_points import Point, Trap, set_trap


def trap(at: Point | None, count: int, seen: Path | None) -> Trap:
    """What a point does: SIGKILL at the `count`-th pass of `at`; the first pass of each is noted in `seen`."""
    passes: Counter[Point] = Counter()
    lock = threading.Lock()

    def passed(point: Point) -> None:
        with lock:  # points are passed on the loop, in the writer's thread and in threads that start shims
            passes[point] += 1
            number = passes[point]
            if number == 1 and seen is not None:
                with seen.open("a", encoding="ascii") as file:
                    file.write(f"{point.value}\n")
            if point is at and number == count:
                os.write(2, f"crash_point {point.value} {count}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)

    return passed


def main() -> int:
    """Set the trap that the environment names, then be kaged."""
    name, _, count = os.environ.pop("KAGED_CRASH_AT", "").partition(":")
    seen = os.environ.pop("KAGED_CRASH_SEEN", "")
    if name or seen:
        known = {point.value: point for point in Point}
        if name and name not in known:
            print(f"no crash point {name!r}; there are {', '.join(known)}", file=sys.stderr)
            return 2
        set_trap(trap(known.get(name), int(count or 1), Path(seen) if seen else None))

    from kaged import cli  # only now: `cli` sets up what must be set before the rest is imported

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
