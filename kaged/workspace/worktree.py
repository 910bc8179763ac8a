"""One git worktree for one agent: planned, made, taken away. Each step can be repeated after a crash anywhere in it.

    plan (reads) -> [recorded] -> make: note -> branch -> worktree, locked -> checked out -> note says so
    a crash in between: the next `make` finds the note without its end, takes the half away and begins again

The note (`<place>.json` beside the place) is what proves that a folder is ours: without it nothing is touched. The
worktree is locked with the agent's name, so that `git worktree prune` and `remove` leave it alone. Its folder in the
git directory is found by what git wrote there, not by its name. Not here: what is in it (`snapshot.py`).
"""

import contextlib
import json
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from kaged.domain.place_spec import Workspace
from kaged.domain.workspace import GitFailed, Plan, WorkspaceInvalid, WorkspaceRefused
from kaged.workspace.git import LONG_S, Git
from kaged.workspace.repository import (
    Repository,
    branch_commit,
    branches_under,
    checked_out,
    commit_of,
    merge_base,
    worktrees,
)

_MOST_NAMES: Final = 1000


def plan_worktree(git: Git, repository: Repository, wish: Workspace, *, name: str, place: Path, inside: str) -> Plan:
    """What to make for an agent. `inside`: where in the tree its runs start. Raises WorkspaceInvalid,
    WorkspaceRefused.
    """
    base_commit = commit_of(git, repository, wish.base)
    base = wish.base or checked_out(git, repository)
    if not branch_commit(git, repository.git_dir, base) if base else True:
        base = ""
    start = base_commit
    fresh = True
    if wish.branch:
        branch = _checked_name(git, repository, wish.branch)
        if existing := branch_commit(git, repository.git_dir, branch):
            _refuse_taken(git, repository, branch, place)
            start, fresh = existing, False
            base_commit = merge_base(git, repository.git_dir, base_commit, existing) or base_commit
    else:
        branch = _free_name(git, repository, name)
    return Plan(
        kind="worktree",
        path=str(place),
        cwd=str(place / inside) if inside else str(place),
        repository=str(repository.top),
        git_dir=str(repository.git_dir),
        branch=branch,
        base=base,
        base_commit=base_commit,
        start_commit=start,
        fresh=fresh,
    )


def _checked_name(git: Git, repository: Repository, name: str) -> str:
    done = git.run(repository.top, "check-ref-format", "--branch", name, ok=(0, 1, 128))
    if done.code or name.startswith("-"):
        raise WorkspaceInvalid(("spec.workspace.branch", f"{name!r} is not a name for a branch"))
    return name


def _refuse_taken(git: Git, repository: Repository, branch: str, place: Path) -> None:
    for tree in worktrees(git, repository.git_dir):
        if tree.branch == f"refs/heads/{branch}" and tree.path != place:
            raise WorkspaceRefused(
                f"the branch {branch} is checked out in {tree.path}",
                hint="name another --branch; a branch can be checked out in one place only",
                branch=branch,
            )


def _free_name(git: Git, repository: Repository, name: str) -> str:
    """`kage/<name>`, or with a number behind it when an earlier agent of that name left its branch."""
    taken = branches_under(git, repository.git_dir, "kage")
    clean = name.replace("..", "-").removesuffix(".")
    clean = clean[: -len(".lock")] + "-lock" if clean.endswith(".lock") else clean
    first = f"kage-{clean}" if "kage" in taken else f"kage/{clean}"  # git has no branch beside a folder of its name
    for number in range(1, _MOST_NAMES):
        branch = first if number == 1 else f"{first}-{number}"
        if branch not in taken and not branch_commit(git, repository.git_dir, branch):
            return branch
    raise WorkspaceRefused(f"{_MOST_NAMES} branches named {first} are there", hint="delete those that are not needed")


# --- making ------------------------------------------------------------------------------------------------------


def make_worktree(git: Git, plan: Plan, agent: str, turn: AbstractContextManager[object]) -> None:
    """Make it, finish it, or find it made. `turn`: held while the repository's list of worktrees is changed.

    Raises GitFailed, WorkspaceRefused (something of another's is there).
    """
    path = Path(plan.path)
    note = read_note(path)
    if note.get("made") and (path / ".git").exists():
        return
    if not note and os.path.lexists(path):
        raise not_ours(path)
    write_note(path, agent=agent, plan=plan, made=False)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with turn:
        if os.path.lexists(path) or admin_dirs(Path(plan.git_dir), path):
            discard_worktree(plan)
        _make_branch(git, plan, agent)
        _register(git, plan, agent)
    git.run(path, "reset", "--hard", "--quiet", timeout_s=LONG_S)  # the files, which may be many: beside others
    write_note(path, agent=agent, plan=plan, made=True)


def _register(git: Git, plan: Plan, agent: str) -> None:
    """Tell git of the worktree, without files in it yet."""
    reason = f"the workspace of Kage agent {agent}"
    git.run(
        Path(plan.path).parent, "worktree", "add", "--quiet", "--no-checkout", "--lock", "--reason", reason,
        plan.path, plan.branch, git_dir=plan.git_dir,
    )  # fmt: skip


def _make_branch(git: Git, plan: Plan, agent: str) -> None:
    there = branch_commit(git, plan.git_dir, plan.branch)
    if there == plan.start_commit:
        return  # ours of before a crash, or one that was asked for
    if there:
        raise WorkspaceRefused(
            f"the branch {plan.branch} was made by somebody else in the meantime",
            hint="restart the agent, or name another --branch",
        )
    words = ("update-ref", "-m", f"kage: for agent {agent}", f"refs/heads/{plan.branch}", plan.start_commit, "")
    try:
        git.run(plan.git_dir, *words, git_dir=plan.git_dir)
    except GitFailed as error:
        # A kill in the middle of writing this very ref leaves its lock. It was to be made by us and is not there.
        if ".lock': File exists" not in error.said:
            raise
        Path(plan.git_dir, "refs", "heads", f"{plan.branch}.lock").unlink(missing_ok=True)
        git.run(plan.git_dir, *words, git_dir=plan.git_dir)


def discard_worktree(plan: Plan) -> None:
    """Take away folder and registration of a worktree that is ours, whatever state they are in. Loses what is in it."""
    path = Path(plan.path)
    admins = admin_dirs(Path(plan.git_dir), path)
    remove_tree(path)
    for admin in admins:
        remove_tree(admin)
    with contextlib.suppress(OSError):
        Path(plan.git_dir, "worktrees").rmdir()  # git does the same after the last one


def admin_dirs(git_dir: Path, path: Path) -> list[Path]:
    """Folders of the git directory that belong to the worktree at `path`, also half-made ones."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        for admin in (git_dir / "worktrees").iterdir():
            try:
                target = Path(os.fsdecode((admin / "gitdir").read_bytes().rstrip(b"\n")))
            except OSError:
                if admin.name == path.name:  # git was killed before it wrote that; our names are not chosen by others
                    found.append(admin)
                continue
            if target == path / ".git":
                found.append(admin)
    return found


def is_whole(plan: Plan) -> bool:
    """Whether `.git` is still what git wrote: else git would speak of another repository than ours."""
    path, git_dir = Path(plan.path), Path(plan.git_dir)
    try:
        text = (path / ".git").read_bytes()
    except OSError:
        return False
    admin = Path(os.fsdecode(text.removeprefix(b"gitdir: ").rstrip(b"\n")))
    return text.startswith(b"gitdir: ") and admin in admin_dirs(git_dir, path)


def not_ours(path: Path) -> WorkspaceRefused:
    """Something is where the place should be, and nothing says that we put it there."""
    return WorkspaceRefused(
        f"{path} is there and is not Kage's; it was left alone", hint=f"move {path} away, then restart the agent"
    )


# --- the note ----------------------------------------------------------------------------------------------------


def note_path(path: Path) -> Path:
    """Where the note of a place is."""
    return path.with_name(f"{path.name}.json")


def read_note(path: Path) -> dict[str, object]:
    """The note of a place; empty: there is none that can be read."""
    try:
        found = json.loads(note_path(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_note(path: Path, *, agent: str, plan: Plan, made: bool) -> None:
    """Write it whole or not at all, and to the disk."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = {"agent": agent, "kind": plan.kind, "git_dir": plan.git_dir, "branch": plan.branch, "made": made}
    draft = note_path(path).with_suffix(".tmp")
    with open(draft, "wb", opener=_private) as file:
        file.write(json.dumps(text, ensure_ascii=True).encode())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(note_path(path))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def remove_tree(path: Path) -> None:
    """Delete a folder, also one whose folders may not be written. Raises OSError when something stays."""

    def again(function: object, name: str, error: object) -> None:
        folder = os.path.dirname(name)
        os.chmod(folder, 0o700)
        if os.path.isdir(name) and not os.path.islink(name):
            os.chmod(name, 0o700)
            shutil.rmtree(name)
        elif os.path.lexists(name):
            os.unlink(name)

    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path, onerror=again)
