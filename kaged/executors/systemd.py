"""What systemd knows about us: which unit we are, and what it is about to do with it.

On SIGTERM the signal alone does not say whether this is a stop or a restart (decision 19). The job does: a stop
(also that of a shutdown, or of the last logout without lingering) takes agents along, anything else, or no answer,
leaves them alone. Unknown is never taken for a stop. Calls block for some 15 ms: made in a thread.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from kaged.domain.frozen import frozen

_ANSWER_S: Final = 3.0


@frozen
class Unit:
    """A service that systemd runs. `user`: the user's manager, not the machine's."""

    name: str
    user: bool


def own_unit(environ: Mapping[str, str], cgroups: str) -> Unit | None:
    """The service that this process is the main process of. `cgroups` is the text of /proc/self/cgroup.

    None without NOTIFY_SOCKET: then we only happen to live in somebody else's unit, that of a terminal, say.
    """
    if not environ.get("NOTIFY_SOCKET"):
        return None
    paths = {}
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        paths[controllers] = path
    # One of the two is systemd's own, depending on the version of control groups that it was booted with.
    for parts in (paths.get(name, "").split("/") for name in ("name=systemd", "")):
        if parts[-1].endswith(".service"):
            return Unit(name=parts[-1], user=any(part.startswith("user@") for part in parts[:-1]))
    return None


def pending_job(
    environ: Mapping[str, str], run: Callable[[Sequence[str], Mapping[str, str]], str] | None = None
) -> str:
    """What systemd is doing with our unit: `stop`, `restart`, `start` ...; empty when there is none, or no answer."""
    try:
        unit = own_unit(environ, Path("/proc/self/cgroup").read_text("utf-8", "surrogateescape"))
    except (OSError, ValueError):
        return ""
    if unit is None:
        return ""
    command = ["systemctl", *(["--user"] if unit.user else []), "list-jobs", "--no-legend", "--plain", "--full"]
    return job_of(unit.name, (run or _run)(command, environ))


def job_of(unit: str, listing: str) -> str:
    """The job of a unit in the output of `systemctl list-jobs`: id, unit, type, state."""
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) >= 4 and fields[1] == unit:
            return fields[2]
    return ""


def _run(command: Sequence[str], environ: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
