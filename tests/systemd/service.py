"""Kage as a service of somebody on a real systemd: installed by hand as docs/service.md says, and talked to from here.

    service.systemctl("start", "kaged")      what the person types
    service.kage.spawn("sleep", "60")        the client of tests/e2e, through the host's own socket

Paths that agents see are those of the host (`service.user.home`). Not here: booting the host.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.e2e.daemon_kit import Kaged
from tests.systemd.host import REPOSITORY, User, eventually

UNITS: Final = REPOSITORY / "packaging" / "systemd"


class Client(Kaged):
    """The client half of the daemon kit; systemd has the other half."""

    def __init__(self, user: User) -> None:
        super().__init__(user.home)
        self._sockets.rmdir()
        self.state = user.seen(user.home / ".local/state/kage")
        self.socket = user.seen(Path(f"/run/user/{user.uid}/kage/kaged.sock"))

    def close(self) -> None:
        """Let go of the channel."""
        self._close_channel()

    def again(self) -> "Client":
        """For the daemon after the one that we spoke with."""
        self._close_channel()
        return self


class Service:
    """One person's kaged."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.kage = Client(user)

    def put_programs(self, folder: Path) -> None:
        """kaged and kagectl as pip writes them: small scripts of the Python that has Kage."""
        for name, module in (("kaged", "kaged.cli"), ("kagectl", "kagectl.main")):
            text = (
                f"#!{sys.executable}\nimport sys\nsys.path[0] = {str(REPOSITORY)!r}\n"
                f"from {module} import main\nsys.exit(main())\n"
            )
            self.user.write(folder / name, text, mode=0o755)

    def install(self) -> None:
        """By hand: programs to ~/.local/bin, packaged units to ~/.config/systemd/user."""
        self.put_programs(self.user.home / ".local/bin")
        for name in ("kaged.service", "kage-agents.slice"):
            self.user.write(self.user.home / ".config/systemd/user" / name, (UNITS / name).read_text("utf-8"))
        self.systemctl("daemon-reload")

    def drop_in(self, text: str, unit: str = "kaged.service") -> None:
        """What `systemctl --user edit` would write."""
        self.user.write(self.user.home / f".config/systemd/user/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def configure(self, text: str) -> None:
        """Write kaged.toml."""
        self.user.write(self.user.home / ".local/state/kage/kaged.toml", text)

    def close(self) -> None:
        """End the daemon and what it started, whatever state it is in."""
        self.kage.close()

    # --- what the person types -----------------------------------------------------------------------------------

    def kagectl(self, *words: str, check: bool = True, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """`kagectl ...`."""
        return self.user.run("kagectl", *words, check=check, timeout_s=timeout_s)

    def systemctl(self, *words: str, check: bool = True) -> str:
        """`systemctl --user ...`."""
        return self.user.run("systemctl", "--user", *words, check=check).stdout

    def start(self) -> Client:
        """Start it; returns when systemd says that it is up, which is when it serves."""
        self.systemctl("start", "kaged", check=False)
        assert self.shown("ActiveState") == "active", self.log()
        return self.kage.again()

    def shown(self, name: str) -> str:
        """A property of the unit."""
        return self.user.shown("kaged.service", name)

    @property
    def pid(self) -> int:
        """The daemon's, as the host counts."""
        return int(self.shown("MainPID"))

    @property
    def status_text(self) -> str:
        """The line of `systemctl status`."""
        return self.shown("StatusText")

    def log(self) -> str:
        """What the journal has of the unit."""
        return self.user.host.run("journalctl", "--no-pager", "-o", "cat", f"_UID={self.user.uid}").stdout

    def signal(self, name: str) -> None:
        """Send a signal to the daemon alone, behind systemd's back."""
        self.user.run("kill", f"-{name}", str(self.pid))

    # --- waiting -------------------------------------------------------------------------------------------------

    def wait_status(self, words: str) -> str:
        """The status line once it holds these words."""

        def look() -> str:
            text = self.status_text
            return text if words in text else ""

        return eventually(look, f"{words!r} in the status line; it is {self.status_text!r}")

    def wait_replaced(self, pid: int) -> float:
        """Return when another daemon is up in its place; how long that took, in seconds."""
        begun = time.monotonic()
        eventually(
            lambda: self.shown("ActiveState") == "active" and self.pid not in (0, pid),
            f"a new kaged in the place of {pid}",
        )
        self.kage.again()
        return time.monotonic() - begun

    def agent_pids(self, *agents: str) -> list[int]:
        """Pids of agents once they run, as the host counts."""

        def pid(agent: str) -> int:
            return int(self.kage.agent(agent).run.pid)

        return [eventually(lambda agent=agent: pid(agent), "a pid") for agent in agents]  # type: ignore[misc]  # a lambda's default

    def lives(self, pid: int) -> bool:
        """Whether a process is there (a zombie is not)."""
        try:
            text = (self.user.host.root / f"proc/{pid}/stat").read_text("ascii", "replace")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return text.rpartition(")")[2].split()[0] != "Z"
