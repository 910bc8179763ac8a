"""A note beside the store of how far it was acknowledged, so that lost ends are noticed.

RocksDB forgives a damaged end of its log: it opens with what comes before (which is right after a power cut, when
the end was never acknowledged) and says nothing. A damaged middle, a deleted log or half a backup look the same.
So the journal notes the last durable seq after each sync, without a sync of its own: the note is never ahead of
the disk, and survives a kill. After a power cut it may be behind, which claims less and is still true.

    16 bytes: seq u64, first 8 bytes of SHA-256 over it. Anything else counts as no note.
"""

import os
from hashlib import sha256
from pathlib import Path
from typing import Final

from kaged.store.rows.keyvalue import StoreCorrupt

FILE_NAME: Final = "ACKNOWLEDGED"


class Witness:
    """The open note of one store. `note` is called by the journal's thread, after a sync."""

    def __init__(self, store_folder: Path) -> None:
        self._path = store_folder / FILE_NAME
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @staticmethod
    def peek(store_folder: Path) -> int:
        """The last seq noted, 0 without a note. Makes no file."""
        try:
            return _seq((store_folder / FILE_NAME).read_bytes())
        except OSError:
            return 0

    def seq(self) -> int:
        """The last seq noted, 0 without a note."""
        return _seq(os.pread(self._file, 17, 0))

    def note(self, seq: int) -> None:
        """Everything up to here is on disk. Some 2 us."""
        number = seq.to_bytes(8, "big")
        try:
            os.pwrite(self._file, number + _check(number), 0)
        except OSError:
            return  # an old note is still true, and the journal knows itself when the disk fails

    def confront(self, durable_seq: int) -> None:
        """Compare with what the store holds after it was opened. Raises StoreCorrupt when its end is missing."""
        noted = self.seq()
        if durable_seq < noted:
            raise StoreCorrupt(
                f"events up to seq {noted} were acknowledged, the store ends at {durable_seq}",
                hint="its log is damaged or it is half a copy; nothing was appended. Restore a backup, or accept the "
                f"loss of {noted - durable_seq} events by removing {self._path}",
                acknowledged=noted,
                durable=durable_seq,
            )

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def _seq(noted: bytes) -> int:
    return int.from_bytes(noted[:8], "big") if len(noted) == 16 and noted[8:] == _check(noted[:8]) else 0


def _check(number: bytes) -> bytes:
    return sha256(number).digest()[:8]
