"""Commits that a person approves, refused and let through by a real git, in real worktrees and copies."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from kaged.domain.place_spec import Workspace
from kaged.domain.workspace import Plan, WorkspaceRefused
from kaged.workspace.provider import LocalWorkspaces
from tests.integration.workspace.repositories import ENVIRONMENT, git, repository


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo")


@pytest.fixture
def places(tmp_path: Path) -> LocalWorkspaces:
    return LocalWorkspaces(tmp_path / "places", {"PATH": os.environ["PATH"], "HOME": "/nowhere"})


def made(places: LocalWorkspaces, source: Path, kind: str, agent: str = "a1") -> Plan:
    wish = Workspace(kind=kind)
    plan = places.plan(agent, agent, wish, str(source))
    places.make(agent, f"{agent}.1", plan, wish, {}, lambda: False)
    return plan


def as_agent(plan: Plan, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**ENVIRONMENT, "KAGE_RUN_ID": "a1.1"}
    return subprocess.run(["git", *words], cwd=plan.path, env=environment, capture_output=True, text=True, check=False)


def commits(plan: Plan, text: str = "new") -> subprocess.CompletedProcess[str]:
    Path(plan.path, "a.txt").write_text(text)
    return as_agent(plan, "commit", "-q", "-a", "-m", text)


def soon() -> int:
    return int(time.time()) + 600


KINDS = pytest.mark.parametrize("kind", ["worktree", "copy"])


@KINDS
def test_a_commit_that_nobody_approved_is_refused_by_git_and_an_approved_one_goes_through_once(places, source, kind):
    plan = made(places, source, kind)
    places.hold_commits(plan, held=True)
    before = git(Path(plan.path), "rev-parse", "HEAD")
    refused = commits(plan)
    assert refused.returncode != 0
    assert "need a person's approval" in refused.stderr
    assert git(Path(plan.path), "rev-parse", "HEAD") == before
    places.grant(plan, "q1", once=True, until_s=soon())
    assert commits(plan).returncode == 0
    assert commits(plan, "more").returncode != 0
    places.grant(plan, "q2", once=False, until_s=soon())
    assert commits(plan, "more").returncode == 0
    assert commits(plan, "and more").returncode == 0
    places.withdraw(plan, "q2")
    assert commits(plan, "too much").returncode != 0


@KINDS
def test_the_users_own_hooks_still_run(places, source, kind):
    for name, line in (("pre-commit", 'echo "$0" >> ran'), ("commit-msg", 'test -f "$1" && echo message >> ran')):
        hook = source / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{line}\n")
        hook.chmod(0o755)
    own = source / ".git" / "hooks" / "reference-transaction"
    own.write_text('#!/bin/sh\n[ "$1" = committed ] && cat >> refs-moved; exit 0\n')
    own.chmod(0o755)
    plan = made(places, source, kind)
    places.hold_commits(plan, held=True)
    places.grant(plan, "q1", once=True, until_s=soon())
    done = commits(plan)
    assert done.returncode == 0, done.stderr
    ran = Path(plan.path, "ran").read_text().splitlines()
    assert [line.rpartition("/")[2] for line in ran] == ["pre-commit", "message"]
    assert "refs/heads/" in Path(plan.path, "refs-moved").read_text()


@KINDS
def test_hooks_that_the_user_keeps_in_a_folder_of_the_repository_still_run_and_may_refuse(places, source, kind):
    (source / ".husky").mkdir()
    (source / ".husky" / "pre-commit").write_text("#!/bin/sh\necho no commits today >&2\nexit 1\n")
    (source / ".husky" / "pre-commit").chmod(0o755)
    git(source, "add", "--all")
    git(source, "commit", "-q", "-m", "hooks")
    git(source, "config", "core.hooksPath", ".husky")
    plan = made(places, source, kind)
    places.hold_commits(plan, held=True)
    places.grant(plan, "q1", once=True, until_s=soon())
    done = commits(plan)
    assert done.returncode != 0
    assert "no commits today" in done.stderr


def test_other_worktrees_of_the_repository_and_people_do_not_notice(places, source):
    held, free = made(places, source, "worktree"), made(places, source, "worktree", "a2")
    places.hold_commits(held, held=True)
    assert commits(held).returncode != 0
    assert commits(free).returncode == 0
    assert git(source, "config", "--get", "core.hooksPath", check=False) == ""
    (source / "a.txt").write_text("mine")
    git(source, "commit", "-q", "-a", "-m", "a person's")
    Path(held.path, "a.txt").write_text("a person's, in its place")
    git(Path(held.path), "commit", "-q", "-a", "-m", "a person's")


@KINDS
def test_what_is_held_can_be_let_go_and_held_again_and_goes_with_the_place(places, source, kind, tmp_path):
    plan = made(places, source, kind)
    for _ in range(2):
        places.hold_commits(plan, held=True)
        places.hold_commits(plan, held=True)
        assert commits(plan, "held").returncode != 0
        places.hold_commits(plan, held=False)
    assert commits(plan, "let go").returncode == 0
    places.hold_commits(plan, held=True)
    places.remove("a1", plan, Workspace(kind=kind), {})
    assert [
        path.name for path in (tmp_path / "places").iterdir() if "hooks" in path.name or "grants" in path.name
    ] == []


def test_a_hooks_folder_that_was_set_for_a_copys_original_alone_goes_on_and_comes_back(places, source):
    own = source / "own-hooks"
    own.mkdir()
    (own / "pre-commit").write_text("#!/bin/sh\necho own > ran\n")
    (own / "pre-commit").chmod(0o755)
    git(source, "config", "extensions.worktreeConfig", "true")
    git(source, "config", "--worktree", "core.hooksPath", str(own))
    plan = made(places, source, "copy")
    for _ in range(2):
        places.hold_commits(plan, held=True)
    places.grant(plan, "q1", once=True, until_s=soon())
    assert commits(plan).returncode == 0
    assert Path(plan.path, "ran").read_text() == "own\n"
    places.hold_commits(plan, held=False)
    assert git(Path(plan.path), "config", "--worktree", "core.hooksPath") == str(own)


def test_a_bare_repository_stays_bare_and_its_worktrees_are_not(places, source, tmp_path):
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(source), str(bare))
    plan = made(places, bare, "worktree")
    places.hold_commits(plan, held=True)
    assert git(bare, "rev-parse", "--is-bare-repository") == "true"
    assert git(Path(plan.path), "rev-parse", "--is-bare-repository") == "false"
    assert commits(plan).returncode != 0
    assert git(Path(plan.path), "status", "--porcelain") == " M a.txt"


def test_commits_that_cannot_be_held_are_said_so(places, source):
    plan = made(places, source, "worktree")
    Path(plan.path, ".git").unlink()
    with pytest.raises(WorkspaceRefused, match="cannot be held"):
        places.hold_commits(plan, held=True)


def test_a_copy_that_is_no_repository_needs_no_hook(places, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    plan = made(places, folder, "copy")
    places.hold_commits(plan, held=True)
    places.hold_commits(plan, held=False)
