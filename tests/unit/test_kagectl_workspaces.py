"""Where an agent is to work, as options and spec files say it; and what is shown of it."""

import os
import tomllib
from pathlib import Path

import pytest

from kagectl.errors import Complaint
from kagectl.render import workspaces as render
from kagectl.render.paint import PLAIN
from kagectl.specfile import agent_file
from kagectl.specs import SpecOptions, spec_of
from kaged.api.v1 import agent_service_pb2 as agents
from kaged.api.v1 import spec_pb2 as pb
from kaged.api.v1 import workspace_service_pb2 as spaces


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "repo/.git").mkdir(parents=True)
    (tmp_path / "repo/sub").mkdir()
    return tmp_path / "repo"


def wished(here: Path, file: pb.AgentSpec | None = None, /, **options: object) -> pb.AgentSpec:
    options.setdefault("command", ("x",))
    return spec_of(SpecOptions(**options), base=file or pb.AgentSpec(), env={}, here=os.fspath(here))  # type: ignore[arg-type]


def test_nothing_said_is_the_folder_itself(repo: Path) -> None:
    assert not wished(repo).HasField("workspace")


def test_a_goal_in_a_repository_wants_a_worktree_and_elsewhere_it_does_not(repo: Path, tmp_path: Path) -> None:
    assert wished(repo / "sub", goal="done").workspace.kind == pb.WORKSPACE_KIND_WORKTREE
    assert wished(repo, goal="done", workspace="here").workspace.kind == pb.WORKSPACE_KIND_HERE
    assert not wished(tmp_path, goal="done").HasField("workspace")


@pytest.mark.parametrize("option", [{"repo": "."}, {"base": "main"}, {"branch": "x"}, {"copy": (".env",)}])
def test_what_only_a_worktree_has_wants_one(repo: Path, option: dict[str, object]) -> None:
    assert wished(repo, **option).workspace.kind == pb.WORKSPACE_KIND_WORKTREE


def test_a_repository_is_also_where_it_runs_unless_that_was_said(repo: Path, tmp_path: Path) -> None:
    spec = wished(tmp_path, repo="repo")
    assert (spec.workspace.repository, spec.working_directory) == (str(repo), str(repo))
    assert wished(tmp_path, repo="repo", cwd="repo/sub").working_directory == str(repo / "sub")


@pytest.mark.parametrize(
    "options",
    [
        {"workspace": "here", "base": "main"},
        {"workspace": "copy", "branch": "x"},
        {"workspace": "copy", "copy": ("x",)},
    ],
)
def test_what_does_not_go_together_is_refused(repo: Path, options: dict[str, object]) -> None:
    with pytest.raises(Complaint, match="worktree"):
        wished(repo, **options)


def test_a_spec_file_says_it_in_a_word_or_in_a_table_and_options_go_on_top(repo: Path) -> None:
    word = agent_file(tomllib.loads('command = ["x"]\nworkspace = "copy"'))
    assert word.workspace == pb.Workspace(kind=pb.WORKSPACE_KIND_COPY)
    text = 'command = ["x"]\nworkspace = { kind = "worktree", base = "main", setup = "npm ci", copy = [".env"] }'
    table = agent_file(tomllib.loads(text))
    spec = wished(repo, table, base="stable", copy=("*.local",))
    assert spec.workspace == pb.Workspace(
        kind=pb.WORKSPACE_KIND_WORKTREE, base="stable", setup="npm ci", copy=[".env", "*.local"]
    )
    with pytest.raises(Complaint, match=r"workspace\.branche"):
        agent_file(tomllib.loads('command = ["x"]\nworkspace = { branche = "x" }'))


DIFF = spaces.GetWorkspaceDiffResponse(
    agent="a1",
    base="main",
    base_commit="0123456789abcdef",
    commits=1,
    uncommitted=2,
    files=[
        spaces.FileChange(path="a", status="modified", added=3, removed=1),
        spaces.FileChange(path="new\x1b[2J", status="renamed", old_path="old", added=0, removed=0),
        spaces.FileChange(path="p.png", status="added", added=-1, removed=-1),
    ],
    overlaps=[spaces.Overlap(agents=["a2", "a1"], names=["other", "web"], paths=["a"])],
    left_out=["clone"],
)


def test_the_list_of_files_has_counts_remarks_and_nothing_that_moves_the_cursor() -> None:
    assert render.stat(DIFF).splitlines() == [
        "M a  +3 -1",
        "R old -> new\\x1b[2J  +0 -0",
        "A p.png  binary",
        "3 files against main: +3 -1; 1 commit, 2 files without one",
        "other changes the same: a",
        "not compared, because they are repositories of their own: clone",
    ]
    assert render.stat(spaces.GetWorkspaceDiffResponse(base="main")) == "nothing differs from main"


def test_a_patch_on_a_screen_shows_escapes_instead_of_obeying_them() -> None:
    found = spaces.GetWorkspaceDiffResponse(patch=b"+a\x1b]0;x\x07\n-\xff\n")
    assert render.patch(found, paint=PLAIN) == "+a\\x1b]0;x\\x07\n-\ufffd"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nothing", "main has all of the work of web already"),
        ("fast_forward", "main moved forward to 0123456789ab: the work of web"),
        ("merge", "main has the work of web: merge commit 0123456789ab"),
        ("squash", "main has the work of web in one commit, 0123456789ab"),
    ],
)
def test_a_merge_says_what_it_did(kind: str, words: str) -> None:
    answer = spaces.MergeWorkspaceResponse(kind=kind, into="main", commit="0123456789abcdef")
    assert render.merged(answer, "web") == words


def test_what_was_kept_is_named_when_an_agent_is_removed() -> None:
    gone = agents.RemovedWorkspace(
        path="/p", snapshot="refs/kage/snapshots/a1/1", repository="/r/.git", kept_branch="kage/web"
    )
    assert render.removed(gone).splitlines() == [
        "  what was not merged is kept: refs/kage/snapshots/a1/1 in /r/.git",
        "  branch kage/web stays",
    ]
    assert render.removed(agents.RemovedWorkspace(path="/p")) == ""


def test_checkpoints_are_a_table_and_a_restore_says_how_to_have_it_undone() -> None:
    one = spaces.WorkspaceSnapshot(
        number=3, turn=4, seq=120, commit="c" * 40, native_session="s-1", note="After turn 4"
    )
    one.create_time.seconds = 1000
    two = spaces.WorkspaceSnapshot(number=4, commit="d" * 40, note="Asked for")
    two.create_time.seconds = 1060
    assert render.checkpoints([one, two], 1120.0).splitlines() == [
        "NUMBER  TURN  AGE  SEQ  COMMIT        SESSION  WHY",
        "     3     4  2m   120  cccccccccccc  s-1      After turn 4",
        "     4     -  1m     -  dddddddddddd  -        Asked for",
    ]
    assert "kagectl agent snapshot" in render.checkpoints([], 0.0)
    done = spaces.RestoreWorkspaceResponse(number=3, turn=4, files=2, kept="refs/kage/snapshots/k3f9x2ab/5")
    assert render.restored(done, "web").splitlines() == [
        "2 files are those of checkpoint 3 (after turn 4) again",
        "what was there is checkpoint 5: kagectl agent restore web --checkpoint 5",
    ]
