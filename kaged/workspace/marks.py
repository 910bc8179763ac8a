"""What an agent's folder is like at a moment: a mark that is equal while nothing changed, and the size of its changes.

In a git repository the files that git would show are looked at, otherwise all but well-known caches; by size and
time of change, not by content, so that a large folder costs little. Not here: snapshots.
"""

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

from kaged.domain.errors import KageError
from kaged.ports import FolderMark
from kaged.workspace.git import Git

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


def mark(git: Git, folder: str, since: str = "") -> FolderMark:
    """The folder now, its changes counted from `since` (not said: the last commit).

    Nothing is known of one that cannot be read, or that has more than 50,000 files.
    """
    names = _of_git(git, folder)
    paths = names if names is not None else list(_walk(folder))
    if not Path(folder).is_dir() or len(paths) > _MAX_FILES:
        return FolderMark()
    digest = blake2b(digest_size=12)
    for path in sorted(paths):
        digest.update(path + b"\0" + _stamp(os.path.join(os.fsencode(folder), path)))
    changed, added, removed = _changes(git, folder, since) if names is not None else (0, 0, 0)
    return FolderMark(mark=digest.hexdigest(), files_changed=changed, lines_added=added, lines_removed=removed)


def _stamp(path: bytes) -> bytes:
    try:
        found = os.lstat(path)
    except OSError:
        return b"gone"
    return f"{found.st_mode:o} {found.st_size} {found.st_mtime_ns}".encode()


def _of_git(git: Git, folder: str) -> list[bytes] | None:
    """Files that git would show; None: this is no repository, or there is no git."""
    listed = _said(git, folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None:
        return None
    # A commit changes no file, and yet it is progress.
    head = _said(git, folder, "rev-parse", "--verify", "-q", "HEAD") or b""
    return [name for name in listed.split(b"\0") if name] + [b"HEAD " + head.strip()]


def _changes(git: Git, folder: str, since: str) -> tuple[int, int, int]:
    """Files and lines that differ from a commit, new files included."""
    files = added = removed = 0
    numbers = _said(git, folder, "diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", since or "HEAD")
    for line in (numbers or b"").split(b"\0"):
        parts = line.split(b"\t")
        if len(parts) == 3:
            files += 1
            added += int(parts[0]) if parts[0].isdigit() else 0
            removed += int(parts[1]) if parts[1].isdigit() else 0
    for name in (_said(git, folder, "ls-files", "-z", "--others", "--exclude-standard") or b"").split(b"\0"):
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


def _said(git: Git, folder: str, *words: str) -> bytes | None:
    """What git says; None when it fails."""
    try:
        return git.run(folder, *words, timeout_s=_TIMEOUT_S).out
    except (KageError, OSError):
        return None


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
