"""A client in another language, made from the same proto files: spawns, follows events and output, reads all.

Needs node, npm and a registry or a filled `node_modules`; without them these tests are skipped and say why.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[1] / "clients" / "node"

pytestmark = [pytest.mark.e2e, pytest.mark.node]


def _install(npm: str) -> None:
    """npm ci beside, then one rename: other test processes see all of it or nothing."""
    beside = CLIENT / f".install-{os.getpid()}"
    beside.mkdir()
    try:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(CLIENT / name, beside)
        done = subprocess.run([npm, "ci"], cwd=beside, capture_output=True, text=True, timeout=90, check=False)
        if done.returncode != 0:
            pytest.skip(f"SKIPPED, NOT PROVED: npm ci failed: {done.stderr.strip()[-300:]}")
        with contextlib.suppress(OSError):  # another test process was first
            (beside / "node_modules").rename(CLIENT / "node_modules")
    finally:
        shutil.rmtree(beside)


@pytest.fixture(scope="module")
def node() -> str:
    """The node program, with the client's modules installed."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        pytest.skip("SKIPPED, NOT PROVED: the Node client needs node and npm on PATH")
    if not (CLIENT / "node_modules" / "@grpc" / "grpc-js").exists():
        _install(npm)
    return program


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a daemon of our own."""
    state = tmp_path_factory.mktemp("kage")
    path = state / "run" / "kaged.sock"
    command = [str(Path(sys.executable).with_name("kaged")), "--state-dir", str(state), "--socket", str(path)]
    with (state / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        deadline = time.monotonic() + 30
        while b"ready" not in (state / "log").read_bytes():
            assert daemon.poll() is None, (state / "log").read_text()
            assert time.monotonic() < deadline, "kaged is not ready"
            time.sleep(0.02)
        yield path
        daemon.terminate()
        assert daemon.wait(timeout=20) == 0


def _run(node: str, socket: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "KAGE_SOCKET": str(socket)}
    environment.pop("KAGE_TOKEN_FILE", None)
    command = [node, str(CLIENT / "run.js"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_node_client_spawns_an_agent_and_follows_it_to_its_end(node: str, socket: Path) -> None:
    done = _run(node, socket, "--", "sh", "-c", "echo one; sleep 0.2; echo two; exit 7")
    assert done.returncode == 7, done.stderr
    assert done.stdout == "one\ntwo\n"
    types = [line.split()[1] for line in done.stderr.splitlines()[1:]]
    assert [kind for kind in types if kind != "output.chunk"] == [
        "agent.spawned",
        "run.wanted",
        "run.started",
        "run.executed",
        "run.ended",
        "agent.ended",
    ]


@pytest.mark.parametrize(("command", "code"), [(("sh", "-c", "kill -9 $$"), 137), (("/nowhere",), 127)])
def test_its_exit_code_tells_how_the_agent_ended(node: str, socket: Path, command: tuple[str, ...], code: int) -> None:
    assert _run(node, socket, "--", *command).returncode == code


def test_another_token_opens_nothing(node: str, socket: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("not the one\n")
    done = _run(node, socket, "--token-file", str(token), "--", "true")
    assert (done.returncode, done.stdout) == (69, "")
    assert "no valid token" in done.stderr


def test_a_node_client_decodes_the_whole_journal(node: str, socket: Path) -> None:
    assert _run(node, socket, "--", "echo", "something to read").returncode == 0
    command = [node, str(CLIENT / "catchup.js"), str(socket), str(socket.with_name("owner.token")), "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["events"] == told["last_seq"] >= 7
