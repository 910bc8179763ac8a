"""A daemon without what only Linux has (tests/fakes/bare_unix.py): the stand-ins of docs/platforms.md, at work."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from kaged.api.v1.agent_service_pb2 import AGENT_STATE_CANCELLED, AGENT_STATE_SUCCEEDED
from tests.e2e.daemon_kit import Kaged, eventually

LAUNCHER = Path(__file__).parents[1] / "fakes" / "bare_unix.py"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("ps"), reason="plays macOS with Linux' own ps"),
]


class Bare(Kaged):
    """The kit, with that launcher."""

    def command(self) -> list[str]:
        words = super().command()
        at = words.index("-m")
        self.environment["PYTHONPATH"] = str(LAUNCHER.parents[2])
        return [*words[:at], str(LAUNCHER), *words[at + 2 :]]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_output_and_status_are_recorded_soon_although_nothing_wakes_the_daemon(tmp_path: Path) -> None:
    with Bare(tmp_path) as kaged:
        agent = kaged.spawn("sh", "-c", "echo one; read go; echo two; exit 0", stdin=2)
        eventually(lambda: kaged.output(agent) == b"one\n", "the first line")
        begun = time.monotonic()
        kaged.send(agent, b"go\n")
        kaged.wait(agent)
        assert time.monotonic() - begun < 10
        assert kaged.output(agent) == b"one\ntwo\n"
        assert kaged.agent(agent).state == AGENT_STATE_SUCCEEDED


def test_agents_outlive_a_killed_daemon_and_lose_nothing(tmp_path: Path) -> None:
    count = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; sleep 0.02; done"
    with Bare(tmp_path) as kaged:
        agents = [kaged.spawn("sh", "-c", count, name=f"counter-{number}") for number in range(3)]
        for _ in range(2):
            eventually(lambda: all(kaged.output(agent) for agent in agents), "output")
            kaged.kill()
            kaged.start()
        for agent in agents:
            kaged.wait(agent)
            assert kaged.output(agent) == b"".join(b"%d\n" % number for number in range(1, 101))


def test_a_stop_ends_what_is_below_the_agent_found_by_ps(tmp_path: Path) -> None:
    script = "setsid sh -c 'sleep 600' & echo $!; sleep 600 & echo $!; trap '' TERM; while :; do sleep 1; done"
    with Bare(tmp_path) as kaged:
        agent = kaged.spawn("sh", "-c", script)
        eventually(lambda: kaged.output(agent).count(b"\n") == 2, "the pids")
        pids = [int(line) for line in kaged.output(agent).split()]
        kaged.end(agent, grace_s=0.2)
        assert kaged.agent(agent).state == AGENT_STATE_CANCELLED
        assert not any(lives(pid) for pid in pids)


def test_what_a_killed_shim_leaves_is_found_by_its_environment_and_ended(tmp_path: Path) -> None:
    with Bare(tmp_path) as kaged:
        agent = kaged.spawn("sleep", "600")
        run = eventually(lambda: found if (found := kaged.agent(agent).run).pid else None, "a pid")
        shim = int(Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(shim, signal.SIGKILL)
        kaged.wait(agent)
        assert not lives(run.pid)
        assert "lost" in str(kaged.agent(agent)).lower()


def test_what_an_agent_uses_is_told_by_ps(tmp_path: Path) -> None:
    with Bare(tmp_path) as kaged:
        agent = kaged.spawn("sleep", "600")
        eventually(lambda: kaged.agent(agent).run.pid, "a pid")
        assert eventually(lambda: kaged.agent(agent).health.rss_bytes, "its memory") > 0
