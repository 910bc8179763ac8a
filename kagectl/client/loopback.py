"""Loopback ports, the second way to a daemon: where file systems have no sockets, or a tunnel ends.

A port belongs to nobody: while no kaged is there, any user of the machine may listen at its number and be sent the
owner's token. So before a client sends it, `check_listener` asks the kernel whose the listener is (Linux), and refuses
one that is not of the user who owns the token. Elsewhere it cannot ask; docs/security.md says so.
"""

import os
import socket
import sys
from collections.abc import Iterator
from typing import Final

from kagectl.client.failures import ClientError, Unavailable

_LISTENS: Final = "0A"
_TABLES: Final = {  # sockets of version 6 may take connections of version 4, too
    socket.AF_INET: ("/proc/net/tcp", "/proc/net/tcp6"),
    socket.AF_INET6: ("/proc/net/tcp6",),
}


def parse(text: str) -> tuple[str, int]:
    """Host and port of `tcp:127.0.0.1:7777` or `tcp:[::1]:7777`. Raises ClientError: another form or machine."""
    host, _, port = text.removeprefix("tcp:").rpartition(":")
    host = {"localhost": "127.0.0.1", "[::1]": "::1"}.get(host, host)
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536 or not _is_loopback(host):
        raise ClientError(
            f"{text!r} is not a port of this machine",
            reason="ADDRESS_INVALID",
            code="INVALID_ARGUMENT",
            hint="write tcp:127.0.0.1:PORT or tcp:[::1]:PORT; for another machine: ssh -L PORT:127.0.0.1:PORT there",
        )
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return host == "::1" or socket.inet_pton(socket.AF_INET, host)[0] == 127
    except OSError:
        return False


def text(place: tuple[str, int]) -> str:
    """The address as people write it."""
    return "tcp:" + authority(place)


def authority(place: tuple[str, int]) -> str:
    """`127.0.0.1:7777`, `[::1]:7777`."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def told(file: str) -> tuple[str, int]:
    """The first address in the file that kaged writes. Raises ClientError: it serves no port, or is not there."""
    try:
        with open(file, encoding="ascii") as lines:
            line = lines.readline().strip()
    except FileNotFoundError:
        line = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"cannot read {file}: {error}", reason="ADDRESS_UNREADABLE") from None
    if not line:
        raise Unavailable(f"no daemon serves a port (no {file})", hint="start it with: kaged --listen tcp:127.0.0.1:0")
    return parse(line)


def check_listener(place: tuple[str, int], token_file: str | None) -> None:
    """Return unless another user than the token's listens there. Raises ClientError."""
    found = _listener(*place)
    if found is None or token_file is None:
        return  # nobody, which connecting tells better, or a system that does not tell
    try:
        owner = os.stat(token_file).st_uid
    except OSError:
        return  # there is no token to lose; reading it says so
    if owner not in found:
        who = ", ".join(f"user {uid}" for uid in sorted(found))
        raise ClientError(
            f"{text(place)} is not the port of the token's owner (user {owner}) but of {who}: the token was not sent",
            reason="PORT_FORBIDDEN",
            code="PERMISSION_DENIED",
            hint="is kaged running? kagectl daemon status --socket with its Unix socket tells; its port may be another",
        )


def _listener(host: str, port: int) -> set[int] | None:
    """Users that listen where a connection would arrive; None: nobody does, or the system does not tell."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    raw = socket.inet_pton(family, host)
    # The kernel prints 32-bit words in the machine's byte order.
    here = "".join(f"{int.from_bytes(raw[at : at + 4], sys.byteorder):08X}" for at in range(0, len(raw), 4))
    exact = {here} if family == socket.AF_INET6 else {here, _mapped(here)}
    at_address, anywhere = set[int](), set[int]()
    for table in _TABLES[family]:
        for address, at, uid in _listeners(table):
            if at == port and address in exact:
                at_address.add(uid)
            elif at == port and not address.strip("0"):
                anywhere.add(uid)
    return at_address or anywhere or None


def _mapped(here: str) -> str:
    """A version 4 address as a version 6 socket has it."""
    return "0" * 16 + f"{int.from_bytes(bytes((0, 0, 255, 255)), sys.byteorder):08X}" + here


def _listeners(table: str) -> Iterator[tuple[str, int, int]]:
    """Address, port and user of each socket that listens."""
    try:
        with open(table, encoding="ascii") as lines:
            for line in lines:
                fields = line.split()
                if len(fields) > 7 and fields[3] == _LISTENS:
                    address, _, port = fields[1].partition(":")
                    yield address, int(port, 16), int(fields[7])
    except OSError:  # no such table: not Linux, or no version 6
        return
