"""What the documents show works as it is written: the daemon itself is asked, with a dry run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.daemon_kit import Kaged
from tests.integration.workspace.repositories import git, repository

pytestmark = pytest.mark.e2e
PAGE = (Path(__file__).parents[2] / "docs" / "kagectl.md").read_text("utf-8")
SPEC, TREE = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def kagectl(kaged: Kaged, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "KAGE_SOCKET": str(kaged.socket), "KAGE_STATE_DIR": str(kaged.state)}
    command = [sys.executable, "-m", "kagectl", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_spec_file_of_the_manual_is_accepted_as_it_stands(kaged: Kaged, tmp_path: Path) -> None:
    place = repository(tmp_path / "project")
    git(place, "branch", "-M", "main")
    # Limits of the kernel need a systemd; everything else holds everywhere.
    text = SPEC.replace("/srv/project", str(place)).replace(', memory = "2GiB", cpus = 1.5, pids = 200', "")
    assert "memory" not in text
    file = tmp_path / "worker.toml"
    file.write_text(text, "utf-8")
    done = kagectl(kaged, "agent", "spawn", "--dry-run", "-f", str(file))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_tree_file_of_the_manual_is_accepted_and_gives_what_the_manual_shows(kaged: Kaged, tmp_path: Path) -> None:
    file = tmp_path / "project.toml"
    file.write_text(TREE, "utf-8")
    done = kagectl(kaged, "tree", "apply", str(file), "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.search(r"--dry-run\n((?: +\+ .*\n)+)", PAGE)
    assert shown
    assert done.stdout.split() == shown[1].split()
