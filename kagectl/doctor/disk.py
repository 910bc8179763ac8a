"""The disk of the state folder: room, and how fast it really writes."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from kagectl.doctor.scene import Scene
from kagectl.doctor.verdict import Verdict, fail, ok, skip, warn
from kagectl.render import words

_LITTLE_BYTES = 1 << 30
_TOO_LITTLE_BYTES = 64 << 20  # where kaged stops writing by default (min_free_bytes)
_SLOW_S = 0.05
_TRIES = 5


def space(scene: Scene) -> Verdict:
    """There is room for journals and output."""
    folder = _existing(scene.state_dir)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return fail(f"the disk of {folder} does not tell: {error.strerror}", "is it still mounted? df " + str(folder))
    what = f"{words.size(free)} free for {folder}"
    if free < _TOO_LITTLE_BYTES:
        return fail(f"{what}: kaged takes no more writes", f"df -h {folder}")
    inodes = os.statvfs(folder) if hasattr(os, "statvfs") else None
    if inodes is not None and inodes.f_files and inodes.f_favail < 1000:
        return fail(f"only {inodes.f_favail} more files fit on the disk of {folder}", f"df -i {folder}")
    if free < _LITTLE_BYTES:
        return warn(what, f"df -h {folder}; kaged's keep_output_s drops old output by itself")
    return ok(what)


def fsync(scene: Scene) -> Verdict:
    """How long it takes until a write is on the disk: nothing is answered before that."""
    if not scene.state_dir.is_dir():
        return skip(f"{scene.state_dir} is not there")
    try:
        took_s = measure(scene.state_dir)
    except OSError as error:
        return fail(f"cannot write into {scene.state_dir}: {error.strerror}", f"ls -ld {scene.state_dir}; df -h there")
    what = f"{words.micros(int(took_s * 1e6))} for a small write to reach the disk"
    if scene.status is not None and scene.status.fsync_p50_us:
        what += (
            f"; at work p50 {words.micros(scene.status.fsync_p50_us)}, p99 {words.micros(scene.status.fsync_p99_us)}"
        )
    if took_s > _SLOW_S:
        return warn(what, "put the state folder on a faster local disk: KAGE_STATE_DIR=/path kagectl daemon install")
    return ok(what)


def measure(folder: Path) -> float:
    """Seconds of the median of a few small synced writes in a folder; the file goes again. Raises OSError."""
    fd, name = tempfile.mkstemp(prefix=".doctor-", dir=folder)
    try:
        times: list[float] = []
        for _ in range(_TRIES):
            os.write(fd, bytes(4096))
            before = time.monotonic()
            os.fsync(fd)
            times.append(time.monotonic() - before)
        return sorted(times)[_TRIES // 2]
    finally:
        os.close(fd)
        os.unlink(name)


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
