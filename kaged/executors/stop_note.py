"""A note beside the journal that all agents are to be stopped, for a disk that has no room to record it.

The operator's word holds without a record: orders go to the run folders, this note says it to the next start, which
records it before anything else. It holds as long as no daemon has recorded its start after `seq`, so nobody has to take
it back. Written in place into bytes that exist since the start: that needs no room.

    16 bytes: seq u64, first 8 bytes of SHA-256 over it. Anything else counts as no note.
"""

import os
from hashlib import sha256
from pathlib import Path


class StopNote:
    """The note of one state folder."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when its room cannot be had."""
        self._path = path
        if not path.exists() or path.stat().st_size < 16:
            self.write(0)

    def seq(self) -> int:
        """Events up to here did not know of the stop; 0 without a note."""
        noted = self._path.read_bytes()
        return int.from_bytes(noted[:8], "big") if len(noted) == 16 and noted[8:] == _check(noted[:8]) else 0

    def write(self, seq: int) -> None:
        """All agents are to be stopped, whatever events up to `seq` say. Raises OSError."""
        number = seq.to_bytes(8, "big")
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, number + _check(number), 0)
            os.fsync(file)
        finally:
            os.close(file)


def _check(number: bytes) -> bytes:
    return sha256(number).digest()[:8]
