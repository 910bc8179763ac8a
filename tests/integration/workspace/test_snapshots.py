"""Snapshots keep every file as it is and touch nothing of the user's; restoring them is exact."""

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaged.domain.workspace import WorkspaceRefused
from kaged.workspace.manifest import real, stored
from kaged.workspace.restore import restore
from kaged.workspace.snapshot import Source, snapshots, take_snapshot
from tests.integration.workspace.repositories import commit, git, our_git, picture, repository, user_state

pytestmark = pytest.mark.integration
AGENT = "a1b2c3"


def source_of(path: Path) -> Source:
    return Source(root=path, git_dir=path / ".git", is_worktree=True, rules=True)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo")


def test_a_snapshot_restores_files_modes_links_and_empty_folders_exactly(repo: Path, tmp_path: Path) -> None:
    (repo / "dos.txt").write_bytes(b"one\r\ntwo\r\n")
    (repo / "mixed.txt").write_bytes(b"one\r\ntwo\n\0three")
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o750)
    (repo / "private").write_text("x")
    (repo / "private").chmod(0o400)
    (repo / "empty" / "deep").mkdir(parents=True)
    (repo / "empty" / "deep").chmod(0o700)
    (repo / "link").symlink_to("a.txt")
    (repo / "dangling").symlink_to("/no/such/place")
    (repo / "folder-link").symlink_to("empty")
    weird = os.path.join(os.fsencode(repo), b"new\nline \xff\"quote' \\ \ttab")
    Path(os.fsdecode(weird)).write_bytes(b"weird")
    os.mkfifo(repo / "pipe", 0o640)
    before = picture(repo, without=(b".git",))
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    restore(our_git(), repo / ".git", snapshot.commit, tmp_path / "back")
    assert picture(tmp_path / "back") == before
    assert snapshot.unkept == ("pipe",)


@pytest.mark.parametrize("autocrlf", ["true", "input", "false"])
def test_line_ends_come_back_whatever_git_would_make_of_them(repo: Path, tmp_path: Path, autocrlf: str) -> None:
    git(repo, "config", "core.autocrlf", autocrlf)
    (repo / ".gitattributes").write_text("*.dos text eol=crlf\n*.unix text eol=lf\n*.bin -text\n")
    for name in ("x.dos", "x.unix", "x.bin", "x.txt"):
        (repo / name).write_bytes(b"a\r\nb\nc\r\n")
    before = picture(repo, without=(b".git",))
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    restore(our_git(), repo / ".git", snapshot.commit, tmp_path / "back")
    assert picture(tmp_path / "back") == before


def test_a_repository_inside_comes_back_with_its_commits(repo: Path, tmp_path: Path) -> None:
    inner = repository(repo / "vendor" / "inner", code="1\n")
    commit(inner, "code", "2\n", "never pushed")
    (inner / ".gitignore").write_text("junk\n")
    (inner / "junk").write_text("ignored by the inner one")
    (inner / "untracked").write_text("kept")
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    assert snapshot.nested == ("vendor/inner",)
    back = tmp_path / "back"
    restore(our_git(), repo / ".git", snapshot.commit, back)
    assert git(back / "vendor/inner", "log", "--format=%s") == "never pushed\nfirst"
    assert (back / "vendor/inner/untracked").read_text() == "kept"
    assert not (back / "vendor/inner/junk").exists()
    assert picture(back / "vendor/inner/.git") == picture(inner / ".git")
    git(back / "vendor/inner", "fsck", "--strict")


def test_a_repository_inside_without_a_commit_is_kept_too(repo: Path, tmp_path: Path) -> None:
    (repo / "inner").mkdir()
    git(repo / "inner", "init", "--quiet")
    (repo / "inner/file").write_text("x")
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    restore(our_git(), repo / ".git", snapshot.commit, tmp_path / "back")
    assert picture(tmp_path / "back/inner") == picture(repo / "inner")


def test_nothing_of_the_users_repository_is_touched(repo: Path) -> None:
    (repo / "staged").write_text("staged")
    git(repo, "add", "staged")
    (repo / "staged").write_text("and changed")
    (repo / "a.txt").write_text("changed\n")
    git(repo, "stash", "push", "--quiet", "a.txt")
    before = user_state(repo)
    take_snapshot(our_git(), source_of(repo), AGENT, "test")
    assert user_state(repo) == before


def test_what_was_staged_and_commits_without_a_branch_stay_reachable(repo: Path) -> None:
    git(repo, "checkout", "--quiet", "--detach")
    git(repo, "commit", "--quiet", "--allow-empty", "-m", "on no branch")
    (repo / "a.txt").write_text("staged only\n")
    git(repo, "add", "a.txt")
    (repo / "a.txt").unlink()
    head = git(repo, "rev-parse", "HEAD")
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    assert git(repo, "rev-parse", f"{snapshot.commit}^1") == head
    assert git(repo, "show", f"{snapshot.commit}^2:a.txt") == "staged only"


def test_ignored_files_are_left_out_and_tracked_ones_are_not(repo: Path) -> None:
    (repo / "build").mkdir()
    (repo / "build/keep").write_text("tracked")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "-m", "x")
    (repo / ".gitignore").write_text("build/\n*.log\n")
    (repo / "build/junk").write_text("junk")
    (repo / "x.log").write_text("junk")
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    names = git(repo, "ls-tree", "-r", "--name-only", snapshot.commit).splitlines()
    assert names == [".gitignore", "a.txt", "build/keep"]


def test_a_second_snapshot_of_the_same_is_the_first_and_of_something_else_is_not(repo: Path) -> None:
    first = take_snapshot(our_git(), source_of(repo), AGENT, "one")
    assert take_snapshot(our_git(), source_of(repo), AGENT, "two") == first
    (repo / "a.txt").write_text("other\n")
    second = take_snapshot(our_git(), source_of(repo), AGENT, "three")
    (repo / "a.txt").chmod(0o755 if not stat.S_IMODE((repo / "a.txt").stat().st_mode) & 0o100 else 0o644)
    third = take_snapshot(our_git(), source_of(repo), AGENT, "four")
    assert [number for number, _ in snapshots(our_git(), repo / ".git", AGENT)] == [1, 2, 3]
    assert (first.number, second.number, third.number) == (1, 2, 3)


def test_staged_content_alone_does_not_make_every_snapshot_a_new_one(repo: Path) -> None:
    (repo / "a.txt").write_text("staged\n")
    git(repo, "add", "a.txt")
    (repo / "a.txt").write_text("one\n")
    first = take_snapshot(our_git(), source_of(repo), AGENT, "one")
    assert take_snapshot(our_git(), source_of(repo), AGENT, "two").commit == first.commit


def test_a_sparse_checkout_does_not_look_like_deleted_files(repo: Path) -> None:
    commit(repo, "far/away", "x")
    git(repo, "sparse-checkout", "set", "--no-cone", "/a.txt")
    assert not (repo / "far").exists()
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    assert git(repo, "ls-tree", "-r", "--name-only", snapshot.commit).splitlines() == ["a.txt", "far/away"]


def test_a_snapshot_works_in_the_middle_of_a_conflict(repo: Path) -> None:
    git(repo, "checkout", "--quiet", "-b", "side")
    commit(repo, "a.txt", "side\n")
    git(repo, "checkout", "--quiet", "main")
    commit(repo, "a.txt", "main\n")
    git(repo, "merge", "side", check=False)
    before = (repo / "a.txt").read_text()
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    assert git(repo, "show", f"{snapshot.commit}:a.txt") == before.rstrip("\n")


def test_replacing_puts_a_place_back_as_it_was_and_leaves_what_git_ignores(repo: Path) -> None:
    (repo / ".gitignore").write_text("*.log\n")
    (repo / "kept").mkdir()
    (repo / "kept/x").write_text("x")
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    before = picture(repo, without=(b".git",))
    (repo / "kept/x").unlink()
    (repo / "kept").rmdir()
    (repo / "kept").write_text("a file now")
    (repo / "new").mkdir()
    (repo / "new/y").write_text("y")
    (repo / "run.log").write_text("log")
    restore(our_git(), repo / ".git", snapshot.commit, repo, replace=True)
    assert (repo / "run.log").read_text() == "log"
    (repo / "run.log").unlink()
    assert picture(repo, without=(b".git",)) == before


def test_a_folder_that_is_not_empty_and_a_commit_of_others_are_refused(repo: Path, tmp_path: Path) -> None:
    snapshot = take_snapshot(our_git(), source_of(repo), AGENT, "test")
    with pytest.raises(WorkspaceRefused, match="not empty"):
        restore(our_git(), repo / ".git", snapshot.commit, repo)
    with pytest.raises(WorkspaceRefused, match="not a snapshot"):
        restore(our_git(), repo / ".git", "HEAD", tmp_path / "back")


def test_a_folder_without_any_git_is_kept_whole(tmp_path: Path) -> None:
    store = tmp_path / "store.git"
    git(tmp_path, "init", "--quiet", "--bare", str(store))
    plain = tmp_path / "plain"
    (plain / "empty").mkdir(parents=True)
    (plain / "x").write_bytes(b"\r\n")
    source = Source(root=plain, git_dir=store, is_worktree=False, rules=False)
    snapshot = take_snapshot(our_git(), source, AGENT, "test")
    restore(our_git(), store, snapshot.commit, tmp_path / "back")
    assert picture(tmp_path / "back") == picture(plain)


@given(st.binary(min_size=1).filter(lambda path: b"\0" not in path))
def test_shielding_of_names_is_undone_exactly(path: bytes) -> None:
    assert real(stored(path)) == path
    assert all(part.lower() != b".git" for part in stored(path).split(b"/"))


# --- any tree ----------------------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from(
        [
            b"a",
            b"b",
            b".git",
            b".GIT",
            b".kage-x",
            b"git~1",
            b".gitignored",
            b"a b",
            b"-r",
            b"\xff\xfe",
            b"x\ny",
            b'"q"',
            b"back\\slash",
            b"tail\r",
        ]
    ),
    st.binary(min_size=1, max_size=12).filter(lambda name: not set(name) & set(b"\0/") and name not in (b".", b"..")),
)
LEAVES = st.one_of(
    st.tuples(
        st.just("file"),
        st.sampled_from([0o644, 0o755, 0o600, 0o700, 0o664, 0o440]),
        st.sampled_from([b"", b"a\r\nb\n", b"\0\xff", b"ident $Id$\n"]),
    ),
    st.tuples(st.just("link"), st.just(0), st.sampled_from([b"a", b"../..", b"/no/such", b"\xff"])),
)
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=12)


def build(root: bytes, tree: object) -> None:
    if isinstance(tree, dict):
        os.mkdir(root)
        for name, inner in tree.items():
            build(os.path.join(root, name), inner)
        return
    assert isinstance(tree, tuple)
    kind, mode, content = tree
    if kind == "link":
        os.symlink(content, root)
        return
    Path(os.fsdecode(root)).write_bytes(content)
    os.chmod(root, mode)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(tree=st.dictionaries(NAMES, TREES, max_size=5), autocrlf=st.sampled_from(["true", "input", "false"]))
def test_any_tree_comes_back_as_it_was(repo: Path, tree: dict[bytes, object], autocrlf: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "place")
        git(repo, "config", "core.autocrlf", autocrlf)
        git(repo, "worktree", "add", "--quiet", "--detach", "--force", str(place))
        (place / ".gitattributes").write_text("* text=auto ident\n")
        build(os.fsencode(place / "tree"), tree)
        before = picture(place, without=(b".git",))
        source = Source(root=place, git_dir=repo / ".git", is_worktree=True, rules=True)
        snapshot = take_snapshot(our_git(), source, AGENT, "test")
        restore(our_git(), repo / ".git", snapshot.commit, Path(folder, "back"))
        assert picture(Path(folder, "back")) == before
