"""A snapshot back into a folder: every file, link, empty folder and mode, byte for byte.

Into a folder that is not there or empty; or, with `replace`, into a place whose files are exchanged (what git ignores
there stays). Whoever replaces takes a snapshot first. Sockets and devices come back as nothing, FIFOs as FIFOs.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kaged.domain.errors import Broken
from kaged.domain.workspace import WorkspaceRefused
from kaged.workspace.git import Git, words_of
from kaged.workspace.inventory import take_inventory
from kaged.workspace.manifest import Manifest, read_manifest, real


class SnapshotDamaged(Broken):
    """An object of a snapshot is missing or is not what it should be."""

    reason = "SNAPSHOT_DAMAGED"


def restore(git: Git, git_dir: Path, commit: str, target: Path, *, replace: bool = False) -> int:
    """Write the files of a snapshot. How many.

    Raises WorkspaceRefused (no snapshot of ours; the folder is not empty), SnapshotDamaged, GitFailed, OSError.
    """
    message = git.run(git_dir, "log", "-1", "--format=%B", commit, git_dir=git_dir).out.decode("ascii", "replace")
    manifest = read_manifest(message)
    if manifest is None:
        raise WorkspaceRefused(f"{commit} is not a snapshot that Kage made", hint="git checkout can read any commit")
    if replace:
        _clear(git, target)
    elif target.exists() and any(target.iterdir()):
        raise WorkspaceRefused(f"{target} is not empty", hint="name a folder that is not there yet")
    target.mkdir(parents=True, exist_ok=True)
    listed = words_of(git.run(git_dir, "ls-tree", "-r", "-z", commit, git_dir=git_dir).out)
    root = os.fsencode(target)
    folders: set[bytes] = set()
    count = 0
    for head, content in _contents(git, git_dir, [item for item in listed if not item.startswith(b"160000")]):
        meta, _, path = head.partition(b"\t")
        path = real(path)
        _make_folders(root, path, folders)
        _write(root, path, meta[:6], content, manifest)
        count += 1
    for path in manifest.empty:
        _make_folders(root, path + b"/.", folders)
    for path, mode in manifest.specials.items():
        if stat.S_ISFIFO(mode):
            _make_folders(root, path, folders)
            os.mkfifo(os.path.join(root, path))
            os.chmod(os.path.join(root, path), stat.S_IMODE(mode))
    for path in sorted(folders, reverse=True):  # the deepest first: a folder may come out as one that cannot be written
        os.chmod(os.path.join(root, path), manifest.folder_mode(path))
    return count


def _clear(git: Git, target: Path) -> None:
    """Take away all that a snapshot would keep."""
    found = take_inventory(git, target, rules=(target / ".git").exists(), with_git=False)
    if found.unreadable:
        raise WorkspaceRefused(f"{os.fsdecode(found.unreadable[0])} in {target} cannot be read, so it was not kept")
    root = os.fsencode(target)
    for path in found.folders:
        os.chmod(os.path.join(root, path), 0o700)
    for path in (*found.files, *found.links, *found.specials):
        os.unlink(os.path.join(root, path))
    for path in sorted(found.folders, reverse=True):
        if not os.listdir(os.path.join(root, path)):
            os.rmdir(os.path.join(root, path))


def _make_folders(root: bytes, path: bytes, made: set[bytes]) -> None:
    folder = os.path.dirname(path)
    if not folder or folder in made:
        return
    _make_folders(root, folder, made)
    full = os.path.join(root, folder)
    os.makedirs(full, mode=0o700, exist_ok=True)
    made.add(folder)


def _write(root: bytes, path: bytes, kind: bytes, content: bytes, manifest: Manifest) -> None:
    full = os.path.join(root, path)
    if kind == b"120000":
        os.symlink(content, full)
        return
    descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), manifest.file_mode(path, program=kind == b"100755"))


def _contents(git: Git, git_dir: Path, listed: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Each entry of the tree with its content, one blob in memory at a time."""
    if not listed:
        return
    with git.stream(git_dir, "cat-file", "--batch", git_dir=git_dir) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for item in listed:
            blob = item.partition(b"\t")[0].split(b" ")[2]
            process.stdin.write(blob + b"\n")
            process.stdin.flush()
            yield item, _read_blob(process.stdout, blob)
        process.stdin.close()


def _read_blob(output: IO[bytes], blob: bytes) -> bytes:
    words = output.readline().split()
    if len(words) != 3 or words[1] != b"blob":
        raise SnapshotDamaged(f"blob {blob.decode()} is not in the repository", hint="git fsck tells more")
    size = int(words[2])
    content = output.read(size)
    if len(content) != size or output.read(1) != b"\n":
        raise SnapshotDamaged(f"blob {blob.decode()} ends early", hint="git fsck tells more")
    return content
