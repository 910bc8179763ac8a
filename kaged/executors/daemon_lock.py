"""The lock that says "a kaged lives here": one daemon for one state folder, and the sign of life for shims.

Two locks on one file. The flock keeps a second daemon out. The byte-range lock exists to be asked about: a shim
queries it with F_GETLK, which takes nothing, so that a shim that looks at the wrong moment can never make a
starting daemon believe that another one is there (a probe that takes a shared flock, however short, can).
Both go away with the process, however it ends.
"""

import fcntl
import os
import sys
from pathlib import Path
from types import TracebackType

from kaged.domain.errors import AlreadyExists, Unavailable


class DaemonLock:
    """Held from construction to `close` or the end of the process. Raises AlreadyExists: another daemon has it.

    `note`: written behind the pid by verbs that hold it only for a while.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path, *, note: str = "") -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _lock_range(self._fd)
        except BlockingIOError:
            holder = os.pread(self._fd, 64, 0).decode("ascii", "replace").strip()
            self.close()
            raise AlreadyExists(
                f"another kaged (pid {holder or 'unknown'}) holds {path.parent}",
                hint="use it, stop it, or give this one another --state-dir",
                pid=holder,
            ) from None
        except OSError as error:
            self.close()
            raise Unavailable(
                f"cannot lock {path}: {error.strerror}", hint="the state folder needs a file system with locks"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()} {note}".rstrip().encode() + b"\n", 0)  # for people; nobody trusts it

    def __enter__(self) -> "DaemonLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go. Repeatable."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _lock_range(fd: int) -> None:
    if sys.platform == "linux":
        # An "open file description" lock: unlike lockf's, it is not lost when some other code in this process
        # opens and closes the same file. struct flock: type, whence, padding, start, length 0 = all, pid 0.
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, fcntl.F_WRLCK.to_bytes(2, sys.byteorder) + bytes(30))
    # BSD and macOS: F_GETLK sees the flock itself, and a process may not hold both kinds there
