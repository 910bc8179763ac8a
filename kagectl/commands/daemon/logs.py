"""`daemon logs`."""

import os
import subprocess
from pathlib import Path

import click

from kagectl.client.address import find_address, state_dir
from kagectl.commands.daemon.life import with_state
from kagectl.commands.daemon.waiting import status_now
from kagectl.errors import INTERRUPTED, NOT_FOUND, UNAVAILABLE, Complaint, Ended
from kagectl.service.machine import installed
from kagectl.service.systemd import Systemd
from kagectl.session import Session
from kagectl.verb import Verb


@click.command(
    cls=Verb,
    examples="""
kagectl daemon logs -f
kagectl daemon logs -n 20
journalctl --user -u kaged -p warning       under systemd: each key=value of a line is a field
""",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--tail", type=click.IntRange(min=0), default=100, help="Only the last so many lines.")
@click.option("--state-dir", "state", metavar="DIR", default=None, help="Folder of its state.")
@click.pass_obj
def logs(session: Session, follow: bool, tail: int, state: str | None) -> None:
    """What the daemon logged: from the service manager's journal, else from its log file."""
    command = _command(session, state, tail=tail, follow=follow)
    try:
        code = subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        raise Ended(INTERRUPTED) from None
    except OSError as error:
        raise Complaint(f"{command[0]}: {error.strerror}", exit_code=UNAVAILABLE) from None
    if code:
        raise Ended(UNAVAILABLE)


def _command(session: Session, state: str | None, *, tail: int, follow: bool) -> tuple[str, ...]:
    env = with_state(state)
    log = Path(state_dir(env)) / "kaged.log"
    found = None if state or session.socket else installed(env)
    if found is not None and not (log.exists() and _detached(session, env)):
        return found[1].show_logs(tail=tail, follow=follow)
    if not log.exists():
        raise Complaint(
            f"there is no log at {log}",
            hint="kaged logs there when kagectl daemon start starts it; else to where its own standard error goes",
            exit_code=NOT_FOUND,
        )
    # What launchd and we ourselves have appended to; not all systems' tail knows long options.
    return ("tail", "-n", str(tail), *(("-F",) if follow else ()), os.fspath(log))


def _detached(session: Session, env: dict[str, str]) -> bool:
    """Whether the daemon that runs is not the service manager's, although there is one."""
    found = installed(env)
    if found is None or not isinstance(found[1], Systemd):
        return False
    pid = found[1].state(found[0].manager_environ).pid
    running = None if pid else status_now(find_address(session.socket, env=env))
    return running is not None
