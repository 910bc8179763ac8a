"""What kaged needs from whatever keeps it running: one value, from which each manager's file is written.

    Service -> units.user_unit, units.template_unit, units.instance      systemd
            -> plists.agent, plists.daemon                               launchd

Pure: nothing here looks at the machine. Every path is absolute. Times are seconds. Texts hold no control characters:
the formats have no safe way to carry them. Deliberately not here: which program and which PATH (`program`), and
what one format alone knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kagectl.errors import Complaint

STANDARD_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
# What agents take over from the daemon's own environment, or what says where it lives. A service manager has a bare
# one of its own. Nothing that could be a secret: the file is there for all to read.
CAPTURED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "KAGE_STATE_DIR", "KAGE_SOCKET", "XDG_STATE_HOME")
_PATHS = ("KAGE_STATE_DIR", "XDG_STATE_HOME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a manager loses patience, and what it allows.

    `start_s`, `stop_s`: without a word from kaged (it asks for more while it makes progress). `watchdog_s`: it speaks
    twice in that time; `abort_s`: for its last words after that. `never_again`: exit codes that no restart cures.
    """

    start_s: int = 60
    stop_s: int = 40
    watchdog_s: int = 30
    abort_s: int = 10
    restart_s: int = 1
    never_again: tuple[int, ...] = (2, 75)
    open_files: int = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """kaged for one person.

    `program`: the command, its first word an absolute path (or `%h/...`, the home, in the packaged unit alone).
    `environment`: what it gets beside the manager's own. `user`, `home`, `log`: for forms whose manager has to be
    told. Raises Complaint on texts that cannot be written down.
    """

    program: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    home: str = ""
    log: str = ""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for text in (*self.program, *self.environment, *self.environment.values(), self.user, self.home, self.log):
            if not text.isprintable():  # also what is no UTF-8: it comes as lone surrogates
                raise Complaint(f"{text!r} holds what no unit can carry", hint="printable characters only")
        for name in self.environment:
            if not name.isidentifier() or not name.isascii():
                raise Complaint(f"{name!r} is no name of a variable", hint="letters, digits and _")


def captured(
    environ: Mapping[str, str], *, path: str | None = None, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a service takes over from the environment of whoever installs it. `path`: instead of its PATH."""
    found = {name: environ[name] for name in CAPTURED if environ.get(name)}
    if found.get("KAGE_SOCKET", "").startswith("tcp"):
        del found["KAGE_SOCKET"]  # how somebody talks to it, not where its own socket is
    found["PATH"] = clean_path(environ.get("PATH", "") if path is None else path)
    for name in _PATHS:
        if name in found and not found[name].startswith("/"):
            raise Complaint(f"{name}={found[name]} is not absolute", hint="a service has no current folder")
    return found | dict(extra or {})


def clean_path(path: str) -> str:
    """A PATH fit for a service: absolute folders once each, and the standard ones at its end."""
    folders = [folder.rstrip("/") or "/" for folder in path.split(":") if folder.startswith("/")]
    return ":".join(dict.fromkeys([*folders, *STANDARD_PATH]))
