"""A real kaged and a socket that stands in for the service manager: what is said in which order, and what is passed on.

The real systemd is in tests/systemd; this runs everywhere.
"""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.api.v1 import daemon_service_pb2
from tests.e2e.daemon_kit import Kaged, eventually


class Manager:
    """Keeps every datagram."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": str(path)}
        self._words: list[str] = []

    @property
    def words(self) -> list[str]:
        """All that was said so far."""
        while True:
            try:
                self._words.append(self._socket.recv(65536).decode("ascii"))
            except BlockingIOError:
                return self._words

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    path = tmp_path_factory.mktemp("m") / "notify"
    listening = Manager(path)
    yield listening
    listening.close()


def test_ready_is_said_once_and_only_when_every_agent_is_adopted(tmp_path: Path, manager: Manager) -> None:
    with Kaged(tmp_path, environment=manager.environment) as kaged:
        agents = [kaged.spawn("sleep", "600") for _ in range(5)]
        for agent in agents:
            eventually(lambda agent=agent: kaged.agent(agent).run.pid, "a pid")  # type: ignore[misc]  # mypy: lambda default
        kaged.kill()
        first = len(manager.words)
        kaged.launch()
        eventually(lambda: "READY=1" in manager.words[first:], "READY")
        # Not a moment after READY: this is the first call, and it is answered in full.
        status = kaged.daemon.GetStatus(daemon_service_pb2.GetStatusRequest(), timeout=5).status
        assert status.phase == daemon_service_pb2.DAEMON_PHASE_SERVING
        assert status.detail == "adopted 5, settled 0 runs"
        words = manager.words[first:]
        assert words[0].startswith("EXTEND_TIMEOUT_USEC=")
        assert words.count("READY=1") == 1
        before = words[: words.index("READY=1")]
        assert all(word.startswith(("EXTEND_TIMEOUT_USEC=", "STATUS=")) for word in before)
        assert "STATUS=5 agents: 5 running" in manager.words


def test_a_stop_is_announced_before_the_doors_close(tmp_path: Path, manager: Manager) -> None:
    with Kaged(tmp_path, environment=manager.environment) as kaged:
        assert kaged.stop() == 0
        assert "STOPPING=1" in manager.words
        assert [word for word in manager.words if word in ("READY=1", "STOPPING=1")] == ["READY=1", "STOPPING=1"]
        assert "STATUS=leaving, agents go on; no agents" in manager.words


def test_a_reload_is_announced_with_its_time(tmp_path: Path, manager: Manager) -> None:
    with Kaged(tmp_path, environment=manager.environment) as kaged:
        assert kaged.process is not None
        kaged.process.send_signal(signal.SIGHUP)
        eventually(lambda: manager.words.count("READY=1") == 2, "READY again")
        said = [word for word in manager.words if not word.startswith("STATUS=")]
        at = next(at for at, word in enumerate(said) if word.startswith("RELOADING=1\nMONOTONIC_USEC="))
        assert int(said[at].rpartition("=")[2]) > 0
        assert said[at + 1] == "READY=1"


def test_the_watchdog_is_fed_as_long_as_it_lives_and_agents_do_not_see_any_of_it(
    tmp_path: Path, manager: Manager
) -> None:
    watched = {**manager.environment, "WATCHDOG_USEC": "200000"}
    with Kaged(tmp_path, environment=watched) as kaged:
        eventually(lambda: manager.words.count("WATCHDOG=1") > 5, "pings")
        agent = kaged.spawn("env")
        kaged.wait(agent)
        told = kaged.output(agent).decode()
        assert "NOTIFY_SOCKET" not in told
        assert "WATCHDOG" not in told
        assert kaged.process is not None
        stat = Path(f"/proc/{kaged.process.pid}/stat")
        kaged.process.send_signal(signal.SIGSTOP)
        eventually(lambda: stat.read_text().split()[2] == "T", "it to stand still")
        silent = len(manager.words)
        with pytest.raises(AssertionError, match="not within"):
            eventually(lambda: len(manager.words) > silent, "a word", deadline_s=0.6)
        kaged.process.send_signal(signal.SIGCONT)
        eventually(lambda: len(manager.words) > silent, "pings again")
