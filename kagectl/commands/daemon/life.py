"""`daemon start`, `stop`, `restart`."""

import os

import click

from kagectl import show
from kagectl.client.address import Address, find_address, state_dir
from kagectl.client.failures import Unavailable
from kagectl.client.methods.daemon import GET_STATUS, SHUTDOWN
from kagectl.commands.daemon.waiting import (
    STOP_S,
    end_daemon,
    patience_s,
    status_now,
    wait_gone,
    wait_serving,
)
from kagectl.connect import dial
from kagectl.errors import REFUSED, UNAVAILABLE, Complaint
from kagectl.quantities import duration_s
from kagectl.service.detached import Detached, last_lines, start_detached
from kagectl.service.machine import installed, obey
from kagectl.session import Session
from kagectl.verb import Verb
from kaged.api.v1 import daemon_service_pb2 as pb


@click.command(
    cls=Verb,
    examples="""
kagectl daemon start
kagectl daemon start --state-dir /tmp/try --socket /tmp/try/kaged.sock
""",
)
@click.option("--state-dir", "state", metavar="DIR", default=None, help="Folder of its state.")
@click.option("--log-level", default=None, help="Of a daemon that is started detached.")
@click.pass_obj
def start(session: Session, state: str | None, log_level: str | None) -> None:
    """Start kaged and wait until it serves. Uses the service manager when kaged is installed there."""
    env = with_state(state)
    address = door_here(session, state, env)
    running = status_now(address)
    if running is not None:
        _say(session, running, "already runs")
        return
    found = None if state or session.socket else installed(env)
    if found is not None:
        obey(*found, found[1].start())
        _say(session, wait_serving(address, within_s=patience_s(session)), "started")
        return
    started = start_detached(state_dir=state_dir(env), socket=address.socket, log_level=log_level)
    _say(session, _wait_detached(session, address, started), "started")


@click.command(
    cls=Verb,
    examples="""
kagectl daemon restart                      after an upgrade: agents and followers do not notice
""",
)
@click.option("--state-dir", "state", metavar="DIR", default=None, help="Folder of its state.")
@click.option("--log-level", default=None, help="Of a daemon that is started detached.")
@click.pass_obj
def restart(session: Session, state: str | None, log_level: str | None) -> None:
    """Replace the daemon by a new one and wait until that serves. Agents go on, and the new one adopts them.

    One that does not answer is restarted by the service manager. One that was started detached comes back under the
    service manager when kaged is installed there by now.
    """
    env = with_state(state)
    address = door_here(session, state, env)
    found = None if state or session.socket else installed(env)
    before = status_now(address)
    kept = 0
    if before is None:
        kept = -1
        if found is None:
            raise Complaint(
                f"no daemon answers at {address.socket}", hint="kagectl daemon start", exit_code=UNAVAILABLE
            )
        obey(*found, found[1].restart())
    elif before.pid == 1:
        raise Complaint(
            "kaged is the main program of this container: its end is the container's",
            hint="restart the container",
            exit_code=REFUSED,
        )
    elif before.phase == pb.DAEMON_PHASE_RECOVERING:
        raise Complaint(
            f"kaged (pid {before.pid}) is just starting: {before.detail}",
            hint="kagectl daemon status --watch",
            exit_code=UNAVAILABLE,
        )
    elif found is not None and found[1].system and os.geteuid() != 0:
        kept = -1
        obey(*found, found[1].restart())  # we could end it, but not start it again
    else:
        kept = _end_keeping(address, before)
        if found is not None:
            obey(*found, found[1].start())
        else:
            started = start_detached(state_dir=before.state_dir, socket=before.socket, log_level=log_level)
            _wait_detached(session, address, started)
    old = before.pid if before is not None else 0
    now = wait_serving(address, within_s=patience_s(session), not_pid=old)
    agents = f"; {kept} agent{'s' * (kept != 1)} went on" if kept >= 0 else ""
    _say(session, now, f"restarted{agents}")


@click.command(
    cls=Verb,
    examples="""
kagectl daemon stop                         agents go on; the next daemon adopts them
kagectl daemon stop --stop-agents --within 1m
""",
)
@click.option("--stop-agents", is_flag=True, help="Stop the agents first.")
@click.option("--within", metavar="TIME", default="30s", help="How long it may take.")
@click.pass_obj
def stop(session: Session, stop_agents: bool, within: str) -> None:
    """Stop the daemon in order and wait until it is gone. Agents go on unless --stop-agents."""
    limit_s = duration_s(within, what="--within")
    mode = pb.SHUTDOWN_MODE_STOP_AGENTS if stop_agents else pb.SHUTDOWN_MODE_KEEP_AGENTS
    with dial(session) as client:
        pid = client.call(GET_STATUS, pb.GetStatusRequest()).status.pid
        answer = client.call(SHUTDOWN, pb.ShutdownRequest(mode=mode, timeout_s=limit_s), repeat=False)
    wait_gone(pid, limit_s + 5.0)

    def text() -> str:
        if stop_agents:
            return f"kaged stopped (pid {pid}), with {answer.agents_stopping} agents"
        return f"kaged stopped (pid {pid}); {answer.agents_kept} agents go on"

    show.one(session, answer, text)


def with_state(state: str | None) -> dict[str, str]:
    """The environment, with the state folder that was named."""
    return dict(os.environ) | ({"KAGE_STATE_DIR": os.path.abspath(state)} if state else {})


def door_here(session: Session, state: str | None, env: dict[str, str]) -> Address:
    """The socket of a daemon that is started here, also for somebody who talks to it through a port."""
    wanted = session.socket or beside(state)
    if (wanted or env.get("KAGE_SOCKET") or "").startswith("tcp"):
        env = {name: value for name, value in env.items() if name != "KAGE_SOCKET"}
        wanted = beside(state)
    return find_address(wanted, env=env)


def beside(state: str | None) -> str | None:
    """A state folder named without a socket: the socket goes into it, or two daemons would fight for one."""
    return os.path.join(os.path.abspath(state), "run", "kaged.sock") if state else None


def _end_keeping(address: Address, before: pb.DaemonStatus) -> int:
    try:
        return end_daemon(address, before.pid).agents_kept
    except Unavailable:  # somebody else was quicker
        wait_gone(before.pid, STOP_S)
        return before.agents.get("running", 0)


def _wait_detached(session: Session, address: Address, started: Detached) -> pb.DaemonStatus:
    def watch() -> None:
        if (code := started.process.poll()) is not None:
            raise _failed(started, f"kaged ended with exit code {code}")

    return wait_serving(address, within_s=patience_s(session), watch=watch)


def _failed(started: Detached, what: str) -> Complaint:
    for line in last_lines(started.log, 5):
        click.echo(f"  {line}", err=True)
    return Complaint(what, hint=f"its log: {started.log}", exit_code=UNAVAILABLE)


def _say(session: Session, status: pb.DaemonStatus, what: str) -> None:
    show.one(session, status, lambda: f"kaged {status.version} {what}: pid {status.pid}, socket {status.socket}")
