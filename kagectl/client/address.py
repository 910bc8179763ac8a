"""Where the daemon listens and what opens the door.

    socket: what was asked for, else KAGE_SOCKET, else $XDG_RUNTIME_DIR/kage/kaged.sock,
            else <state>/run/kaged.sock; where there are no Unix sockets: tcp
    state:  KAGE_STATE_DIR, else $XDG_STATE_HOME/kage, else ~/.local/state/kage
    token:  the file KAGE_TOKEN_FILE, else `owner.token` beside the socket (of a TCP port: in the state folder)

`tcp:127.0.0.1:7777` is a loopback port that kaged was told to open; `tcp` alone is the one that it wrote into
`tcp.address` of its state folder.

Inside a run (KAGE_RUN_ID is set) only KAGE_SOCKET and KAGE_TOKEN_FILE of the environment count: an agent
never picks up its owner's key. Finding reads nothing but the environment and that file; `probe` and `read_token` look.
"""

import errno
import os
import socket
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from kagectl.client import loopback
from kagectl.client.failures import ClientError, Unavailable

MAX_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107  # sockaddr_un.sun_path, without its closing NUL

Connection = socket.socket
START_HINT = "start it with: kagectl daemon start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One door of one daemon. `token_file` None: there is none that this caller may use.

    `socket`: a path, or `tcp:HOST:PORT` of this machine's loopback interface.
    """

    socket: str
    token_file: str | None

    @property
    def port(self) -> tuple[str, int] | None:
        """Host and port when this is not a socket in the file system."""
        return loopback.parse(self.socket) if self.socket.startswith("tcp:") else None

    def connect(self, *, timeout_s: float) -> Connection:
        """A fresh connection. Raises OSError."""
        if (port := self.port) is not None:
            return socket.create_connection(port, timeout_s)
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(timeout_s)
            line.connect(self.socket)
        except BaseException:
            line.close()
            raise
        return line


def state_dir(env: Mapping[str, str]) -> str:
    """Folder of the daemon's state."""
    if told := env.get("KAGE_STATE_DIR"):
        return os.path.abspath(told)
    base = env.get("XDG_STATE_HOME") or os.path.join(env.get("HOME") or os.path.expanduser("~"), ".local/state")
    return os.path.join(base, "kage")


def default_socket(env: Mapping[str, str]) -> str:
    """Where the owner's socket is when nobody says otherwise."""
    if runtime := env.get("XDG_RUNTIME_DIR"):
        return os.path.join(runtime, "kage", "kaged.sock")
    return os.path.join(state_dir(env), "run", "kaged.sock")


def find_address(wanted: str | None = None, *, env: Mapping[str, str] | None = None) -> Address:
    """The address for `wanted` (a path, `unix:/path`, `tcp:127.0.0.1:7777` or `tcp`) or for the environment.

    Raises ClientError: the path is too long for a socket, the port is not of this machine or nobody told which it
    is, or a run was given no door.
    """
    env = os.environ if env is None else env
    told = wanted or env.get("KAGE_SOCKET") or ("" if hasattr(socket, "AF_UNIX") else "tcp")
    path = told if told == "tcp" or told.startswith("tcp:") else _path_of(told)
    token_file = env.get("KAGE_TOKEN_FILE") or None
    if "KAGE_RUN_ID" in env:
        if not path or token_file is None:
            raise ClientError(
                "this process runs inside an agent that has no access to kaged",
                reason="NO_AGENT_DOOR",
                hint="KAGE_SOCKET and KAGE_TOKEN_FILE must both be set here",
            )
    elif path.startswith("tcp"):
        token_file = token_file or os.path.join(state_dir(env), "owner.token")
    else:
        path = path or default_socket(env)
        token_file = token_file or os.path.join(os.path.dirname(path), "owner.token")
    if path.startswith("tcp"):
        place = loopback.parse(path) if path != "tcp" else loopback.told(os.path.join(state_dir(env), "tcp.address"))
        return Address(socket=loopback.text(place), token_file=token_file)
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH_BYTES:
        raise ClientError(
            f"the socket path is {length} bytes long, at most {MAX_SOCKET_PATH_BYTES} fit: {path}",
            reason="SOCKET_PATH_TOO_LONG",
            code="INVALID_ARGUMENT",
            hint="choose a shorter one with --socket or KAGE_SOCKET",
        )
    return Address(socket=path, token_file=token_file)


def _path_of(text: str) -> str:
    text = text.removeprefix("unix:").removeprefix("//") if text.startswith("unix:") else text
    return os.path.abspath(os.path.expanduser(text)) if text else ""


def probe(address: Address) -> None:
    """Return when somebody listens there who may have the token; else raise what is wrong. Takes 0.1 ms (a port: 1)."""
    path = address.socket
    try:
        check_door(address)
        if address.port is None and not stat.S_ISSOCK(os.stat(path).st_mode):
            raise Unavailable(f"{path} is not a socket", hint="--socket takes the path of kaged's socket")
        address.connect(timeout_s=2.0).close()
    except FileNotFoundError:
        raise Unavailable(f"no daemon is running (no socket at {path})", hint=START_HINT) from None
    except ConnectionRefusedError:
        if address.port is not None:
            raise Unavailable(
                f"no daemon is running (nobody listens at {path})", hint="kaged serves ports only with --listen"
            ) from None
        raise Unavailable(
            f"no daemon is running (nobody listens at {path}; a stale socket was left behind)", hint=START_HINT
        ) from None
    except PermissionError:
        raise ClientError(
            f"{path} belongs to another user",
            reason="SOCKET_FORBIDDEN",
            code="PERMISSION_DENIED",
            hint="run as the daemon's owner",
        ) from None
    except TimeoutError:
        raise Unavailable(f"the daemon at {path} does not take connections", hint="kagectl daemon logs") from None
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "")
        raise Unavailable(f"cannot reach {path}: {error.strerror} {name}".rstrip()) from None


def check_door(address: Address) -> None:
    """Return unless the token would go to another user than its file's owner. Raises ClientError.

    A socket's folder keeps others out; one that everybody may write to (/tmp) does not while no daemon is there.
    """
    if (port := address.port) is not None:
        loopback.check_listener(port, address.token_file)
        return
    try:
        listener, owner = os.stat(address.socket).st_uid, os.stat(address.token_file or "").st_uid
    except OSError:
        return  # connecting, or reading the token, says what is wrong
    if listener not in (owner, 0):
        raise ClientError(
            f"{address.socket} belongs to user {listener}, the token to user {owner}: it was not sent",
            reason="SOCKET_FORBIDDEN",
            code="PERMISSION_DENIED",
            hint="who put that socket there? kagectl doctor looks at its folder",
        )


def read_token(address: Address) -> str:
    """The token of this address. Raises ClientError when there is none that can be read."""
    path = address.token_file
    try:
        if path is None:
            raise FileNotFoundError
        with open(path, encoding="ascii") as file:
            token = file.read(4096).strip()
    except FileNotFoundError:
        token = ""
    except (PermissionError, UnicodeDecodeError, IsADirectoryError) as error:
        raise ClientError(
            f"cannot read the token in {path}: {error}", reason="TOKEN_UNREADABLE", code="UNAUTHENTICATED"
        ) from None
    if not token:
        raise ClientError(
            f"there is no token at {path}",
            reason="TOKEN_MISSING",
            code="UNAUTHENTICATED",
            hint="kaged writes owner.token beside its socket; or point KAGE_TOKEN_FILE at it",
        )
    return token
