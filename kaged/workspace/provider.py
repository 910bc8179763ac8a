"""Workspaces as the runtime's port sees them: planned, made, looked at, merged, kept and taken away, by agent.

    <state>/workspaces/<agent>          the place (a worktree or a copy)
    <state>/workspaces/<agent>.json     the note that says it is ours, and whether it is whole
    <state>/workspaces/<agent>.git      only of copies: the repository that keeps their snapshots
    <state>/workspaces/<agent>.hooks, .grants      of agents whose commits a person approves (`commits.py`)

One for a daemon; all methods block and are called in threads, one at a time for one agent. Every method can be
repeated after a crash. Nothing outside of the workspaces folder is ever deleted, except what git itself keeps of our
worktrees, and branches that Kage made and that hold nothing of their own.
"""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kaged.domain.place_spec import Workspace
from kaged.domain.workspace import (
    Difference,
    KeptSnapshot,
    Made,
    Merged,
    MergeMode,
    Plan,
    Removal,
    Snapshot,
    WorkspaceInvalid,
    WorkspaceRefused,
)
from kaged.ports import FolderMark
from kaged.workspace import commits, marks
from kaged.workspace.changes import MAX_PATCH_BYTES, changes_between, difference, touched
from kaged.workspace.checkpoints import checkpoints
from kaged.workspace.copying import copy_ignored, make_copy, refuse_copy
from kaged.workspace.git import Git
from kaged.workspace.hook import SETUP_S, run_hook
from kaged.workspace.merging import merge
from kaged.workspace.process import Wish, never
from kaged.workspace.removal import keep, take_away
from kaged.workspace.repository import branch_commit, find, ref_commit
from kaged.workspace.restore import restore
from kaged.workspace.snapshot import ref_of, source_of, take_snapshot
from kaged.workspace.worktree import is_whole, make_worktree, plan_worktree, read_note

_RUN_MARK: Final = "KAGE_RUN_ID"


class LocalWorkspaces:
    """See the module. `environ`: the daemon's; `umask`: the agents'."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *, umask: int = -1) -> None:
        self._dir = folder
        self._environ = dict(environ)
        self._umask = umask
        self._locks: dict[str, threading.Lock] = {}  # of repositories; as many as agents have worked on

    def _git(self, run: str = "", cancelled: Wish = never) -> Git:
        of_run = {_RUN_MARK: run} if run else {}
        return Git(self._environ, marks=of_run, umask=self._umask, cancelled=cancelled)

    def _turn(self, git_dir: str) -> threading.Lock:
        """Held by whoever changes a repository's branches and worktrees: git does not wait, it fails."""
        return self._locks.setdefault(git_dir, threading.Lock())

    def present(self, plan: Plan) -> bool:
        """Whether the place is there and whole."""
        path = Path(plan.path)
        if plan.kind == "here":
            return path.is_dir()
        return path.is_dir() and bool(read_note(path).get("made"))

    def mark(self, folder: str, since: str) -> FolderMark:
        """What a folder is like now."""
        return marks.mark(self._git(), folder, since)

    def feasible(self, plan: Plan) -> bool:
        """Whether a plan that was not carried out yet still can be: nobody else has taken its branch."""
        if plan.kind != "worktree":
            return True
        if not Path(plan.git_dir).is_dir():
            return False
        return self.present(plan) or branch_commit(self._git(), plan.git_dir, plan.branch) in ("", plan.start_commit)

    # --- making ----------------------------------------------------------------------------------------------------

    def plan(self, agent: str, name: str, wish: Workspace, directory: str) -> Plan:
        """What to make for an agent that is to work on `directory`. Changes nothing.

        Raises WorkspaceInvalid, WorkspaceRefused, GitFailed.
        """
        if wish.kind == "here":
            return Plan(kind="here", path=directory, cwd=directory)
        folder = Path(wish.repository or directory)
        if not folder.is_dir():
            field = "spec.workspace.repository" if wish.repository else "spec.working_directory"
            raise WorkspaceInvalid((field, f"{folder} is not a folder"))
        place = self._dir / agent
        if wish.kind == "copy":
            refuse_copy(folder)
            inside = _inside(folder, directory)
            return Plan(
                kind="copy",
                path=str(place),
                cwd=str(place / inside) if inside else str(place),
                repository=str(folder),
                git_dir=str(self._dir / f"{agent}.git"),
            )
        git = self._git()
        found = find(git, folder)
        if found is None:
            raise WorkspaceRefused(
                f"{folder} is not in a git repository", hint="use --workspace copy or here, or name a --repo"
            )
        inside = _inside(found.top, directory) or (
            "" if wish.repository and wish.repository != directory else found.prefix
        )
        return plan_worktree(git, found, wish, name=name, place=place, inside=inside)

    def make(
        self, agent: str, run: str, plan: Plan, wish: Workspace, environment: Mapping[str, str], cancelled: Wish
    ) -> Made:
        """Make the place, or finish it, or find it made. Raises WorkspaceRefused, GitFailed, HookFailed, Cancelled."""
        git = self._git(run, cancelled)
        path = Path(plan.path)
        copied = 0
        if plan.kind == "worktree":
            make_worktree(git, plan, agent, self._turn(plan.git_dir))
            copied = copy_ignored(git, Path(plan.repository), path, wish.copy)
        elif plan.kind == "copy":
            make_copy(plan, agent, Path(plan.repository), without=self._dir, cancelled=cancelled)
            self._keep_first(git, plan, agent)
        if not Path(plan.cwd).is_dir():
            raise WorkspaceRefused(
                f"{plan.cwd} is not in the workspace: {plan.base or plan.base_commit} does not have that folder",
                hint="commit it first, or give a --cwd that the base has",
            )
        variables = {**environment, "KAGE_WORKSPACE": plan.path, "KAGE_REPOSITORY": plan.repository, _RUN_MARK: run}
        note = run_hook("setup", wish.setup, path, variables, timeout_s=SETUP_S, umask=self._umask, cancelled=cancelled)
        return Made(copied=copied, note=note)

    def _keep_first(self, git: Git, plan: Plan, agent: str) -> None:
        """What a copy began with, so that later it can be told what changed."""
        if not Path(plan.git_dir, "HEAD").exists():
            git.run(self._dir, "init", "--quiet", "--bare", plan.git_dir)
        if not ref_commit(git, plan.git_dir, ref_of(agent, 1)):
            take_snapshot(git, source_of(plan), agent, "What the copy began with")

    # --- commits that a person approves ----------------------------------------------------------------------------

    def hold_commits(self, plan: Plan, *, held: bool) -> None:
        """Have git refuse commits that nobody approved, or no more. Raises WorkspaceRefused, GitFailed, OSError."""
        if plan.kind == "here":
            return
        with self._turn(plan.git_dir):
            if held:
                commits.hold(self._git(), plan)
            else:
                commits.let_go(self._git(), plan)

    def grant(self, plan: Plan, name: str, *, once: bool, until_s: int) -> None:
        """A person approved commits, one or all, until a second since 1970. Raises OSError."""
        if plan.kind != "here":
            commits.grant(Path(plan.path), name, once=once, until_s=until_s)

    def withdraw(self, plan: Plan, name: str) -> None:
        """What was granted under a name is done. Raises OSError."""
        if plan.kind != "here":
            commits.withdraw(Path(plan.path), name)

    # --- looking ---------------------------------------------------------------------------------------------------

    def snapshot(self, agent: str, plan: Plan, why: str) -> Snapshot:
        """Keep all files as they are now. Raises WorkspaceRefused, GitFailed."""
        self._present(plan, whole=False)
        return take_snapshot(self._git(), source_of(plan), agent, why)

    def snapshots(self, agent: str, plan: Plan) -> list[KeptSnapshot]:
        """Those that there are, oldest first. Raises WorkspaceRefused, GitFailed."""
        self._present(plan, whole=False)
        return checkpoints(self._git(), Path(plan.git_dir), agent)

    def restore(self, plan: Plan, commit: str) -> int:
        """Exchange all files for those of a snapshot. Raises WorkspaceRefused, SnapshotDamaged, GitFailed, OSError."""
        self._present(plan)
        os.sync()  # git does not sync loose objects, and the files of the last snapshot are about to go
        return restore(self._git(), Path(plan.git_dir), commit, Path(plan.path), replace=True)

    def difference(self, agent: str, plan: Plan, *, patch: bool) -> Difference:
        """What the place has that its base has not. Raises WorkspaceRefused, GitFailed."""
        self._present(plan)
        git = self._git()
        if plan.kind == "worktree":
            return difference(git, plan, agent, patch=patch)
        first = ref_commit(git, plan.git_dir, ref_of(agent, 1))
        now = take_snapshot(git, source_of(plan), agent, "To compare")
        changes = tuple(changes_between(git, Path(plan.git_dir), first, now.commit))
        text = b""
        if patch and changes:
            words = ("diff-tree", "-r", "-p", "-M", "--binary", "--no-ext-diff", "--no-textconv", "--no-color")
            text = git.run(plan.git_dir, *words, first, now.commit, git_dir=plan.git_dir).out
        return Difference(
            base_commit=first,
            head_commit=now.commit,
            changes=changes,
            patch=text[:MAX_PATCH_BYTES],
            truncated=len(text) > MAX_PATCH_BYTES,
            uncommitted=len(changes),
        )

    def touched(self, agent: str, plan: Plan) -> frozenset[str]:
        """Paths that differ from the base; nothing for a place that has none."""
        if plan.kind != "worktree" or not is_whole(plan):
            return frozenset()
        return touched(self._git(), plan, agent)

    def merge(
        self, agent: str, name: str, plan: Plan, *, into: str, mode: MergeMode, message: str, still: bool
    ) -> Merged:
        """The agent's work into a branch, all or nothing. Raises as `merging.merge`."""
        if plan.kind != "worktree":
            raise WorkspaceRefused(
                "only a worktree has a branch to merge",
                hint=f"kagectl agent diff {name} | git apply"
                if plan.kind == "copy"
                else "its work is in the folder itself",
            )
        self._present(plan)
        with self._turn(plan.git_dir):
            return merge(self._git(), plan, agent, name, into=into, mode=mode, message=message, still=still)

    def _present(self, plan: Plan, *, whole: bool = True) -> None:
        """Refuse what cannot be looked at. `whole`: git is asked in it, so it must be the repository that we know."""
        if plan.kind == "here":
            raise WorkspaceRefused(
                f"the agent works in {plan.path} itself: Kage does not know what is its own work there",
                hint=f"git -C {plan.path} diff; spawn with --workspace worktree to have that kept apart",
            )
        if not Path(plan.path).is_dir():
            raise WorkspaceRefused(
                f"the workspace {plan.path} is gone", hint="its snapshots: git for-each-ref refs/kage"
            )

        if whole and plan.kind == "worktree" and not is_whole(plan):
            raise WorkspaceRefused(
                f"the .git of {plan.path} is not what git wrote there, so git would speak of another repository",
                hint="kagectl agent snapshot keeps its files all the same",
            )

    # --- taking away -----------------------------------------------------------------------------------------------

    def keep(self, agent: str, plan: Plan) -> Snapshot | None:
        """A snapshot of what would be lost with the place; None: all of it is somewhere else. Raises as `snapshot`."""
        return keep(self._git(), plan, agent)

    def remove(self, agent: str, plan: Plan, wish: Workspace, environment: Mapping[str, str]) -> Removal:
        """Take the place away, after its cleanup line; what would be lost is in a snapshot first. Safe to repeat.

        Raises WorkspaceRefused (not ours), GitFailed, OSError: then the place is still there, whole or in part.
        """
        return take_away(self._git(), plan, agent, wish, environment, self._turn(plan.git_dir), umask=self._umask)

    def strays(self) -> list[str]:
        """Agents that have a note here: places that are, or were being, made or taken away."""
        if not self._dir.is_dir():
            return []
        return sorted(item.stem for item in self._dir.glob("*.json"))


def _inside(root: Path, directory: str) -> str:
    """Where a folder lies below a root; empty: it is the root, or somewhere else."""
    try:
        found = str(Path(directory).resolve().relative_to(root.resolve()))
    except ValueError:
        return ""
    return "" if found == "." else found
