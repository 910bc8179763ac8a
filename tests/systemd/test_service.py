"""kaged as a user service of a real systemd: started, killed, hung, reloaded, restarted and stopped by it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import daemon_service_pb2, event_service_pb2
from kaged.api.v1.agent_service_pb2 import AGENT_STATE_CANCELLED
from tests.systemd.host import Host, eventually
from tests.systemd.service import UNITS, Client, Service

COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
JSONL_ASKS = (
    """printf '{"type":"approval.request","id":"q","tool":"write","title":"write it?"}\\n'; read answer; sleep 600"""
)


def numbers(text: bytes) -> list[int]:
    return [int(line) for line in text.splitlines()[:-1]]  # the last line may be half there


def cgroup(host: Host, pid: int) -> str:
    """Where systemd has a process."""
    for line in (host.root / f"proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("name=systemd", "") and path.endswith((".service", ".scope")):
            return path
    raise AssertionError(f"{pid} is in no unit")


def phase(kage: Client) -> int:
    return int(kage.daemon.GetStatus(daemon_service_pb2.GetStatusRequest(), timeout=10).status.phase)


def test_the_units_are_right_in_the_eyes_of_systemd(service: Service, host: Host) -> None:
    names = ("kaged.service", "kage-agents.slice")
    folder = service.user.home / ".config/systemd/user"
    said = service.user.run("systemd-analyze", "verify", "--user", *(str(folder / name) for name in names))
    assert said.stdout + said.stderr == ""
    unit = (UNITS / "kaged@.service").read_text("utf-8").replace("/usr/bin/kaged", "/bin/true")
    host.run("sh", "-c", "cat >/etc/systemd/system/kaged@.service", stdin=unit)
    said = host.run("systemd-analyze", "verify", f"kaged@{service.user.uid}.service")
    assert said.stdout + said.stderr == ""
    hardening = (UNITS / "hardening.conf").read_text("utf-8")
    service.drop_in(hardening)
    said = service.user.run("systemd-analyze", "verify", "--user", str(folder / "kaged.service"))
    assert said.stdout + said.stderr == ""


def test_start_returns_when_it_serves_and_the_status_line_counts_agents(service: Service) -> None:
    kage = service.start()
    assert phase(kage) == daemon_service_pb2.DAEMON_PHASE_SERVING  # at once, without waiting
    assert service.status_text == "no agents"
    runs = [kage.spawn("sleep", "600"), kage.spawn("sleep", "600")]
    asks = kage.spawn("sh", "-c", JSONL_ASKS, adapter="jsonl", stdin=2)
    service.wait_status("3 agents: 2 running, 1 waiting; 1 open question")
    kage.wait(kage.spawn("false"))
    service.wait_status("3 agents: 2 running, 1 waiting; 1 open question; 1 failed since the start")
    shown = service.systemctl("status", "kaged")
    assert "3 agents: 2 running" in shown
    assert "active (running)" in shown
    for agent in (*runs, asks):
        kage.end(agent)


def test_a_killed_daemon_is_started_again_and_adopts_all_its_agents(service: Service) -> None:
    kage = service.start()
    agents = [kage.spawn("sh", "-c", COUNT, name=f"counter-{number}") for number in range(5)]
    for agent in agents:
        eventually(lambda agent=agent: kage.output(agent), "the first output")  # type: ignore[misc]  # mypy: lambda default
    before, daemon = service.agent_pids(*agents), service.pid
    service.signal("KILL")
    took_s = service.wait_replaced(daemon)
    assert service.agent_pids(*agents) == before
    assert all(service.lives(pid) for pid in before)
    assert service.shown("NRestarts") == "1"
    assert service.shown("Result") == "success"
    assert took_s < 15
    started = list(kage.read('type = "daemon.started"'))
    assert [event.meta.fact.daemon_started.adopted for event in started] == [0, 5]
    for agent in agents:
        kage.end(agent)
        seen = numbers(kage.output(agent))
        assert seen == list(range(1, len(seen) + 1))


def test_a_daemon_that_hangs_is_aborted_by_the_watchdog_and_its_agents_do_not_notice(service: Service) -> None:
    service.drop_in("[Service]\nWatchdogSec=2\n")
    kage = service.start()
    agent = kage.spawn("sh", "-c", COUNT)
    eventually(lambda: kage.output(agent), "the first output")
    before, daemon = service.agent_pids(agent), service.pid
    service.signal("STOP")
    service.wait_replaced(daemon)
    assert service.agent_pids(agent) == before
    assert "Watchdog timeout" in service.log()
    kage.end(agent)
    seen = numbers(kage.output(agent))
    assert seen == list(range(1, len(seen) + 1))


def test_a_watched_daemon_that_has_nothing_to_do_is_left_alone(service: Service) -> None:
    service.drop_in("[Service]\nWatchdogSec=1\n")
    service.start()
    daemon = service.pid
    last = begun = int(service.shown("WatchdogTimestampMonotonic"))
    while last < begun + 2_500_000:  # pings go on for two and a half times as long as it may be silent

        def newer(than: int = last) -> int:
            stamp = int(service.shown("WatchdogTimestampMonotonic"))
            return stamp if stamp > than else 0

        last = eventually(newer, "another ping")
    assert service.pid == daemon
    assert service.shown("NRestarts") == "0"


class Follower:
    """A subscriber in a thread, which comes back with its cursor whenever the daemon does."""

    def __init__(self, kage: Client) -> None:
        self._kage = kage
        self._stop = threading.Event()
        self.seqs: list[int] = []
        self.breaks = 0
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def _follow(self) -> None:
        while not self._stop.is_set():
            channel = self._kage.connect()
            try:
                stub = self._kage.owned(channel)
                after = self.seqs[-1] if self.seqs else 0
                asked = event_service_pb2.SubscribeEventsRequest(after_seq=after, heartbeat_s=0.3)
                events = type(self._kage.events)(stub)
                for answer in events.SubscribeEvents(asked, timeout=60):
                    self.seqs += [event.seq for event in answer.batch.events]
                    if self._stop.is_set():
                        break
            except (grpc.RpcError, FileNotFoundError):
                self.breaks += 1
                self._stop.wait(0.2)
            finally:
                channel.close()

    @contextmanager
    def following(self) -> Iterator["Follower"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(30)


def test_a_restart_under_load_is_invisible_to_agents_and_to_a_subscriber(service: Service) -> None:
    kage = service.start()
    agents = [kage.spawn("sh", "-c", COUNT, name=f"counter-{number}") for number in range(3)]
    with Follower(kage).following() as follower:
        for _ in range(2):
            before, daemon, head = service.agent_pids(*agents), service.pid, len(follower.seqs)
            service.systemctl("restart", "kaged")
            kage.again()
            assert service.pid != daemon
            assert service.agent_pids(*agents) == before
            eventually(lambda head=head: len(follower.seqs) > head + 20, "events after the restart")  # type: ignore[misc]  # as above
        for agent in agents:
            kage.end(agent)
        last = max(event.seq for event in kage.read())
        eventually(lambda: follower.seqs[-1] >= last, "the subscriber to have all")
    assert follower.seqs == list(range(1, len(follower.seqs) + 1))
    assert follower.breaks >= 2
    for agent in agents:
        seen = numbers(kage.output(agent))
        assert seen == list(range(1, len(seen) + 1))
    stops = [event.meta.fact.daemon_stopped for event in kage.read('type = "daemon.stopped"')]
    assert [(stop.agents, stop.reason) for stop in stops] == [("keep", "SIGTERM (restart)")] * 2


def test_reload_reads_the_configuration_again_and_a_broken_one_is_named(service: Service) -> None:
    service.start()
    daemon = service.pid
    service.configure('log_level = "debug"\n')
    service.systemctl("reload", "kaged")
    eventually(lambda: "reloaded applied=['log_level']" in service.log(), "the reload in the log")
    service.configure("log_level = 5\n")
    service.systemctl("reload", "kaged")
    service.wait_status("NOT RELOADED")
    service.configure('log_level = "info"\n')
    service.systemctl("reload", "kaged")
    eventually(lambda: service.status_text == "no agents", "the complaint to go")
    assert service.pid == daemon
    assert service.shown("ActiveState") == "active"


def test_the_journal_has_facts_in_fields(service: Service, host: Host) -> None:
    service.start()
    unit = f"_UID={service.user.uid}"
    shown = host.run("journalctl", "-o", "json", unit, "SYSLOG_IDENTIFIER=kaged", "KAGE_EVENT=ready", "PRIORITY=6")
    (ready,) = [json.loads(line) for line in shown.stdout.splitlines()]
    assert ready["KAGE_ADOPTED"] == "0"
    assert ready["_SYSTEMD_USER_UNIT"] == "kaged.service"
    assert ready["MESSAGE"].startswith("kaged ready socket=")


def test_a_stop_of_the_service_ends_its_agents_in_order_and_in_time(service: Service) -> None:
    kage = service.start()
    trap = "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    agents = [kage.spawn("sh", "-c", trap, name=f"agent-{number}") for number in range(3)]
    for agent in agents:
        eventually(lambda agent=agent: kage.output(agent) == b"up\n", "the agent to be up")  # type: ignore[misc]  # as above
    pids = service.agent_pids(*agents)
    begun = time.monotonic()
    service.systemctl("stop", "kaged")
    assert time.monotonic() - begun < 20
    assert not any(service.lives(pid) for pid in pids)
    assert service.shown("Result") == "success"
    service.start()
    for agent in agents:
        assert kage.agent(agent).state == AGENT_STATE_CANCELLED
        assert kage.output(agent) == b"up\nsaved\n"
    stop = next(iter(kage.read('type = "daemon.stopped"'))).meta.fact.daemon_stopped
    assert (stop.agents, stop.reason) == ("stop", "SIGTERM (stop)")


def test_a_stop_with_on_stop_keep_leaves_agents_and_the_next_start_adopts_them(service: Service) -> None:
    service.configure('on_stop = "keep"\n')
    kage = service.start()
    agent = kage.spawn("sh", "-c", COUNT)
    eventually(lambda: kage.output(agent), "the first output")
    before = service.agent_pids(agent)
    service.systemctl("stop", "kaged")
    assert service.shown("ActiveState") == "inactive"
    assert all(service.lives(pid) for pid in before)
    service.start()
    assert service.agent_pids(agent) == before
    kage.end(agent)
    seen = numbers(kage.output(agent))
    assert seen == list(range(1, len(seen) + 1))


def test_an_enabled_service_is_there_after_a_boot_and_a_shutdown_ends_agents_in_order(
    service: Service, host: Host
) -> None:
    service.systemctl("enable", "kaged")
    kage = service.start()
    agent = kage.spawn("sh", "-c", "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.1; done")
    eventually(lambda: kage.output(agent) == b"up\n", "the agent to be up")
    host.run("systemctl", "stop", f"user@{service.user.uid}.service")
    host.run("systemctl", "start", f"user@{service.user.uid}.service")
    eventually(lambda: service.shown("ActiveState") == "active", "kaged after the boot")
    kage.again()
    assert kage.agent(agent).state == AGENT_STATE_CANCELLED  # ended by kaged, not by systemd beside it
    assert kage.output(agent) == b"up\nsaved\n"
    stop = next(iter(kage.read('type = "daemon.stopped"'))).meta.fact.daemon_stopped
    assert (stop.agents, stop.reason) == ("stop", "SIGTERM (stop)")


def test_a_wrong_configuration_is_not_tried_for_ever(service: Service) -> None:
    service.configure("nonsense = 1\n")
    service.systemctl("start", "kaged", check=False)
    assert service.shown("ActiveState") == "failed"
    assert service.shown("ExecMainStatus") == "2"
    assert service.shown("NRestarts") == "0"
    assert "nonsense" in service.log()


def test_kagectl_stop_sticks_and_start_brings_the_same_agents_back(service: Service) -> None:
    kage = service.start()
    agent = kage.spawn("sleep", "600")
    kage.wait_state(agent, 3)
    before = service.agent_pids(agent)
    service.user.run("kagectl", "daemon", "stop")
    eventually(lambda: service.shown("ActiveState") == "inactive", "the service to end")
    assert service.shown("NRestarts") == "0"
    service.start()
    assert service.agent_pids(agent) == before
    kage.end(agent)


@pytest.fixture
def machine_unit(host: Host, service: Service) -> Iterator[str]:
    """The template unit of the machine's systemd, for this person."""
    text = (UNITS / "kaged@.service").read_text("utf-8")
    text = text.replace("/usr/bin/kaged", str(service.user.home / ".local/bin/kaged"))
    host.run("sh", "-c", "cat >/etc/systemd/system/kaged@.service && systemctl daemon-reload", stdin=text)
    unit = f"kaged@{service.user.uid}.service"
    yield unit
    host.run("systemctl", "stop", unit, check=False)


def test_the_machines_systemd_runs_it_for_a_user_and_adopts_after_a_kill(
    host: Host, service: Service, machine_unit: str
) -> None:
    host.run("systemctl", "start", machine_unit)
    kage = service.kage.again()
    assert phase(kage) == daemon_service_pb2.DAEMON_PHASE_SERVING
    agent = kage.spawn("sh", "-c", COUNT)
    eventually(lambda: kage.output(agent), "the first output")
    before = service.agent_pids(agent)

    def main_pid() -> int:
        return int(host.run("systemctl", "show", machine_unit, "--property=MainPID", "--value").stdout)

    # Its scopes are asked for at the user's own manager, which has them moved out of the machine's service.
    assert f"user@{service.user.uid}.service/kage.slice/kage-agents.slice/" in cgroup(host, before[0])
    daemon = main_pid()
    assert Path(host.root / f"proc/{daemon}").stat().st_uid == service.user.uid
    host.run("kill", "-KILL", str(daemon))
    eventually(lambda: main_pid() not in (0, daemon), "another kaged")
    eventually(
        lambda: host.run("systemctl", "is-active", machine_unit, check=False).stdout == "active\n", "it to be up"
    )
    kage.again()
    assert service.agent_pids(agent) == before
    host.run("systemctl", "stop", machine_unit)
    assert not any(service.lives(pid) for pid in before)
