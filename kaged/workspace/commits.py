"""Commits of an agent that a person approves: git itself refuses the others, in the agent's own worktree or copy.

    <state>/workspaces/<agent>.hooks     the hooks that git runs there; each goes on to the user's own
    <state>/workspaces/<agent>.grants    what was approved: `guardrails/hook.py` says how it is written

Git finds them by `core.hooksPath` in the worktree's own configuration, so the repository's other worktrees do not
notice. For that the repository is told that it has such configurations (`extensions.worktreeConfig`), as git does
itself for sparse checkouts. All of it can be repeated. Not here: who is held, and what is approved.
"""

import os
from pathlib import Path
from typing import Final

from kaged.domain.workspace import Plan, WorkspaceRefused
from kaged.guardrails.hook import FORWARDED, REFERENCE_TRANSACTION, forward, reference_transaction
from kaged.workspace.git import Git
from kaged.workspace.worktree import admin_dirs, remove_tree

_PATH: Final = "core.hooksPath"
_BEFORE: Final = "kage.hooksPath"  # what was set for this worktree before us: a copy has its original's
_EXTENSION: Final = "extensions.worktreeConfig"


def hooks_folder(place: Path) -> Path:
    """Where the hooks of a place are."""
    return place.with_name(f"{place.name}.hooks")


def grants_folder(place: Path) -> Path:
    """Where the grants of a place are."""
    return place.with_name(f"{place.name}.grants")


def hold(git: Git, plan: Plan) -> None:
    """Have git refuse what was not approved. Raises WorkspaceRefused (its .git is not git's), GitFailed, OSError."""
    found = _configuration(plan)
    if found is None:
        if plan.kind == "copy" and not os.path.lexists(Path(plan.path, ".git")):
            return  # nothing in it can be committed
        raise WorkspaceRefused(
            f"the .git of {plan.path} is not what git wrote there, so its commits cannot be held",
            hint="restart the agent in a new workspace, or spawn it with --approve none",
        )
    shared, own = found
    place, hooks = Path(plan.path), hooks_folder(Path(plan.path))
    _separate(git, shared, own)
    now = _value(git, own, _PATH)
    before = _value(git, own, _BEFORE) if now == str(hooks) else now
    grants_folder(place).mkdir(mode=0o700, exist_ok=True)
    hooks.mkdir(mode=0o700, exist_ok=True)
    for name in FORWARDED:
        _write(hooks / name, forward(name, before=before))
    _write(hooks / REFERENCE_TRANSACTION, reference_transaction(str(grants_folder(place)), before=before))
    if before:
        _set(git, own, _BEFORE, before)
    _set(git, own, _PATH, str(hooks))


def let_go(git: Git, plan: Plan) -> None:
    """Have git refuse nothing any more: its user's own hooks hold as before."""
    place, found = Path(plan.path), _configuration(plan)
    if found is not None and hooks_folder(place).exists():
        own = found[1]
        if _value(git, own, _PATH) == str(hooks_folder(place)):
            before = _value(git, own, _BEFORE)
            if before:
                _set(git, own, _PATH, before)
            else:
                _unset(git, own, _PATH)
            _unset(git, own, _BEFORE)
    forget(place)


def forget(place: Path) -> None:
    """Take away what lies beside a place."""
    remove_tree(hooks_folder(place))
    remove_tree(grants_folder(place))


def grant(place: Path, name: str, *, once: bool, until_s: int) -> None:
    """What was approved, until a second since 1970: one transaction, or all of them. Raises OSError."""
    folder = grants_folder(place)
    if folder.is_dir():
        _write(folder / f"{name}.{'once' if once else 'span'}", f"{until_s}\n")


def withdraw(place: Path, name: str) -> None:
    """What was approved is done."""
    for kind in ("once", "span"):
        (grants_folder(place) / f"{name}.{kind}").unlink(missing_ok=True)


def _configuration(plan: Plan) -> tuple[Path, Path] | None:
    """The repository's configuration and the place's own; None: there is no git directory of its there."""
    place = Path(plan.path)
    if plan.kind == "worktree":
        try:
            text = (place / ".git").read_bytes()
        except OSError:
            return None
        admin = Path(os.fsdecode(text.removeprefix(b"gitdir: ").rstrip(b"\n")))
        if not text.startswith(b"gitdir: ") or admin not in admin_dirs(Path(plan.git_dir), place):
            return None
        return Path(plan.git_dir, "config"), admin / "config.worktree"
    folder = place / ".git"
    return (folder / "config", folder / "config.worktree") if folder.is_dir() and not folder.is_symlink() else None


def _separate(git: Git, shared: Path, own: Path) -> None:
    """Let worktrees have configurations. What must then not be shared goes to the main worktree's, as git says."""
    if _value(git, shared, _EXTENSION, kind="bool") == "true":
        return
    main = shared.with_name("config.worktree")
    moved = [(key, _value(git, shared, key)) for key in ("core.bare", "core.worktree")]
    moved = [(key, value) for key, value in moved if value and value != "false"]
    for key, value in moved:
        _set(git, main, key, value)
    _set(git, shared, _EXTENSION, "true")
    for key, _ in moved:
        _unset(git, shared, key)


def _value(git: Git, file: Path, key: str, *, kind: str = "") -> str:
    words = (f"--type={kind}",) if kind else ()
    return git.text(file.parent, "config", "--file", str(file), *words, "--get", key, ok=(0, 1))


def _set(git: Git, file: Path, key: str, value: str) -> None:
    git.run(file.parent, "config", "--file", str(file), key, value)


def _unset(git: Git, file: Path, key: str) -> None:
    git.run(file.parent, "config", "--file", str(file), "--unset-all", key, ok=(0, 5))


def _write(path: Path, text: str) -> None:
    """Whole or not at all: git may be about to run it."""
    draft = path.with_name(f".{path.name}.new")
    with open(draft, "w", encoding="utf-8", errors="surrogateescape", opener=_executable) as file:
        file.write(text)
    os.chmod(draft, 0o700)
    draft.replace(path)


def _executable(path: str, flags: int) -> int:
    return os.open(path, flags, 0o700)
