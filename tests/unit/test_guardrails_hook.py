"""The hook of `--approve on-commit`, run by a real git in a real worktree."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from kaged.guardrails.hook import reference_transaction


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with one commit and the hook; grants lie in `grants`."""
    repository = tmp_path / "a folder with 'quotes'"
    git(tmp_path, "init", "-q", "-b", "main", str(repository))
    (repository / "x").write_text("1")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "one")
    (repository / "grants").mkdir()
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    hook = hooks / "reference-transaction"
    hook.write_text(reference_transaction(str(repository / "grants")))
    hook.chmod(0o755)
    return repository


def git(folder: Path, *words: str, agent: bool = False) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "KAGE_"))}
    names = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = {f"GIT_{role}_{part}": "x@x" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    run = {"KAGE_RUN_ID": "a.1"} if agent else {}
    command = ["git", *words]
    return subprocess.run(
        command, cwd=folder, env=environ | names | who | run, capture_output=True, text=True, check=not agent
    )  # fmt: skip


def heads(place: Path) -> str:
    return git(place, "for-each-ref", "--format=%(refname) %(objectname)").stdout


def change(place: Path) -> None:
    (place / "x").write_text((place / "x").read_text() + "2")
    git(place, "add", "x", agent=True)


@pytest.mark.parametrize(
    "words",
    [
        ("commit", "-q", "-m", "two"),
        ("commit", "-q", "--amend", "-m", "other"),
        ("reset", "-q", "--soft", "HEAD~1"),
        ("tag", "-f", "old", "main~1"),
        ("update-ref", "-d", "refs/heads/side"),
        ("branch", "-D", "side"),
        ("branch", "-f", "side", "main"),
        ("commit-graph", "write"),
    ],
)
def test_what_moves_a_branch_is_refused_without_a_grant_whoever_runs_it(place, words):
    (place / "y").write_text("y")
    git(place, "add", "y")
    git(place, "commit", "-q", "-m", "more")
    git(place, "branch", "side", "main~1")
    git(place, "tag", "old")
    change(place)
    before = heads(place)
    done = git(place, *words, agent=True)
    if words[0] == "commit-graph":
        assert done.returncode == 0
    else:
        assert done.returncode != 0
        assert "need a person's approval" in done.stderr
    assert heads(place) == before


def test_a_commit_out_of_a_script_is_refused_too(place):
    change(place)
    script = place / "release.sh"
    script.write_text("git commit -q -m sneaky\n")
    before = heads(place)
    environ = {**os.environ, "KAGE_RUN_ID": "a.1"}
    subprocess.run(["sh", str(script)], cwd=place, env=environ, capture_output=True, check=False)
    assert heads(place) == before


def test_a_grant_lets_one_transaction_through(place):
    change(place)
    (place / "grants" / "1.once").write_text(f"{int(time.time()) + 600}\n")
    assert git(place, "commit", "-q", "-m", "two", agent=True).returncode == 0
    assert not list((place / "grants").iterdir())
    change(place)
    assert git(place, "commit", "-q", "-m", "three", agent=True).returncode != 0


def test_a_grant_for_a_time_lets_all_through_until_that_is_over(place):
    grant = place / "grants" / "1.span"
    grant.write_text(f"{int(time.time()) + 600}\n")
    for number in ("two", "three"):
        change(place)
        assert git(place, "commit", "-q", "-m", number, agent=True).returncode == 0
    grant.write_text(f"{int(time.time()) - 1}\n")
    change(place)
    assert git(place, "commit", "-q", "-m", "four", agent=True).returncode != 0


def test_what_is_no_commit_of_an_agent_goes_on(place):
    for words in (
        ("checkout", "-q", "-b", "new"),
        ("branch", "other"),
        ("stash", "list"),
        ("update-ref", "refs/kage/1", "HEAD"),
    ):
        assert git(place, *words, agent=True).returncode == 0, words
    change(place)
    assert git(place, "stash", "-q", agent=True).returncode == 0
    change(place)
    git(place, "commit", "-q", "-m", "a person's")


def test_a_commit_without_a_branch_is_refused_too(place):
    git(place, "checkout", "-q", "--detach")
    change(place)
    assert git(place, "commit", "-q", "-m", "nowhere", agent=True).returncode != 0
