"""`kagectl daemon start`, `restart`, `logs`, `stop` where no service manager keeps kaged: it runs detached."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon_kit import eventually

pytestmark = pytest.mark.e2e


class Shell:
    """Somebody who types kagectl, with a place of their own."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("KAGE_", "KAGED_"))}
        self.environ = environ | {"KAGE_STATE_DIR": str(self.state), "KAGE_SOCKET": str(folder / "k.sock")}

    def kagectl(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "kagectl", *words],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def agent(self, name: str) -> dict[str, object]:
        """What is known of an agent that runs."""
        found = {agent["name"]: agent for agent in json.loads(self.kagectl("ps", "-o", "json").stdout)}
        return dict(found[name])

    def pid(self) -> int:
        return int(json.loads(self.kagectl("daemon", "status", "-o", "json").stdout)["pid"])


@pytest.fixture
def shell() -> Iterator[Shell]:
    folder = Path(tempfile.mkdtemp(prefix="kage-"))  # pytest's own are too long for a socket
    typed = Shell(folder)
    try:
        yield typed
    finally:
        typed.kagectl("daemon", "stop", "--stop-agents", check=False)
        shutil.rmtree(folder)


def test_a_restart_gives_the_same_agents_to_a_new_daemon_in_the_same_place(shell: Shell) -> None:
    shell.kagectl("daemon", "start")
    shell.kagectl("run", "-d", "--name", "keep", "--", "sleep", "600")
    eventually(lambda: shell.agent("keep")["state"] == "running", "the agent to run")
    before, daemon = shell.agent("keep")["run"], shell.pid()
    shown = shell.kagectl("daemon", "restart").stdout
    assert "restarted; 1 agent went on" in shown
    assert shell.pid() != daemon
    assert shell.agent("keep")["run"] == before
    assert "kaged ready" in shell.kagectl("daemon", "logs", "-n", "3").stdout


def test_a_restart_without_a_daemon_says_what_to_do(shell: Shell) -> None:
    done = shell.kagectl("daemon", "restart", check=False)
    assert done.returncode == 4
    assert "kagectl daemon start" in done.stderr


def test_logs_that_are_not_there_are_no_bug(shell: Shell) -> None:
    done = shell.kagectl("daemon", "logs", check=False)
    assert done.returncode == 3
    assert "there is no log" in done.stderr


def test_somebody_who_talks_through_a_port_starts_the_daemon_at_its_own_socket(shell: Shell) -> None:
    shell.state.mkdir(mode=0o700)
    (shell.state / "kaged.toml").write_text('listen = ["tcp:127.0.0.1:0"]\n')
    shell.environ.pop("XDG_RUNTIME_DIR", None)
    shell.environ["KAGE_SOCKET"] = "tcp"
    assert f"socket {shell.state}/run/kaged.sock" in shell.kagectl("daemon", "start").stdout
    daemon = shell.pid()
    shell.kagectl("daemon", "restart")
    assert shell.pid() != daemon
