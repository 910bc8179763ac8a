"""Checks of goals as real processes: bounded in time and memory, whole trees ended; folders and test runners."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from kaged.executors.checks import LocalChecker
from kaged.executors.test_runners import find
from kaged.ports import CheckEnd, CheckWish, FolderMark
from kaged.workspace import marks
from tests.e2e.daemon_kit import eventually
from tests.integration.workspace.repositories import commit, git, our_git, repository

pytestmark = pytest.mark.integration


def run(folder: Path, line: str, *, timeout_s: float = 20) -> CheckEnd:
    check = f"agent{os.getpid()}.check.1.0"  # tests run side by side, and whatever carries the id is ended
    wish = CheckWish(
        id=check, command=("/bin/sh", "-c", line), folder=str(folder), environment={"PATH": os.environ["PATH"]},
        timeout_s=timeout_s,
    )  # fmt: skip
    return LocalChecker("a state folder").run(wish)


def mark(folder: str, since: str = "") -> FolderMark:
    return marks.mark(our_git(), folder, since)


def gone(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_check_tells_its_exit_code_and_both_of_its_streams(tmp_path):
    end = run(tmp_path, "pwd; echo err >&2; echo $KAGE_RUN_ID; exit 7")
    assert (end.exit_code, end.timed_out) == (7, False)
    assert end.output.decode().split() == [str(tmp_path), "err", f"agent{os.getpid()}.check.1.0"]
    assert end.took_us > 0


def test_only_the_end_of_much_output_is_kept(tmp_path):
    end = run(tmp_path, "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert end.exit_code == 0
    assert len(end.output) <= 32 << 10
    assert end.output.endswith(b"x\nthe end\n")


def test_a_check_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    line = "setsid sleep 1000 & echo $! > pid; echo before; sleep 1000"
    end = run(tmp_path, line, timeout_s=1)
    assert (end.exit_code, end.timed_out, end.output) == (-1, True, b"before\n")
    eventually(
        lambda: gone((tmp_path / "pid").read_text("ascii").strip()), "the process of a session of its own to end"
    )


def test_what_a_check_leaves_in_the_background_neither_holds_it_up_nor_stays(tmp_path):
    began = time.monotonic()
    end = run(tmp_path, "sleep 1000 & echo $! > pid; echo done")
    assert (end.exit_code, end.output) == (0, b"done\n")
    assert time.monotonic() - began < 15
    eventually(lambda: gone((tmp_path / "pid").read_text("ascii").strip()), "the background process to end")


def test_a_check_that_closes_its_output_is_waited_for(tmp_path):
    assert run(tmp_path, "exec >&- 2>&-; sleep 1; exit 3").exit_code == 3


def test_a_check_is_cancelled_by_another_thread(tmp_path):
    checker, found = LocalChecker("a state folder"), list[CheckEnd]()
    wish = CheckWish(
        id=f"a{os.getpid()}.check.1.0", command=("sh", "-c", "echo $$ > pid; sleep 1000"), folder=str(tmp_path),
        environment={"PATH": os.environ["PATH"]}, timeout_s=1000,
    )  # fmt: skip
    thread = threading.Thread(target=lambda: found.append(checker.run(wish)))
    thread.start()
    eventually((tmp_path / "pid").exists, "the check to begin")
    checker.cancel(f"a{os.getpid()}.check.1.0")
    thread.join(20)
    assert [(end.exit_code, end.timed_out) for end in found] == [(-1, False)]
    checker.cancel(f"a{os.getpid()}.check.1.0")  # of one that does not run: nothing


@pytest.mark.parametrize("folder", ["not-there", "file"])
def test_a_check_that_cannot_start_says_why(tmp_path, folder):
    (tmp_path / "file").touch()
    end = run(tmp_path / folder, "true")
    assert end.exit_code == -1
    assert folder in end.output.decode()


def test_a_program_that_is_not_there_says_so(tmp_path):
    wish = CheckWish(
        id=f"a{os.getpid()}.check.1.0", command=("no-such-program",), folder=str(tmp_path), environment={}, timeout_s=5
    )
    end = LocalChecker("a state folder").run(wish)
    assert end.exit_code == -1
    assert b"no-such-program" in end.output


def test_a_file_is_read_and_a_missing_one_is_none(tmp_path):
    (tmp_path / "a").write_text("abc")
    checker = LocalChecker("a state folder")
    assert checker.read(str(tmp_path), "a", 2) == b"ab"
    assert checker.read(str(tmp_path), "b", 2) is None
    assert checker.read(str(tmp_path), ".", 2) == b"", "a folder is there, too"


# --- marks ---------------------------------------------------------------------------------------------------------


def test_the_mark_of_a_repository_changes_with_its_files_and_its_commits_and_not_with_ignored_ones(tmp_path):
    repo = repository(tmp_path / "repo", **{"a.txt": "1\n", ".gitignore": "cache\n"})
    start = git(repo, "rev-parse", "HEAD")
    first = mark(str(repo))
    assert first.mark == mark(str(repo)).mark != ""
    assert first.files_changed == 0
    (repo / "cache").write_text("x")
    assert mark(str(repo)).mark == first.mark
    (repo / "a.txt").write_text("1\n2\n3\n")
    (repo / "new").write_text("one\ntwo\n")
    changed = mark(str(repo))
    assert changed.mark != first.mark
    assert (changed.files_changed, changed.lines_added, changed.lines_removed) == (2, 4, 0)
    commit(repo, "new", "one\n")
    assert mark(str(repo)).mark != changed.mark
    assert mark(str(repo)).files_changed == 0
    assert mark(str(repo), start).files_changed == 2, "counted from where the work began, committed or not"


def test_a_repository_without_a_commit_and_a_plain_folder_have_marks_and_a_missing_one_has_none(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    plain = tmp_path / "plain"
    (plain / "node_modules").mkdir(parents=True)
    for folder in (empty, plain):
        before = mark(str(folder)).mark
        (folder / "a").write_text("x")
        assert mark(str(folder)).mark != before
    before = mark(str(plain)).mark
    (plain / "node_modules" / "x").write_text("x")
    assert mark(str(plain)).mark == before
    assert mark(str(tmp_path / "nowhere")).mark == ""


# --- test runners --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"Makefile": "all:\n\ttrue\ntest: all\n\ttrue\n"}, "make test"),
        ({"Makefile": "check:\n\ttrue\n"}, "make check"),
        ({"Makefile": "test := x\nall:\n", "go.mod": ""}, "go test ./..."),
        ({"package.json": json.dumps({"scripts": {"test": "jest"}})}, "npm test"),
        ({"package.json": json.dumps({"scripts": {"test": "jest"}}), "pnpm-lock.yaml": ""}, "pnpm run test"),
        ({"package.json": json.dumps({"scripts": {"test": 'echo "Error: no test specified" && exit 1'}})}, ""),
        ({"package.json": "{ broken", "Cargo.toml": ""}, "cargo test --quiet"),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "python3 -m pytest -q"),
        ({"tests/test_a.py": ""}, "python3 -m pytest -q"),
        ({"tests/test_a.py": "", ".venv/bin/python": ""}, "./.venv/bin/python -m pytest -q"),
        ({"tox.ini": "[tox]\n"}, "tox -q"),
        ({"justfile": "test arg='x':\n  true\n"}, "just test"),
        ({"README": "no tests here"}, ""),
    ],
)
def test_the_projects_own_tests_are_found_by_its_files(tmp_path, files, command):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert " ".join(find(tmp_path)) == command
