"""Copies of files and folders: whole trees for `copy`, chosen ignored files (`.env`) into a new worktree.

Content is shared with the original where the file system can (reflink), modes, times and links are kept. A copy
grows under another name and is renamed when it is whole, so a crash leaves nothing that looks like one. Sockets and
devices are left out. Blocks; called in threads.
"""

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kaged.domain.workspace import Cancelled, Plan, WorkspaceRefused
from kaged.workspace.git import Git, words_of
from kaged.workspace.process import Wish
from kaged.workspace.worktree import not_ours, read_note, remove_tree, write_note

_FICLONE: Final = 0x40049409


def clone_file(source: str, target: str, *, follow_symlinks: bool = True) -> str:
    """Copy one file with its mode and times, sharing its blocks if possible. As `shutil.copy2`, for `copytree`."""
    if os.path.islink(source) and not follow_symlinks:
        os.symlink(os.readlink(source), target)
        return target
    with open(source, "rb") as reader, open(target, "xb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:
            shutil.copyfileobj(reader, writer, 1 << 20)
    shutil.copystat(source, target)
    return target


def copy_ignored(git: Git, source: Path, target: Path, patterns: Sequence[str]) -> int:
    """Copy files that git does not track and that fit one of the patterns (as in .gitignore). How many.

    What is there already stays: a repeat copies the rest.
    """
    if not patterns:
        return 0
    done = git.run(source, "ls-files", "-z", "--others", "--ignored", *(f"--exclude={item}" for item in patterns))
    count = 0
    for raw in words_of(done.out):
        name = os.fsdecode(raw)
        here, there = source / name, target / name
        if name.endswith("/") or os.path.lexists(there) or not (here.is_file() or here.is_symlink()):
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        clone_file(str(here), str(there), follow_symlinks=False)
        count += 1
    return count


def refuse_copy(source: Path) -> None:
    """Raise for a folder whose copy would write to the original's git state."""
    if (source / ".git").is_file():
        raise WorkspaceRefused(
            f"{source} is a linked worktree: a copy of it would share its index and its branch",
            hint="use --workspace worktree",
        )


def make_copy(plan: Plan, agent: str, source: Path, *, without: Path, cancelled: Wish) -> None:
    """Copy a folder to the place of the plan, or find that done. `without`: a folder that is never copied (ours).

    Raises WorkspaceRefused, Cancelled, OSError.
    """
    path = Path(plan.path)
    note = read_note(path)
    if note.get("made") and path.is_dir():
        return
    if not note and os.path.lexists(path):
        raise not_ours(path)
    write_note(path, agent=agent, plan=plan, made=False)
    part = path.with_name(f"{path.name}.part")
    remove_tree(part)
    remove_tree(path)  # renamed, but the note did not get that far: nobody has worked there
    _copy_folder(source, part, without.resolve(), cancelled)
    part.rename(path)
    write_note(path, agent=agent, plan=plan, made=True)


def _copy_folder(source: Path, target: Path, without: Path, cancelled: Wish) -> None:
    if cancelled():
        raise Cancelled
    target.mkdir(mode=0o700)
    with os.scandir(source) as entries:
        for entry in entries:
            here, there = Path(entry.path), target / entry.name
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                there.symlink_to(os.readlink(here))
            elif stat.S_ISDIR(info.st_mode):
                if here.resolve() != without:
                    _copy_folder(here, there, without, cancelled)
            elif stat.S_ISREG(info.st_mode):
                try:
                    clone_file(str(here), str(there))
                except FileNotFoundError:
                    continue  # deleted while we were on the way
            elif stat.S_ISFIFO(info.st_mode):
                os.mkfifo(there, stat.S_IMODE(info.st_mode))
    with contextlib.suppress(FileNotFoundError):
        shutil.copystat(source, target)
