"""Worktrees and copies: made once however often it is tried, merged all or nothing, taken away without a loss."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kaged.domain.place_spec import Workspace
from kaged.domain.workspace import (
    Cancelled,
    GitFailed,
    HookFailed,
    MergeConflict,
    Merged,
    MergeMode,
    Plan,
    WorkspaceInvalid,
    WorkspaceRefused,
)
from kaged.workspace.provider import LocalWorkspaces
from kaged.workspace.restore import restore
from kaged.workspace.worktree import note_path
from tests.e2e.daemon_kit import eventually
from tests.integration.workspace.repositories import commit, git, our_git, picture, repository, user_state

pytestmark = pytest.mark.integration
AGENT = "a1b2c3d4"
WORKTREE = Workspace(kind="worktree")
COPY = Workspace(kind="copy")


class Place:
    """One repository, and workspaces beside it."""

    def __init__(self, folder: Path) -> None:
        self.repo = repository(folder / "repo", **{"a.txt": "one\ntwo\nthree\n", "b.txt": "b\n"})
        self.dir = folder / "state" / "workspaces"
        self.workspaces = LocalWorkspaces(self.dir, {"PATH": os.environ["PATH"], "HOME": str(folder)})

    def plan(
        self, wish: Workspace = WORKTREE, *, agent: str = AGENT, name: str = "web", at: Path | None = None
    ) -> Plan:
        return self.workspaces.plan(agent, name, wish, str(at or self.repo))

    def make(
        self, wish: Workspace = WORKTREE, *, agent: str = AGENT, name: str = "web", at: Path | None = None
    ) -> Plan:
        plan = self.plan(wish, agent=agent, name=name, at=at)
        self.workspaces.make(agent, f"{agent}.1", plan, wish, environment(), lambda: False)
        return plan

    def again(self, plan: Plan, wish: Workspace = WORKTREE) -> None:
        self.workspaces.make(AGENT, f"{AGENT}.2", plan, wish, environment(), lambda: False)

    def merge(self, plan: Plan, *, into: str = "", mode: MergeMode = "auto", still: bool = True) -> Merged:
        return self.workspaces.merge(AGENT, "web", plan, into=into, mode=mode, message="", still=still)


def environment() -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"]}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --- making ------------------------------------------------------------------------------------------------------


def test_a_worktree_begins_at_what_is_checked_out_on_a_branch_of_the_agents_name(place: Place) -> None:
    before = user_state(place.repo)
    plan = place.make()
    assert (plan.branch, plan.base, plan.base_commit) == ("kage/web", "main", git(place.repo, "rev-parse", "main"))
    assert Path(plan.path) == place.dir / AGENT
    assert git(Path(plan.path), "rev-parse", "--abbrev-ref", "HEAD") == "kage/web"
    assert picture(Path(plan.path), without=(b".git",)).keys() == {b"a.txt", b"b.txt"}
    assert user_state(place.repo) == before


def test_making_it_again_changes_nothing_of_what_the_agent_did(place: Place) -> None:
    plan = place.make()
    (Path(plan.path) / "a.txt").write_text("work\n")
    place.again(plan)
    assert (Path(plan.path) / "a.txt").read_text() == "work\n"


def test_a_base_and_a_branch_can_be_named(place: Place) -> None:
    old = git(place.repo, "rev-parse", "main")
    commit(place.repo, "a.txt", "new\n")
    git(place.repo, "branch", "stable", old)
    plan = place.make(Workspace(kind="worktree", base="stable", branch="feature/x"))
    assert (plan.base, plan.base_commit, plan.branch) == ("stable", old, "feature/x")
    other = place.make(Workspace(kind="worktree", base=old), agent="b" * 8)
    assert (other.base, other.base_commit) == ("", old)


def test_an_existing_branch_is_gone_on_with_and_one_in_use_is_refused(place: Place) -> None:
    git(place.repo, "branch", "feature")
    git(place.repo, "checkout", "--quiet", "feature")
    tip = commit(place.repo, "c.txt", "c\n")
    with pytest.raises(WorkspaceRefused, match="checked out in"):
        place.plan(Workspace(kind="worktree", branch="feature", base="main"))
    git(place.repo, "checkout", "--quiet", "main")
    plan = place.make(Workspace(kind="worktree", branch="feature"))
    assert (plan.start_commit, plan.base_commit, plan.fresh) == (tip, git(place.repo, "rev-parse", "main"), False)


def test_a_branch_that_an_earlier_agent_left_is_not_taken_over(place: Place) -> None:
    git(place.repo, "branch", "kage/web")
    git(place.repo, "branch", "kage/web-2")
    assert place.plan().branch == "kage/web-3"


def test_a_branch_named_kage_and_names_that_git_does_not_allow_are_got_around(place: Place) -> None:
    assert place.plan(name="a..b.lock").branch == "kage/a-b-lock"
    git(place.repo, "branch", "kage")
    assert place.plan().branch == "kage-web"
    place.make()


def test_runs_start_in_the_same_folder_of_the_worktree(place: Place) -> None:
    commit(place.repo, "sub/x", "x")
    plan = place.make(at=place.repo / "sub")
    assert plan.cwd == str(place.dir / AGENT / "sub")
    (place.repo / "new").mkdir()
    with pytest.raises(WorkspaceRefused, match="does not have that folder"):
        place.make(at=place.repo / "new", agent="b" * 8)


def test_wishes_that_cannot_be_are_refused_with_a_reason(place: Place, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(WorkspaceRefused, match="not in a git repository"):
        place.plan(at=tmp_path / "plain")
    with pytest.raises(WorkspaceInvalid, match="no branch, tag or commit"):
        place.plan(Workspace(kind="worktree", base="nothing"))
    with pytest.raises(WorkspaceInvalid, match="not a name for a branch"):
        place.plan(Workspace(kind="worktree", branch="-x"))
    with pytest.raises(WorkspaceInvalid, match="not a folder"):
        place.plan(Workspace(kind="worktree", repository="/no/such"))
    git(tmp_path, "init", "--quiet", "fresh")
    with pytest.raises(WorkspaceRefused, match="no commit yet"):
        place.plan(at=tmp_path / "fresh")


def test_a_bare_repository_and_a_linked_worktree_can_be_worked_from(place: Place, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(place.repo), "bare.git")
    place.make(at=tmp_path / "bare.git")
    git(place.repo, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    tip = commit(tmp_path / "side", "s.txt", "s")
    plan = place.make(at=tmp_path / "side", agent="b" * 8, name="other")
    assert (plan.base, plan.base_commit) == ("side", tip)


def test_ignored_files_are_copied_by_pattern(place: Place) -> None:
    (place.repo / ".git/info/exclude").write_text(".env*\nnode_modules\n")
    (place.repo / ".env").write_text("KEY=1")
    (place.repo / ".env").chmod(0o600)
    (place.repo / ".env.test").write_text("KEY=2")
    (place.repo / "node_modules/m").mkdir(parents=True)
    (place.repo / "node_modules/m/x.js").write_text("x")
    plan = place.make(Workspace(kind="worktree", copy=(".env", "node_modules/")))
    root = Path(plan.path)
    assert (root / ".env").read_text() == "KEY=1"
    assert (root / ".env").stat().st_mode & 0o777 == 0o600
    assert (root / "node_modules/m/x.js").read_text() == "x"
    assert not (root / ".env.test").exists()


def test_setup_runs_in_the_workspace_and_its_failure_stops_the_making(place: Place) -> None:
    plan = place.make(Workspace(kind="worktree", setup='echo ready; pwd > "$KAGE_WORKSPACE/pwd.log"'))
    assert (Path(plan.path) / "pwd.log").read_text().strip() == plan.path
    with pytest.raises(HookFailed, match="ended with 3") as caught:
        place.make(Workspace(kind="worktree", setup="echo why >&2; exit 3"), agent="b" * 8, name="other")
    assert caught.value.output == "why"


def test_setup_can_be_cancelled_and_leaves_no_process(place: Place) -> None:
    wish = Workspace(kind="worktree", setup="sleep 1000 & echo $! > pid; wait")
    plan = place.plan(wish)
    pid = Path(plan.path) / "pid"
    with pytest.raises(Cancelled):
        place.workspaces.make(
            AGENT, f"{AGENT}.1", plan, wish, environment(), lambda: pid.exists() and pid.read_text() != ""
        )
    stat = Path(f"/proc/{pid.read_text().strip()}/stat")

    def gone() -> bool:
        try:
            return stat.read_text().split()[2] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    eventually(gone, "the killed process to be gone")


@pytest.mark.parametrize("damage", ["half", "no-folder", "no-admin", "locked-ref", "branch-only", "not-noted-whole"])
def test_a_half_made_worktree_is_made_whole(place: Place, damage: str) -> None:
    plan = place.plan()
    if damage == "branch-only":
        git(place.repo, "branch", plan.branch, plan.start_commit)
    else:
        place.again(plan)
        note_path(Path(plan.path)).write_text(note_path(Path(plan.path)).read_text().replace("true", "false"))
        admin = place.repo / ".git/worktrees" / AGENT
        match damage:
            case "half":
                (Path(plan.path) / "b.txt").unlink()
                (admin / "index.lock").write_text("")
            case "no-folder":
                git(place.repo, "worktree", "unlock", plan.path)
                os.rename(plan.path, f"{plan.path}.elsewhere")
            case "no-admin":
                os.rename(admin, place.repo / "elsewhere")
            case "locked-ref":
                git(place.repo, "worktree", "remove", "-f", "-f", plan.path)
                git(place.repo, "branch", "-D", plan.branch)
                (place.repo / ".git/refs/heads/kage").mkdir(exist_ok=True)
                (place.repo / ".git/refs/heads/kage/web.lock").write_text("")
    place.again(plan)
    assert picture(Path(plan.path), without=(b".git",)).keys() == {b"a.txt", b"b.txt"}
    assert git(Path(plan.path), "status", "--porcelain") == ""
    assert len(git(place.repo, "worktree", "list").splitlines()) == 2


def test_what_is_not_kages_is_left_alone(place: Place) -> None:
    plan = place.plan()
    Path(plan.path).mkdir(parents=True)
    (Path(plan.path) / "mine").write_text("x")
    with pytest.raises(WorkspaceRefused, match="not Kage's"):
        place.again(plan)
    with pytest.raises(WorkspaceRefused, match="not Kage's"):
        place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert (Path(plan.path) / "mine").read_text() == "x"


def test_prune_and_remove_by_hand_do_not_take_a_worktree_away(place: Place) -> None:
    plan = place.make()
    git(place.repo, "worktree", "prune")
    git(place.repo, "worktree", "remove", "--force", plan.path, check=False)
    assert (Path(plan.path) / "a.txt").exists()


def test_hooks_of_the_repository_and_variables_of_git_do_not_reach_what_kage_does(place: Place, tmp_path: Path) -> None:
    for name in ("post-checkout", "reference-transaction", "post-merge"):
        hook = place.repo / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\necho hook >> {tmp_path}/ran\n")
        hook.chmod(0o755)
    poisoned = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_DIR": "/no/such", "GIT_INDEX_FILE": "/no/such"}
    place.workspaces = LocalWorkspaces(place.dir, poisoned)
    plan = place.make()
    (Path(plan.path) / "a.txt").write_text("x\n")
    place.merge(plan)
    assert not (tmp_path / "ran").exists()


# --- looking -----------------------------------------------------------------------------------------------------


def test_the_difference_has_committed_uncommitted_and_untracked_work(place: Place) -> None:
    plan = place.make()
    root = Path(plan.path)
    commit(root, "a.txt", "one\nTWO\nthree\n")
    (root / "b.txt").unlink()
    (root / "new").mkdir()
    (root / "new/bin").write_bytes(b"\0\1")
    index = (place.repo / ".git/worktrees" / AGENT / "index").read_bytes()
    objects = git(place.repo, "count-objects")
    found = place.workspaces.difference(AGENT, plan, patch=True)
    assert [(c.path, c.status, c.added, c.removed) for c in found.changes] == [
        ("a.txt", "modified", 1, 1),
        ("b.txt", "deleted", 0, 1),
        ("new/bin", "added", -1, -1),
    ]
    assert (found.commits, found.uncommitted) == (1, 2)
    assert b"-two\n+TWO\n" in found.patch
    assert (place.repo / ".git/worktrees" / AGENT / "index").read_bytes() == index
    assert git(place.repo, "count-objects") == objects


def test_what_came_from_the_base_is_not_the_agents_difference(place: Place) -> None:
    plan = place.make()
    root = Path(plan.path)
    commit(root, "mine", "x\n")
    commit(place.repo, "b.txt", "from main\n")
    git(root, "merge", "--quiet", "--no-edit", "main")
    assert [c.path for c in place.workspaces.difference(AGENT, plan, patch=False).changes] == ["mine"]


def test_touched_names_what_overlaps(place: Place) -> None:
    one = place.make()
    other = place.make(agent="b" * 8, name="other")
    (Path(one.path) / "a.txt").write_text("x\n")
    commit(Path(other.path), "a.txt", "y\n")
    (Path(other.path) / "new").write_text("n")
    first, second = place.workspaces.touched(AGENT, one), place.workspaces.touched("b" * 8, other)
    assert first & second == {"a.txt"}
    assert second == {"a.txt", "new"}


# --- merging -----------------------------------------------------------------------------------------------------


def test_merging_moves_the_branch_and_the_tree_that_has_it_checked_out(place: Place) -> None:
    plan = place.make()
    commit(Path(plan.path), "a.txt", "work\n")
    (Path(plan.path) / "new").write_text("no commit\n")
    merged = place.merge(plan)
    assert (merged.kind, merged.into, merged.included_uncommitted) == ("fast_forward", "main", 1)
    assert (place.repo / "a.txt").read_text() == "work\n"
    assert (place.repo / "new").read_text() == "no commit\n"
    assert git(place.repo, "status", "--porcelain") == ""
    assert git(Path(plan.path), "status", "--porcelain") == ""
    assert place.merge(plan).kind == "nothing"


def test_both_sides_are_joined_by_a_merge_commit(place: Place) -> None:
    plan = place.make()
    commit(Path(plan.path), "a.txt", "work\ntwo\nthree\n")
    commit(place.repo, "b.txt", "main\n")
    with pytest.raises(WorkspaceRefused, match="cannot be moved forward"):
        place.merge(plan, mode="ff")
    merged = place.merge(plan)
    assert merged.kind == "merge"
    assert len(git(place.repo, "log", "-1", "--format=%P").split()) == 2
    assert ((place.repo / "a.txt").read_text(), (place.repo / "b.txt").read_text()) == ("work\ntwo\nthree\n", "main\n")


def test_a_conflict_names_the_files_and_changes_nothing(place: Place) -> None:
    plan = place.make()
    commit(Path(plan.path), "a.txt", "ours\n")
    commit(place.repo, "a.txt", "theirs\n")
    before = user_state(place.repo)
    with pytest.raises(MergeConflict) as caught:
        place.merge(plan)
    assert caught.value.files == ("a.txt",)
    assert user_state(place.repo) == before


def test_local_changes_in_the_way_refuse_the_merge_and_stay(place: Place) -> None:
    plan = place.make()
    commit(Path(plan.path), "a.txt", "work\n")
    (place.repo / "a.txt").write_text("mine, not committed\n")
    before = user_state(place.repo)
    with pytest.raises(WorkspaceRefused, match=r"a\.txt"):
        place.merge(plan)
    assert user_state(place.repo) == before


def test_a_branch_that_nobody_has_checked_out_is_moved_alone(place: Place) -> None:
    git(place.repo, "branch", "stable")
    plan = place.make()
    commit(Path(plan.path), "a.txt", "work\n")
    before = picture(place.repo, without=(b".git",))
    place.merge(plan, into="stable", mode="commit")
    assert git(place.repo, "show", "stable:a.txt") == "work"
    assert picture(place.repo, without=(b".git",)) == before


def test_squashing_again_and_again_does_not_conflict_with_itself(place: Place) -> None:
    plan = place.make()
    for text in ("work 1\n", "work 2\n", "work 3\n"):
        (Path(plan.path) / "a.txt").write_text(text)
        merged = place.merge(plan, mode="squash", still=text != "work 2\n")
        assert merged.kind == "squash"
        assert (place.repo / "a.txt").read_text() == text
        assert place.workspaces.difference(AGENT, plan, patch=False).changes == ()
        commit(place.repo, "b.txt", f"main beside {text}")
    assert git(place.repo, "rev-list", "--merges", "--count", "main") == "0"


def test_merging_a_live_agents_work_leaves_its_index_and_branch_alone(place: Place) -> None:
    plan = place.make()
    (Path(plan.path) / "a.txt").write_text("work\n")
    head = git(Path(plan.path), "rev-parse", "HEAD")
    place.merge(plan, still=False)
    assert git(Path(plan.path), "rev-parse", "HEAD") == head
    (Path(plan.path) / "a.txt").write_text("more work\n")
    place.merge(plan, still=False)
    assert (place.repo / "a.txt").read_text() == "more work\n"


def test_merging_into_nothing_or_itself_is_refused(place: Place) -> None:
    git(place.repo, "checkout", "--quiet", "--detach")
    plan = place.make()
    with pytest.raises(WorkspaceInvalid, match="which branch"):
        place.merge(plan)
    with pytest.raises(WorkspaceInvalid, match="no branch"):
        place.merge(plan, into="nothing")
    with pytest.raises(WorkspaceInvalid, match="own branch"):
        place.merge(plan, into="kage/web")


# --- taking away -------------------------------------------------------------------------------------------------


def test_an_unused_worktree_goes_with_its_branch(place: Place) -> None:
    before = user_state(place.repo)
    plan = place.make()
    removal = place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert (removal.snapshot, removal.kept_branch) == (None, "")
    assert not Path(plan.path).exists()
    assert list(place.dir.iterdir()) == []
    assert not (place.repo / ".git/worktrees").exists()
    assert git(place.repo, "branch", "--list", "kage/*") == ""
    assert user_state(place.repo) == before


def test_work_without_a_commit_is_kept_exactly_before_it_goes(place: Place, tmp_path: Path) -> None:
    plan = place.make()
    root = Path(plan.path)
    (root / "a.txt").write_bytes(b"work\r\n")
    (root / "new").mkdir()
    (root / "new/x").write_text("x")
    (root / "new/x").chmod(0o700)
    (root / "empty").mkdir()
    before = picture(root, without=(b".git",))
    removal = place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert removal.snapshot is not None
    assert removal.snapshot.ref == f"refs/kage/snapshots/{AGENT}/1"
    assert not root.exists()
    restore(our_git(), place.repo / ".git", removal.snapshot.ref, tmp_path / "back")
    assert picture(tmp_path / "back") == before


def test_commits_that_nothing_else_has_are_kept_and_so_is_their_branch(place: Place) -> None:
    plan = place.make()
    tip = commit(Path(plan.path), "a.txt", "work\n")
    removal = place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert removal.snapshot is not None
    assert removal.kept_branch == "kage/web"
    assert git(place.repo, "rev-parse", "kage/web", f"{removal.snapshot.ref}^1").split() == [tip, tip]


def test_commits_on_no_branch_are_kept(place: Place) -> None:
    plan = place.make()
    git(Path(plan.path), "checkout", "--quiet", "--detach")
    tip = commit(Path(plan.path), "a.txt", "work\n")
    removal = place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert removal.snapshot is not None
    assert git(place.repo, "rev-parse", f"{removal.snapshot.ref}^1") == tip
    assert removal.kept_branch == ""


def test_merged_work_leaves_nothing_behind(place: Place) -> None:
    plan = place.make()
    (Path(plan.path) / "a.txt").write_text("work\n")
    place.merge(plan)
    removal = place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert (removal.snapshot, removal.kept_branch) == (None, "")
    assert (place.repo / "a.txt").read_text() == "work\n"


def test_a_repository_inside_counts_as_work(place: Place) -> None:
    plan = place.make()
    repository(Path(plan.path) / "clone")
    removal = place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert removal.snapshot is not None
    assert removal.snapshot.nested == ("clone",)


def test_a_worktree_whose_git_file_was_replaced_is_kept_as_it_is(place: Place, tmp_path: Path) -> None:
    plan = place.make()
    root = Path(plan.path)
    (root / ".git").unlink()
    git(root, "init", "--quiet")
    (root / "a.txt").write_text("work\n")
    removal = place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert removal.snapshot is not None
    restore(our_git(), place.repo / ".git", removal.snapshot.ref, tmp_path / "back")
    assert (tmp_path / "back/a.txt").read_text() == "work\n"
    assert (tmp_path / "back/.git/HEAD").exists()


def test_removing_can_be_repeated_after_a_crash_in_the_middle(place: Place) -> None:
    plan = place.make()
    (Path(plan.path) / "a.txt").write_text("work\n")
    kept = place.workspaces.keep(AGENT, plan)
    os.rename(plan.path, f"{plan.path}.gone")
    (Path(f"{plan.path}.gone") / "b.txt").unlink()
    assert kept is not None
    place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert list(place.dir.iterdir()) == []
    assert git(place.repo, "for-each-ref", "refs/kage/snapshots", "--format=%(refname)") == kept.ref


def test_cleanup_runs_before_and_its_failure_does_not_keep_the_place(place: Place, tmp_path: Path) -> None:
    wish = Workspace(kind="worktree", cleanup=f"pwd > {tmp_path}/cleaned; exit 1")
    plan = place.make(wish)
    removal = place.workspaces.remove(AGENT, plan, wish, environment())
    assert (tmp_path / "cleaned").read_text().strip() == plan.path
    assert "ended with 1" in removal.note
    assert not Path(plan.path).exists()


# --- copies ------------------------------------------------------------------------------------------------------


def test_a_copy_has_everything_and_is_kept_when_it_changed(place: Place, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    (plain / "deep/empty").mkdir(parents=True)
    (plain / "deep/x").write_bytes(b"\r\n")
    (plain / "deep/x").chmod(0o640)
    (plain / "link").symlink_to("deep/x")
    plan = place.make(COPY, at=plain)
    assert picture(Path(plan.path)) == picture(plain)
    assert place.workspaces.difference(AGENT, plan, patch=True).changes == ()
    (Path(plan.path) / "deep/x").write_text("work\n")
    assert [c.path for c in place.workspaces.difference(AGENT, plan, patch=True).changes] == ["deep/x"]
    assert (plain / "deep/x").read_bytes() == b"\r\n"
    before = picture(Path(plan.path))
    removal = place.workspaces.remove(AGENT, plan, COPY, environment())
    assert removal.snapshot is not None
    restore(our_git(), Path(removal.snapshot.repository), removal.snapshot.ref, tmp_path / "back")
    assert picture(tmp_path / "back") == before


def test_an_unchanged_copy_leaves_nothing_behind(place: Place, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plan = place.make(COPY, at=tmp_path / "plain")
    assert place.workspaces.remove(AGENT, plan, COPY, environment()).snapshot is None
    assert list(place.dir.iterdir()) == []


def test_commits_in_a_copied_repository_are_kept(place: Place, tmp_path: Path) -> None:
    plan = place.make(COPY)
    tip = commit(Path(plan.path), "a.txt", "work\n")
    removal = place.workspaces.remove(AGENT, plan, COPY, environment())
    assert removal.snapshot is not None
    restore(our_git(), Path(removal.snapshot.repository), removal.snapshot.ref, tmp_path / "back")
    assert git(tmp_path / "back", "rev-parse", "HEAD") == tip


def test_a_copy_does_not_copy_itself(place: Place, tmp_path: Path) -> None:
    plan = place.make(COPY, at=tmp_path)
    assert (Path(plan.path) / "repo/a.txt").exists()
    assert not (Path(plan.path) / "state/workspaces").exists()


def test_a_linked_worktree_is_not_copied(place: Place, tmp_path: Path) -> None:
    git(place.repo, "worktree", "add", "--quiet", str(tmp_path / "side"))
    with pytest.raises(WorkspaceRefused, match="linked worktree"):
        place.plan(COPY, at=tmp_path / "side")


def test_git_speaks_for_itself_when_it_fails(place: Place) -> None:
    (place.repo / ".git/config").write_text("[core\n")
    with pytest.raises(GitFailed, match="bad config"):
        place.plan()


# --- many at once ------------------------------------------------------------------------------------------------


def test_many_worktrees_of_one_repository_are_made_and_removed_at_once(place: Place) -> None:
    agents = [f"agent{number:03}" for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        plans = dict(zip(agents, pool.map(lambda agent: place.make(agent=agent, name=agent), agents), strict=True))
        for agent, plan in plans.items():
            (Path(plan.path) / f"{agent}.txt").write_text(agent)
        kept = list(
            pool.map(lambda agent: place.workspaces.remove(agent, plans[agent], WORKTREE, environment()), agents)
        )
    assert {
        git(place.repo, "show", f"{item.snapshot.ref}:{agent}.txt")
        for agent, item in zip(agents, kept, strict=True)
        if item.snapshot
    } == set(agents)
    assert list(place.dir.iterdir()) == []
    assert git(place.repo, "worktree", "list").count("\n") == 0
    git(place.repo, "fsck", "--strict")


def test_many_merges_into_one_branch_at_once_lose_none(place: Place) -> None:
    agents = [f"agent{number:03}" for number in range(4)]
    plans = {agent: place.make(agent=agent, name=agent) for agent in agents}
    for agent in agents:
        (Path(plans[agent].path) / f"{agent}.txt").write_text(agent)

    def until_merged(agent: str) -> None:
        for _ in range(50):
            try:
                place.workspaces.merge(agent, agent, plans[agent], into="", mode="auto", message="", still=True)
            except (WorkspaceRefused, GitFailed):
                continue  # another one moved the branch in between: nothing was changed, so it can be tried again
            return
        raise AssertionError(agent)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(until_merged, agents))
    assert {path.name for path in place.repo.glob("agent*.txt")} == {f"{agent}.txt" for agent in agents}
    assert git(place.repo, "status", "--porcelain") == ""


def test_commits_in_a_submodule_are_kept(place: Place, tmp_path: Path) -> None:
    other = repository(tmp_path / "other")
    git(place.repo, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(other), "lib")
    git(place.repo, "commit", "--quiet", "-m", "with a submodule")
    plan = place.make()
    root = Path(plan.path)
    git(root, "-c", "protocol.file.allow=always", "submodule", "update", "--init", "--quiet")
    git(root / "lib", "config", "user.name", "Ada")
    git(root / "lib", "config", "user.email", "ada@example.org")
    tip = commit(root / "lib", "a.txt", "never pushed\n")
    removal = place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert removal.snapshot is not None
    assert f"{AGENT}.modules" in removal.note
    kept = next((place.dir / f"{AGENT}.modules").iterdir())
    assert git(tmp_path, "--git-dir", str(kept), "cat-file", "-t", tip) == "commit"


def test_an_untouched_submodule_is_not_work(place: Place, tmp_path: Path) -> None:
    other = repository(tmp_path / "other")
    git(place.repo, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(other), "lib")
    git(place.repo, "commit", "--quiet", "-m", "with a submodule")
    plan = place.make()
    assert place.workspaces.difference(AGENT, plan, patch=True).changes == ()
    assert place.workspaces.remove(AGENT, plan, WORKTREE, environment()).snapshot is None


def test_a_deleted_git_file_does_not_make_git_speak_of_another_repository(place: Place, tmp_path: Path) -> None:
    outer = repository(tmp_path / "outer")
    place.dir = outer / "workspaces"
    place.workspaces = LocalWorkspaces(place.dir, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    plan = place.make()
    (Path(plan.path) / ".git").unlink()
    (Path(plan.path) / "a.txt").write_text("work\n")
    with pytest.raises(WorkspaceRefused, match="not what git wrote"):
        place.workspaces.difference(AGENT, plan, patch=False)
    with pytest.raises(WorkspaceRefused, match="not what git wrote"):
        place.merge(plan)
    assert place.workspaces.touched(AGENT, plan) == frozenset()
    removal = place.workspaces.remove(AGENT, plan, WORKTREE, environment())
    assert removal.snapshot is not None
    assert git(place.repo, "show", f"{removal.snapshot.ref}:a.txt") == "work"
    assert git(outer, "log", "--format=%s") == "first"
