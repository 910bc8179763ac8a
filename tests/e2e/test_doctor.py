"""`kagectl doctor` on this machine: with a daemon, without one, at its port, and as somebody else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kagectl.doctor.examine import examine, failed
from kagectl.doctor.registry import CHECKS
from kagectl.doctor.scene import look
from tests.e2e.daemon_kit import DEADLINE_S, Kaged

pytestmark = pytest.mark.e2e
THEIRS = ("daemon", "versions", "shims", "store", "state-folder", "socket-folder", "secrets", "leftovers")


def doctor(kaged: Kaged, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """kagectl doctor as its user calls it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("KAGE", "XDG_"))}
    env |= {"KAGE_STATE_DIR": str(kaged.state), "KAGE_SOCKET": str(kaged.socket), **environ}
    command = [sys.executable, "-m", "kagectl", "doctor", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def states(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, Any]]:
    """The checks by name, from JSON."""
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] == (done.returncode == 0)
    for check in found["checks"]:
        assert check["fix"] or check["state"] in ("ok", "skip"), check
    return {check["name"]: check for check in found["checks"]}


def listing(folder: Path) -> set[str]:
    """Every path of a folder, but for the store's own files, which come and go."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.parent.name != "db"}


def test_a_daemon_that_is_well_passes_and_nothing_changes(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        kaged.wait_state(kaged.spawn("sleep", "1000"), 3)
        before = listing(kaged.state)
        found = states(doctor(kaged, "-o", "json"))
        assert {name: found[name]["state"] for name in THEIRS} == dict.fromkeys(THEIRS, "ok"), found
        assert "1 runs" in found["shims"]["what"]
        assert listing(kaged.state) == before


def test_the_exit_code_and_one_line_for_each_check_that_was_asked_for(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        done = doctor(kaged, "--check", "daemon", "--check", "fsync")
        assert done.returncode == 0, done.stdout
        assert [line.split()[1] for line in done.stdout.splitlines() if line[:2] in ("ok", "wa")] == ["daemon", "fsync"]
        kaged.socket.parent.chmod(0o755)
        done = doctor(kaged, "--check", "socket-folder")
        assert done.returncode == 1
        assert f"fix: chmod 700 {kaged.socket.parent}" in done.stdout
        assert doctor(kaged, "--check", "nonsense").returncode == 2


def test_after_a_kill_the_socket_that_was_left_is_told_and_nothing_is_started(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        kaged.kill()
        done = doctor(kaged, "-o", "json")
        found = states(done)
        assert done.returncode == 1
        assert (found["daemon"]["state"], found["daemon"]["fix"]) == ("fail", "kagectl daemon start")
        assert (found["leftovers"]["state"], found["leftovers"]["fix"]) == ("warn", "kagectl daemon start")
        assert found["store"]["fix"] == "kagectl fsck"
        assert not kaged.carriers()


def test_a_daemon_that_holds_the_folder_at_another_socket_is_told(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        found = states(doctor(kaged, "-o", "json", KAGE_SOCKET=str(tmp_path / "other.sock")))
        assert found["daemon"]["state"] == "fail"
        assert found["leftovers"]["state"] == "fail"
        assert kaged.process is not None
        assert f"pid {kaged.process.pid}" in found["leftovers"]["what"]


def test_at_its_port_a_daemon_is_as_well(tmp_path: Path) -> None:
    with Kaged(tmp_path, flags=["--listen", "tcp:127.0.0.1:0"]) as kaged:
        found = states(doctor(kaged, "-o", "json", KAGE_SOCKET="tcp"))
        assert {name: found[name]["state"] for name in THEIRS} == dict.fromkeys(THEIRS, "ok"), found


@pytest.mark.skipif(os.getuid() != 0, reason="becomes somebody else: root")
def test_somebody_else_is_told_whose_it_is(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        env = {"PATH": "/usr/bin:/bin", "KAGE_STATE_DIR": str(kaged.state), "KAGE_SOCKET": str(kaged.socket)}
        assert not failed(examine(look(env, None), CHECKS)), "as its owner, and all modules are loaded"
        os.seteuid(65534)
        try:
            found = dict(zip([check.name for check in CHECKS], examine(look(env, None), CHECKS), strict=True))
        finally:
            os.seteuid(0)
        assert not [verdict for verdict in found.values() if "broke" in verdict.what], found
        assert (found["daemon"].state, "belongs to another user" in found["daemon"].what) == ("fail", True)
        for name in ("state-folder", "socket-folder", "secrets", "leftovers"):
            assert (found[name].state, found[name].fix[:8]) == ("fail", "sudo -u "), found[name]
