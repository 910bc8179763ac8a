"""`make demo` as a user has it: a process, its exit code, its last words.

The scripted agents are the real ones; `claude` is a stand-in that works as the real one does without a terminal
(it edits, tests, commits, prints stream-json), because what is tested is the demo, not Claude.
"""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e

_FAKE_CLAUDE = """#!{python}
import json, pathlib, re, subprocess, sys, time
job = re.search(r"shop/(\\w+)[.]py", sys.argv[2])[1]
def say(text):
    part = {{"type": "text", "text": text}}
    print(json.dumps({{"type": "assistant", "message": {{"content": [part]}}}}), flush=True)
for turn in range(40):  # longer than the daemon is away
    say(f"thinking about {{job}}, {{turn}}")
    time.sleep(0.1)
path = pathlib.Path("shop", job + ".py")
fixes = {{"price + price": "price - price", "wanted < free": "wanted <= free", "per_page - 2": "per_page - 1"}}
text = path.read_text()
for old, new in fixes.items():
    text = text.replace(old, new)
path.write_text(text)
subprocess.run([sys.executable, "-B", "-m", "unittest", "tests.test_" + job], check=True)
subprocess.run(["git", "commit", "-qm", "fix " + job, str(path)], check=True)
say("done")
"""


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A folder whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="kd-", dir="/tmp") as name:
        yield Path(name)


def _demo(tmp_path: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment: Mapping[str, str] = {**os.environ, "TMPDIR": str(tmp_path), "AGENT": "", "KEEP": "", **settings}
    command = [sys.executable, "-m", "tests.demo"]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        start_new_session=True,
    )


def test_the_demo_succeeds_and_leaves_nothing_behind(short_tmp: Path) -> None:
    done = _demo(short_tmp)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "adopted 3 running agents" in done.stdout
    assert "nothing was lost" in done.stdout
    assert "WRONG" not in done.stdout
    assert list(short_tmp.iterdir()) == []


def test_an_installed_agent_is_used_when_asked_for(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    claude = programs / "claude"
    claude.write_text(_FAKE_CLAUDE.format(python=sys.executable))
    claude.chmod(claude.stat().st_mode | stat.S_IXUSR)
    done = _demo(tmp_path, AGENT="claude", PATH=f"{programs}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "thinking about stock, 39" in done.stdout


def test_an_agent_that_is_not_installed_is_named_before_anything_starts(tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    done = _demo(tmp_path, AGENT="claude", PATH=str(bare))
    assert done.returncode == 2
    assert "AGENT=claude needs the `claude` program" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_an_unknown_kind_of_agent_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    done = _demo(tmp_path, AGENT="nobody")
    assert done.returncode == 2
    assert "scripted, claude" in done.stdout
