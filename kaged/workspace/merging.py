"""An agent's work into a branch: all of it or nothing, computed without touching a single file.

    content -> (a commit of what has none) -> merge-tree -> commit -> the branch, and the tree that has it checked out

Where the branch is checked out somewhere, git itself brings that tree forward (`merge --ff-only`), which refuses when
it would overwrite what somebody has there; else only the ref moves, if it still is where it was. A conflict names the
files and changes nothing. Needs git 2.38. Blocks; called in threads.
"""

import os
import re
from pathlib import Path
from typing import Final

from kaged.domain.workspace import (
    GitFailed,
    MergeConflict,
    Merged,
    MergeKind,
    MergeMode,
    Plan,
    WorkspaceInvalid,
    WorkspaceRefused,
)
from kaged.workspace.changes import changes_between, content_of, merged_ref
from kaged.workspace.git import LONG_S, Git, words_of
from kaged.workspace.repository import branch_commit, is_ancestor, ref_commit, worktrees

_NEEDS: Final = (2, 38)


def merge(
    git: Git, plan: Plan, agent: str, name: str, *, into: str, mode: MergeMode, message: str, still: bool
) -> Merged:
    """Merge an agent's work into a branch (empty: its base branch). `still`: nobody works in the place any more, so
    that what had no commit gets one on the agent's own branch too.

    Raises WorkspaceInvalid (no such branch), WorkspaceRefused, MergeConflict, GitFailed: then nothing has changed.
    """
    _need_version(git, plan)
    into = (into or plan.base).removeprefix("refs/heads/")
    if not into:
        raise WorkspaceInvalid(
            ("into", "say which branch: the work began at a commit without one"),
            hint="kagectl agent merge --into BRANCH",
        )
    ours = branch_commit(git, plan.git_dir, into)
    if not ours:
        raise WorkspaceInvalid(("into", f"{into!r} is no branch of {plan.repository}"))
    if into == plan.branch:
        raise WorkspaceInvalid(("into", f"{into} is the agent's own branch"))
    root = Path(plan.path)
    identity = git.identity(root, plan.git_dir)
    with content_of(git, root, keep=True) as now:
        theirs, uncommitted = now.head, 0
        if now.tree != git.text(root, "rev-parse", f"{now.head}^{{tree}}"):
            uncommitted = len(changes_between(git, root, now.head, now.tree))
            theirs = _commit_rest(git, plan, agent, name, now.head, now.tree, identity)
        left_out = now.left_out
    last = ref_commit(git, plan.git_dir, merged_ref(agent))
    if is_ancestor(git, plan.git_dir, theirs, ours) or (last and _same_tree(git, plan, last, theirs)):
        return Merged(kind="nothing", into=into, commit=ours, before=ours, left_out=left_out)
    kind, commit = _join(
        git,
        plan,
        agent,
        ours,
        theirs,
        last,
        mode=mode,
        into=into,
        message=message or f"Merge the work of agent {name}",
        identity=identity,
    )
    _move(git, plan, into, ours, commit)
    git.run(plan.git_dir, "update-ref", merged_ref(agent), theirs, git_dir=plan.git_dir)
    if still and uncommitted:
        git.run(root, "reset", "--mixed", "--quiet", theirs, timeout_s=LONG_S)
    return Merged(kind=kind, into=into, commit=commit, before=ours, included_uncommitted=uncommitted, left_out=left_out)


def _need_version(git: Git, plan: Plan) -> None:
    text = git.text(plan.git_dir, "version")
    found = re.search(r"(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < _NEEDS:
        raise WorkspaceRefused(
            f"merging needs git 2.38 or newer; this is {text}",
            hint=f"git -C {plan.repository} merge {plan.branch}",
        )


def _commit_rest(git: Git, plan: Plan, agent: str, name: str, head: str, tree: str, identity: dict[str, str]) -> str:
    """A commit of what has none yet; above what was merged before, so that the same lines do not meet themselves."""
    parents = ["-p", head]
    last = ref_commit(git, plan.git_dir, merged_ref(agent))
    if last and not is_ancestor(git, plan.git_dir, last, head):
        parents += ["-p", last]
    message = f"Work of agent {name} that had no commit\n"
    return _commit_tree(git, plan, tree, parents, message, identity)


def _commit_tree(git: Git, plan: Plan, tree: str, parents: list[str], message: str, identity: dict[str, str]) -> str:
    done = git.run(
        plan.git_dir,
        "commit-tree",
        tree,
        *parents,
        data=message.encode("utf-8", "replace"),
        git_dir=plan.git_dir,
        extra=identity,
    )
    return os.fsdecode(done.out).strip()


def _same_tree(git: Git, plan: Plan, one: str, other: str) -> bool:
    trees = git.run(plan.git_dir, "rev-parse", f"{one}^{{tree}}", f"{other}^{{tree}}", git_dir=plan.git_dir).out.split()
    return trees[0] == trees[1]


def _join(
    git: Git,
    plan: Plan,
    agent: str,
    ours: str,
    theirs: str,
    last: str,
    *,
    mode: MergeMode,
    into: str,
    message: str,
    identity: dict[str, str],
) -> tuple[MergeKind, str]:
    """The commit that has both."""
    forward = is_ancestor(git, plan.git_dir, ours, theirs)
    if forward and mode in ("auto", "ff"):
        return "fast_forward", theirs
    if mode == "ff":
        raise WorkspaceRefused(
            f"{into} has commits that {plan.branch} has not, so it cannot be moved forward",
            hint="merge without --ff-only",
        )
    from_ours = ours
    if last and not is_ancestor(git, plan.git_dir, last, ours) and is_ancestor(git, plan.git_dir, last, theirs):
        # An earlier squash left no trace in the history: a commit that nobody keeps says where the two parted.
        tree = git.text(plan.git_dir, "rev-parse", f"{ours}^{{tree}}", git_dir=plan.git_dir)
        from_ours = _commit_tree(git, plan, tree, ["-p", ours, "-p", last], "for merge-tree\n", identity)
    done = git.run(
        plan.git_dir, "merge-tree", "--write-tree", "--name-only", "-z", "--no-messages", from_ours, theirs,
        git_dir=plan.git_dir, ok=(0, 1), timeout_s=LONG_S, extra=identity,
    )  # fmt: skip
    tree, *files = [os.fsdecode(word) for word in words_of(done.out)]
    if done.code:
        raise MergeConflict(into, plan.branch, sorted({name for name in files if name}))
    if mode == "squash":
        return "squash", _commit_tree(git, plan, tree, ["-p", ours], message + "\n", identity)
    return "merge", _commit_tree(git, plan, tree, ["-p", ours, "-p", theirs], message + "\n", identity)


def _move(git: Git, plan: Plan, into: str, before: str, commit: str) -> None:
    """The branch to the commit, together with the tree that has it checked out."""
    ref = f"refs/heads/{into}"
    for tree in worktrees(git, plan.git_dir):
        if tree.branch != ref or not tree.path.is_dir():
            continue
        try:
            git.run(tree.path, "merge", "--ff-only", "--quiet", "--no-autostash", commit, timeout_s=LONG_S)
        except GitFailed as error:
            raise WorkspaceRefused(
                f"{into} is checked out in {tree.path}, which could not be brought forward; "
                f"nothing was changed: {error.said}",
                hint="commit or stash what is there, or merge --into another branch",
                path=tree.path,
            ) from error
        return
    git.run(plan.git_dir, "update-ref", "-m", "kage: merge", ref, commit, before, git_dir=plan.git_dir)
