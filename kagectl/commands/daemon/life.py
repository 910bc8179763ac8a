"""`daemon start`, `stop`, `logs`."""

import os
import subprocess
import time
from pathlib import Path

import click

from kagectl import show
from kagectl.client.address import Address, find_address, state_dir
from kagectl.client.failures import ClientError, Unavailable
from kagectl.client.methods.daemon import GET_STATUS, SHUTDOWN
from kagectl.client.quick import QuickClient
from kagectl.connect import dial
from kagectl.errors import REFUSED, UNAVAILABLE, Complaint, Ended
from kagectl.quantities import duration_s
from kagectl.service import Detached, alive, last_lines, start_detached, start_unit, way
from kagectl.session import Session
from kagectl.verb import Verb
from kaged.api.v1 import daemon_service_pb2 as pb

START_S = 30.0
_LOOK_S = 0.02


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
    env = dict(os.environ) | ({"KAGE_STATE_DIR": os.path.abspath(state)} if state else {})
    address = find_address(session.socket or _beside(state), env=env)
    running = _status(address)
    if running is not None:
        _say(session, running, "already runs")
        return
    custom = bool(state or session.socket or env.get("KAGE_SOCKET") or env.get("KAGE_STATE_DIR"))
    how = way(custom=custom)
    started: Detached | None = None
    if how == "detached":
        started = start_detached(state_dir=state_dir(env), socket=address.socket, log_level=log_level)
    else:
        start_unit(how)
    deadline = time.monotonic() + (START_S if session.timeout_s is None else session.timeout_s or 1e9)
    found: pb.DaemonStatus | None = None
    while time.monotonic() < deadline:
        found = _status(address)
        if found is not None and found.phase in (pb.DAEMON_PHASE_SERVING, pb.DAEMON_PHASE_READ_ONLY):
            _say(session, found, "started")
            return
        if started is not None and (code := started.process.poll()) is not None:
            _failed(started, f"kaged ended with exit code {code}")
        time.sleep(_LOOK_S)
    if found is not None:
        raise Complaint(
            f"kaged (pid {found.pid}) still recovers: {found.detail}",
            hint="kagectl daemon status --watch",
            exit_code=UNAVAILABLE,
        )
    if started is not None:
        _failed(started, "kaged did not open its socket in time")
    raise Complaint("kaged did not start in time", hint="kagectl daemon logs", exit_code=UNAVAILABLE)


def _beside(state: str | None) -> str | None:
    """A state folder named without a socket: the socket goes into it, or two daemons would fight for one."""
    return os.path.join(os.path.abspath(state), "run", "kaged.sock") if state else None


def _failed(started: Detached, what: str) -> None:
    for line in last_lines(started.log, 5):
        click.echo(f"  {line}", err=True)
    raise Complaint(what, hint=f"its log: {started.log}", exit_code=UNAVAILABLE)


def _status(address: Address) -> pb.DaemonStatus | None:
    """The status, or None while nobody answers. Other errors (a wrong token) are for the person."""
    try:
        with QuickClient(address, timeout_s=2.0) as client:
            return client.call(GET_STATUS, pb.GetStatusRequest(), repeat=True).status
    except Unavailable:
        return None
    except ClientError as error:
        if error.reason in ("TOKEN_MISSING",) or error.code == "DEADLINE_EXCEEDED":
            return None  # it is just being written, or the daemon is too busy to say
        raise


def _say(session: Session, status: pb.DaemonStatus, what: str) -> None:
    show.one(session, status, lambda: f"kaged {status.version} {what}: pid {status.pid}, socket {status.socket}")


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
    deadline = time.monotonic() + limit_s + 5.0
    while alive(pid):
        if time.monotonic() > deadline:
            raise Complaint(f"kaged (pid {pid}) is still there", hint="kagectl daemon logs", exit_code=REFUSED)
        time.sleep(_LOOK_S)

    def text() -> str:
        if stop_agents:
            return f"kaged stopped (pid {pid}), with {answer.agents_stopping} agents"
        return f"kaged stopped (pid {pid}); {answer.agents_kept} agents go on"

    show.one(session, answer, text)


@click.command(cls=Verb, examples="kagectl daemon logs -f")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--tail", type=click.IntRange(min=0), default=100, help="Only the last so many lines.")
@click.option("--state-dir", "state", metavar="DIR", default=None, help="Folder of its state.")
def logs(follow: bool, tail: int, state: str | None) -> None:
    """What the daemon logged: from the service manager's journal, else from its log file."""
    env = dict(os.environ) | ({"KAGE_STATE_DIR": os.path.abspath(state)} if state else {})
    log = Path(state_dir(env)) / "kaged.log"
    if way(custom=bool(state or env.get("KAGE_STATE_DIR"))) == "systemd":
        command = ["journalctl", "--user", "--unit", "kaged", "--no-pager", f"--lines={tail}"]
    elif log.exists():
        command = ["tail", f"--lines={tail}" if os.uname().sysname == "Linux" else f"-n{tail}"]
    else:
        raise Complaint(f"there is no log at {log}", hint="kaged logs there when kagectl daemon start starts it")
    command += (["--follow"] if command[0] == "journalctl" else ["-F"]) if follow else []
    command += [str(log)] if command[0] == "tail" else []
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise Complaint(f"{command[0]}: {error.strerror}", exit_code=UNAVAILABLE) from None
    if code:
        raise Ended(UNAVAILABLE)
