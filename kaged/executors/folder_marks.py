"""What an agent's folder is like at a moment: a mark that is equal while nothing changed, and the size of its changes.

In a git repository the files that git would show are looked at, otherwise all but well-known caches; by size and
time of change, not by content, so that a large folder costs little. Not here: snapshots (`kaged/workspace`).
"""

import os
import subprocess
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

from kaged.ports import FolderMark

_MAX_FILES: Final = 50_000
_TIMEOUT_S: Final = 30.0
_CACHES: Final = frozenset(
    {
        ".git",
        ".hg",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        "target",
    }
)
_COUNTED_FILE_BYTES: Final = 1 << 20


def mark(folder: str) -> FolderMark:
    """The folder now. Nothing is known of one that cannot be read, or that has more than 50,000 files."""
    names = _of_git(folder)
    paths = names if names is not None else list(_walk(folder))
    if not Path(folder).is_dir() or len(paths) > _MAX_FILES:
        return FolderMark()
    digest = blake2b(digest_size=12)
    for path in sorted(paths):
        digest.update(path + b"\0" + _stamp(os.path.join(os.fsencode(folder), path)))
    changed, added, removed = _changes(folder) if names is not None else (0, 0, 0)
    return FolderMark(mark=digest.hexdigest(), files_changed=changed, lines_added=added, lines_removed=removed)


def _stamp(path: bytes) -> bytes:
    try:
        found = os.lstat(path)
    except OSError:
        return b"gone"
    return f"{found.st_mode:o} {found.st_size} {found.st_mtime_ns}".encode()


def _of_git(folder: str) -> list[bytes] | None:
    """Files that git would show; None: this is no repository, or there is no git."""
    said = _git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if said is None:
        return None
    # A commit changes no file, and yet it is progress.
    head = _git(folder, "rev-parse", "--verify", "-q", "HEAD") or b""
    return [name for name in said.split(b"\0") if name] + [b"HEAD " + head.strip()]


def _changes(folder: str) -> tuple[int, int, int]:
    """Files and lines that differ from the last commit, new files included."""
    files = added = removed = 0
    for line in (_git(folder, "diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "HEAD") or b"").split(b"\0"):
        parts = line.split(b"\t")
        if len(parts) == 3:
            files += 1
            added += int(parts[0]) if parts[0].isdigit() else 0
            removed += int(parts[1]) if parts[1].isdigit() else 0
    for name in (_git(folder, "ls-files", "-z", "--others", "--exclude-standard") or b"").split(b"\0"):
        if name:
            files += 1
            added += _lines(os.path.join(os.fsencode(folder), name))
    return files, added, removed


def _lines(path: bytes) -> int:
    try:
        with open(path, "rb") as file:
            return file.read(_COUNTED_FILE_BYTES).count(b"\n")
    except OSError:
        return 0


def _git(folder: str, *words: str) -> bytes | None:
    """What git says; None when it fails. It takes no lock, asks nothing and starts nobody else's programs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ("git", "-C", folder, "-c", "core.fsmonitor=false", *words)
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _walk(folder: str) -> Iterator[bytes]:
    root = os.fsencode(folder)
    count = 0
    for where, folders, files in os.walk(root):
        folders[:] = [name for name in folders if os.fsdecode(name) not in _CACHES]
        for name in files:
            yield os.path.relpath(os.path.join(where, name), root)
            count += 1
            if count > _MAX_FILES:
                return
