"""Folders, sockets, tokens and the lock: theirs alone whose they are, and of a daemon that lives."""

import contextlib
import os
import stat
import struct
import sys
from pathlib import Path

from kagectl.doctor.scene import Scene
from kagectl.doctor.verdict import Verdict, fail, ok, skip, warn

if sys.platform != "win32":
    import fcntl
    import pwd

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs", "fuse.glusterfs")


def state_folder(scene: Scene) -> Verdict:
    """The state folder is there, its owner's alone, and on a disk of this machine."""
    folder = scene.state_dir
    try:
        found = folder.stat()
    except FileNotFoundError:
        if scene.status is not None:
            return skip(f"{folder} is not on this machine, the daemon is")
        return skip(f"{folder} is not there yet; the first start of kaged makes it")
    except PermissionError:
        return fail(f"{folder} is not yours to look into", _as_owner(folder))
    if not stat.S_ISDIR(found.st_mode):
        return fail(f"{folder} is no folder", "name another one with KAGE_STATE_DIR")
    if found.st_uid != scene.uid:
        return fail(f"{folder} belongs to {_name(found.st_uid)}, not to you", _as_owner(folder))
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return fail(f"{folder} cannot be written", f"chmod 700 {folder}")
    kind = _file_system(scene, folder)
    if kind in _NETWORK:
        return warn(
            f"{folder} is on a network file system ({kind}): locks and fsync may not hold there",
            "put it on a local disk: KAGE_STATE_DIR=/path kagectl daemon install",
        )
    if found.st_mode & 0o077:
        return warn(f"{folder} has mode {_mode(found)}: others may see what is in it", f"chmod 700 {folder}")
    return ok(f"{folder}, mode {_mode(found)}")


def socket_folder(scene: Scene) -> Verdict:
    """Nobody else may enter the folder of the sockets: on some systems that is all that keeps others out."""
    if scene.socket is None:
        return skip("no socket is known: the daemon is reached at a port, or not at all")
    folder = scene.socket.parent
    try:
        found = folder.stat()
    except FileNotFoundError:
        return skip(f"{folder} is not there: no daemon was started here yet")
    except PermissionError:
        return fail(f"{folder} is not yours to look into", _as_owner(folder))
    if found.st_mode & stat.S_ISVTX and found.st_mode & stat.S_IWOTH:
        return warn(
            f"the socket is in {folder}, which belongs to everybody",
            "give it a folder of its own: kaged --socket $XDG_RUNTIME_DIR/kage/kaged.sock",
        )
    if (group := _shared(scene)) and not found.st_mode & 0o007:
        return ok(f"{folder}, mode {_mode(found)}: shared with the group {group}, whose members are the owner")
    if found.st_uid != scene.uid:
        return fail(f"{folder} belongs to {_name(found.st_uid)}, not to you", _as_owner(folder))
    if found.st_mode & 0o077:
        return fail(f"{folder} has mode {_mode(found)}: others may enter", f"chmod 700 {folder}")
    return ok(f"{folder}, mode {_mode(found)}")


def secrets(scene: Scene) -> Verdict:
    """Sockets and tokens are 0600, and the token beside the socket is the one that the daemon wants."""
    token = scene.state_dir / "owner.token"
    paths = [token, scene.state_dir / "agents.key", scene.state_dir / "tcp.address"]
    if scene.socket is not None:
        paths += [scene.socket, scene.socket.with_name("agents.sock"), scene.socket.with_name("owner.token")]
    seen = 0
    for path in paths:
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        except PermissionError:
            return fail(f"{path} is not yours to look at", _as_owner(path.parent))
        seen += 1
        if _shared(scene) and scene.socket is not None and path.parent == scene.socket.parent:
            if found.st_mode & 0o007:
                return fail(f"{path} has mode {_mode(found)}: everybody may use it", f"chmod o= {path}")
            continue
        if found.st_mode & 0o077:
            return fail(f"{path} has mode {_mode(found)}: others may use it", f"chmod 600 {path}")
        if found.st_uid != scene.uid:
            return fail(f"{path} belongs to {_name(found.st_uid)}, not to you", _as_owner(path))
    if scene.socket is not None and (copy := scene.socket.with_name("owner.token")) != token:
        ours, theirs = _text(token), _text(copy)
        if ours and theirs and ours != theirs:
            return fail(f"{copy} is not the token in {scene.state_dir}", f"install -m 600 {token} {copy}")
    if not seen:
        return skip("there are none yet; the first start of kaged makes them")
    return ok(f"{seen} files, mode 0600")


def leftovers(scene: Scene) -> Verdict:
    """Lock and socket tell the same story: somebody lives here, or nobody does."""
    try:
        holder = lock_holder(scene.state_dir / "lock")
    except PermissionError:
        return fail(f"{scene.state_dir / 'lock'} is not yours to look at", _as_owner(scene.state_dir))
    except OSError as error:
        return skip(f"the lock cannot be asked: {error.strerror}")
    there = scene.socket is not None and scene.socket.exists()
    if holder is None:
        if scene.status is not None:
            return skip("the daemon's lock is not on this machine")
        if there:
            return warn(f"{scene.socket} was left by a daemon that was killed", "kagectl daemon start")
        return ok("no lock is held, no socket was left")
    if scene.status is None and scene.silence is not None and scene.silence.code == "UNAVAILABLE":
        who = f"kaged (pid {holder})" if holder else "a kaged"
        return fail(
            f"{who} holds {scene.state_dir}, and nobody answers at {scene.socket or 'its port'}",
            "kagectl daemon logs; is it another --socket? it may also be starting",
        )
    return ok(f"held by kaged (pid {holder})" if holder else "held")


def lock_holder(path: Path) -> str | None:
    """The pid that stands in a lock that is held (perhaps empty); None: nobody holds it. Takes nothing, so that a
    daemon that starts at this moment is not kept out. Raises OSError: it cannot be told."""
    if sys.platform == "win32":
        raise OSError(0, "not on Windows")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if sys.platform == "linux":
            asked = fcntl.F_WRLCK.to_bytes(2, sys.byteorder) + bytes(30)
            kind = int.from_bytes(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)[:2], sys.byteorder)
        else:  # struct flock of the BSDs and macOS: start, length, pid, type, whence
            asked = struct.pack("qqihh", 0, 0, 0, fcntl.F_WRLCK, 0)
            kind = struct.unpack("qqihh", fcntl.fcntl(fd, fcntl.F_GETLK, asked))[3]
        if kind == fcntl.F_UNLCK:
            return None
        return os.pread(fd, 64, 0).decode("ascii", "replace").strip()
    finally:
        os.close(fd)


def _shared(scene: Scene) -> str:
    return scene.status.shared_with_group if scene.status is not None else ""


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text("ascii", "replace").strip()
    return ""


def _mode(found: os.stat_result) -> str:
    return f"{stat.S_IMODE(found.st_mode):04o}"


def _name(uid: int) -> str:
    with contextlib.suppress(KeyError, NameError):
        return pwd.getpwuid(uid).pw_name
    return f"user {uid}"


def _as_owner(path: Path) -> str:
    while True:
        try:
            return f"sudo -u {_name(path.stat().st_uid)} kagectl doctor"
        except OSError:
            if path == path.parent:
                return "run kagectl doctor as the daemon's owner"
            path = path.parent


def _file_system(scene: Scene, folder: Path) -> str:
    """The kind of file system, from the longest mount point above; empty when the system does not tell."""
    best, kind = "", ""
    real = os.path.realpath(folder)
    for line in scene.read("proc/mounts").splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        point = words[1].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, words[2]
    return kind
