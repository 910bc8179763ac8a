"""`make demo` as a user has it: a process, its exit code, its last words.

The scripted agents are the real ones; `claude` is a stand-in that works as the real one does without a terminal
(it speaks stream-json both ways, edits, asks, commits). The real one is driven in `tests/agents/test_tour_demo.py`.
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

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]  # half a minute on a machine that has nothing else to do

_FAKE_CLAUDE = """#!{python}
import json, pathlib, re, subprocess, sys, time
def tell(**line):
    print(json.dumps(line), flush=True)
def hear(kind):
    for line in sys.stdin:
        heard = json.loads(line)
        if heard["type"] == kind:
            return heard
        if heard["type"] == "control_request":
            response = {{"subtype": "success", "request_id": heard["request_id"], "response": {{}}}}
            tell(type="control_response", response=response)
    sys.exit(0)
def say(*parts):
    tell(type="assistant", message={{"role": "assistant", "content": list(parts)}})
while True:
    words = hear("user")["message"]["content"]
    tell(type="system", subtype="init", session_id="a-session")
    job = re.search(r"shop/(\\w+)[.]py", words)[1]
    for turn in range(40):  # longer than the daemon is away
        say({{"type": "text", "text": f"thinking about {{job}}, {{turn}}"}})
        time.sleep(0.1)
    path = pathlib.Path("shop", job + ".py")
    text = path.read_text()
    fixes = {{"price + price": "price - price", "wanted < free": "wanted <= free", "per_page - 2": "per_page - 1"}}
    for old, new in fixes.items():
        text = text.replace(old, new)
    path.write_text(text)
    command = "git commit -qam " + job
    say({{"type": "tool_use", "id": "t1", "name": "Bash", "input": {{"command": command}}}})
    wish = {{"subtype": "can_use_tool", "tool_name": "Bash", "input": {{"command": command}}, "tool_use_id": "t1"}}
    tell(type="control_request", request_id="q1", request=wish)
    answer = hear("control_response")["response"]["response"]
    if answer["behavior"] == "allow":
        subprocess.run(command.split(), check=True)
    tell(type="result", subtype="success", is_error=False, session_id="a-session", result="done")
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
        timeout=170,
        check=False,
        start_new_session=True,
    )


def test_the_demo_succeeds_and_leaves_nothing_behind(short_tmp: Path) -> None:
    done = _demo(short_tmp)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "adopted 3 running agents" in done.stdout
    assert "goal.judged        turn 1: the check fails" in done.stdout
    assert "goal.paused        limit: iterations" in done.stdout
    assert "kagectl agent resume pages --add-iterations 5 --guidance" in done.stdout
    assert done.stdout.count("approval.answered  approved") == 3
    assert done.stdout.count("succeeded (goal)") == 3
    assert "tests on main: OK" in done.stdout
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
