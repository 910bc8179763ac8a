"""What lies in a folder, minus what git ignores there: files, links, folders, repositories inside. Reads only.

The walk is our own, because git tells nothing of empty folders, of modes, or of what is inside of a repository that
lies in the tree. What is ignored is git's to say; a repository inside has rules of its own, and its git directory is
part of the find, so that commits which were never pushed anywhere are kept too. Paths are bytes, relative, with `/`.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from kaged.domain.workspace import GitFailed, WorkspaceRefused
from kaged.workspace.git import Git, words_of

DOT_GIT = b".git"


@dataclass(slots=True)
class Inventory:
    """What was found. `files` and `links`: path to mode bits; `folders`: all of them; `empty`: those without anything
    in them; `nested`: roots of repositories inside; `specials`: what is none of these; `unreadable`: files that we
    may not open."""

    files: dict[bytes, int] = field(default_factory=dict)
    links: list[bytes] = field(default_factory=list)
    folders: dict[bytes, int] = field(default_factory=dict)
    empty: list[bytes] = field(default_factory=list)
    nested: list[bytes] = field(default_factory=list)
    specials: dict[bytes, int] = field(default_factory=dict)
    unreadable: list[bytes] = field(default_factory=list)


def take_inventory(git: Git, root: Path, *, rules: bool, with_git: bool) -> Inventory:
    """Look at everything. `rules`: what git ignores is left out; `with_git`: the `.git` at the root is part of it.

    Raises GitFailed when git cannot say what it ignores, OSError when the root cannot be read.
    """
    found = Inventory()
    ignored = _own_rules(git, root) if rules else frozenset[bytes]()
    _walk(git, os.fsencode(root), b"", ignored, found, skip_git=not with_git)
    return found


def _ignored(git: Git, root: Path) -> frozenset[bytes]:
    """Paths that git ignores; a folder that is ignored as a whole ends with `/`."""
    done = git.run(root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    return frozenset(words_of(done.out))


def _walk(git: Git, root: bytes, folder: bytes, ignored: frozenset[bytes], found: Inventory, *, skip_git: bool) -> None:
    """One folder; `ignored` has paths relative to the root of the whole find."""
    any_inside = False
    with os.scandir(os.path.join(root, folder) if folder else root) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if skip_git and not folder and entry.name == DOT_GIT:
            continue
        path = folder + b"/" + entry.name if folder else entry.name
        any_inside = True  # what is ignored also makes a folder one that will be there again
        if path in ignored or path + b"/" in ignored:
            continue
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode):
            found.links.append(path)
        elif stat.S_ISDIR(mode):
            found.folders[path] = stat.S_IMODE(mode)
            _walk_inside(git, root, path, ignored, found)
        elif not stat.S_ISREG(mode):
            found.specials[path] = mode
        elif not os.access(entry.path, os.R_OK):
            found.unreadable.append(path)
        else:
            found.files[path] = stat.S_IMODE(mode)
    if folder and not any_inside:
        found.empty.append(folder)


def _walk_inside(git: Git, root: bytes, path: bytes, ignored: frozenset[bytes], found: Inventory) -> None:
    full = os.path.join(root, path)
    try:
        if not path.endswith(b"/" + DOT_GIT) and path != DOT_GIT and os.path.lexists(os.path.join(full, DOT_GIT)):
            found.nested.append(path)
            ignored = _ignored_inside(git, full, path)
        _walk(git, root, path, ignored, found, skip_git=False)
    except PermissionError:
        found.unreadable.append(path)
    except FileNotFoundError:
        found.folders.pop(path, None)  # deleted while we were on the way


def _ignored_inside(git: Git, full: bytes, path: bytes) -> frozenset[bytes]:
    """What a repository inside ignores of its own; nothing when it is not really one."""
    try:
        return frozenset(path + b"/" + item for item in _own_rules(git, Path(os.fsdecode(full))))
    except (GitFailed, WorkspaceRefused, OSError):
        return frozenset()


def _own_rules(git: Git, folder: Path) -> frozenset[bytes]:
    """What the repository at a folder ignores; nothing when git finds one further up instead, whose rules may well
    ignore all of it."""
    top = git.text(folder, "rev-parse", "--path-format=absolute", "--show-toplevel", ok=(0, 128))
    if not top or not os.path.samefile(top, folder):
        return frozenset()
    return _ignored(git, folder)
