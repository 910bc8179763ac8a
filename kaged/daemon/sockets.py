"""The places of the doors: nobody else may live there, what killed starts left beside them goes, clients find them."""

import grp
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kaged.domain.errors import AlreadyExists, Invalid
from kaged.domain.places import LoopbackPlace

_SHARED_FOLDER: Final = 0o710  # the group may pass, not look around


class SocketTaken(AlreadyExists):
    """Another daemon, of another state folder, answers at our socket."""

    reason = "SOCKET_TAKEN"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"another kaged serves {path}", hint="stop it, or give this one another --socket", socket=str(path)
        )


class GroupUnusable(Invalid):
    """The group that is to share the daemon cannot."""

    reason = "GROUP_UNUSABLE"

    def __init__(self, group: str, why: str, hint: str) -> None:
        super().__init__(("share_with_group", f"{group!r}: {why}"), hint=hint)


class NotASocket(AlreadyExists):
    """Something else is where the socket should be: it is not ours to replace."""

    reason = "SOCKET_PATH_IN_USE"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is there, and is not a socket", hint="move it away, or choose another --socket", socket=str(path)
        )


def free_paths(*paths: Path) -> None:
    """Make sure that nobody lives at these sockets, and clear away what starts that were killed left beside them.

    Raises SocketTaken, NotASocket. The state folder's lock says nothing about a daemon of another folder at the same
    socket.
    """
    for path in paths:
        if os.path.lexists(path) and not path.is_socket():
            raise NotASocket(path)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(path))
            except OSError as error:
                if isinstance(error, TimeoutError | BlockingIOError):  # somebody is there, but busy
                    raise SocketTaken(path) from error
            else:
                raise SocketTaken(path)
    ends = {"token", *(path.name[:8] for path in paths)}
    for folder in {path.parent for path in paths}:
        for draft in folder.glob(".*.*"):
            _, pid, end = draft.name.split(".", 2)
            if pid.isdigit() and end in ends and not _lives(int(pid)):
                draft.unlink(missing_ok=True)


def hand_out(token: str, state_dir: Path, door: Path) -> None:
    """A copy of the owner's token beside the door, where clients look for it."""
    beside = door.with_name("owner.token")
    if beside == state_dir / "owner.token":
        return
    beside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the first start in this place: no door was here yet
    _place(beside, beside.with_name(f".{os.getpid()}.token"), token + "\n")


def share(group: str, door: Path, state_dir: Path) -> None:
    """Let the members of a group come in as the owner; without one, nobody: also after a start that did.

    Folder, socket and the token beside it are the group's then: nothing else is. Raises GroupUnusable.
    """
    folder, token = door.parent, door.with_name("owner.token")
    if not group:
        if stat.S_IMODE(folder.stat().st_mode) == _SHARED_FOLDER and folder.stat().st_uid == os.getuid():
            folder.chmod(0o700)
        return
    if folder == state_dir:
        raise GroupUnusable(group, "the socket is in the state folder itself", "give it a folder of its own: --socket")
    try:
        number = grp.getgrnam(group).gr_gid
        # From the inside out: the folder, which keeps everybody else away, is the last to open.
        for path, mode in ((token, 0o640), (door, 0o660), (folder, _SHARED_FOLDER)):
            os.chown(path, -1, number)
            path.chmod(mode)
    except KeyError:
        raise GroupUnusable(group, "there is no such group", f"sudo groupadd {group}") from None
    except PermissionError:
        hint = f"sudo usermod -aG {group} {os.getuid()}, and start kaged anew"
        raise GroupUnusable(group, "kaged does not belong to it", hint) from None


def tell_ports(file: Path, ports: Sequence[LoopbackPlace]) -> None:
    """Write the loopback addresses that are served where clients look for them, one a line. The file is the owner's."""
    _place(file, file.with_name(file.name + ".tmp"), "".join(f"{port}\n" for port in ports))


def _place(file: Path, draft: Path, text: str) -> None:
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text, "ascii")
    draft.rename(file)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
