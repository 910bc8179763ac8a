"""A real systemd for tests: booted by `boot.sh` in namespaces of its own, entered with nsenter, gone with the tests.

    with Host.booted(shared=[folder]) as host:
        host.run("systemctl", "status")                 as root, in the system manager's world
        with host.user("ann") as ann:                   a person with a lingering user manager
            ann.run("systemctl", "--user", "status")

`missing()` names what this machine lacks for that; everything else that goes wrong is an error, never a reason to
skip. Not here: anything about kaged.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")
BOOT: Final = Path(__file__).with_name("boot.sh")
REPOSITORY: Final = Path(__file__).resolve().parents[2]
DEADLINE_S: Final = 30.0
_PROGRAMS: Final = ("bash", "unshare", "nsenter", "setpriv", "ip", "systemctl", "systemd-run", "loginctl", "useradd")
_FILES: Final = (
    Path("/usr/lib/systemd/systemd"),
    Path("/usr/share/dbus-1/system.conf"),
    Path("/usr/lib/systemd/system/systemd-logind.service"),
)


def missing() -> str:
    """What this machine lacks to boot a systemd in namespaces; empty when it can."""
    if sys.platform != "linux":
        return "needs Linux"
    lacking = [name for name in _PROGRAMS if shutil.which(name) is None]
    lacking += [str(path) for path in _FILES if not path.exists()]
    if not list(Path("/usr/lib").glob("**/security/pam_systemd.so")):
        lacking.append("pam_systemd.so")
    if lacking:
        return f"not installed: {', '.join(lacking)} (packages systemd, libpam-systemd, dbus, util-linux, iproute2)"
    if os.geteuid() != 0:
        return "needs root"
    probe = (
        "h=/sys/fs/cgroup/unified; [ -d $h ] || h=/sys/fs/cgroup; "
        "mkdir $h/kageprobe.$$ && rmdir $h/kageprobe.$$ && unshare -mp -f true"
    )
    tried = subprocess.run(["sh", "-c", probe], capture_output=True, text=True, check=False)
    return f"no namespaces or cgroups of one's own here: {tried.stderr.strip()}" if tried.returncode else ""


def eventually(look: Callable[[], T | None], what: str = "", deadline_s: float = DEADLINE_S) -> T:
    """The first true answer of `look`; fails when there is none before the deadline."""
    limit = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < limit, f"not within {deadline_s} s: {what or look}"
        time.sleep(0.02)
    return found


class Host:
    """One booted systemd. `root` is its file system as this machine sees it."""

    def __init__(self, process: "subprocess.Popen[str]", pid: int) -> None:
        self._process = process
        self.pid = pid
        self.root = Path(f"/proc/{pid}/root")

    @classmethod
    @contextlib.contextmanager
    def booted(cls, *, shared: Sequence[Path] = (), mode: str = "hybrid") -> "Iterator[Host]":
        """Boot it; the Python that runs these tests, and Kage, are there at their own paths, read-only."""
        ours = {str(path) for path in (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix))}
        tops = sorted(path for path in ours if not any(path.startswith(f"{other}/") for other in ours))
        tops = [path for path in tops if not path.startswith("/usr")]  # the overlay of / has those
        flags = [word for path in tops for word in ("-r", path)] + [
            word for path in shared for word in ("-b", str(path))
        ]
        with subprocess.Popen(
            ["bash", str(BOOT), "-m", mode, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                word, _, number = process.stdout.readline().partition(" ")
                if word != "pid":
                    raise AssertionError(f"systemd did not boot:\n{process.stderr.read()}")
                yield cls(process, int(number))
            finally:
                process.stdin.close()  # the end of its input ends it, and it all that it started

    def run(
        self, *command: str, check: bool = True, timeout_s: float = DEADLINE_S, stdin: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside as root. It is outside of the host's cgroups: use systemd-run for what must be in."""
        environment = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root", "TERM=dumb")
        return self._enter(*environment, *command, check=check, timeout_s=timeout_s, stdin=stdin)

    def _enter(
        self, *command: str, check: bool, timeout_s: float, stdin: str | None
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-n", "-C", "--", *command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    @contextlib.contextmanager
    def user(self, name: str) -> "Iterator[User]":
        """A new person, who lingers: a user manager runs without anybody logged in. Gone with the `with`."""
        script = 'useradd -m -s /bin/bash "$1" && loginctl enable-linger "$1" && systemctl start "user@$(id -u "$1")"'
        self.run("sh", "-c", script, "sh", name)
        uid = next(
            int(fields[2])
            for line in (self.root / "etc/passwd").read_text("utf-8").splitlines()
            if (fields := line.split(":"))[0] == name
        )
        user = User(host=self, name=name, uid=uid)
        try:
            user.run("systemctl", "--user", "is-system-running", "--wait")
            yield user
        finally:
            self.run(
                "sh", "-c", 'loginctl disable-linger "$1"; systemctl stop "user@$2"', "sh", name, str(uid), check=False
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody on a host."""

    host: Host
    name: str
    uid: int

    @property
    def home(self) -> Path:
        """As the person sees it."""
        return Path("/home") / self.name

    def seen(self, path: Path) -> Path:
        """A path of the host as this machine sees it."""
        return self.host.root / path.relative_to("/")

    def run(
        self, *command: str, check: bool = True, timeout_s: float = DEADLINE_S, stdin: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command as that person, with the environment of a login."""
        runtime = f"/run/user/{self.uid}"
        environment = (
            f"PATH={self.home}/.local/bin:/usr/bin:/bin",
            "LANG=C.UTF-8",
            "TERM=dumb",
            f"HOME={self.home}",
            f"USER={self.name}",
            f"XDG_RUNTIME_DIR={runtime}",
            f"DBUS_SESSION_BUS_ADDRESS=unix:path={runtime}/bus",
        )
        who = ("setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "env", "-i")
        return self.host._enter(*who, *environment, *command, check=check, timeout_s=timeout_s, stdin=stdin)

    def write(self, path: Path, text: str, *, mode: int = 0o644) -> None:
        """Make a file of theirs, with the folders above it."""
        self.run(
            "sh",
            "-c",
            'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"',
            "sh",
            str(path),
            f"{mode:o}",
            stdin=text,
        )

    def shown(self, unit: str, name: str) -> str:
        """One property of a unit of their manager."""
        return self.run("systemctl", "--user", "show", unit, f"--property={name}", "--value").stdout.strip()
