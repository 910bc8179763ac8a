"""kagectl as a process: signals, pipes, terminals, exit codes, and how little it loads."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.fake_kaged import FakeKaged

pytestmark = pytest.mark.integration

KAGECTL = [sys.executable, "-m", "kagectl"]
WITHIN_S = 20


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeKaged]:
    with FakeKaged(tmp_path) as daemon:
        yield daemon


def environment(fake: FakeKaged, **more: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("KAGE_")}
    return env | {"KAGE_SOCKET": fake.socket, "NO_COLOR": "1"} | more


def start(fake: FakeKaged, *words: str, **settings: object) -> "subprocess.Popen[bytes]":
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | settings
    return subprocess.Popen([*KAGECTL, *words], env=environment(fake), **settings)  # type: ignore[call-overload]


def test_the_exit_code_of_the_process_is_the_agents(fake):
    process = start(fake, "run", "--", "fail", "7")
    out, err = process.communicate(timeout=WITHIN_S)
    assert (process.returncode, out, err) == (7, b"", b"it went wrong\n")


def test_ctrl_c_ends_the_following_and_leaves_the_agent(fake):
    process = start(fake, "run", "--name", "long", "--", "sleep")
    fake.wait_for(lambda world: world.following == 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 130
    assert b"long goes on" in err
    assert b"kagectl agent stop long" in err
    assert b"Traceback" not in err
    assert [agent.run.phase for agent in fake.world.agents.values()] == ["started"]


def test_ctrl_c_stops_the_agent_when_that_was_asked_for(fake):
    process = start(fake, "run", "--stop-on-interrupt", "--", "sleep")
    fake.wait_for(lambda world: world.following == 1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WITHIN_S)
    assert process.returncode == 130
    assert [agent.run.phase for agent in fake.world.agents.values()] == ["ended"]


@pytest.mark.parametrize("words", [("logs", "-f", "long"), ("event", "watch")])
def test_ctrl_c_on_any_follow_exits_with_130_and_no_traceback(fake, words):
    first = start(fake, "run", "-d", "--name", "long", "--", "cat")
    first.communicate(timeout=WITHIN_S)
    process = start(fake, *words)
    if words[0] == "logs":
        fake.wait_for(lambda world: world.following == 1)
    else:
        fake.wait_for(lambda world: world.watching == 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_a_reader_that_went_away_ends_kagectl_quietly(fake):
    reading, writing = os.pipe()
    os.close(reading)
    process = start(fake, "--help", stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 141
    assert err == b""


def test_run_i_passes_standard_input_on_byte_for_byte(fake):
    data = bytes(range(256)) * 2000
    process = start(fake, "run", "-i", "--", "cat", stdin=subprocess.PIPE)
    out, err = process.communicate(data, timeout=WITHIN_S)
    assert (process.returncode, err) == (0, b"")
    assert out == data


def test_run_t_is_raw_and_ctrl_p_ctrl_q_leaves_the_agent_running(fake):
    ours, theirs = pty.openpty()
    process = start(fake, "run", "-t", "--name", "shell", "--", "cat", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        fake.wait_for(lambda world: world.following == 1)
        read_until(ours, lambda said: True, quiet=True)
        os.write(ours, b"\x03abc")
        assert b"abc" in read_until(ours, lambda said: b"abc" in said)
        agent = next(iter(fake.world.agents.values()))
        assert fake.world.inputs[agent.id] == b"\x03abc"
        os.write(ours, b"\x10\x11")
        assert b"shell goes on" in read_until(ours, lambda said: b"goes on" in said)
        assert process.wait(WITHIN_S) == 0
        assert agent.run.phase == "started"
        assert agent.spec.terminal.rows == 0 or agent.spec.terminal.rows > 0
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()


def read_until(terminal, enough, *, quiet=False):
    said = b""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.3)
        if ready:
            try:
                said += os.read(terminal, 4096)
            except OSError:
                return said
        elif quiet:
            return said
        if not quiet and enough(said):
            return said
    raise AssertionError(f"never came: {said!r}")


def test_ps_loads_neither_grpc_nor_asyncio_nor_yaml(fake):
    code = (
        "import sys\n"
        "from kagectl.main import run\n"
        "assert run(['ps']) == 0\n"
        "heavy = {'grpc', 'asyncio', 'yaml', 'ssl', 'tomllib', 'google.rpc'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(fake), capture_output=True, timeout=WITHIN_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_tab_offers_names_that_the_daemon_knows_and_nothing_without_one(fake):
    start(fake, "run", "-d", "--name", "long", "--", "cat").communicate(timeout=WITHIN_S)
    for line, offered in (
        ("kagectl agent stop lo", b"plain,long\n"),
        ("kagectl --socket /nowhere agent stop lo", b""),
        ("kagectl agent sh", b"plain,show\n"),
    ):
        asked = {"_KAGECTL_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        done = subprocess.run(
            KAGECTL, env=environment(fake, **asked), capture_output=True, timeout=WITHIN_S, check=False
        )
        assert (done.stdout.strip(), done.stderr) == (offered.strip(), b"")


def test_a_bug_of_our_own_is_one_line_and_a_traceback_only_on_request(fake):
    code = (
        "import kagectl.commands.agent.listing as listing, sys\n"
        "from kagectl.main import run\n"
        "listing.ps.callback = lambda **_: 1 / 0\n"
        "sys.exit(run(['ps']))\n"
    )
    for debug in ("", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(fake, KAGE_DEBUG=debug),
            capture_output=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 70
        assert b"this is a bug" in done.stderr
        assert (b"Traceback" in done.stderr) == bool(debug)
