"""What a worktree has that its base has not: files with counts, a patch, the files touched. Reads only.

Compared is what a commit of everything would hold (line ends and filters as git applies them), committed or not. The
objects for that are written to a folder of their own and thrown away; the agent's index serves as a cache through a
copy. Repositories that lie inside and are no part of it are named, not compared. Not here: exact content
(`snapshot.py`).
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kaged.domain.frozen import frozen
from kaged.domain.workspace import Change, Difference, Plan
from kaged.workspace.git import LONG_S, Git, words_of
from kaged.workspace.repository import branch_commit, is_ancestor, merge_base, ref_commit

MAX_PATCH_BYTES: Final = 4 << 20
_WORDS: Final = {"A": "added", "M": "modified", "D": "deleted", "R": "renamed", "C": "added", "T": "type"}


@frozen
class Content:
    """The files of a worktree as a tree of git. `left_out`: repositories inside."""

    head: str
    tree: str
    dirty: bool
    left_out: tuple[str, ...]
    extra: dict[str, str]


def merged_ref(agent: str) -> str:
    """Ref of what was last merged of an agent's work: without it a second squash would conflict with the first."""
    return f"refs/kage/merged/{agent}"


@contextlib.contextmanager
def content_of(git: Git, root: Path, *, keep: bool = False) -> Iterator[Content]:
    """The files as they are. Objects last as long as the block, unless `keep`: then they are in the repository."""
    with tempfile.TemporaryDirectory(prefix="kage-content-") as scratch:
        index = git.text(root, "rev-parse", "--path-format=absolute", "--git-path", "index")
        copy = Path(scratch, "index")
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(index, copy)  # its time is what git tells by which entries may be stale
        extra = {"GIT_INDEX_FILE": str(copy)}
        if not keep:
            objects = git.text(root, "rev-parse", "--path-format=absolute", "--git-path", "objects")
            Path(scratch, "objects").mkdir()
            extra |= {
                "GIT_OBJECT_DIRECTORY": str(Path(scratch, "objects")),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
            }
        head = git.text(root, "rev-parse", "--verify", "HEAD^{commit}")
        left_out = _repositories_inside(git, root)
        exclude = [f":(exclude,literal,top){os.fsdecode(path)}" for path in left_out]
        git.run(root, "add", "--all", "--", ":/", *exclude, extra=extra, timeout_s=LONG_S)
        tree = git.text(root, "write-tree", extra=extra)
        dirty = tree != git.text(root, "rev-parse", f"{head}^{{tree}}") or bool(left_out)
        names = tuple(os.fsdecode(path).rstrip("/") for path in left_out)
        yield Content(head=head, tree=tree, dirty=dirty, left_out=names, extra=extra)


def _repositories_inside(git: Git, root: Path) -> list[bytes]:
    done = git.run(root, "ls-files", "-z", "--others", "--exclude-standard")
    return [path for path in words_of(done.out) if path.endswith(b"/")]


def compare_commit(git: Git, plan: Plan, agent: str, head: str) -> str:
    """What an agent's work is compared with: where it and its base parted, or what was merged of it since."""
    merged = ref_commit(git, plan.git_dir, merged_ref(agent))
    if merged and is_ancestor(git, plan.git_dir, plan.base_commit, merged):
        return merged
    tip = branch_commit(git, plan.git_dir, plan.base) if plan.base else ""
    return (merge_base(git, plan.git_dir, head, tip) if tip else "") or plan.base_commit


def difference(git: Git, plan: Plan, agent: str, *, patch: bool, max_bytes: int = MAX_PATCH_BYTES) -> Difference:
    """A worktree against its base, with what is not committed. Raises GitFailed."""
    root = Path(plan.path)
    with content_of(git, root) as now:
        base = compare_commit(git, plan, agent, now.head)
        changes = changes_between(git, root, base, now.tree, now.extra)
        text, truncated = b"", False
        if patch:
            words = ("diff-tree", "-r", "-p", "-M", "--binary", "--no-ext-diff", "--no-textconv", "--no-color")
            text = git.run(root, *words, base, now.tree, extra=now.extra, timeout_s=LONG_S).out
            truncated = len(text) > max_bytes
        uncommitted = len(changes_between(git, root, now.head, now.tree, now.extra)) if now.dirty else 0
        commits = git.text(root, "rev-list", "--count", f"{base}..{now.head}")
        return Difference(
            base_commit=base,
            head_commit=now.head,
            changes=tuple(changes),
            patch=text[:max_bytes].rpartition(b"\n")[0] + b"\n" if truncated else text,
            truncated=truncated,
            commits=int(commits),
            uncommitted=uncommitted,
            left_out=now.left_out,
        )


def changes_between(git: Git, where: Path, one: str, other: str, extra: dict[str, str] | None = None) -> list[Change]:
    """Files that differ between two trees, with lines added and removed."""
    words = ("diff-tree", "-r", "-z", "-M", "--no-ext-diff", "--no-textconv")
    done = git.run(where, *words, "--raw", "--numstat", one, other, extra=extra, timeout_s=LONG_S)
    status: dict[bytes, tuple[str, bytes]] = {}
    changes: list[Change] = []
    parts = iter(words_of(done.out))
    for part in parts:
        if part.startswith(b":"):
            letter = part.rsplit(b" ", 1)[1][:1].decode("ascii")
            old = next(parts)
            new = next(parts) if letter in "RC" else old
            status[new] = (_WORDS.get(letter, "modified"), old if letter in "RC" else b"")
            continue
        added, removed, path = part.split(b"\t", 2)
        if not path:
            next(parts)
            path = next(parts)
        word, old = status.get(path, ("modified", b""))
        changes.append(
            Change(
                path=os.fsdecode(path),
                status=word,
                old_path=os.fsdecode(old),
                added=-1 if added == b"-" else int(added),
                removed=-1 if removed == b"-" else int(removed),
            )
        )
    return changes


def touched(git: Git, plan: Plan, agent: str) -> frozenset[str]:
    """Files that differ from the base, by name alone: much quicker than `difference`, for overlaps."""
    root = Path(plan.path)
    head = git.text(root, "rev-parse", "--verify", "HEAD^{commit}")
    base = compare_commit(git, plan, agent, head)
    changed = git.run(root, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", base, "--", timeout_s=LONG_S)
    others = git.run(root, "ls-files", "-z", "--others", "--exclude-standard", timeout_s=LONG_S)
    return frozenset(os.fsdecode(path) for path in (*words_of(changed.out), *words_of(others.out)))
