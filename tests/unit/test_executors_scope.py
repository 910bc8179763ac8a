"""Which systemd is asked for scopes, which limits it can hold, and what it is told."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.domain.run_records import RunSpec
from kaged.executors.scope import SLICE, Scopes, find_manager, scope_name, scope_properties

ME = os.getuid()


class Machine:
    """What a machine shows of itself under /proc and /sys/fs/cgroup."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.fs, self.run = folder / "proc", folder / "fs", folder / "run"
        for path in (self.proc / "self", self.fs, self.run / "systemd"):
            path.mkdir(parents=True)
        self.environ = {"NOTIFY_SOCKET": "/n", "XDG_RUNTIME_DIR": str(self.run)}
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.run / "systemd/private"))

    def close(self) -> None:
        self._socket.close()

    def cgroups(self, text: str) -> None:
        (self.proc / "self/cgroup").write_text(text)

    def controllers(self, text: str, below: str = "") -> None:
        root = self.fs / below / f"user.slice/user-{ME}.slice/user@{ME}.service"
        root.mkdir(parents=True)
        (root / "cgroup.controllers").write_text(text)

    @property
    def found(self) -> frozenset[str] | None:
        manager = find_manager(self.environ, proc=self.proc, fs=self.fs)
        return None if manager is None else manager.limits


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("m"))
    yield made
    made.close()


OURS = f"/user.slice/user-{ME}.slice/user@{ME}.service/kage.slice/kaged.service"


def test_a_user_manager_holds_what_was_delegated_to_it(machine: Machine) -> None:
    machine.cgroups(f"0::{OURS}\n")
    machine.controllers("cpu memory pids\n")
    assert machine.found == frozenset(("memory_bytes", "cpus", "processes"))


def test_a_user_manager_without_controllers_gives_scopes_and_no_limits(machine: Machine) -> None:
    machine.cgroups(f"9:memory:/user.slice\n1:name=systemd:{OURS}\n0::{OURS}\n")
    (machine.fs / "unified").mkdir()
    (machine.fs / "unified/cgroup.procs").touch()
    machine.controllers("\n", below="unified")
    assert machine.found == frozenset()


@pytest.mark.skipif(ME != 0, reason="only root asks the machine's manager")
@pytest.mark.parametrize("hybrid", [True, False])
def test_controllers_of_version_1_count_for_the_machines_manager_if_it_uses_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, hybrid: bool
) -> None:
    ours = "/system.slice/kaged.service"
    machine.cgroups(f"9:memory:{ours}\n4:cpu,cpuacct:{ours}\n1:name=systemd:{ours}\n0::{ours}\n")
    top = machine.fs / "unified" if hybrid else machine.fs
    top.mkdir(exist_ok=True)
    (top / "cgroup.procs").touch()
    (top / "cgroup.controllers").write_text("\n")
    found = find_manager(machine.environ, proc=machine.proc, fs=machine.fs, system=machine.run)
    assert found is not None
    assert found.limits == (frozenset(("memory_bytes", "cpus")) if hybrid else frozenset())


def test_outside_of_a_service_nobody_is_asked(machine: Machine) -> None:
    machine.cgroups(f"0::{OURS}\n")
    machine.controllers("cpu memory pids\n")
    del machine.environ["NOTIFY_SOCKET"]
    assert machine.found is None


def test_a_machine_that_is_not_as_expected_runs_without(machine: Machine) -> None:
    assert machine.found is None  # no /proc/self/cgroup
    machine.cgroups("nonsense\n")
    assert machine.found is None
    machine.cgroups(f"0::{OURS}\n")
    assert machine.found is None  # no cgroup of the manager
    machine.controllers("memory\n")
    (machine.run / "systemd/private").unlink()
    assert machine.found is None


def spec(**changes: float) -> RunSpec:
    return RunSpec(run_id="a.1", agent_id="a", argv=("true",), env={}, cwd="/", **changes)  # type: ignore[arg-type]  # numbers


def told(held: frozenset[str] = frozenset(), unit: str = "", **changes: float) -> dict[str, object]:
    return {name: value for name, _, value in scope_properties(42, spec(**changes), held, unit)}


def test_a_scope_holds_the_shim_and_what_is_asked_for() -> None:
    assert scope_name("a.1") == "kage-a.1.scope"
    plain = told()
    assert (plain["PIDs"], plain["Slice"], plain["Delegate"]) == ([42], SLICE, True)
    assert not plain.keys() & {"MemoryMax", "CPUQuotaPerSecUSec", "TasksMax", "RuntimeMaxUSec", "Before"}
    all_of_them = told(
        frozenset(("memory_bytes", "cpus", "processes")),
        "kaged.service",
        memory_bytes=1 << 20,
        cpus=1.5,
        processes=9,
        wall_s=60,
    )
    assert all_of_them["MemoryMax"] == 1 << 20
    assert all_of_them["MemorySwapMax"] == 0
    assert all_of_them["CPUQuotaPerSecUSec"] == 1_500_000
    assert all_of_them["TasksMax"] == 10  # and the shim
    assert all_of_them["RuntimeMaxUSec"] == 130_000_000  # a minute after the shim should have ended it
    assert all_of_them["Before"] == ["kaged.service"]


def test_what_is_left_of_a_run_that_never_had_a_scope_is_nobody(machine: Machine) -> None:
    machine.cgroups(f"0::{OURS}\n")
    machine.controllers("")
    manager = find_manager(machine.environ, proc=machine.proc, fs=machine.fs)
    assert manager is not None
    assert Scopes(manager).kill("a.1") == []
