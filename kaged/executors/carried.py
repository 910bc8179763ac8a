"""The interpreter of shims when Kage carries its own (the one file, docs/one-file.md): a copy in the state folder.

    <cache>/kage-0.1.0-...        the daemon runs from here; a cache, so anybody may remove it at any time
    <state>/shim/python-...       what a shim needs of it: some twenty files, hard links where that is possible

A shim outlives daemons and upgrades, so it runs from nothing that may go away. It holds a shared lock on its folder
for life (packaging/onefile/python.c), which is how a later start knows which copies nobody runs from. A folder is
named for the version and for its own path, because the program in it names its loader by the full path.

Promises: safe to repeat, and after a crash anywhere; a folder under its final name is complete and on the disk.
Not here: everything for a Kage that was installed by pip; its shims run on the Python that pip used.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import Final

LIST: Final = "shim.json"
_INTERP: Final = 3
_DRAFT: Final = ".draft-"
log = logging.getLogger("kaged.executors")


def install_python(state_dir: Path, prefix: Path | None = None) -> Path | None:
    """The interpreter that shims are to run on, copied from `prefix` (default: where this Python is); None when Kage
    does not carry its own. When the copy cannot be made (a full disk), shims run on the original: that is logged."""
    source = prefix or Path(sys.prefix)
    try:
        listed = json.loads((source / LIST).read_bytes())
    except FileNotFoundError:
        return None
    folder = state_dir / "shim"
    name = hashlib.sha256(f"{source.name}\0{folder}".encode()).hexdigest()[:12]
    target = folder / f"python-{name}"
    program = Path(listed["program"])
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not target.exists():
            _copy(source, target, program, Path(listed["loader"]), [Path(file) for file in listed["files"]])
        remove_unused(folder, keep=target)
    except OSError as error:
        log.warning("no_copy_of_python folder=%s error=%s", target, error)
        return source / program
    return target / program


def remove_unused(folder: Path, *, keep: Path) -> None:
    """Remove drafts, and copies that no shim runs from."""
    for old in [*folder.glob("python-*"), *folder.glob(f"{_DRAFT}*")]:
        if old == keep:
            continue
        with contextlib.suppress(OSError):
            fd = os.open(old, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a shim lives: BlockingIOError
                gone = folder / f"{_DRAFT}{old.name.removeprefix(_DRAFT)}"
                old.rename(gone)  # whole or not there: a shim is never started from half of it
                shutil.rmtree(gone, ignore_errors=True)
            finally:
                os.close(fd)


def _copy(source: Path, target: Path, program: Path, loader: Path, files: list[Path]) -> None:
    draft = target.with_name(f"{_DRAFT}{os.getpid()}-{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    for file in files:
        (draft / file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _link(source / file, draft / file)
    (draft / program).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    (draft / program).write_bytes(with_loader((source / program).read_bytes(), str(target / loader)))
    (draft / program).chmod(0o700)
    for folder, _, names in os.walk(draft, topdown=False):
        for path in (*(os.path.join(folder, name) for name in names), folder):
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
    draft.rename(target)


def _link(source: Path, target: Path) -> None:
    """A second name for the same bytes: shims and the daemon then share them in memory, too."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without links
        shutil.copy(source, target)


def with_loader(program: bytes, loader: str) -> bytes:
    """An ELF program that names `loader` as what loads it. Raises OSError when there is no room for the name."""
    start, size, count = struct.unpack_from("<Q", program, 32)[0], *struct.unpack_from("<HH", program, 54)
    for at in range(start, start + size * count, size):
        kind, _, offset, _, _, room = struct.unpack_from("<IIQQQQ", program, at)
        if kind == _INTERP and len(os.fsencode(loader)) < room:
            return program[:offset] + os.fsencode(loader).ljust(room, b"\0") + program[offset + room :]
    raise OSError(f"{loader}: this name of a loader is too long")
