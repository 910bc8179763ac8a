"""What must hold before the daemon is imported, so that it starts quickly and its children are safe.

`cli` imports this before `daemon`, which imports the world. Importing it changes the process: nothing but `cli` may.
Measured on 300 ms of CPU from exec to READY; a test keeps what a start does not need out of it.
"""

import gc
import importlib
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

# Before anything imports grpc: its fork handlers crash children that are started while RPCs run (measured).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# What imports make stays: looking for garbage in it is 2 % of a start. `settle` turns it on again.
gc.disable()

# asyncio would load OpenSSL, for sockets that we do not have: 4 % of a start and 3 MB. It does without (Python may be
# built so); whoever asks for ssl later gets it.
if "ssl" in sys.modules:
    asyncio = importlib.import_module("asyncio")
else:
    sys.modules["ssl"] = None  # type: ignore[assignment]  # the documented way to forbid an import
    asyncio = importlib.import_module("asyncio")
    del sys.modules["ssl"]


def settle() -> None:
    """All is imported: look for garbage from here on."""
    # What was imported is not looked through again: that was 25 to 40 ms in which the loop stood still, at a bad time.
    gc.freeze()
    gc.enable()


def run(main: Coroutine[Any, Any, int]) -> int:
    """`asyncio.run`, on uvloop's loop when it is installed (docs/decisions/0004)."""
    settle()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return int(runner.run(main))


def _loop_factory() -> Callable[[], Any] | None:
    if os.environ.get("KAGED_LOOP") == "asyncio":
        return None
    try:
        make: Callable[[], Any] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return make
