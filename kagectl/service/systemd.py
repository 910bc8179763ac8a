"""kaged under systemd, as steps: of one person's own manager, or of the machine's for one person.

    user    ~/.config/systemd/user/kaged.service                     systemctl --user ...
    system  /etc/systemd/system/kaged@.service, kaged@1000.service.d systemctl ... (root)

Pure but for `state`, which asks. Deliberately not here: texts of units (`units.py`), whether there is a systemd.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from kagectl.service import units
from kagectl.service.model import Service
from kagectl.service.steps import Remove, Run, Step, Write, answer

_BUS_HINT = "systemctl --user status shows whether your own systemd answers"
_PROPERTIES = "LoadState,ActiveState,MainPID,UnitFileState,FragmentPath,Environment"
PLACES = ("KAGE_STATE_DIR", "KAGE_SOCKET", "XDG_STATE_HOME")  # what moves a daemon elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """What a manager knows of its kaged. `pid` 0: none runs; `environment`: what it was told to give it."""

    installed: bool = False
    enabled: bool = False
    active: bool = False
    pid: int = 0
    file: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def serves(self, environ: Mapping[str, str]) -> bool:
        """Whether this is the daemon that somebody with this environment talks to, not one of another place."""
        told = {name: environ.get(name) or "" for name in PLACES}
        if told["KAGE_SOCKET"].startswith("tcp"):
            told["KAGE_SOCKET"] = ""  # a port of whichever daemon; its socket is at the usual place
        return all((self.environment.get(name) or "") == place for name, place in told.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    """One kaged under one systemd. `system`: the machine's, for the user with the number `uid`."""

    uid: int
    home: str
    system: bool = False
    version: int = units.OLDEST

    @property
    def name(self) -> str:
        """For people."""
        return "systemd (system)" if self.system else "systemd (user)"

    @property
    def unit(self) -> str:
        """The unit of this person."""
        return f"kaged@{self.uid}.service" if self.system else units.USER_UNIT

    def files(self, service: Service) -> list[Write]:
        """Every file of it."""
        if self.system:
            slices = "/etc/systemd/user" if self.uid else "/etc/systemd/system"  # the user's manager has the scopes
            texts = {
                f"/etc/systemd/system/{units.TEMPLATE_UNIT}": units.template_unit(
                    units.PACKAGED_SYSTEM, systemd=self.version
                ),
                self._drop_in: units.instance(service),
                f"{slices}/{units.SLICE_UNIT}": units.agents_slice(user=bool(self.uid)),
            }
        else:
            folder = f"{self.home}/.config/systemd/user"
            texts = {
                f"{folder}/{units.USER_UNIT}": units.user_unit(service, systemd=self.version),
                f"{folder}/{units.SLICE_UNIT}": units.agents_slice(),
            }
        known = units.packaged()
        return [
            Write(path=path, text=text, packaged=known.get(path.rpartition("/")[2], "")) for path, text in texts.items()
        ]

    def install(self, service: Service, *, enable: bool, loaded: bool, changed: bool) -> list[Step]:
        """Files, and systemd reads them. Nothing is started or restarted. `loaded`, `changed`: of launchd only."""
        del loaded, changed
        return [*self.files(service), self._reload(), *(self.enable() if enable else [])]

    def uninstall(self, service: Service, *, shared: bool) -> list[Step]:
        """All of that undone; the daemon is down by now. `shared`: other people's kaged use the template, it stays."""
        mine = [step for step in self.files(service) if not shared or step.path.endswith(".d/kage.conf")]
        return [
            Run(command=self._systemctl("disable", self.unit), may_fail=True),
            *(Remove(path=step.path, text=step.text, packaged=step.packaged) for step in mine),
            self._reload(),
        ]

    def enable(self, *, loaded: bool = False) -> list[Step]:
        """From the next boot (or login) on."""
        del loaded
        return [Run(command=self._systemctl("enable", self.unit), hint=self._hint)]

    def disable(self) -> list[Step]:
        """Not any more; what runs goes on."""
        return [Run(command=self._systemctl("disable", self.unit), hint=self._hint)]

    def start(self) -> list[Step]:
        """Now. Returns when it is READY."""
        return [
            Run(command=self._systemctl("reset-failed", self.unit), may_fail=True),
            Run(command=self._systemctl("start", self.unit), hint="kagectl daemon logs shows why"),
        ]

    def restart(self) -> list[Step]:
        """Through systemd, for a daemon that does not answer; agents are kept unless it is told otherwise."""
        return [Run(command=self._systemctl("restart", self.unit), hint="kagectl daemon logs shows why")]

    def signal_to_end(self) -> list[Step]:
        """A daemon that takes no calls: a signal behind systemd's back means "keep agents" (docs/service.md)."""
        command = self._systemctl("kill", "--kill-who=main", "--signal=SIGTERM", self.unit)
        return [Run(command=command, may_fail=True)]

    def show_logs(self, *, tail: int, follow: bool) -> tuple[str, ...]:
        """The command that prints what it logged."""
        whose = ("--unit", self.unit) if self.system else ("--user", "--unit", self.unit)
        return ("journalctl", *whose, "--no-pager", f"--lines={tail}", *(("--follow",) if follow else ()))

    def state(self, environ: Mapping[str, str]) -> UnitState:
        """Ask the manager. One that does not answer knows nothing."""
        code, text = answer(self._systemctl("show", self.unit, f"--property={_PROPERTIES}"), environ)
        found = parse_show(text) if code == 0 else UnitState()
        if self.system and not (found.enabled or found.active or os.path.exists(self._drop_in)):
            return UnitState()  # the template alone, that of other people
        return found

    @property
    def _hint(self) -> str:
        return "as root: sudo" if self.system else _BUS_HINT

    @property
    def _drop_in(self) -> str:
        return f"/etc/systemd/system/{self.unit}.d/kage.conf"

    def _reload(self) -> Run:
        return Run(command=self._systemctl("daemon-reload"), hint=self._hint)

    def _systemctl(self, *words: str) -> tuple[str, ...]:
        return ("systemctl", *(() if self.system else ("--user",)), *words)


def parse_show(text: str) -> UnitState:
    """The output of `systemctl show`."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    pid = found.get("MainPID", "0")
    return UnitState(
        installed=found.get("LoadState") == "loaded",
        enabled=found.get("UnitFileState", "").startswith("enabled"),
        active=found.get("ActiveState") in ("active", "activating", "reloading"),
        pid=int(pid) if pid.isdigit() else 0,
        file=found.get("FragmentPath", ""),
        environment=_variables(found.get("Environment", "")),
    )


def _variables(text: str) -> dict[str, str]:
    try:
        return dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)
    except ValueError:  # quotes of a kind that we do not know
        return {}
