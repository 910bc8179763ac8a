"""Agents in scopes of their own, on a real systemd: where they are, what holds them, and what ends with them."""

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import spec_pb2
from tests.e2e.daemon_kit import ENDED
from tests.systemd.host import Host, User, eventually
from tests.systemd.service import UNITS, Client, Service
from tests.systemd.test_service import cgroup

MIB = 1 << 20
EAT = "import time; food = bytearray({bytes}); print('fed', flush=True); time.sleep(600)"


def test_each_agent_has_a_scope_of_its_own_which_ends_with_it(service: Service, host: Host) -> None:
    kage = service.start()
    agents = [kage.spawn("sh", "-c", "sleep 600 & wait") for _ in range(3)]
    places = [cgroup(host, pid) for pid in service.agent_pids(*agents)]
    runs = [kage.agent(agent).run.id for agent in agents]
    assert [Path(place).name for place in places] == [f"kage-{run}.scope" for run in runs]
    assert {Path(place).parent.name for place in places} == {"kage-agents.slice"}
    assert service.systemctl("list-units", "--plain", "--no-legend", "kage-*.scope").count("\n") == 3
    daemons = cgroup(host, service.pid)
    assert Path(daemons).name == "kaged.service"
    procs = host.root / "sys/fs/cgroup/systemd" / daemons.lstrip("/") / "cgroup.procs"
    if procs.exists():
        assert procs.read_text().split() == [str(service.pid)]  # nothing but the daemon
    for agent in agents:
        kage.end(agent)
    eventually(
        lambda: not service.systemctl("list-units", "--all", "--plain", "--no-legend", "kage-*.scope"),
        "the scopes to go",
    )


def test_what_a_dead_shim_leaves_is_ended_by_its_cgroup_even_without_any_trace_in_its_environment(
    service: Service, host: Host
) -> None:
    kage = service.start()
    agent = kage.spawn("sh", "-c", "setsid env -i sleep 599 & echo $!; exec sleep 600")
    stray = int(eventually(lambda: kage.output(agent), "the pid of the stray"))
    assert service.lives(stray)
    (pid,) = service.agent_pids(agent)
    shim = int((host.root / f"proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    host.run("kill", "-KILL", str(shim))
    ended = kage.wait(agent)
    assert ended.state in ENDED
    eventually(lambda: not service.lives(stray), "the stray to end")


def test_a_limit_that_this_systemd_cannot_hold_is_refused_by_name(service: Service) -> None:
    kage = service.start()
    if "memory_bytes" in service.log():
        pytest.skip("the user manager of this machine holds memory limits")
    with pytest.raises(grpc.RpcError) as refused:
        kage.spawn("true", limits=spec_pb2.Limits(memory_bytes=64 * MIB))
    assert "memory_bytes" in str(refused.value)


@pytest.fixture(scope="module")
def root_kage(host: Host) -> Iterator[Client]:
    """kaged as a system service of root: the machine's manager has the controllers."""
    with host.user("root-kage") as user:
        Service(user).install()
        yield from _as_root(host, user)


def _as_root(host: Host, user: User) -> Iterator[Client]:
    text = (UNITS / "kaged.service").read_text("utf-8")
    text = text.replace("%h/.local/bin/kaged", str(user.home / ".local/bin/kaged"))
    environment = (
        "Environment=KAGE_STATE_DIR=/tmp/root-kage KAGE_SOCKET=/run/root-kage/kaged.sock\nRuntimeDirectory=root-kage"
    )
    text = text.replace("[Service]\n", f"[Service]\n{environment}\n")
    host.run("sh", "-c", "cat >/etc/systemd/system/kaged.service && systemctl daemon-reload", stdin=text)
    host.run("systemctl", "start", "kaged")
    kage = Client(user)
    kage.state = host.root / "tmp/root-kage"
    kage.socket = host.root / "run/root-kage/kaged.sock"
    yield kage
    kage.close()
    host.run(
        "sh",
        "-c",
        "systemctl stop kaged; rm -rf /tmp/root-kage /etc/systemd/system/kaged.service; systemctl daemon-reload",
    )


def holding(kage: Client, host: Host, limit: str) -> Client:
    """The same, if its systemd has the controller for this limit: what it is given depends on the machine below."""
    said = host.run("journalctl", "-o", "cat", "_SYSTEMD_UNIT=kaged.service", "KAGE_EVENT=executor").stdout
    if f"'{limit}'" not in said:
        pytest.skip(f"NOT PROVED: the control groups of this machine cannot hold {limit} inside of namespaces")
    return kage


def test_an_agent_that_eats_more_than_its_memory_ends_alone_and_the_reason_is_told(
    root_kage: Client, host: Host
) -> None:
    kage = holding(root_kage, host, "memory_bytes")
    python = "/usr/bin/python3"
    limits = spec_pb2.Limits(memory_bytes=64 * MIB)
    modest = kage.spawn(python, "-c", EAT.format(bytes=8 * MIB), limits=limits)
    greedy = kage.spawn(python, "-c", EAT.format(bytes=200 * MIB), limits=limits)
    free = kage.spawn(python, "-c", EAT.format(bytes=200 * MIB))
    ended = kage.wait(greedy)
    assert ended.outcome.reason == "out_of_memory"
    assert ended.outcome.signal == 9
    assert "out of memory" in ended.outcome.detail
    for agent in (modest, free):
        eventually(lambda agent=agent: kage.output(agent) == b"fed\n", "the others to be fed")  # type: ignore[misc]  # mypy: lambda default
        kage.end(agent)
    assert host.run("systemctl", "is-active", "kaged").stdout == "active\n"


def test_a_tool_of_an_agent_that_is_ended_for_its_memory_is_told_too(root_kage: Client, host: Host) -> None:
    kage = holding(root_kage, host, "memory_bytes")
    eat = EAT.format(bytes=200 * MIB)
    limits = spec_pb2.Limits(memory_bytes=64 * MIB)
    agent = kage.spawn("sh", "-c", f'/usr/bin/python3 -c "{eat}"; echo "tool: $?"; exit 3', limits=limits)
    ended = kage.wait(agent)
    assert kage.output(agent) == b"tool: 137\n"
    assert (ended.outcome.exit_code, ended.outcome.reason) == (3, "exit")
    assert "the kernel killed 1 of its processes" in ended.outcome.detail


def test_an_agent_starts_no_more_processes_than_it_may(root_kage: Client, host: Host) -> None:
    kage = holding(root_kage, host, "processes")
    code = "for i in 1 2 3 4 5 6 7 8; do sleep 600 & done; echo done"
    agent = kage.spawn("sh", "-c", code, limits=spec_pb2.Limits(processes=5))
    kage.wait(agent)
    assert b"fork" in kage.output(agent, 2)


def test_an_agent_gets_no_more_of_the_processors_than_it_may(root_kage: Client, host: Host) -> None:
    kage = holding(root_kage, host, "cpus")
    agent = kage.spawn("sh", "-c", "while :; do :; done", limits=spec_pb2.Limits(cpus=0.2))
    (pid,) = [eventually(lambda: int(kage.agent(agent).run.pid), "a pid")]

    def used_s() -> float:
        fields = (host.root / f"proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    begun, before = time.monotonic(), used_s()
    eventually(lambda: time.monotonic() > begun + 2, "two seconds")
    assert used_s() - before < 0.2 * (time.monotonic() - begun) * 1.5 + 0.1
    kage.end(agent)
