"""One child process to its end: bounded in time, without a terminal, ended as a group. For git and for hooks.

Blocks; called in threads. `subprocess` with vfork, no `preexec_fn`. A child carries the marks that it is given in
its environment (`KAGE_RUN_ID`), so that a daemon that follows one that was killed finds and ends what is left of it.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from kaged.domain.frozen import frozen
from kaged.domain.workspace import Cancelled

_LOOK_S: Final = 0.05  # how soon a wish to cancel is seen
_GONE_S: Final = 5.0  # for what it printed, after it was killed
Wish = Callable[[], bool]


def never() -> bool:
    """Nobody cancels."""
    return False


@frozen
class Done:
    """How it ended. `code` as in `subprocess`; `late`: it was killed at its time."""

    code: int
    out: bytes
    err: bytes
    late: bool = False


def run_child(
    words: Sequence[str | bytes],
    *,
    environment: Mapping[str, str],
    cwd: Path | None = None,
    data: bytes = b"",
    into: IO[bytes] | None = None,
    timeout_s: float,
    umask: int = -1,
    cancelled: Wish = never,
) -> Done:
    """Run it and wait. `into`: a file that gets both outputs instead of memory. `umask` -1: ours.

    Raises Cancelled, OSError.
    """
    with contextlib.ExitStack() as files:
        # A file, not a pipe: `communicate` with a timeout does not go on sending after the first one (CPython 3.11).
        given = files.enter_context(tempfile.TemporaryFile()) if data else None
        if given is not None:
            given.write(data)
            given.seek(0)
        process = subprocess.Popen(
            words,
            stdin=given if given is not None else subprocess.DEVNULL,
            stdout=into if into is not None else subprocess.PIPE,
            stderr=subprocess.STDOUT if into is not None else subprocess.PIPE,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            umask=umask,
        )
    left_s, late = timeout_s, False
    try:
        while True:
            try:
                out, err = process.communicate(timeout=min(_LOOK_S, max(left_s, 0.001)))
                return Done(code=process.returncode, out=out or b"", err=err or b"", late=late)
            except subprocess.TimeoutExpired:
                left_s -= _LOOK_S
            if cancelled():
                raise Cancelled
            if left_s <= 0 and not late:
                late, left_s = True, _GONE_S
                _end(process)
            elif left_s <= 0:  # somebody outside of its group keeps its output open
                return Done(code=-signal.SIGKILL, out=b"", err=b"", late=True)
    finally:
        if process.poll() is None:
            _end(process)
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the whole group: also what the child has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
