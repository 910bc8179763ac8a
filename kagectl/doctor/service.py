"""kaged as a service: installed, enabled, as this release would write it, and there without a login."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kagectl.doctor.asking import ask
from kagectl.doctor.scene import Scene
from kagectl.doctor.verdict import Verdict, fail, ok, skip, warn
from kagectl.errors import Complaint
from kagectl.service.launchd import Launchd
from kagectl.service.machine import Facts, ServiceManager, lingers, look, manager_for
from kagectl.service.model import Service
from kagectl.service.program import this_program
from kagectl.service.seal import whose
from kagectl.service.systemd import PLACES, Systemd, UnitState

_ASK_S = 5.0
_ARGV = re.compile(r"argv\[\]=(.*?) ;")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The manager that keeps kaged, or would. `state.installed` False: it has none."""

    facts: Facts
    manager: ServiceManager
    state: UnitState


def _kept(scene: Scene) -> _Kept:
    """Raises Complaint where there is no service manager."""
    facts = look(scene.env, root=scene.root)
    none: Complaint | None = None
    first: _Kept | None = None
    for system in (False, True):
        try:
            manager = manager_for(facts, system=system)
        except Complaint as error:
            none = none or error
            continue
        if isinstance(manager, Launchd) and not os.path.exists(manager.plist):
            state = UnitState()
        else:
            state = manager.state(facts.manager_environ)
        found = _Kept(facts=facts, manager=manager, state=state)
        if state.installed and state.serves(scene.env):
            return found
        first = first or _Kept(facts=facts, manager=manager, state=UnitState())
    if first is None:
        raise none or Complaint("there is no service manager")
    return first


def installed(scene: Scene) -> Verdict:
    """A service manager keeps kaged: starts it at boot, and again when it crashes or hangs."""
    if scene.platform == "win32":
        return skip("kaged does not run on Windows")
    try:
        kept = _kept(scene)
    except Complaint as error:
        return skip(error.message, error.hint)
    manager, state = kept.manager, kept.state
    if not state.installed:
        if any(scene.env.get(name) for name in PLACES):
            return skip(f"{manager.name} does not keep the kaged of this place")
        return warn(f"{manager.name} does not keep kaged: it is not there after a boot", "kagectl daemon install")
    if not state.enabled:
        return warn(f"{manager.unit} is installed, but not enabled", "kagectl daemon enable")
    if scene.status is not None and state.pid != scene.status.pid:
        return warn(
            f"the kaged that answers (pid {scene.status.pid}) is not the one of {manager.name}",
            "kagectl daemon stop && kagectl daemon start   # agents go on",
        )
    if not state.active:
        return warn(f"{manager.unit} is enabled, but does not run", "kagectl daemon start")
    return ok(f"{manager.unit} is enabled and runs under {manager.name} (pid {state.pid})")


def unit(scene: Scene) -> Verdict:
    """The unit starts this kaged, and is what this release writes."""
    if scene.platform == "win32":
        return skip("kaged does not run on Windows")
    try:
        kept = _kept(scene)
    except Complaint:
        return skip("there is no service manager")
    if not kept.state.installed:
        return skip("no unit is installed")
    if not isinstance(kept.manager, Systemd):
        return ok(kept.state.file)
    told = _show(kept.manager, kept.facts.manager_environ)
    argv = _ARGV.search(told.get("ExecStart", ""))
    program = tuple(argv.group(1).split(" ")) if argv else ()
    if program and not os.access(program[0], os.X_OK):
        return fail(f"{kept.manager.unit} starts {program[0]}, which is not there", "kagectl daemon install")
    if told.get("NeedDaemonReload") == "yes":
        flag = "" if kept.manager.system else "--user "
        return warn(f"{kept.manager.unit} was changed since systemd read it", f"systemctl {flag}daemon-reload")
    if told.get("DropInPaths") or kept.manager.system or not program:
        return ok(f"{kept.state.file}, starts {' '.join(program)}")
    return _compared(kept, program)


def _compared(kept: _Kept, program: tuple[str, ...]) -> Verdict:
    """A user unit without drop-ins, with what would be written in its place."""
    try:
        service = Service(program=program, environment=kept.state.environment)
        wanted = next(file.text for file in kept.manager.files(service) if file.path.endswith(kept.manager.unit))
        match whose(Path(kept.state.file).read_text("utf-8", "surrogateescape"), wanted):
            case "edited":
                return warn(
                    f"{kept.state.file} was changed by hand: an upgrade will not touch it",
                    f"systemctl --user edit {kept.manager.unit}   # put it there; then kagectl daemon install --force",
                )
            case "ours" if "seal:" in Path(kept.state.file).read_text("utf-8", "surrogateescape")[:200]:
                return warn(f"{kept.state.file} is that of another release", "kagectl daemon install")
            case _:
                pass
    except (Complaint, OSError, StopIteration) as error:
        return skip(f"{kept.state.file} cannot be compared: {error}")
    ours = this_program(None, kept.facts.environ)
    if program != ours and os.path.realpath(program[0]) != os.path.realpath(ours[0]):
        return warn(
            f"it starts {' '.join(program)}, this kagectl belongs to {' '.join(ours)}", "kagectl daemon install"
        )
    return ok(f"{kept.state.file}, starts {' '.join(program)}")


def linger(scene: Scene) -> Verdict:
    """kaged and its agents outlast the last logout."""
    if not scene.linux:
        return skip(f"not on {scene.platform}")
    try:
        kept = _kept(scene)
    except Complaint:
        return skip("there is no service manager")
    if not isinstance(kept.manager, Systemd):
        return skip("not under launchd")
    if kept.manager.system:
        return ok("not needed: the machine's systemd keeps it")
    if not kept.state.installed:
        return skip("kaged is not a service of yours")
    match lingers(kept.facts, folder=scene.root / "var/lib/systemd/linger"):
        case True:
            return ok(f"{kept.facts.person.name} lingers: it starts at boot, and a logout ends nothing")
        case False:
            return warn("your last logout ends kaged and its agents", "loginctl enable-linger")
        case _:
            return skip("systemd does not tell")


def _show(manager: Systemd, environ: Mapping[str, str]) -> dict[str, str]:
    flag = () if manager.system else ("--user",)
    command = ["systemctl", *flag, "show", manager.unit, "--property=ExecStart,NeedDaemonReload,DropInPaths"]
    said = ask(command, environ, timeout_s=_ASK_S)
    return dict(line.split("=", 1) for line in said.text.splitlines() if "=" in line) if said.code == 0 else {}
