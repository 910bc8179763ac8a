"""Notices that something changed in run folders: one descriptor for all of them, for `loop.add_reader`.

A watch says where to look, never what happened: names are coalesced, a change may be reported twice, and after
an overflow of the kernel's queue everything has to be looked at once. Readers therefore keep their own offsets
and a slow safety scan (decision 18). `add` before the first look at a folder loses nothing.

`closed` also names files whose last writer is gone: the lock of a shim that was killed writes no record. The kernel
says so just before it gives the lock back, so who then still finds it held asks again a moment later.

inotify through ctypes on Linux; elsewhere `fileno()` is None and `read()` compares what stat says, so the caller
polls. Not for several threads at once. Deliberately not here: reading the files, timers.
"""

import contextlib
import ctypes
import errno
import os
import struct
import sys
from pathlib import Path
from typing import Final, Protocol

from kaged.domain.errors import Unavailable
from kaged.domain.frozen import frozen

# Modified, renamed into place, created; closed by a writer; also attributes, because splice() reports nothing else
# before Linux 6.5.
CLOSED: Final = 0x8
MASK: Final = 0x2 | 0x4 | 0x80 | 0x100 | CLOSED
ONLY_FOLDERS: Final = 0x0100_0000
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
_HEAD: Final = struct.Struct("iIII")


@frozen
class Changes:
    """Both sets hold (folder, file name) pairs. `look_everywhere`: changes were lost, look at every folder."""

    names: frozenset[tuple[Path, str]]
    closed: frozenset[tuple[Path, str]] = frozenset()
    look_everywhere: bool = False


class FolderWatch(Protocol):
    """What both kinds of watch can do. Use `watch_folders()` to get the better one."""

    def add(self, folder: Path) -> None:
        """Watch a folder. Repeatable. Raises FileNotFoundError, or Unavailable when the system allows no more."""

    def remove(self, folder: Path) -> None:
        """Stop watching. Repeatable; also fine when the folder is gone."""

    def fileno(self) -> int | None:
        """Readable when `read` has something to tell; None: this system needs polling."""

    def read(self) -> Changes:
        """What changed since the last call; never waits."""

    def close(self) -> None:
        """Give the descriptor back. Repeatable."""


def watch_folders() -> FolderWatch:
    """The best watch this system has. Raises Unavailable when the user's inotify instances are used up."""
    return InotifyWatch() if sys.platform == "linux" else StatWatch()


class InotifyWatch:
    """One inotify instance, one watch for each folder: the files in it are reported by name."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise _refused("fs.inotify.max_user_instances")
        self._folders: dict[int, Path] = {}
        self._watches: dict[Path, int] = {}

    def add(self, folder: Path) -> None:
        watch = int(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), MASK | ONLY_FOLDERS))
        if watch < 0:
            if ctypes.get_errno() in (errno.ENOENT, errno.ENOTDIR):
                raise FileNotFoundError(errno.ENOENT, "no such run folder", str(folder))
            raise _refused("fs.inotify.max_user_watches")
        self._folders[watch] = folder
        self._watches[folder] = watch

    def remove(self, folder: Path) -> None:
        watch = self._watches.pop(folder, None)
        if watch is not None:
            self._folders.pop(watch, None)
            self._libc.inotify_rm_watch(self._fd, watch)  # EINVAL: the folder went first

    def fileno(self) -> int | None:
        return self._fd

    def read(self) -> Changes:
        found: set[tuple[Path, str]] = set()
        closed: set[tuple[Path, str]] = set()
        lost = False
        while True:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return Changes(names=frozenset(found), closed=frozenset(closed), look_everywhere=lost)
            at = 0
            while at < len(data):
                watch, mask, _, size = _HEAD.unpack_from(data, at)
                at += _HEAD.size + size
                lost = lost or bool(mask & OVERFLOW)
                folder = self._folders.get(watch)
                if folder is None:
                    continue  # an echo of a watch that was removed
                if mask & IGNORED:  # the folder was deleted, and the kernel forgot the watch
                    del self._folders[watch]
                    if self._watches.get(folder) == watch:
                        del self._watches[folder]
                elif size:
                    (closed if mask & CLOSED else found).add((folder, os.fsdecode(data[at - size : at].rstrip(b"\0"))))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class StatWatch:
    """Compares size, time and identity of every file at each `read`. 128 folders cost about a millisecond."""

    def __init__(self) -> None:
        self._seen: dict[Path, dict[str, tuple[int, int, int]]] = {}

    def add(self, folder: Path) -> None:
        if folder not in self._seen:
            self._seen[folder] = _look(folder)

    def remove(self, folder: Path) -> None:
        self._seen.pop(folder, None)

    def fileno(self) -> int | None:
        return None

    def read(self) -> Changes:
        found: set[tuple[Path, str]] = set()
        for folder, before in self._seen.items():
            with contextlib.suppress(FileNotFoundError):
                now = _look(folder)
                found.update((folder, name) for name in now if now[name] != before.get(name))
                self._seen[folder] = now
        return Changes(names=frozenset(found))

    def close(self) -> None:
        self._seen.clear()


def _look(folder: Path) -> dict[str, tuple[int, int, int]]:
    seen = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # renamed between the listing and the look
                stat = entry.stat(follow_symlinks=False)
                seen[entry.name] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return seen


def _refused(limit: str) -> Unavailable:
    return Unavailable(
        f"inotify: {os.strerror(ctypes.get_errno())}", hint=f"raise the sysctl {limit}; until then Kage polls"
    )
