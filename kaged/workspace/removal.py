"""Taking the place of an agent away, so that nothing is lost that is nowhere else.

    what would be lost -> snapshot, synced -> cleanup line -> renamed to .gone -> worktree, branch -> folders -> note

Safe to repeat after a crash anywhere in it. Not here: making it (`worktree.py`, `copying.py`), when (`runtime`).
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from kaged.domain.place_spec import Workspace
from kaged.domain.workspace import GitFailed, HookFailed, Plan, Removal, Snapshot, WorkspaceRefused
from kaged.workspace import commits
from kaged.workspace.changes import content_of
from kaged.workspace.git import Git
from kaged.workspace.hook import CLEANUP_S, run_hook
from kaged.workspace.repository import branch_commit, ref_commit, refs_with, worktrees
from kaged.workspace.snapshot import ref_of, source_of, take_snapshot
from kaged.workspace.worktree import admin_dirs, discard_worktree, is_whole, note_path, read_note, remove_tree

log = logging.getLogger("kaged.workspace")


def keep(git: Git, plan: Plan, agent: str) -> Snapshot | None:
    """A snapshot of what would be lost with the place; None: all of it is somewhere else. Raises as `take_snapshot`."""
    path = Path(plan.path)
    if plan.kind == "here" or not path.exists() or not read_note(path).get("made"):
        return None  # nobody has worked in a half-made one
    if plan.kind == "copy":
        first = ref_commit(git, plan.git_dir, ref_of(agent, 1))
        kept = take_snapshot(git, source_of(plan), agent, "Before the workspace was removed")
        return None if kept.commit == first else kept
    if is_whole(plan):
        with contextlib.suppress(GitFailed):  # git cannot read all of it: so much more reason to keep it
            with content_of(git, path) as now:
                dirty, head = now.dirty, now.head
            if not dirty and _merged_elsewhere(git, plan, head):
                return None
    return take_snapshot(git, source_of(plan), agent, "Before the workspace was removed")


def take_away(
    git: Git,
    plan: Plan,
    agent: str,
    wish: Workspace,
    environment: Mapping[str, str],
    turn: AbstractContextManager[object],
    *,
    umask: int,
) -> Removal:
    """Take the place away, after its cleanup line; what would be lost is in a snapshot first. Safe to repeat.

    `turn` is held while branches and worktrees change. Raises WorkspaceRefused (not ours), GitFailed, OSError: then the
    place is still there, whole or in part.
    """
    path = Path(plan.path)
    if plan.kind == "here":
        return Removal(note=_clean_up(path, wish, environment, umask))
    if not read_note(path):
        if os.path.lexists(path):
            raise WorkspaceRefused(f"{path} is not Kage's; it was left alone", hint="move it away")
        return Removal()
    kept = keep(git, plan, agent)
    note = _clean_up(path, wish, environment, umask)
    if wish.cleanup:
        kept = keep(git, plan, agent) or kept  # the cleanup may have written something
    if kept is not None:
        os.sync()  # git does not sync loose objects, and what they are of is about to go
    gone = path.with_name(f"{path.name}.gone")
    if os.path.lexists(path):
        path.rename(gone)  # from here on a repeat does not take a half for a whole
    branch = ""
    if plan.kind == "worktree":
        note = "\n".join(part for part in (note, _keep_modules(git, plan)) if part)
        with turn:
            discard_worktree(plan)
            branch = _drop_branch(git, plan)
    elif kept is None:
        remove_tree(Path(plan.git_dir))
    remove_tree(gone)
    remove_tree(path.with_name(f"{path.name}.part"))
    commits.forget(path)
    note_path(path).unlink(missing_ok=True)
    return Removal(snapshot=kept, kept_branch=branch, note=note)


def _keep_modules(git: Git, plan: Plan) -> str:
    """Submodules of a worktree have their commits in its folder of the git directory, which is about to go."""
    kept = Path(plan.path).with_name(f"{Path(plan.path).name}.modules")
    for admin in admin_dirs(Path(plan.git_dir), Path(plan.path)):
        if (admin / "modules").is_dir() and not kept.exists():
            shutil.move(admin / "modules", kept)
    for head in kept.rglob("HEAD"):
        if (head.parent / "config").is_file():  # else git would look for the work tree that is about to go
            words = ("config", "--file", str(head.parent / "config"), "--unset", "core.worktree")
            git.run(kept, *words, ok=(0, 5))
    return f"the git directories of its submodules were kept in {kept}" if kept.exists() else ""


def _clean_up(path: Path, wish: Workspace, environment: Mapping[str, str], umask: int) -> str:
    if not wish.cleanup or not path.is_dir():
        return ""
    try:
        variables = {**environment, "KAGE_WORKSPACE": str(path)}
        return run_hook("cleanup", wish.cleanup, path, variables, timeout_s=CLEANUP_S, umask=umask)
    except HookFailed as error:
        log.warning("cleanup_failed path=%s error=%s", path, error.message)
        return error.message


def _drop_branch(git: Git, plan: Plan) -> str:
    """Delete the branch if Kage made it and it holds nothing of its own; else its name."""
    tip, ref = branch_commit(git, plan.git_dir, plan.branch), f"refs/heads/{plan.branch}"
    if not tip:
        return ""
    in_use = any(tree.branch == ref for tree in worktrees(git, plan.git_dir))
    if not plan.fresh or in_use or not _merged_elsewhere(git, plan, tip):
        return plan.branch
    try:
        git.run(plan.git_dir, "update-ref", "-d", ref, tip, git_dir=plan.git_dir)
    except GitFailed as error:
        log.warning("branch_not_deleted branch=%s error=%s", plan.branch, error)
        return plan.branch
    return ""


def _merged_elsewhere(git: Git, plan: Plan, commit: str) -> bool:
    """Whether some other branch, tag or remote branch has it, or nothing was ever added."""
    return commit == plan.start_commit or bool(refs_with(git, plan.git_dir, commit, but=f"refs/heads/{plan.branch}"))
