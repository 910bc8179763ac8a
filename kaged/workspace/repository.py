"""What a repository says of itself, read only: where it is, what is checked out, which branches are taken.

Nothing here changes a file. Paths are absolute. Not here: making worktrees (`worktree.py`), content (`inventory.py`).
"""

import os
from pathlib import Path

from kaged.domain.frozen import frozen
from kaged.domain.workspace import GitFailed, WorkspaceInvalid, WorkspaceRefused
from kaged.workspace.git import Git


@frozen
class Repository:
    """`git_dir`: what all worktrees share. `top`: the worktree that was asked from; a bare one has none: its git
    directory. `prefix`: where in that worktree, `""` or `a/b`."""

    git_dir: Path
    top: Path
    prefix: str
    bare: bool


@frozen
class Worktree:
    """One worktree of a repository. `branch`: checked out there, `refs/heads/...`; empty: none."""

    path: Path
    branch: str


def find(git: Git, folder: Path) -> Repository | None:
    """The repository that holds a folder, or None. Raises GitFailed with git's words when git refuses it."""
    done = git.run(
        folder, "rev-parse", "--path-format=absolute", "--git-common-dir", "--is-bare-repository",
        "--is-inside-work-tree", ok=(0, 128),
    )  # fmt: skip
    if done.code:
        if b"not a git repository" in done.err:
            return None
        raise GitFailed(("rev-parse",), done.code, done.err.decode("utf-8", "replace").strip())
    common, bare, inside = os.fsdecode(done.out).rstrip("\n").rsplit("\n", 2)
    if inside != "true":
        if bare == "true":
            return Repository(git_dir=Path(common), top=Path(common), prefix="", bare=True)
        raise WorkspaceRefused(f"{folder} lies inside the git directory of a repository", hint="name its work tree")
    top = git.text(folder, "rev-parse", "--path-format=absolute", "--show-toplevel")
    prefix = git.text(folder, "rev-parse", "--show-prefix").rstrip("/")
    return Repository(git_dir=Path(common), top=Path(top), prefix=prefix, bare=False)


def commit_of(git: Git, repository: Repository, name: str) -> str:
    """The commit that a name stands for. Raises WorkspaceInvalid, WorkspaceRefused (no commit at all)."""
    found = git.text(
        repository.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name or 'HEAD'}^{{commit}}",
        ok=(0, 1, 128),
    )  # fmt: skip
    if found:
        return found
    if name:
        raise WorkspaceInvalid(
            ("spec.workspace.base", f"{name!r} is no branch, tag or commit of {repository.top}"),
            hint=f"git -C {repository.top} branch --all shows the branches",
        )
    raise WorkspaceRefused(
        f"the repository {repository.top} has no commit yet, so there is nothing that a worktree could begin with",
        hint="commit something first, or use --workspace copy or here",
    )


def checked_out(git: Git, repository: Repository) -> str:
    """Name of the branch that is checked out where we asked from; empty: none."""
    return git.text(repository.top, "symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1, 128))


def branch_commit(git: Git, git_dir: str | Path, branch: str) -> str:
    """Where a local branch stands; empty: there is none."""
    return ref_commit(git, git_dir, f"refs/heads/{branch}")


def ref_commit(git: Git, git_dir: str | Path, ref: str) -> str:
    """Where a ref stands; empty: there is none."""
    return git.text(
        git_dir, "rev-parse", "--verify", "--quiet", "--end-of-options", ref, git_dir=git_dir, ok=(0, 1, 128)
    )


def branches_under(git: Git, git_dir: Path, head: str) -> set[str]:
    """Names of the local branches that are `head` or begin with `head/`."""
    done = git.run(git_dir, "for-each-ref", "--format=%(refname:lstrip=2)", f"refs/heads/{head}", git_dir=git_dir)
    return set(os.fsdecode(done.out).split())


def worktrees(git: Git, git_dir: str | Path) -> list[Worktree]:
    """All worktrees of a repository, also those whose folder is gone."""
    done = git.run(git_dir, "worktree", "list", "--porcelain", git_dir=git_dir)  # `-z` is newer than what many have
    found: list[Worktree] = []
    for block in done.out.split(b"\n\n"):
        fields = {line.partition(b" ")[0]: line.partition(b" ")[2] for line in block.split(b"\n")}
        if path := fields.get(b"worktree"):
            found.append(Worktree(path=Path(os.fsdecode(path)), branch=os.fsdecode(fields.get(b"branch", b""))))
    return found


def is_ancestor(git: Git, git_dir: str | Path, older: str, newer: str) -> bool:
    """Whether everything in `older` is in `newer`."""
    return git.run(git_dir, "merge-base", "--is-ancestor", older, newer, git_dir=git_dir, ok=(0, 1)).code == 0


def merge_base(git: Git, git_dir: str | Path, one: str, other: str) -> str:
    """The best common ancestor; empty: there is none."""
    return git.text(git_dir, "merge-base", one, other, git_dir=git_dir, ok=(0, 1))


def refs_with(git: Git, git_dir: str | Path, commit: str, *, but: str) -> list[str]:
    """Branches (also remote ones) and tags that contain a commit, without one of them."""
    done = git.run(
        git_dir, "for-each-ref", "--format=%(refname)", f"--contains={commit}",
        "refs/heads", "refs/remotes", "refs/tags", git_dir=git_dir,
    )  # fmt: skip
    return [ref for ref in os.fsdecode(done.out).split("\n") if ref and ref != but]
