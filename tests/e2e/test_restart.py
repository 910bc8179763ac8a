"""`kagectl daemon restart` while agents work and somebody follows: neither notices."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon_kit import eventually
from tests.e2e.test_daemon_verbs import Shell

pytestmark = pytest.mark.e2e

RESTARTS = 3
# Writes a numbered line every millisecond and remembers the longest of its writes; SIGPIPE or an error ends it with 1.
WRITER = """if True:
    import os, time
    longest = n = 0
    while not os.path.exists('enough'):
        began = time.monotonic_ns()
        os.write(1, b'%d\\n' % n)
        longest = max(longest, time.monotonic_ns() - began)
        n += 1
        time.sleep(0.001)
    open('longest', 'w').write(f'{longest} {n}')"""
# Answers each line, and leaves a file when its input ends.
READER = """if True:
    import sys
    for line in sys.stdin:
        sys.stdout.write('heard ' + line); sys.stdout.flush()
    open('eof', 'w')"""


@pytest.fixture
def shell() -> Iterator[Shell]:
    folder = Path(tempfile.mkdtemp(prefix="kage-"))  # pytest's own are too long for a socket
    typed = Shell(folder)
    try:
        yield typed
    finally:
        typed.kagectl("daemon", "stop", "--stop-agents", check=False)
        shutil.rmtree(folder)


def test_three_restarts_are_invisible_to_agents_and_to_those_who_follow(shell: Shell, tmp_path: Path) -> None:
    shell.kagectl("daemon", "start")
    python = [sys.executable, "-I", "-S", "-c"]
    shell.kagectl("run", "-d", "--name", "writer", "--cwd", str(tmp_path), "--", *python, WRITER)
    shell.kagectl("run", "-d", "--name", "reader", "--cwd", str(tmp_path), "--stdin", "pipe", "--", *python, READER)
    follow = [sys.executable, "-m", "kagectl"]
    with (
        Tail([*follow, "event", "watch", "--from-start", "-o", "jsonl"], shell, tmp_path / "events") as events,
        Tail([*follow, "logs", "-f", "writer"], shell, tmp_path / "logs") as logs,
    ):
        _restart_under(shell, tmp_path, events, logs)


def _restart_under(shell: Shell, tmp_path: Path, events: "Tail", logs: "Tail") -> None:
    pids = [shell.agent(name)["run"]["pid"] for name in ("writer", "reader")]  # type: ignore[index]
    for number in range(RESTARTS):
        lines = logs.lines()
        eventually(lambda lines=lines: logs.lines() > lines + 100, "the writer to be heard")
        shell.kagectl("daemon", "restart")
        shell.kagectl("agent", "send", "reader", f"word {number}")
    assert [shell.agent(name)["run"]["pid"] for name in ("writer", "reader")] == pids  # type: ignore[index]
    (tmp_path / "enough").touch()
    shell.kagectl("agent", "wait", "writer")
    assert not (tmp_path / "eof").exists()
    heard = "".join(f"heard word {number}\n" for number in range(RESTARTS))
    eventually(lambda: shell.kagectl("logs", "reader").stdout == heard, "the reader to have heard all, once")
    longest_ns, count = map(int, (tmp_path / "longest").read_text().split())
    print(f"longest blocked write {longest_ns / 1e6:.1f} ms of {count}, over {RESTARTS} restarts")
    assert longest_ns < 250_000_000
    assert logs.process.wait(60) == 0
    assert logs.text() == "".join(f"{n}\n" for n in range(count))

    (newest,) = json.loads(shell.kagectl("event", "list", "-n", "1", "-o", "json").stdout)
    eventually(lambda: events.lines() >= int(newest["seq"]), "the follower to be told all")
    seqs = [int(json.loads(line)["seq"]) for line in events.text().splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))


class Tail:
    """A program that follows something, what it prints in a file; it is ended on leaving."""

    def __init__(self, command: list[str], shell: Shell, path: Path) -> None:
        self.path = path
        with path.open("wb") as file:
            self.process = subprocess.Popen(command, env=shell.environ, stdout=file)

    def __enter__(self) -> "Tail":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)

    def text(self) -> str:
        return self.path.read_text()

    def lines(self) -> int:
        return self.path.read_bytes().count(b"\n")
