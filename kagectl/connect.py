"""From what the person said to a line to the daemon. Imports gRPC, so only commands that dial import it."""

import os

from kagectl.client.address import Address, find_address, probe
from kagectl.client.synchronous import Client
from kagectl.session import Session

DEFAULT_TIMEOUT_S = 30.0


def address_of(session: Session) -> Address:
    """Where to dial. Raises ClientError (too long, no door)."""
    return find_address(session.socket, env=os.environ)


def dial(session: Session) -> Client:
    """A client of the daemon; raises at once, with how to start one, when nobody listens."""
    address = address_of(session)
    probe(address)
    timeout_s = DEFAULT_TIMEOUT_S if session.timeout_s is None else session.timeout_s
    return Client(address, timeout_s=timeout_s)
