"""Runs the checks that tell whether a goal is reached.

A check is a child in a session of its own that carries its id in the environment, as runs do: whatever of it is left,
when it ends or when a daemon before us died in its middle, is found by that and killed. Only the last of its output
is kept. Not here: what a result means (`machines/goal/judge`).
"""

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO, Final

from kaged.executors import test_runners
from kaged.executors.process_table import kill_carriers, kill_marked
from kaged.ports import CheckEnd, CheckWish

_KEEP_BYTES: Final = 32 << 10
_PIECE_BYTES: Final = 64 << 10
_LINGER_S: Final = 0.2  # for output of what it left in the background
_LOOK_S: Final = 0.5
_ROUNDS: Final = 20
_OWNER: Final = "KAGE_CHECK_OF"


class LocalChecker:
    """See the module. Used from several threads."""

    def __init__(self, owner: str) -> None:
        """`owner`: tells checks of this daemon, in all its lives, from those of others."""
        self._owner = f"{owner}:"
        self._life = f"{self._owner}{os.getpid()}.{time.monotonic_ns()}"
        self._running: dict[str, threading.Event] = {}

    def kill_earlier(self) -> list[int]:
        """End what earlier lives of this daemon left running when they were killed; whom it hit."""
        mark, own = f"{_OWNER}={self._owner}", f"{_OWNER}={self._life}"
        hit: list[int] = []
        for _ in range(_ROUNDS):  # also what is forked meanwhile
            more = kill_marked(os.fsencode(mark), os.fsencode(own))
            if not more:
                break
            hit += more
        return hit

    def run(self, wish: CheckWish) -> CheckEnd:
        """Run it to its end, or to its time limit."""
        _kill_left(wish.id)
        began = time.monotonic()
        cancelled = self._running[wish.id] = threading.Event()
        try:
            return self._run(wish, began, cancelled)
        except (OSError, ValueError) as error:
            return CheckEnd(exit_code=-1, took_us=_since(began), output=str(error).encode())
        finally:
            self._running.pop(wish.id, None)
            _kill_left(wish.id)

    def cancel(self, check: str) -> None:
        """End a check that runs."""
        cancelled = self._running.get(check)
        if cancelled is not None:
            cancelled.set()

    def _run(self, wish: CheckWish, began: float, cancelled: threading.Event) -> CheckEnd:
        process = subprocess.Popen(
            wish.command,
            cwd=wish.folder,
            env={**wish.environment, "KAGE_RUN_ID": wish.id, _OWNER: self._life},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        with process.stdout as stdout:
            output = _Tail()
            deadline, timed_out = began + wish.timeout_s, False
            while process.poll() is None:
                if cancelled.is_set() or time.monotonic() >= deadline:
                    timed_out = not cancelled.is_set()
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    break
                _take(stdout, output, min(_LOOK_S, max(0.0, deadline - time.monotonic())), process)
            while _take(stdout, output, _LINGER_S, None):
                pass
        code = process.returncode
        return CheckEnd(
            exit_code=code if code >= 0 else -1, took_us=_since(began), output=output.bytes(), timed_out=timed_out
        )

    def read(self, folder: str, path: str, max_bytes: int) -> bytes | None:
        """The beginning of a file below the folder."""
        try:
            with open(Path(folder) / path, "rb") as file:
                return file.read(max_bytes)
        except (OSError, ValueError):
            return b"" if (Path(folder) / path).is_dir() else None

    def tests_of(self, folder: str) -> tuple[str, ...]:
        """The command that runs the project's own tests."""
        return test_runners.find(Path(folder))


class _Tail:
    """The last bytes of a stream."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size - len(self._pieces[0]) >= _KEEP_BYTES:
            self._size -= len(self._pieces.popleft())

    def bytes(self) -> bytes:
        return b"".join(self._pieces)[-_KEEP_BYTES:]


def _take(stdout: IO[bytes], output: _Tail, wait_s: float, process: "subprocess.Popen[bytes] | None") -> bool:
    """Read what is there, waiting a while for it. Whether there was something."""
    poll = select.poll()  # select() knows no descriptor above 1023
    poll.register(stdout, select.POLLIN)
    if not poll.poll(wait_s * 1000):
        return False
    piece = os.read(stdout.fileno(), _PIECE_BYTES)
    if not piece:
        if process is not None:  # its output is closed; it may go on
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(wait_s)
        return False
    output.add(piece)
    return True


def _kill_left(check: str) -> None:
    """End all that carries the check's id, also what is forked meanwhile."""
    for _ in range(_ROUNDS):
        if not kill_carriers(check):
            return


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1e6)
