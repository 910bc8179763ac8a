"""Which service manager this machine has for kaged, and what to do where there is none.

    Linux with systemd     the person's own manager, or with `system` the machine's
    macOS                  launchd, the same two ways
    WSL without systemd, a container, another init: none; what to do instead is said

`look` reads the machine into plain facts; everything after it is a function of them. Deliberately not here: doing
anything about it.
"""

import contextlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from kagectl.client.address import state_dir
from kagectl.errors import NOT_FOUND, REFUSED, Complaint
from kagectl.service.launchd import Launchd
from kagectl.service.steps import Done, Step, answer, do
from kagectl.service.systemd import Systemd
from kagectl.service.units import OLDEST

with contextlib.suppress(ImportError):  # Windows has none; `look` says so before it is asked
    import pwd

ServiceManager = Systemd | Launchd
INSTEAD = "kagectl daemon start starts kaged without one, detached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with an account here."""

    uid: int
    name: str
    home: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found. `booted`: systemd is what started this machine; `container`: the kind, or empty; `init`: the
    name of process 1; `runtime_dir`: of the person, empty when their own manager has none for them."""

    platform: str
    person: Person
    booted: bool = False
    kernel: str = ""
    container: str = ""
    init: str = ""
    runtime_dir: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def manager_environ(self) -> dict[str, str]:
        """For commands to the manager: also after `su` and in cron, which do not say where it is."""
        extra = {"XDG_RUNTIME_DIR": self.runtime_dir} if self.runtime_dir else {}
        return dict(self.environ) | extra | {"LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}


def look(environ: Mapping[str, str], person: Person | None = None, *, root: Path = Path("/")) -> Facts:
    """Read what there is to know. `person`: whom it is for (default: whoever asks)."""
    if sys.platform == "win32":
        raise Complaint(
            "kaged does not run on Windows yet", hint="it does in WSL 2; kagectl can talk to it", exit_code=REFUSED
        )
    person = person or me(environ)
    given = environ.get("XDG_RUNTIME_DIR", "") if person.uid == os.getuid() else ""
    usual = f"/run/user/{person.uid}"
    return Facts(
        platform=sys.platform,
        person=person,
        booted=(root / "run/systemd/system").is_dir(),
        kernel=_text(root / "proc/sys/kernel/osrelease"),
        container=_container(environ, root),
        init=_text(root / "proc/1/comm"),
        runtime_dir=given or (usual if (root / usual.lstrip("/")).is_dir() else ""),
        environ=environ,
    )


def me(environ: Mapping[str, str]) -> Person:
    """Whoever asks."""
    uid = os.getuid()
    try:
        entry = pwd.getpwuid(uid)
        name, home = entry.pw_name, entry.pw_dir
    except KeyError:  # a container's invented user
        name, home = environ.get("USER") or str(uid), "/"
    return Person(uid=uid, name=name, home=environ.get("HOME") or home)


def somebody(name: str | None, environ: Mapping[str, str]) -> Person:
    """Whom a system-wide installation is for: the named one, whoever called sudo, or whoever asks (not root)."""
    told = name or environ.get("SUDO_USER") or ""
    try:
        entry = pwd.getpwuid(int(told)) if told.isdigit() else pwd.getpwnam(told) if told else None
    except KeyError:
        hint = "--for takes a name or a number"
        raise Complaint(f"there is no user {told!r} here", hint=hint, exit_code=NOT_FOUND) from None
    if entry is not None:
        return Person(uid=entry.pw_uid, name=entry.pw_name, home=entry.pw_dir)
    if os.getuid() == 0:
        raise Complaint("whom is it for?", hint="--for NAME; agents run as that user")
    return me(environ)


def manager_for(facts: Facts, *, system: bool, version: int = OLDEST) -> ServiceManager:
    """The manager to install into. Raises Complaint with what to do where there is none."""
    person = facts.person
    if facts.platform == "darwin":
        environ = facts.environ if person.uid == os.getuid() else {"HOME": person.home}
        log = f"{state_dir(environ)}/kaged.log"
        return Launchd(uid=person.uid, user=person.name, home=person.home, log=log, system=system)
    if facts.platform != "linux":
        raise Complaint(f"no service manager that Kage knows on {facts.platform}", hint=INSTEAD, exit_code=REFUSED)
    if not facts.booted:
        raise _none(facts)
    if not system and not facts.runtime_dir:
        raise Complaint(
            f"no systemd of its own runs for {person.name} (there is no /run/user/{person.uid})",
            hint=f"log in as {person.name} (not by su), or: sudo loginctl enable-linger {person.name}; "
            "or install for the machine: --system",
            exit_code=REFUSED,
        )
    return Systemd(uid=person.uid, home=person.home, system=system, version=version)


def _none(facts: Facts) -> Complaint:
    """Why there is no service manager here, and what to do."""
    if "microsoft" in facts.kernel.lower():
        return Complaint(
            "this WSL runs without systemd",
            hint="put [boot] systemd=true into /etc/wsl.conf, then wsl --shutdown in Windows; until then: " + INSTEAD,
            exit_code=REFUSED,
        )
    if facts.container:
        return Complaint(
            f"this is a container ({facts.container}) without a service manager",
            hint=f"make kaged its main program; or {INSTEAD}",
            exit_code=REFUSED,
        )
    return Complaint(
        f"no service manager that Kage knows (process 1 is {facts.init or 'unknown'})", hint=INSTEAD, exit_code=REFUSED
    )


def systemd_version(environ: Mapping[str, str]) -> int:
    """The release of systemd here; the oldest that was tried when it does not say."""
    _, text = answer(["systemctl", "--version"], environ)
    found = re.match(r"systemd (\d+)", text)
    return int(found.group(1)) if found else OLDEST


def lingers(facts: Facts, *, folder: Path = Path("/var/lib/systemd/linger")) -> bool | None:
    """Whether the person's own manager runs without a login; None: cannot be told."""
    if (folder / facts.person.name).exists():
        return True
    code, text = answer(["loginctl", "show-user", facts.person.name, "--property=Linger"], facts.manager_environ)
    if code == 0 and "Linger=" in text:
        return "Linger=yes" in text
    return False if folder.parent.exists() else None


def screen_session(facts: Facts) -> bool:
    """macOS: whether the person is logged in with a screen."""
    return answer(["launchctl", "print", f"gui/{facts.person.uid}"], facts.manager_environ)[0] == 0


def here(environ: Mapping[str, str], *, system: bool = False, whose: str | None = None) -> tuple[Facts, ServiceManager]:
    """The facts, and the manager to install into. Raises Complaint where there is none."""
    person = somebody(whose, environ) if system else None
    facts = look(environ, person)
    manager = manager_for(facts, system=system)
    match manager:
        case Systemd():
            version = systemd_version(facts.manager_environ)
            return facts, Systemd(uid=manager.uid, home=manager.home, system=system, version=version)
        case Launchd():
            return facts, Launchd(
                uid=manager.uid,
                user=manager.user,
                home=manager.home,
                log=manager.log,
                system=system,
                screen=system or screen_session(facts),
            )


def installed(environ: Mapping[str, str]) -> tuple[Facts, ServiceManager] | None:
    """The manager that has the kaged which `environ` leads to, the person's own first; None: it is not installed."""
    if sys.platform == "win32":
        return None
    facts = look(environ)
    for system in (False, True):
        try:
            manager = manager_for(facts, system=system)
        except Complaint:
            continue
        if isinstance(manager, Launchd) and not os.path.exists(manager.plist):
            continue  # launchctl need not be asked
        state = manager.state(facts.manager_environ)
        if state.installed and state.serves(environ):
            return facts, manager
    return None


def obey(facts: Facts, manager: ServiceManager, steps: Sequence[Step]) -> list[Done]:
    """Have the manager do something with its daemon. Raises Complaint, after the daemon's own last words."""
    try:
        return [do(step, facts.manager_environ) for step in steps]
    except Complaint:
        code, text = answer(manager.show_logs(tail=5, follow=False), facts.manager_environ)
        for line in text.splitlines() if code == 0 else ():
            click.echo(f"  {line}", err=True)
        raise


def _container(environ: Mapping[str, str], root: Path) -> str:
    if told := environ.get("container"):
        return told
    for file, kind in (("run/.containerenv", "podman"), (".dockerenv", "docker")):
        if (root / file).exists():
            return kind
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    return _text(root / "run/systemd/container")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
