"""The Python client of kaged: `Client` (blocking) and `AsyncClient` (asyncio).

    from kagectl.client import AsyncClient, find_address

Names load on first use, so a program that blocks never pays for asyncio and one that only reads never
pays for the append machinery. Nothing here prints, exits or reads the command line.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kagectl.client.address import Address, find_address
    from kagectl.client.asynchronous import AsyncClient
    from kagectl.client.failures import ClientError
    from kagectl.client.frames import frame_event
    from kagectl.client.ids import uuid7
    from kagectl.client.synchronous import Client

_HOMES = {
    "Address": "address",
    "AsyncClient": "asynchronous",
    "Client": "synchronous",
    "ClientError": "failures",
    "find_address": "address",
    "frame_event": "frames",
    "uuid7": "ids",
}
__all__ = ["Address", "AsyncClient", "Client", "ClientError", "find_address", "frame_event", "uuid7"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kagectl.client' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kagectl.client.{home}"), name)
