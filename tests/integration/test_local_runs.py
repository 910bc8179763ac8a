"""LocalRuns when the scope that a run should get cannot be had."""

from pathlib import Path

import pytest

from kaged.domain.errors import KageError
from kaged.domain.run_records import NotStarted, RunSpec
from kaged.executors.dbus import ManagerRefused
from kaged.executors.local import LaunchFailed, install_shim
from kaged.executors.provider import LocalRuns
from kaged.executors.scope import Manager, Scopes
from tests.fakes.runs import eventually


class NoScopes(Scopes):
    """A systemd that refuses."""

    def __init__(self) -> None:
        limits = frozenset(("memory_bytes",))
        super().__init__(Manager(private=Path("/"), root="", unified=Path("/nowhere"), limits=limits, daemon_unit=""))

    def start(self, run: str, pid: int, spec: RunSpec) -> None:
        raise ManagerRefused(run, "not today")


def spec(memory_bytes: int = 0) -> RunSpec:
    return RunSpec(run_id="a.1", agent_id="a", argv=("true",), env={}, cwd="/", memory_bytes=memory_bytes)


@pytest.fixture
def runs(tmp_path: Path) -> LocalRuns:
    return LocalRuns(tmp_path / "runs", install_shim(tmp_path), scopes=NoScopes())


def test_what_scopes_hold_is_offered_beside_what_the_daemon_holds(runs: LocalRuns) -> None:
    assert runs.enforces == {"wall_time_s", "idle_s", "output_bytes", "memory_bytes"}


def test_a_run_that_was_promised_a_limit_does_not_start_without_it(runs: LocalRuns) -> None:
    launched = runs.launch("a.1", spec(memory_bytes=1 << 20))
    with pytest.raises(LaunchFailed, match="not today"):
        launched.wait_ready(30)
    eventually(lambda: launched.reap() is not None, "the shim to end")
    assert isinstance(runs.folder("a.1").read_exit(), NotStarted)


def test_a_run_without_limits_starts_without_a_scope_too(runs: LocalRuns, caplog: pytest.LogCaptureFixture) -> None:
    launched = runs.launch("a.1", spec())
    try:
        launched.wait_ready(30)
        launched.open_gate()
    except KageError:
        launched.abandon()
        raise
    eventually(lambda: launched.reap() is not None, "the shim to end")
    assert launched.wait_status == 0
    assert "no_scope run=a.1" in caplog.text
    assert runs.kill_leftovers("a.1") == []
