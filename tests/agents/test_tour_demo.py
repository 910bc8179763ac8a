"""`AGENT=claude make demo` with the real Claude Code: what the demo says of itself holds for it, too."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.programs import needs, program
from tests.fakes.scripted_model import ScriptedModel

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600), needs("claude")]
ROOT = Path(__file__).parents[2]
_FIXES = {
    "prices": "s/price + price/price - price/",
    "stock": "s/wanted < free/wanted <= free/",
    "pages": "s/per_page - 2/per_page - 1/",
}


def _shell(words: str, **step: object) -> dict[str, object]:
    return {"tool": "Bash", "input": {"command": words, "description": "as asked"}, **step}


def _steps(job: str) -> list[dict[str, object]]:
    """Look, think for as long as the daemon is dead, edit, test, commit."""
    return [
        _shell(f"cat shop/{job}.py", sleep=0.5),
        _shell(f"sed -i '{_FIXES[job]}' shop/{job}.py", text="I see it.", sleep=2),
        _shell(f"python3 -B -m unittest tests.test_{job}"),
        _shell(f"git commit -am '{job}: fix the bug'", text="The test passes; I commit."),
        {"text": "It is committed."},
    ]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="kd-", dir="/tmp") as name:
        yield Path(name)


def test_the_demo_works_with_an_installed_claude_code(folder: Path) -> None:
    (folder / "home").mkdir()
    known = {f"one bug in shop/{job}.py": _steps(job) for job in _FIXES}
    with ScriptedModel(known) as model:
        environment = {
            **os.environ,
            "AGENT": "claude",
            "KEEP": "",
            "TMPDIR": str(folder),
            "HOME": str(folder / "home"),
            "PATH": f"{Path(program('claude')).parent}:{os.environ['PATH']}",
            "ANTHROPIC_API_KEY": "a-secret-key",
            "ANTHROPIC_BASE_URL": model.url,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.demo"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=580,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "adopted 3 running agents" in done.stdout
    assert done.stdout.count("approval.answered  approved") == 3
    assert "tests on main: OK" in done.stdout
    assert "nothing was lost" in done.stdout
    assert "a-secret-key" not in done.stdout
