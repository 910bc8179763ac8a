"""Starting kaged and finding its log: by the service manager when it is installed there, else by ourselves.

    systemd   a user unit `kaged.service` is installed      systemctl --user start kaged
    launchd   ~/Library/LaunchAgents/dev.kage.kaged.plist   launchctl kickstart
    detached  neither                                       python -m kaged in a session of its own

A service manager is used only for the default place: who names a socket or a state folder gets a daemon
there. Nothing here speaks gRPC; who starts a daemon waits for its health elsewhere.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kagectl.errors import UNAVAILABLE, Complaint

Way = Literal["systemd", "launchd", "detached"]

LAUNCHD_LABEL = "dev.kage.kaged"
_ASK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """A daemon that we started ourselves."""

    process: "subprocess.Popen[bytes]"
    log: Path


def way(*, custom: bool) -> Way:
    """How the daemon is kept on this machine. `custom`: the person named a place of their own."""
    if custom:
        return "detached"
    if shutil.which("systemctl") and _says("systemctl", "--user", "list-unit-files", "--no-legend", "kaged.service"):
        return "systemd"
    if sys.platform == "darwin" and _plist().exists():
        return "launchd"
    return "detached"


def _plist() -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{LAUNCHD_LABEL}.plist"


def _says(*command: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


def start_unit(how: Way) -> None:
    """Ask the service manager. Raises Complaint with its own words."""
    command = (
        ["systemctl", "--user", "start", "kaged.service"]
        if how == "systemd"
        else ["launchctl", "kickstart", f"gui/{os.getuid()}/{LAUNCHD_LABEL}"]
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Complaint(f"{' '.join(command)}: {error}", exit_code=UNAVAILABLE) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Complaint(
            f"{' '.join(command)} failed: {said[-1] if said else done.returncode}",
            hint="kagectl daemon logs shows why",
            exit_code=UNAVAILABLE,
        )


def start_detached(*, state_dir: str, socket: str, log_level: str | None = None) -> Detached:
    """Start kaged in a session of its own; its output goes to `<state>/kaged.log`."""
    folder = Path(state_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = folder / "kaged.log"
        with open(log, "ab", opener=_private) as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "kaged", "--state-dir", state_dir, "--socket", socket]
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
