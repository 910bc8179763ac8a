"""`daemon install`, `uninstall`, `enable`, `disable`: kaged as a service of this machine."""

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import click

from kagectl import show
from kagectl.client.address import Address, find_address, state_dir
from kagectl.commands.daemon.handover import door_of, end_under, environ_of, start_under, stranger
from kagectl.errors import REFUSED, Complaint
from kagectl.service.launchd import Launchd
from kagectl.service.machine import Facts, ServiceManager, here, lingers
from kagectl.service.model import Service, captured
from kagectl.service.program import this_program
from kagectl.service.steps import Done, Step, changes, check, do
from kagectl.service.steps import show as shown
from kagectl.service.systemd import Systemd
from kagectl.session import Session
from kagectl.verb import Verb

_SYSTEM = click.option("--system", is_flag=True, help="Under the machine's manager, as root: no login is needed.")
_FOR = click.option("--for", "whose", metavar="USER", default=None, help="With --system: whom it serves.")
_DRY = click.option("--dry-run", is_flag=True, help="Show every file and command; change nothing.")
_FORCE = click.option("--force", is_flag=True, help="Also over a file that somebody changed; a copy is kept.")


@dataclass(slots=True, kw_only=True)
class Report:
    """What a verb did, or would do."""

    manager: str
    unit: str
    steps: list[Done] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def print(self, session: Session) -> None:
        """For people or as data."""
        if session.machine:
            show.values(session, asdict(self))
            return
        width = max((len(step.word) for step in self.steps), default=0)
        for step in self.steps:
            click.echo(f"{step.word:<{width}}  {step.what}")
            for line in step.text.splitlines():
                click.echo(f"    {line}".rstrip())
        for note in self.notes:
            click.echo(note)


@click.command(
    cls=Verb,
    examples="""
kagectl daemon install                      for you: a systemd user unit, or a LaunchAgent
kagectl daemon install --now                and start it
kagectl daemon install --dry-run            show every file and every command
sudo kagectl daemon install --system --for ann --path "$PATH"
""",
)
@_SYSTEM
@_FOR
@click.option("--now", is_flag=True, help="Start it too.")
@click.option("--no-enable", is_flag=True, help="Do not start it at boot (or login).")
@click.option("--path", metavar="PATH", default=None, help="PATH of agents, instead of yours.")
@click.option("--env", "extra", metavar="NAME=VALUE", multiple=True, help="More of its environment; no secrets.")
@click.option("--state-dir", "state", metavar="DIR", default=None, help="Folder of its state.")
@click.option("--program", metavar="FILE", default=None, help="The kaged to start, instead of this kagectl's.")
@_FORCE
@_DRY
@click.pass_obj
def install(
    session: Session,
    system: bool,
    whose: str | None,
    now: bool,
    no_enable: bool,
    path: str | None,
    extra: tuple[str, ...],
    state: str | None,
    program: str | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Make kaged a service of this machine: at boot it is there, after a crash it is back, and agents do not notice.

    Writes a unit for systemd or a property list for launchd, with the PATH that you have now, and enables it. Doing
    it again brings it up to date. A file that somebody changed is left alone.
    """
    _whom(system, whose)
    facts, manager = here(os.environ, system=system, whose=whose)
    place = _place(state, session.socket)
    service = _service(facts, manager, path=path, extra=_pairs(extra) | place, program=program)
    address = door_of(facts, manager, service.environment)
    before = manager.state(facts.manager_environ)
    changed = changes(manager.files(service))
    steps = manager.install(service, enable=not no_enable, loaded=before.installed, changed=changed)
    report = Report(manager=manager.name, unit=manager.unit)
    _carry_out(report, steps, facts, force=force, dry_run=dry_run)
    report.notes.append(f"PATH of agents: {service.environment['PATH']}")
    report.notes += _warnings(facts, manager)
    report.notes += [f"kagectl finds it there with: export {name}={value}" for name, value in place.items()]
    if not dry_run:
        _check_found(facts, manager)
        if now:
            report.notes += start_under(report.steps, facts, manager, address)
        else:
            report.notes.append(_next(facts, manager, address, was_up=before.pid > 0, changed=changed))
    elif now:
        report.steps += [shown(step) for step in manager.start()]
    report.print(session)


@click.command(
    cls=Verb,
    examples="""
kagectl daemon uninstall                    the journal stays, agents go on
kagectl daemon uninstall --stop-agents
""",
)
@_SYSTEM
@_FOR
@click.option("--stop-agents", is_flag=True, help="Stop the agents first.")
@_FORCE
@_DRY
@click.pass_obj
def uninstall(session: Session, system: bool, whose: str | None, stop_agents: bool, force: bool, dry_run: bool) -> None:
    """Stop the service and take its files away. What kaged recorded stays where it is; agents go on for a while, and
    any kaged with the same state folder adopts them."""
    _whom(system, whose)
    facts, manager = here(os.environ, system=system, whose=whose)
    service = _service(facts, manager, path=None, extra={}, program=None)
    steps = manager.uninstall(service, shared=_others(manager))
    report = Report(manager=manager.name, unit=manager.unit)
    if dry_run:
        report.steps.append(Done(word="would stop", what=f"kaged, if it runs{'; agents too' * stop_agents}"))
    else:
        check(steps, force=force)
        end_under(report.steps, facts, manager, stop_agents=stop_agents)
    _carry_out(report, steps, facts, force=force, dry_run=dry_run)
    report.notes.append(f"its state stays in {state_dir(environ_of(facts))}")
    report.print(session)


@click.command(cls=Verb, examples="kagectl daemon enable")
@_SYSTEM
@_FOR
@_DRY
@click.pass_obj
def enable(session: Session, system: bool, whose: str | None, dry_run: bool) -> None:
    """Have the installed service started at every boot (or login)."""
    _switch(session, system=system, whose=whose, dry_run=dry_run, on=True)


@click.command(cls=Verb, examples="kagectl daemon disable")
@_SYSTEM
@_FOR
@_DRY
@click.pass_obj
def disable(session: Session, system: bool, whose: str | None, dry_run: bool) -> None:
    """Have the service not started at boot (or login) any more. What runs goes on."""
    _switch(session, system=system, whose=whose, dry_run=dry_run, on=False)


def _switch(session: Session, *, system: bool, whose: str | None, dry_run: bool, on: bool) -> None:
    _whom(system, whose)
    facts, manager = here(os.environ, system=system, whose=whose)
    state = manager.state(facts.manager_environ)
    there = os.path.exists(manager.plist) if isinstance(manager, Launchd) else state.installed
    if not there:
        raise Complaint(
            f"kaged is not installed in {manager.name}",
            hint=f"kagectl daemon install{_flag(manager)}",
            exit_code=REFUSED,
        )
    report = Report(manager=manager.name, unit=manager.unit)
    steps = manager.enable(loaded=state.installed) if on else manager.disable()
    _carry_out(report, steps, facts, force=False, dry_run=dry_run)
    if on:
        report.notes += _warnings(facts, manager)
    report.print(session)


def _carry_out(report: Report, steps: Sequence[Step], facts: Facts, *, force: bool, dry_run: bool) -> None:
    if dry_run:
        report.steps += [shown(step) for step in steps]
        return
    check(steps, force=force)
    for step in steps:
        report.steps.append(do(step, facts.manager_environ))


def _whom(system: bool, whose: str | None) -> None:
    if whose and not system:
        raise Complaint("--for goes with --system", hint="without it kaged is installed for whoever calls")
    if not system and os.environ.get("SUDO_USER") and os.geteuid() == 0:
        raise Complaint("with sudo this would be root's own kaged", hint="call it without sudo, or say --system")


def _place(state: str | None, socket: str | None) -> dict[str, str]:
    """A place of its own, as kaged is told by its environment."""
    found = {"KAGE_STATE_DIR": os.path.abspath(state)} if state else {}
    if socket and socket.startswith("tcp"):
        raise Complaint("a service listens on a socket in the file system too", hint="its port: listen in kaged.toml")
    if socket:
        found["KAGE_SOCKET"] = find_address(socket).socket
    return found


def _pairs(extra: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in extra]
    if wrong := [name for name, sign, _ in pairs if not sign]:
        raise Complaint(f"--env {wrong[0]} has no value", hint="--env NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _service(
    facts: Facts, manager: ServiceManager, *, path: str | None, extra: Mapping[str, str], program: str | None
) -> Service:
    env = environ_of(facts)
    own = ("XDG_RUNTIME_DIR",) if isinstance(manager, Launchd) else ()  # systemd gives it, launchd knows none
    more = {name: env[name] for name in own if env.get(name)} | dict(extra)
    return Service(
        program=this_program(program, facts.environ),
        environment=captured(env, path=path, extra=more),
        user=facts.person.name,
        home=facts.person.home,
        log=manager.log if isinstance(manager, Launchd) else "",
    )


def _warnings(facts: Facts, manager: ServiceManager) -> list[str]:
    """What a person has to know who believes that all is done."""
    found = []
    if isinstance(manager, Systemd) and not manager.system and lingers(facts) is False:
        found.append(
            "note: you do not linger, so kaged starts when you log in, and your last logout stops it and its agents; "
            "to have it from boot on: loginctl enable-linger"
        )
    if isinstance(manager, Systemd) and not facts.environ.get("XDG_RUNTIME_DIR") and not manager.system:
        found.append(
            "note: XDG_RUNTIME_DIR is not set here, so kagectl looks for kaged elsewhere: "
            f"export XDG_RUNTIME_DIR={facts.runtime_dir}"
        )
    if manager.system and facts.person.uid == 0:
        found.append("note: agents will run as root; --for NAME chooses somebody else")
    return found


def _check_found(facts: Facts, manager: ServiceManager) -> None:
    if isinstance(manager, Systemd) and not manager.state(facts.manager_environ).installed:
        raise Complaint(
            f"{manager.unit} is written, but systemd does not find it",
            hint="systemctl --user show-environment: is its HOME or XDG_CONFIG_HOME another one?",
            exit_code=REFUSED,
        )


def _next(facts: Facts, manager: ServiceManager, address: Address, *, was_up: bool, changed: bool) -> str:
    if was_up:
        return "it runs; kagectl daemon restart makes it use this, and agents go on" if changed else "it runs already"
    if isinstance(manager, Launchd):
        return "launchd starts it now; kagectl daemon status"
    by_hand = stranger(facts, manager, address) is not None
    outside = " (one that was started by hand runs: kagectl daemon restart)" if by_hand else ""
    user = "" if manager.system else " --user"
    return f"next: systemctl{user} start {manager.unit.removesuffix('.service')}{outside}"


def _others(manager: ServiceManager) -> bool:
    """Whether more people than this one have a kaged under the machine's systemd."""
    mine = f"/etc/systemd/system/{manager.unit}.d/kage.conf"
    return any(path != mine for path in glob.glob("/etc/systemd/system/kaged@*.service.d/kage.conf"))


def _flag(manager: ServiceManager) -> str:
    return " --system" if manager.system else ""
