"""From what the person said to a line to the daemon. Raises at once, with how to start one, when none is there."""

import os

from kagectl.client.address import find_address
from kagectl.client.quick import QuickClient
from kagectl.session import Session

DEFAULT_TIMEOUT_S = 30.0


def dial(session: Session) -> QuickClient:
    """A client of the daemon. Raises ClientError: nobody listens, no token, the path is too long."""
    address = find_address(session.socket, env=os.environ)
    timeout_s = DEFAULT_TIMEOUT_S if session.timeout_s is None else session.timeout_s
    return QuickClient(address, timeout_s=timeout_s)
