"""`kagectl config`, as a person runs it: what holds, who says so, and what is wrong. Needs no daemon."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def kagectl(home: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], **variables}
    command = [sys.executable, "-m", "kagectl", "config", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".config" / "kage").mkdir(parents=True)
    (tmp_path / "app" / ".kage").mkdir(parents=True)
    return tmp_path


def write(home: Path, text: str) -> Path:
    file = home / ".config" / "kage" / "config.toml"
    file.write_text(text)
    return file


def test_what_holds_is_shown_with_the_file_and_line_that_says_it(home):
    file = write(home, '[guard]\napprove = "on-commit"\n\n[guard.commands]\nforce-push = "deny"\n')
    (home / "app" / ".kage" / "config.toml").write_text('[guard]\nprotected = ["vendor/"]\n')
    done = kagectl(home, "show", "--origin", "-C", str(home / "app"), KAGE_GUARD_LOOP_CALLS="3")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["guard.approve"].split() == ["guard.approve", "on-commit", f"{file}:2"]
    assert f"{file}:5" in lines["guard.commands.force-push"]
    assert f"{home}/app/.kage/config.toml:2" in lines["guard.protected"]
    assert "KAGE_GUARD_LOOP_CALLS" in lines["guard.loop.calls"]
    assert lines["guard.outside"].endswith("default")
    done = kagectl(home, "show", "-C", str(home / "app"), "-o", "json")
    keys = {each["key"]: each for each in json.loads(done.stdout)["keys"]}
    assert keys["guard.protected"]["value"] == ["vendor/"]
    assert "on-commit" in kagectl(home, "show", "-C", str(home)).stdout
    assert "the defaults hold" in kagectl(home / "app", "show").stdout


def test_a_fault_ends_with_2_and_names_file_line_and_key(home):
    file = write(home, '[guard]\napprov = "none"\n')
    for words in (("check",), ("show",)):
        done = kagectl(home, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"kagectl: {file}:2: guard.approv: is not a key — did you mean guard.approve?\n"
    done = kagectl(home, "check", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["wrong"]["key"]) == (2, "guard.approv")


def test_a_right_file_is_said_to_be_right(home):
    file = write(home, "")
    done = kagectl(home, "check", "-C", str(home / "app"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split() == ["ok", str(file)]
    assert "not there" in done.stdout
