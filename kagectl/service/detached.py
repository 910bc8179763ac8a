"""kaged without a service manager: started detached, in a session of its own, with a log file beside its state.

Nothing here speaks gRPC; who starts a daemon waits for its health elsewhere.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kagectl.errors import UNAVAILABLE, Complaint
from kagectl.service.program import own_kaged


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """A daemon that we started ourselves."""

    process: "subprocess.Popen[bytes]"
    log: Path


def start_detached(*, state_dir: str, socket: str, log_level: str | None = None) -> Detached:
    """Start kaged in a session of its own; its output goes to `<state>/kaged.log`."""
    folder = Path(state_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = folder / "kaged.log"
        with open(log, "ab", opener=_private) as out:
            process = subprocess.Popen(
                [*own_kaged(), "--state-dir", state_dir, "--socket", socket]
                + (["--log-level", log_level] if log_level else []),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,
            )
    except OSError as error:
        raise Complaint(f"cannot start kaged: {error}", exit_code=UNAVAILABLE) from None
    return Detached(process=process, log=log)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log, for the message when a start failed."""
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - 64 * 1024, 0))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether a process with this id is there and has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except (OSError, IndexError):
        return True
