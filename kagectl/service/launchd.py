"""kaged under launchd, as steps: a LaunchAgent of one person, or a LaunchDaemon for one.

    agent   ~/Library/LaunchAgents/dev.kage.kaged.plist               launchctl ... gui/501/dev.kage.kaged
    daemon  /Library/LaunchDaemons/dev.kage.kaged.<user>.plist (root) launchctl ... system/dev.kage.kaged.<user>

launchctl's newer verbs only (bootstrap, bootout, kickstart): load and unload hide errors. A loaded job is a started
one (RunAtLoad). Not run on a Mac so far (docs/platforms.md): the words that are sent are tested, what launchd makes
of them is not.
"""

import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kagectl.service import plists
from kagectl.service.model import Service
from kagectl.service.steps import Folder, Remove, Run, Step, Write, answer
from kagectl.service.systemd import UnitState

_BUSY_S = 15.0  # bootout returns before the job is gone; until then bootstrap fails with 5 or 37
_PID = re.compile(r"^\s*pid = (\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launchd:
    """One kaged under launchd. `screen`: the person is logged in with one, so `gui/` is there, else `user/`."""

    uid: int
    user: str
    home: str
    log: str
    system: bool = False
    screen: bool = True

    @property
    def name(self) -> str:
        """For people."""
        return "launchd (daemon)" if self.system else "launchd (agent)"

    @property
    def unit(self) -> str:
        """Its label."""
        return plists.daemon_label(self.user) if self.system else plists.LABEL

    @property
    def domain(self) -> str:
        """Where it is loaded."""
        return "system" if self.system else f"{'gui' if self.screen else 'user'}/{self.uid}"

    @property
    def plist(self) -> str:
        """Its file."""
        folder = "/Library/LaunchDaemons" if self.system else f"{self.home}/Library/LaunchAgents"
        return f"{folder}/{self.unit}.plist"

    def files(self, service: Service) -> list[Write]:
        """Every file of it."""
        return [Write(path=self.plist, text=(plists.daemon if self.system else plists.agent)(service))]

    def install(self, service: Service, *, enable: bool, loaded: bool, changed: bool) -> list[Step]:
        """File and folder for the log (launchd makes none), then loaded, which also starts it. A job that is `loaded`
        from another file (`changed`) is loaded anew: a restart, which agents outlive."""
        anew = loaded and changed
        again: list[Step] = [Run(command=self._launchctl("bootout", self._target), may_fail=True)] if anew else []
        return [
            self._log_folder(),
            *self.files(service),
            *again,
            *(self.enable(loaded=loaded and not anew) if enable else self._forbid()),
        ]

    def uninstall(self, service: Service, *, shared: bool) -> list[Step]:
        """All of that undone; the daemon is down by now, or ends here, without its agents."""
        del shared  # each person has a file of their own
        return [
            Run(command=self._launchctl("bootout", self._target), may_fail=True),
            *(Remove(path=step.path, text=step.text) for step in self.files(service)),
        ]

    def enable(self, *, loaded: bool = False) -> list[Step]:
        """From the next login (or boot) on, and now: launchd has no "later"."""
        load = Run(
            command=self._launchctl("bootstrap", self.domain, self.plist),
            again_s=_BUSY_S,
            hint=f"launchctl print {self._target} shows what it has",
        )
        return [Run(command=self._launchctl("enable", self._target)), *([] if loaded else [load])]

    def disable(self) -> list[Step]:
        """Not any more; what runs goes on."""
        return self._forbid()

    def start(self) -> list[Step]:
        """Now. A job that is not loaded (it was booted out) is loaded first."""
        return [
            Run(command=self._launchctl("bootstrap", self.domain, self.plist), may_fail=True),
            Run(command=self._launchctl("kickstart", self._target), hint="kagectl daemon logs shows why"),
        ]

    def restart(self) -> list[Step]:
        """Through launchd, for a daemon that does not answer: -k ends it first. Agents go on."""
        return [Run(command=self._launchctl("kickstart", "-k", self._target), hint="kagectl daemon logs shows why")]

    def signal_to_end(self) -> list[Step]:
        """A daemon that takes no calls."""
        return [Run(command=self._launchctl("kill", "SIGTERM", self._target), may_fail=True)]

    def show_logs(self, *, tail: int, follow: bool) -> tuple[str, ...]:
        """The command that prints what it logged."""
        return ("tail", "-n", str(tail), *(("-F",) if follow else ()), self.log)

    def state(self, environ: Mapping[str, str]) -> UnitState:
        """Ask launchd. `installed`: the job is loaded."""
        code, text = answer(self._launchctl("print", self._target), environ)
        return replace(parse_print(text, self.plist), environment=_variables(self.plist)) if code == 0 else UnitState()

    @property
    def _target(self) -> str:
        return f"{self.domain}/{self.unit}"

    def _log_folder(self) -> Step:
        folder = self.log.rpartition("/")[0]
        if self.system:  # root's hands would make it root's
            return Run(command=("sudo", "-u", self.user, "mkdir", "-p", "-m", "700", folder))
        return Folder(path=folder, mode=0o700)

    def _forbid(self) -> list[Step]:
        return [Run(command=self._launchctl("disable", self._target))]

    def _launchctl(self, *words: str) -> tuple[str, ...]:
        return ("launchctl", *words)


def parse_print(text: str, file: str) -> UnitState:
    """The output of `launchctl print`: a text for people, of which only the pid is used."""
    found = _PID.search(text)
    pid = int(found.group(1)) if found else 0
    return UnitState(installed=True, enabled=True, active=pid > 0, pid=pid, file=file)


def _variables(plist: str) -> dict[str, str]:
    try:
        with open(plist, "rb") as file:
            found = plistlib.load(file).get("EnvironmentVariables", {})
    except (OSError, ValueError, plistlib.InvalidFileException):
        return {}
    return {str(name): str(value) for name, value in found.items()}
