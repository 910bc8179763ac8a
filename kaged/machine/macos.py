"""macOS: `ps` for the table of processes, sysctl for boots and environments. Written, and never run on a Mac: what it
parses is tested with texts and bytes of the documented forms, what the system really says is not (docs/platforms.md).

Less than on Linux: no start times that could tell a reused pid, no CPU time of ended children, no pidfd (between the
look and the signal a pid could be given away), and no environment of Apple's own programs (the system hides it).
"""

import ctypes
import os
import resource
import signal
import subprocess
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from kaged.machine.system import Process

TABLE: Final = ("/bin/ps", "-axo", "pid=,ppid=,pgid=,stat=,time=,rss=")
_ANSWER_S: Final = 10.0
_CTL_KERN: Final = 1
_KERN_PROCARGS2: Final = 49
_ARGS_BYTES: Final = 1 << 20  # kern.argmax


class Kernel(Protocol):
    """The two calls of libc that are made; a test has its own."""

    def by_name(self, name: bytes) -> bytes:
        """sysctlbyname: the raw value. Raises OSError."""

    def arguments(self, pid: int) -> bytes:
        """sysctl of KERN_PROCARGS2. Raises OSError."""


class Sysctl:
    """libc's."""

    def by_name(self, name: bytes) -> bytes:
        """A text or a struct, as it is."""
        buffer = ctypes.create_string_buffer(1 << 10)
        size = ctypes.c_size_t(len(buffer))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.sysctlbyname(name, buffer, ctypes.byref(size), None, ctypes.c_size_t(0)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return buffer.raw[: size.value]

    def arguments(self, pid: int) -> bytes:
        """Number of arguments, path, arguments, environment."""
        mib = (ctypes.c_int * 3)(_CTL_KERN, _KERN_PROCARGS2, pid)
        buffer = ctypes.create_string_buffer(_ARGS_BYTES)
        size = ctypes.c_size_t(len(buffer))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.sysctl(mib, ctypes.c_uint(3), buffer, ctypes.byref(size), None, ctypes.c_size_t(0)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return buffer.raw[: size.value]


class Macos:
    """See `System`."""

    def __init__(self, kernel: Kernel | None = None, table: tuple[str, ...] = TABLE) -> None:
        self._kernel: Kernel = kernel or Sysctl()
        self._table = table

    def boot_id(self) -> str:
        """A UUID for each boot. (kern.boottime would do, but moves when the clock is set.)"""
        try:
            return self._kernel.by_name(b"kern.bootsessionuuid").rstrip(b"\0").decode("ascii")
        except (OSError, AttributeError, UnicodeDecodeError):
            return ""

    def pids(self) -> list[int]:
        """Of the table."""
        return list(self.processes())

    def processes(self) -> Mapping[int, Process]:
        """One call of ps: some 10 ms."""
        try:
            done = subprocess.run(  # noqa: TID251  an answer, not a child of a run
                self._table, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return {}
        found = (parse_line(line) for line in done.stdout.decode("ascii", "replace").splitlines())
        return {process.pid: process for process in found if process is not None}

    def trees(self, roots: Iterable[int]) -> Mapping[int, Process]:
        """The whole table: ps cannot be asked for less."""
        del roots
        return self.processes()

    def environment(self, pid: int) -> list[bytes]:
        """Empty for processes of others, and for programs that the system protects."""
        try:
            return parse_arguments(self._kernel.arguments(pid))
        except (OSError, AttributeError):
            return []

    def kill_if(self, pid: int, carries: bytes) -> bool:
        """Looked at right before; nothing pins it."""
        if carries not in self.environment(pid):
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            return False
        return True

    def rss_bytes(self) -> int:
        """The highest so far, which is counted in bytes here."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def parse_line(line: str) -> Process | None:
    """`pid ppid pgid stat time rss` of ps; None for what is no such line."""
    fields = line.split()
    try:
        pid, parent, group, state, time, rss_kb = fields
        return Process(
            pid=int(pid),
            parent=int(parent),
            session=int(group),  # its ps prints no session ids; a run's session begins with a group of the same number
            state=state[:1],
            start_ticks=0,
            cpu_s=parse_time(time),
            waited_cpu_s=0.0,
            rss_bytes=int(rss_kb) * 1024,
        )
    except ValueError:
        return None


def parse_time(text: str) -> float:
    """CPU time as ps prints it: `0:00.03`, `12:34:56`, `1-02:03:04`; seconds."""
    days, _, rest = text.rpartition("-")
    total = 0.0
    for part in rest.split(":"):
        total = total * 60 + float(part)
    return total + int(days or 0) * 86400


def parse_arguments(data: bytes) -> list[bytes]:
    """The environment in what KERN_PROCARGS2 gives: a count, the program's path, padding, that many arguments, and then
    the entries up to an empty one."""
    if len(data) < 4:
        return []
    count = int.from_bytes(data[:4], "little")
    _, _, rest = data[4:].partition(b"\0")
    words = rest.lstrip(b"\0").split(b"\0")
    found = words[count:]
    return found[: found.index(b"")] if b"" in found else found
