"""The checks, in the order in which they are shown. A new one is a function in its theme's file and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

from kagectl.agent_kinds import KINDS
from kagectl.doctor import daemon, disk, machine, places, programs, service
from kagectl.doctor.scene import Scene
from kagectl.doctor.verdict import Verdict

LIMIT_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `name`: for `--check`; `limit_s`: how long it may take before it is given up."""

    name: str
    about: str
    look: Callable[[Scene], Verdict]
    limit_s: float = LIMIT_S


def _check(name: str, look: Callable[[Scene], Verdict], *, limit_s: float = LIMIT_S) -> Check:
    about = (look.__doc__ or "").partition("\n")[0]
    return Check(name=name, about=about, look=look, limit_s=limit_s)


# Two kinds may be one program: the shorter name stands for both.
_KIND_OF_PROGRAM = {KINDS[kind].command[0]: kind for kind in sorted(KINDS, reverse=True)}

CHECKS: tuple[Check, ...] = (
    _check("daemon", daemon.reachable),
    _check("versions", daemon.versions),
    _check("shims", daemon.shims),
    _check("store", daemon.store),
    _check("state-folder", places.state_folder),
    _check("socket-folder", places.socket_folder),
    _check("secrets", places.secrets),
    _check("leftovers", places.leftovers),
    _check("service", service.installed),
    _check("service-unit", service.unit),
    _check("linger", service.linger),
    _check("disk-space", disk.space),
    _check("fsync", disk.fsync, limit_s=15.0),
    _check("limits", machine.limits),
    _check("open-files", machine.open_files),
    _check("inotify", machine.inotify),
    _check("clock", machine.clock),
    _check("python", machine.python),
    _check("path", programs.path),
    *(
        Check(
            name=f"agent-{kind}",
            about=f"{program} is there, and tells its version.",
            look=programs.program_of(kind),
            limit_s=programs.VERSION_S + 3.0,
        )
        for program, kind in sorted(_KIND_OF_PROGRAM.items())
    ),
)
