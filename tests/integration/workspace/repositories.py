"""Real repositories for tests, and a picture of a folder that shows every byte, mode and link of it."""

import os
import stat
import subprocess
from pathlib import Path

from kaged.workspace.git import Git

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nowhere",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def git(where: Path, *words: str, check: bool = True) -> str:
    """git as a user runs it."""
    done = subprocess.run(
        ["git", *words], cwd=where, env=ENVIRONMENT, capture_output=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0 or not check, done.stderr.decode("utf-8", "replace")
    return os.fsdecode(done.stdout).rstrip("\n")


def our_git() -> Git:
    """git as the daemon runs it."""
    return Git({"PATH": os.environ["PATH"], "HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere"})


def repository(path: Path, **files: str) -> Path:
    """A repository with one commit on `main`."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--initial-branch", "main")
    git(path, "config", "user.name", "Ada")
    git(path, "config", "user.email", "ada@example.org")
    for name, text in (files or {"a.txt": "one\n"}).items():
        (path / name).write_text(text)
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "-m", "first")
    return path


def commit(path: Path, name: str, text: str, message: str = "more") -> str:
    """Write a file and commit it; the commit."""
    target = path / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "-m", message)
    return git(path, "rev-parse", "HEAD")


def picture(root: Path, *, without: tuple[bytes, ...] = ()) -> dict[bytes, tuple[str, int, bytes]]:
    """Every path below a folder: what it is, its mode, its content."""
    found: dict[bytes, tuple[str, int, bytes]] = {}
    top = os.fsencode(root)
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if os.path.relpath(os.path.join(folder, name), top) not in without]
        for name in (*folders, *files):
            full = os.path.join(folder, name)
            path, info = os.path.relpath(full, top), os.lstat(full)
            if path in without:
                continue
            mode = stat.S_IMODE(info.st_mode)
            if stat.S_ISLNK(info.st_mode):
                found[path] = ("link", 0, os.readlink(full))
            elif stat.S_ISDIR(info.st_mode):
                found[path] = ("folder", mode, b"")
            elif stat.S_ISREG(info.st_mode):
                found[path] = ("file", mode, Path(os.fsdecode(full)).read_bytes())
            else:
                found[path] = ("other", mode, b"")
    return found


def user_state(path: Path) -> dict[str, object]:
    """What of a repository is the user's: nothing that Kage does may change it."""
    gitdir = Path(git(path, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    return {
        "head": (gitdir / "HEAD").read_bytes(),
        "index": (gitdir / "index").read_bytes(),
        "config": (gitdir / "config").read_bytes(),
        "stash": git(path, "stash", "list"),
        "heads": [line for line in git(path, "show-ref", "--heads").splitlines() if "/kage/" not in line],
        "files": picture(path, without=(b".git",)),
    }
