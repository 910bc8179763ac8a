"""Gives back the disk space of bytes that nobody will read again, without moving any other byte.

A hole is punched into the front of a spool: its size, every offset and whoever appends to it stay as they are; reading
the hole gives zeros. Safe to repeat, and safe at any moment of a crash: what is punched twice is punched.

`fallocate` on Linux (ext4, xfs, btrfs, tmpfs, overlay of these), F_PUNCHHOLE on macOS (APFS; written, not run). A
file system that cannot says so once in the log, and its spools shrink when their run ends. Not here: what nobody will
read again (the keeper knows).
"""

import ctypes
import errno
import fcntl
import logging
import os
import struct
import sys
from pathlib import Path
from typing import Final

from kaged.domain.run_records import Channel

STEP_BYTES: Final = 1 << 20  # 60 us on ext4 and 150 us on tmpfs for each (measured)
_BLOCK_BYTES: Final = 4096
_KEEP_SIZE_AND_PUNCH: Final = 0x1 | 0x2  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_F_PUNCHHOLE: Final = 99
_CANNOT: Final = frozenset((errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS))
log = logging.getLogger("kaged.executors")


class Puncher:
    """Punches consumed prefixes of spools. One for a file system; any thread may use it."""

    def __init__(self) -> None:
        self.able = sys.platform in ("linux", "darwin")

    def punch(self, folder: Path, channel: Channel, start: int, end: int) -> int:
        """Free the bytes of a spool from `start` to `end`, in whole blocks of the file system; the offset up to which
        they are free (at most `end`, `start` if none are). Never raises: space that stays used harms nobody today."""
        start, end = start - start % _BLOCK_BYTES, end - end % _BLOCK_BYTES
        if not self.able or end <= start:
            return start
        try:
            fd = os.open(folder / f"{channel}.log", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return start  # its run is over, or was not begun
        try:
            punch_hole(fd, start, end - start)
        except OSError as error:
            if error.errno in _CANNOT:
                self.able = False
                log.warning(
                    "spools_keep_their_size error=%s hint=%s",
                    error.strerror,
                    "this file system cannot punch holes: recorded output is freed when its run ends",
                )
            else:
                log.warning("spool_not_punched folder=%s error=%s", folder, error.strerror)
            return start
        finally:
            os.close(fd)
        return end


def punch_hole(fd: int, start: int, length: int) -> None:
    """Make a hole into an open file; `start` and `length` are multiples of 4096 bytes. Raises OSError."""
    if sys.platform == "darwin":
        # struct fpunchhole: flags, reserved, offset, length
        fcntl.fcntl(fd, _F_PUNCHHOLE, struct.pack("=IIqq", 0, 0, start, length))
        return
    libc = ctypes.CDLL(None, use_errno=True)
    fallocate = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if fallocate is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    while fallocate(fd, _KEEP_SIZE_AND_PUNCH, ctypes.c_int64(start), ctypes.c_int64(length)):
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
