"""`python -m tests.fakes.moved_kaged FILE ...`: a real kaged on a machine whose clock and boot a test sets.

The file holds seconds to add to the wall clock and, optionally, a boot id; it is read at each look. The product has no
such switch: this replaces what `kaged/runtime/system.py` reads. Shims have the true clock.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

from kaged.cli import main
from kaged.runtime import system

_MACHINE = Path(sys.argv.pop(1))


def _set() -> tuple[float, str]:
    words = _MACHINE.read_text("ascii").split()
    return float(words[0]), words[1] if len(words) > 1 else ""


_boot_id = system.System.boot_id
_machine = SimpleNamespace(time_ns=lambda: time.time_ns() + int(_set()[0] * 1e9), monotonic=time.monotonic)
vars(system)["time"] = _machine  # all that it reads
system.System.boot_id = lambda self: _set()[1] or _boot_id(self)  # type: ignore[method-assign]  # the same

if __name__ == "__main__":
    sys.exit(main())
