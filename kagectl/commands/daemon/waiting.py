"""Waiting for a daemon: that it serves, that it is gone."""

import time
from collections.abc import Callable

from kagectl.client.address import Address
from kagectl.client.failures import ClientError, Unavailable
from kagectl.client.methods.daemon import GET_STATUS, SHUTDOWN
from kagectl.client.quick import QuickClient
from kagectl.errors import REFUSED, UNAVAILABLE, Complaint
from kagectl.service.detached import alive
from kagectl.session import Session
from kaged.api.v1 import daemon_service_pb2 as pb

START_S = 30.0
STOP_S = 30.0
LOOK_S = 0.02
_SERVES = (pb.DAEMON_PHASE_SERVING, pb.DAEMON_PHASE_READ_ONLY)


def patience_s(session: Session) -> float:
    """How long a start may take."""
    return START_S if session.timeout_s is None else session.timeout_s or 1e9


def status_now(address: Address) -> pb.DaemonStatus | None:
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


def wait_serving(
    address: Address, *, within_s: float, not_pid: int = 0, watch: Callable[[], None] = lambda: None
) -> pb.DaemonStatus:
    """The status of a daemon that serves, and is not `not_pid`. `watch` may raise when there is no hope.

    Raises Complaint after `within_s`.
    """
    deadline = time.monotonic() + within_s
    found: pb.DaemonStatus | None = None
    while time.monotonic() < deadline:
        found = status_now(address)
        if found is not None and found.phase in _SERVES and found.pid != not_pid:
            return found
        watch()
        time.sleep(LOOK_S)
    if found is not None and found.pid != not_pid:
        raise Complaint(
            f"kaged (pid {found.pid}) still recovers: {found.detail}",
            hint="kagectl daemon status --watch",
            exit_code=UNAVAILABLE,
        )
    raise Complaint("kaged did not start in time", hint="kagectl daemon logs", exit_code=UNAVAILABLE)


def end_daemon(
    address: Address, pid: int, *, stop_agents: bool = False, within_s: float = STOP_S
) -> pb.ShutdownResponse:
    """Have a daemon end in order, and wait until it is gone. Raises ClientError, or Complaint: it stays."""
    mode = pb.SHUTDOWN_MODE_STOP_AGENTS if stop_agents else pb.SHUTDOWN_MODE_KEEP_AGENTS
    with QuickClient(address, timeout_s=within_s + 5.0) as client:
        answer = client.call(SHUTDOWN, pb.ShutdownRequest(mode=mode, timeout_s=within_s), repeat=False)
    wait_gone(pid, within_s + 5.0)
    return answer


def wait_gone(pid: int, within_s: float) -> None:
    """Return when that process is gone. Raises Complaint: it is still there."""
    deadline = time.monotonic() + within_s
    while alive(pid):
        if time.monotonic() > deadline:
            raise Complaint(f"kaged (pid {pid}) is still there", hint="kagectl daemon logs", exit_code=REFUSED)
        time.sleep(LOOK_S)
