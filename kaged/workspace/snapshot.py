"""Snapshots: all files of a place at a moment, as commits under `refs/kage/snapshots/<agent>/<n>`.

    files -> blobs (raw bytes, no filter) -> private index -> tree -> commit (parents: HEAD, the index) -> ref

Neither the index nor HEAD, branches, stash or configuration of anybody are touched; only objects and that ref are
new. The commit's first parent is what was checked out, so commits of the agent stay reachable when its branch goes;
what was staged and is not in the files is a further parent, as git's stash does it. A snapshot of what the last one
has already is that one. Content comes back exactly by `restore.py`. Ignored files are not part of it; nor are owners,
times, extended attributes. Blocks; called in threads.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from kaged.domain.frozen import frozen
from kaged.domain.workspace import GitFailed, Plan, Snapshot
from kaged.workspace.git import KAGE_IDENTITY, LONG_S, Git, quoted
from kaged.workspace.inventory import Inventory, take_inventory
from kaged.workspace.manifest import Manifest, stored
from kaged.workspace.repository import ref_commit
from kaged.workspace.worktree import is_whole

_TRIES: Final = 5
_ANY_NAME: Final = ("-c", "core.protectNTFS=false", "-c", "core.protectHFS=false")  # names of files are the agent's


@frozen
class Source:
    """What to take a snapshot of. `git_dir`: the repository that keeps it. `is_worktree`: `root` is one of its
    worktrees (else any folder; a `.git` in it is kept as files). `rules`: git's ignore rules hold there."""

    root: Path
    git_dir: Path
    is_worktree: bool
    rules: bool


def source_of(plan: Plan) -> Source:
    """The files of an agent's place."""
    root = Path(plan.path)
    ours = plan.kind == "worktree" and is_whole(plan)  # else what is there now is just a folder, perhaps with a .git
    return Source(root=root, git_dir=Path(plan.git_dir), is_worktree=ours, rules=(root / ".git").exists())


def ref_of(agent: str, number: int) -> str:
    """Name of the ref of a snapshot."""
    return f"refs/kage/snapshots/{agent}/{number}"


def snapshots(git: Git, git_dir: Path, agent: str) -> list[tuple[int, str]]:
    """Numbers and commits of an agent's snapshots, oldest first."""
    done = git.run(
        git_dir,
        "for-each-ref",
        "--format=%(refname:lstrip=4) %(objectname)",
        f"refs/kage/snapshots/{agent}/",
        git_dir=git_dir,
    )
    pairs = (line.split(" ") for line in os.fsdecode(done.out).splitlines())
    return sorted((int(number), commit) for number, commit in pairs if number.isdigit())


def take_snapshot(git: Git, source: Source, agent: str, why: str) -> Snapshot:
    """Keep everything. Safe to repeat. Raises GitFailed, OSError: then nothing is kept and nothing has changed.

    Files that change while they are read are kept as they were at some moment of it; stop the agent for more.
    """
    for attempt in range(_TRIES):
        try:
            return _take(git, source, agent, why)
        except (GitFailed, FileNotFoundError):
            if attempt == _TRIES - 1:  # a file that was there at the look may be gone at the reading: look again
                raise
    raise AssertionError("unreachable")


def _take(git: Git, source: Source, agent: str, why: str) -> Snapshot:
    found = take_inventory(git, source.root, rules=source.rules, with_git=not source.is_worktree)
    with tempfile.TemporaryDirectory(prefix="kage-snapshot-") as scratch_name:
        scratch = Path(scratch_name)
        index = {"GIT_INDEX_FILE": str(scratch / "index")}
        lines = _file_lines(git, source, found) + _link_lines(git, source, found, scratch)
        lines += _unchecked_out(git, source, found)
        git.run(
            source.git_dir, *_ANY_NAME, "update-index", "-z", "--index-info",
            data=b"".join(lines), git_dir=source.git_dir, extra=index, timeout_s=LONG_S,
        )  # fmt: skip
        tree = git.text(source.git_dir, *_ANY_NAME, "write-tree", git_dir=source.git_dir, extra=index, timeout_s=LONG_S)
        staged = _staged_tree(git, source, scratch) if source.is_worktree else ""
    manifest = Manifest(
        head=git.text(source.root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", ok=(0, 1, 128))
        if source.rules
        else "",
        head_ref=git.text(source.root, "symbolic-ref", "--quiet", "HEAD", ok=(0, 1, 128)) if source.rules else "",
        empty=found.empty,
        nested=found.nested,
        specials=found.specials,
        unreadable=found.unreadable,
    )
    manifest.set_modes(found.files, found.folders)
    parents = _parents(git, source, manifest.head, staged, tree)
    line = manifest.to_line()
    unkept = tuple(os.fsdecode(path) for path in (*found.specials, *found.unreadable))
    earlier = snapshots(git, source.git_dir, agent)
    if earlier and _same(git, source.git_dir, earlier[-1][1], tree, parents, line):
        number, commit = earlier[-1]
    else:
        number, commit = _commit(git, source.git_dir, agent, earlier, tree, parents, f"{why}\n\n{line}\n")
    return Snapshot(
        repository=str(source.git_dir),
        ref=ref_of(agent, number),
        number=number,
        commit=commit,
        tree=tree,
        files=len(found.files) + len(found.links),
        nested=tuple(os.fsdecode(path) for path in found.nested),
        unkept=unkept,
    )


# --- blobs -------------------------------------------------------------------------------------------------------


def _file_lines(git: Git, source: Source, found: Inventory) -> list[bytes]:
    paths = list(found.files)
    ids = _hash(git, source.git_dir, [os.path.join(os.fsencode(source.root), path) for path in paths])
    return [
        _line(b"100755" if found.files[path] & 0o100 else b"100644", blob, path)
        for path, blob in zip(paths, ids, strict=True)
    ]


def _link_lines(git: Git, source: Source, found: Inventory, scratch: Path) -> list[bytes]:
    """`hash-object` follows links: what they say is hashed from files of its own."""
    copies: list[bytes] = []
    for number, path in enumerate(found.links):
        copy = scratch / f"link-{number}"
        copy.write_bytes(os.readlink(os.path.join(os.fsencode(source.root), path)))
        copies.append(os.fsencode(copy))
    ids = _hash(git, source.git_dir, copies)
    return [_line(b"120000", blob, path) for path, blob in zip(found.links, ids, strict=True)]


def _hash(git: Git, git_dir: Path, paths: Sequence[bytes]) -> list[bytes]:
    if not paths:
        return []
    done = git.run(
        git_dir, "hash-object", "-w", "--no-filters", "--stdin-paths",
        data=b"".join(quoted(path) + b"\n" for path in paths), git_dir=git_dir, timeout_s=LONG_S,
    )  # fmt: skip
    return done.out.split()


def _line(mode: bytes, blob: bytes, path: bytes) -> bytes:
    return mode + b" " + blob + b"\t" + stored(path) + b"\0"


def _unchecked_out(git: Git, source: Source, found: Inventory) -> list[bytes]:
    """Files that a sparse checkout leaves out of the tree: they are not deleted, so they stay what they are."""
    if not source.is_worktree or git.text(source.root, "config", "--bool", "core.sparseCheckout", ok=(0, 1)) != "true":
        return []
    done = git.run(source.root, "ls-files", "-z", "-t", "--stage")
    lines: list[bytes] = []
    for item in done.out.split(b"\0")[:-1]:
        head, _, path = item.partition(b"\t")
        tag, mode, blob, stage = head.split(b" ")
        if tag == b"S" and stage == b"0" and path not in found.files:
            lines.append(_line(mode, blob, path))
    return lines


# --- commit ------------------------------------------------------------------------------------------------------


def _staged_tree(git: Git, source: Source, scratch: Path) -> str:
    """The tree of what is staged in the worktree's own index; empty: it cannot be one (a merge is under way)."""
    index = git.text(source.root, "rev-parse", "--path-format=absolute", "--git-path", "index")
    try:
        shutil.copyfile(index, scratch / "staged")
    except OSError:
        return ""
    extra = {"GIT_INDEX_FILE": str(scratch / "staged")}
    return git.text(source.git_dir, "write-tree", git_dir=source.git_dir, extra=extra, ok=(0, 128))


def _parents(git: Git, source: Source, head: str, staged: str, tree: str) -> list[str]:
    if not source.is_worktree or not head:
        return []  # commits of a repository of its own are in the files of its `.git`
    parents = [head]
    if staged and staged not in (
        tree,
        git.text(source.git_dir, "rev-parse", f"{head}^{{tree}}", git_dir=source.git_dir),
    ):
        parents.append(_commit_tree(git, source.git_dir, staged, [head], "What was staged\n", still=True))
    return parents


def _same(git: Git, git_dir: Path, commit: str, tree: str, parents: Iterable[str], line: str) -> bool:
    had = git.text(git_dir, "log", "-1", "--format=%T %P", commit, git_dir=git_dir)
    message = git.run(git_dir, "log", "-1", "--format=%B", commit, git_dir=git_dir).out.decode("utf-8", "replace")
    return had.split() == [tree, *parents] and line in message.splitlines()


def _commit_tree(
    git: Git, git_dir: Path, tree: str, parents: Iterable[str], message: str, *, still: bool = False
) -> str:
    words = [word for parent in parents for word in ("-p", parent)]
    # Without a time of its own the same staged tree gives the same commit, and a repeat is seen to be one.
    times = {"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"} if still else {}
    done = git.run(
        git_dir, "commit-tree", tree, *words, data=message.encode("utf-8", "replace"), git_dir=git_dir,
        extra={**KAGE_IDENTITY, **times},
    )  # fmt: skip
    return os.fsdecode(done.out).strip()


def _commit(
    git: Git, git_dir: Path, agent: str, earlier: list[tuple[int, str]], tree: str, parents: list[str], message: str
) -> tuple[int, str]:
    """Under the next free number; somebody else's ref of that number is never moved."""
    commit = _commit_tree(git, git_dir, tree, parents, message)
    number = earlier[-1][0] + 1 if earlier else 1
    while True:
        try:
            git.run(git_dir, "update-ref", "-m", "kage: snapshot", ref_of(agent, number), commit, "", git_dir=git_dir)
            return number, commit
        except GitFailed:
            if not ref_commit(git, git_dir, ref_of(agent, number)):
                raise
            number += 1
