"""Where the daemon may listen, as a person writes it: `unix:/run/kaged.sock`, `tcp:127.0.0.1:0`, `tcp:[::1]:7777`.

Only loopback addresses are places: Kage does not listen on a network, and a name other than `localhost` could mean
any machine, so numbers are wanted. Pure; whether a port is free shows when it is bound.
"""

from typing import Final

from kaged.domain.errors import Invalid
from kaged.domain.frozen import frozen

_FORMS: Final = "write unix:/path, tcp:127.0.0.1:PORT or tcp:[::1]:PORT; port 0 takes any that is free"
_FROM_AFAR: Final = "use tcp:127.0.0.1:PORT; from another machine: ssh -L PORT:127.0.0.1:PORT this-machine"


@frozen
class UnixPlace:
    """A socket in the file system."""

    path: str


@frozen
class LoopbackPlace:
    """A port of this machine's loopback interface; 0: any that is free. `host` is an address in numbers."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """`127.0.0.1:7777`, `[::1]:7777`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"tcp:{self.authority}"


def parse_place(text: str, *, field: str) -> UnixPlace | LoopbackPlace:
    """A place from its text. Raises Invalid that names `field`: another form, not loopback, not a port."""
    kind, colon, rest = text.partition(":")
    if kind == "unix" and rest:
        return UnixPlace(path=rest.removeprefix("//"))
    if kind != "tcp" or not colon:
        raise Invalid((field, f"{text!r} is not a place to listen at"), hint=_FORMS)
    host, colon, port = rest.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise Invalid((field, f"{text!r} has no port between 0 and 65535"), hint=_FORMS)
    return LoopbackPlace(host=_loopback(host, text, field), port=int(port))


def _loopback(host: str, text: str, field: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    if host == "[::1]":
        return "::1"
    parts = host.split(".")
    if len(parts) == 4 and all(_is_octet(part) for part in parts):
        if parts[0] == "127":
            return host
    elif not (host.startswith("[") and host.endswith("]")):
        raise Invalid((field, f"{text!r}: {host!r} is not an address in numbers"), hint=_FORMS)
    raise Invalid((field, f"{text!r} is not a loopback address: kaged does not serve a network"), hint=_FROM_AFAR)


def _is_octet(part: str) -> bool:
    # "010" is 8 to some readers and 10 to others: only what all read alike
    return part.isascii() and part.isdigit() and str(int(part)) == part and int(part) < 256
