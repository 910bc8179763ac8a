"""What goes wrong around a daemon, one sentence each: other daemons, bad programs, full disks, dead shims, stops."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from kaged.api.v1 import agent_service_pb2, daemon_service_pb2, spec_pb2, supervisor_service_pb2
from tests.e2e.daemon_kit import Kaged, eventually
from tests.search import TIMES

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

SLEEPER = ("sh", "-c", "echo ready; exec sleep 600")


@pytest.fixture
def kaged(tmp_path: Path) -> Iterator[Kaged]:
    with Kaged(tmp_path) as daemon:
        yield daemon


def python(code: str) -> list[str]:
    return [getattr(sys, "_base_executable", sys.executable), "-I", "-S", "-c", code]


def running(kaged: Kaged, *command: str, **spec: object) -> str:
    """An agent that has said something."""
    agent = kaged.spawn(*command, **spec)
    eventually(lambda: kaged.agent(agent).run.stdout_bytes, "its first output")
    return agent


def swallowed(fifo: int) -> bool:
    try:
        return bool(os.read(fifo, 100))
    except BlockingIOError:
        return False


def ends(kaged: Kaged, agent: str) -> list[str]:
    return [event.meta.fact.run_ended.kind for event in kaged.read(f'agent = "{agent}" AND type = "run.ended"')]


# --- daemons -----------------------------------------------------------------------------------------------------


def test_a_second_daemon_on_the_same_state_is_refused_before_it_touches_the_socket(kaged: Kaged) -> None:
    before = kaged.socket.stat().st_ino
    second = subprocess.run(kaged.command(), capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 75
    assert "another kaged" in second.stderr
    assert str(kaged.process.pid) in second.stderr  # type: ignore[union-attr]
    assert kaged.socket.stat().st_ino == before
    assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0


def test_a_daemon_of_another_state_does_not_take_a_live_socket_away(kaged: Kaged, tmp_path: Path) -> None:
    other = [*kaged.command()]
    other[other.index("--state-dir") + 1] = str(tmp_path / "other")
    second = subprocess.run(other, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 75
    assert str(kaged.socket) in second.stderr
    assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0


def test_a_stale_socket_is_replaced(kaged: Kaged) -> None:
    kaged.kill()
    assert kaged.socket.exists()
    kaged.start()
    assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0


def test_what_is_no_socket_is_not_replaced(kaged: Kaged) -> None:
    kaged.kill()
    kaged.socket.unlink()
    kaged.socket.write_text("not a socket")
    kaged.launch()
    assert kaged.exit_code() == 75
    assert "is not a socket" in kaged.words()
    assert kaged.socket.read_text("ascii") == "not a socket"


def test_nothing_is_left_beside_the_socket_after_many_deaths(kaged: Kaged) -> None:
    for pause_s in (0.1, 0.25, 0.4, 0.5):
        kaged.kill()
        kaged.launch()
        time.sleep(pause_s)
    kaged.kill()
    kaged.start()
    names = sorted(path.name for path in kaged.socket.parent.iterdir())
    assert names == ["agents.sock", "kaged.sock", "owner.token"]


def test_a_state_folder_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "kaged", "--state-dir", str(tmp_path / "file" / "state")]
    command += ["--socket", str(tmp_path / "s")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode in (2, 74)
    assert str(tmp_path / "file") in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_state_folder_that_became_read_only_is_refused_in_one_line_and_works_again_later(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "kage", str(state)], check=False)
    if mounted.returncode:
        pytest.skip("mount is not allowed here")
    try:
        with Kaged(tmp_path, environment={"KAGED_MIN_FREE_BYTES": "1"}) as kaged:
            agent = kaged.spawn("true")
            kaged.wait(agent)
            kaged.kill()
            subprocess.run(["mount", "-o", "remount,ro", str(state)], check=True)
            kaged.launch()
            assert kaged.exit_code() == 74
            assert "Traceback" not in kaged.words()
            assert "Read-only file system" in kaged.words()
            subprocess.run(["mount", "-o", "remount,rw", str(state)], check=True)
            kaged.start()
            assert kaged.agent(agent).state == agent_service_pb2.AGENT_STATE_SUCCEEDED
    finally:
        subprocess.run(["umount", "-l", str(state)], check=False)


def test_a_broken_configuration_at_sighup_is_named_and_the_daemon_goes_on_as_before(kaged: Kaged) -> None:
    (kaged.state / "kaged.toml").write_text("min_free_bytes = nonsense")
    kaged.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    eventually(lambda: "reload_refused" in kaged.words(), "the refusal")
    assert "kaged.toml" in kaged.words()
    assert "Traceback" not in kaged.words()
    assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0


# --- bad programs ------------------------------------------------------------------------------------------------


def test_a_reload_keeps_the_flags_and_reads_the_file_that_the_start_was_given(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.toml"
    file.write_text('on_stop = "keep"\n')
    with Kaged(tmp_path, flags=("--config", str(file), "--on-stop", "stop")) as kaged:
        assert [*kaged.daemon.Reload(daemon_service_pb2.ReloadRequest(), timeout=10).applied] == []
        file.write_text('on_stop = "keep"\nmin_free_bytes = 1\n')
        answer = kaged.daemon.Reload(daemon_service_pb2.ReloadRequest(), timeout=10)
        assert [*answer.applied] == ["min_free_bytes"]
        running(kaged, *SLEEPER)
        kaged.stop()
        assert kaged.carriers() == [], "the flag still says what a stop does"


def test_an_agent_that_ignores_the_signal_is_killed_at_its_deadline(kaged: Kaged) -> None:
    agent = running(kaged, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    began = time.monotonic()
    ended = kaged.end(agent, grace_s=0.5)
    assert 0.4 < time.monotonic() - began < 10
    assert (ended.state, ended.run.signal) == (agent_service_pb2.AGENT_STATE_CANCELLED, signal.SIGKILL)
    eventually(lambda: not kaged.carriers(), "its tree to end")


def test_a_stop_that_was_asked_for_goes_on_when_the_daemon_dies(kaged: Kaged) -> None:
    agent = running(kaged, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    kaged.agents.StopAgent(agent_service_pb2.StopAgentRequest(agent=agent, grace_s=0.5), timeout=10)
    kaged.kill()
    eventually(lambda: not kaged.carriers(), "the shim to keep the promise alone")
    kaged.start()
    ended = kaged.wait(agent)
    assert (ended.state, ended.run.signal) == (agent_service_pb2.AGENT_STATE_CANCELLED, signal.SIGKILL)
    assert ends(kaged, agent) == ["exited"]


@pytest.mark.parametrize("what", ["input", "stop"])
def test_what_a_dead_daemon_wrote_without_ringing_is_noticed_when_the_next_one_adopts(kaged: Kaged, what: str) -> None:
    agent = running(kaged, "sh", "-c", "echo ready; read line; exit 7", stdin=spec_pb2.STDIN_MODE_PIPE)
    folder = kaged.state / "runs" / kaged.agent(agent).run.id
    shim = json.loads((folder / "meta.json").read_text())["pid"]
    bell = os.open(folder / "bell", os.O_RDONLY | os.O_NONBLOCK)
    os.kill(shim, signal.SIGSTOP)
    try:
        if what == "input":
            kaged.send(agent, b"hello\n")
        else:
            kaged.agents.StopAgent(agent_service_pb2.StopAgentRequest(agent=agent, grace_s=5.0), timeout=10)
        eventually(lambda: swallowed(bell), "the bell to be rung")  # ... and nobody has heard it
        kaged.kill()
    finally:
        os.kill(shim, signal.SIGCONT)
        os.close(bell)
    kaged.start()
    run = kaged.wait(agent).run
    assert (run.exit_code, run.signal) == ((7, 0) if what == "input" else (-1, signal.SIGTERM))


def test_grandchildren_that_hold_its_output_open_do_not_keep_a_run_from_ending(kaged: Kaged) -> None:
    agent = kaged.spawn("sh", "-c", "sleep 600 & echo hi")
    ended = kaged.wait(agent)
    assert (ended.outcome.exit_code, ended.run.survivors) == (0, 0)
    assert kaged.output(agent) == b"hi\n"
    eventually(lambda: not kaged.carriers(), "the grandchild to be gone")


def test_agents_that_end_before_anybody_looks_have_their_status_and_output(kaged: Kaged) -> None:
    agents = [kaged.spawn("sh", "-c", f"echo {code}; exit {code}") for code in range(30)]
    for code, agent in enumerate(agents):
        assert kaged.wait(agent).outcome.exit_code == code
        assert kaged.output(agent) == f"{code}\n".encode()
        assert ends(kaged, agent) == ["exited"]


def test_a_missing_program_says_so_and_is_no_exit(kaged: Kaged) -> None:
    ended = kaged.wait(kaged.spawn("/nonexistent/program"))
    assert ended.state == agent_service_pb2.AGENT_STATE_FAILED
    assert (ended.outcome.reason, ended.outcome.exit_code, ended.run.end_kind) == ("exec_failed", -1, "exec_failed")
    assert "No such file" in ended.outcome.detail


def test_a_working_directory_that_vanished_between_two_runs_says_so(kaged: Kaged, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    restart = spec_pb2.RestartPolicy(
        type=spec_pb2.RESTART_TYPE_TRANSIENT, intensity=1, period_s=60, backoff_initial_s=0.01, backoff_max_s=0.01
    )
    agent = kaged.spawn("sh", "-c", f"rmdir {folder}; exit 7", working_directory=str(folder), restart=restart)
    ended = kaged.wait(agent)
    assert ends(kaged, agent) == ["exited", "exec_failed"]
    assert ended.state == agent_service_pb2.AGENT_STATE_FAILED
    assert "working directory" in ended.outcome.detail


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "size",
    [200_000_000, pytest.param(1_000_000_000, marks=pytest.mark.skipif(TIMES == 1, reason="for nights: make search"))],
)
def test_very_much_output_arrives_whole_in_bounded_memory(kaged: Kaged, size: int) -> None:
    agent = kaged.spawn("sh", "-c", f"head -c {size} /dev/zero")
    ended = kaged.wait(agent, deadline_s=500)
    assert (ended.outcome.exit_code, ended.run.stdout_bytes) == (0, size)
    end = 0
    for event in kaged.read(f'agent = "{agent}" AND type = "output.chunk"', head_only=True):
        chunk = event.meta.fact.output_chunk
        assert chunk.offset == end
        end += chunk.length
    assert end == size
    stats = kaged.daemon.GetStats(daemon_service_pb2.GetStatsRequest(), timeout=30)
    assert stats.rss_bytes < 400 << 20


def test_adopting_an_agent_that_has_said_very_much_reads_none_of_it_again(kaged: Kaged) -> None:
    size = 192 << 20
    agent = kaged.spawn("sh", "-c", f"head -c {size} /dev/zero; exec sleep 600")
    eventually(lambda: kaged.agent(agent).run.stdout_bytes == size, "all of it to be recorded", 100)
    kaged.kill()
    kaged.start()
    assert kaged.agent(agent).run.stdout_bytes == size
    stats = kaged.daemon.GetStats(daemon_service_pb2.GetStatsRequest(), timeout=30)
    assert stats.rss_bytes < size, "what is in the journal is not in memory as well"
    kaged.end(agent)


# --- dead shims --------------------------------------------------------------------------------------------------


def shim_of(kaged: Kaged, agent: str) -> int:
    started = [event.meta.fact.run_started for event in kaged.read(f'agent = "{agent}" AND type = "run.started"')]
    return int(started[-1].shim_pid)


def test_shims_that_were_killed_are_noticed_at_once_and_not_at_the_next_safety_scan(kaged: Kaged) -> None:
    agents = [running(kaged, *SLEEPER) for _ in range(6)]
    for agent in agents:
        os.kill(shim_of(kaged, agent), signal.SIGKILL)
    began = time.monotonic()
    for agent in agents:
        kaged.wait(agent)
    assert time.monotonic() - began < 5  # a scan alone takes up to 10 s


@pytest.mark.parametrize("daemon", ["alive", "dead"])
def test_a_shim_that_was_killed_is_a_lost_run_and_never_an_invented_status(kaged: Kaged, daemon: str) -> None:
    agent = running(kaged, *SLEEPER)
    shim = shim_of(kaged, agent)
    if daemon == "dead":
        kaged.kill()
    os.kill(shim, signal.SIGKILL)
    if daemon == "dead":
        kaged.start()
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason) == (agent_service_pb2.AGENT_STATE_FAILED, "lost")
    assert (ended.outcome.exit_code, ended.outcome.signal, ended.run.end_kind) == (-1, 0, "lost")
    assert kaged.output(agent) == b"ready\n"
    eventually(lambda: not kaged.carriers(), "the agent to be gone with its shim")


def test_a_shim_that_was_killed_while_its_tree_lingered_leaves_the_true_status(kaged: Kaged) -> None:
    agent = kaged.spawn("sh", "-c", "sleep 600 & echo hi; exit 3")
    shim = eventually(lambda: _shim_with_exit(kaged, agent), "exit.json")
    os.kill(shim, signal.SIGKILL)
    ended = kaged.wait(agent)
    assert (ended.outcome.reason, ended.outcome.exit_code) == ("exit", 3)
    assert kaged.output(agent) == b"hi\n"
    eventually(lambda: not kaged.carriers(), "the grandchild to be gone")


def _shim_with_exit(kaged: Kaged, agent: str) -> int | None:
    folder = kaged.state / "runs" / f"{agent}.1"
    if not (folder / "exit.json").exists():
        return None
    assert not (folder / "sealed.json").exists(), "too late"
    return shim_of(kaged, agent)


# --- limits that hold without a daemon ---------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["wall_time", "unsupervised"])
def test_a_limit_that_is_reached_while_no_daemon_is_there_holds_and_is_told(kaged: Kaged, limit: str) -> None:
    limits = spec_pb2.Limits(**{f"{limit}_s": 1.5})  # type: ignore[arg-type]  # names are checked by protobuf
    agent = running(kaged, *SLEEPER, limits=limits)
    kaged.kill()
    eventually(lambda: not kaged.carriers(), "the shim to stop it")
    kaged.start()
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason) == (agent_service_pb2.AGENT_STATE_FAILED, "limit")
    assert (ended.outcome.limit, ended.run.signal) == (limit, signal.SIGTERM)
    assert ends(kaged, agent) == ["exited"]


def test_an_agent_that_is_talked_to_is_not_idle(kaged: Kaged) -> None:
    limits = spec_pb2.Limits(idle_s=2.5)
    agent = kaged.spawn("sh", "-c", "cat > /dev/null", limits=limits, stdin=spec_pb2.STDIN_MODE_PIPE)
    began = time.monotonic()
    while time.monotonic() - began < 5:
        kaged.send(agent, b"hello")
        time.sleep(0.1)
    assert kaged.agent(agent).state == agent_service_pb2.AGENT_STATE_RUNNING
    ended = kaged.wait(agent)
    assert (ended.outcome.reason, ended.outcome.limit) == ("limit", "idle_s")


# --- disks -------------------------------------------------------------------------------------------------------

_ENORMOUS = 1 << 60


def set_mark(kaged: Kaged, min_free_bytes: int) -> None:
    (kaged.state / "kaged.toml").write_text(f"min_free_bytes = {min_free_bytes}\n")
    kaged.daemon.Reload(daemon_service_pb2.ReloadRequest(), timeout=10)


def phase(kaged: Kaged) -> int:
    return kaged.daemon.GetStatus(daemon_service_pb2.GetStatusRequest(), timeout=10).status.phase


def test_a_disk_that_is_nearly_full_stops_writing_and_loses_nothing(kaged: Kaged) -> None:
    talker = running(kaged, *python("import time\nfor n in range(60): print(n, flush=True); time.sleep(0.05)"))
    short = kaged.spawn("sh", "-c", "sleep 1; echo over; exit 5")
    set_mark(kaged, _ENORMOUS)
    eventually(lambda: phase(kaged) == daemon_service_pb2.DAEMON_PHASE_READ_ONLY, "read-only")
    eventually(lambda: kaged.health() == health_pb2.HealthCheckResponse.NOT_SERVING, "health to say so")
    with pytest.raises(grpc.RpcError) as refused:
        kaged.spawn("true")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "free" in (refused.value.details() or "")
    head = max(event.seq for event in kaged.read())  # reads go on
    eventually(lambda: len(kaged.carriers()) == 0, "both agents to end meanwhile")
    assert max(event.seq for event in kaged.read()) == head
    set_mark(kaged, 1)
    eventually(lambda: phase(kaged) == daemon_service_pb2.DAEMON_PHASE_SERVING, "writable")
    eventually(lambda: kaged.health() == health_pb2.HealthCheckResponse.SERVING, "health to say so")
    assert kaged.wait(talker).outcome.exit_code == 0
    assert kaged.wait(short).outcome.exit_code == 5
    assert kaged.output(talker) == b"".join(b"%d\n" % number for number in range(60))
    assert kaged.output(short) == b"over\n"
    assert ends(kaged, short) == ["exited"]
    assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0


def test_a_daemon_that_starts_on_a_full_disk_serves_reads_and_goes_on_when_there_is_room(kaged: Kaged) -> None:
    agent = running(kaged, *python("import time\nfor n in range(40): print(n, flush=True); time.sleep(0.05)"))
    (kaged.state / "kaged.toml").write_text(f"min_free_bytes = {_ENORMOUS}\n")
    kaged.kill()
    kaged.launch()
    eventually(lambda: kaged.socket.exists() and _phase_or_none(kaged) == daemon_service_pb2.DAEMON_PHASE_READ_ONLY)
    assert kaged.agent(agent).id == agent
    eventually(lambda: not kaged.carriers(), "the agent to end meanwhile")
    set_mark(kaged, 1)
    kaged.wait_serving()
    assert kaged.wait(agent).outcome.exit_code == 0
    assert kaged.output(agent) == b"".join(b"%d\n" % number for number in range(40))
    started = [event.meta.fact.daemon_started for event in kaged.read('type = "daemon.started"')]
    assert len(started) == 2


def _phase_or_none(kaged: Kaged) -> int | None:
    try:
        return phase(kaged)
    except grpc.RpcError:
        kaged.health()  # drops a channel that found nobody
        return None


# --- orderly stops -----------------------------------------------------------------------------------------------


def test_sigterm_keeps_agents_and_the_next_daemon_adopts_them(kaged: Kaged, tmp_path: Path) -> None:
    go = tmp_path / "go"
    agent = running(
        kaged, "sh", "-c", f"n=0; while ! test -e {go}; do n=$((n+1)); echo $n; sleep 0.02; done; echo end $n"
    )
    run = kaged.agent(agent).run.id
    assert kaged.stop() == 0
    assert not kaged.socket.exists()
    assert run in kaged.live_runs()
    kaged.start()
    started = [event.meta.fact.daemon_started for event in kaged.read('type = "daemon.started"')]
    assert (started[-1].after_clean_stop, started[-1].adopted) == (True, 1)
    go.touch()
    assert kaged.wait(agent).run.id == run
    *numbers, last = kaged.output(agent).decode().splitlines()
    assert numbers == [str(number + 1) for number in range(len(numbers))]
    assert last == f"end {len(numbers)}"


def test_sigterm_with_on_stop_stop_takes_agents_along(tmp_path: Path) -> None:
    with Kaged(tmp_path, flags=("--on-stop", "stop")) as kaged:
        agent = running(kaged, *SLEEPER)
        assert kaged.stop() == 0
        assert kaged.carriers() == []
        kaged.start()
        ended = kaged.agent(agent)
        assert (ended.state, ended.run.signal) == (agent_service_pb2.AGENT_STATE_CANCELLED, signal.SIGTERM)
        assert ends(kaged, agent) == ["exited"]


def test_a_stop_takes_the_children_of_a_tree_along_and_they_are_not_started_again(tmp_path: Path) -> None:
    with Kaged(tmp_path, flags=("--on-stop", "stop")) as kaged:
        leaf = supervisor_service_pb2.ChildSpec(
            id="a",
            restart=spec_pb2.RESTART_TYPE_PERMANENT,
            agent=spec_pb2.AgentSpec(command=SLEEPER, working_directory=str(tmp_path)),
        )
        tree = supervisor_service_pb2.SupervisorSpec(children=[leaf])
        kaged.trees.ApplyTree(supervisor_service_pb2.ApplyTreeRequest(tree="t", spec=tree), timeout=10)
        eventually(kaged.live_runs, "the child")
        began = time.monotonic()
        assert kaged.stop() == 0
        assert time.monotonic() - began < 8
        assert kaged.carriers() == []


def test_a_second_sigterm_does_not_wait_for_stubborn_agents(tmp_path: Path) -> None:
    with Kaged(tmp_path, flags=("--on-stop", "stop")) as kaged:
        running(kaged, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
        kaged.process.terminate()  # type: ignore[union-attr]
        eventually(lambda: "stopping_agents" in kaged.words(), "the stop to begin")
        began = time.monotonic()
        assert kaged.stop() == 0
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("mode", ["keep", "stop"])
def test_shutdown_does_with_agents_what_it_was_told(kaged: Kaged, mode: str) -> None:
    agent = running(kaged, *SLEEPER)
    stop = mode == "stop"
    request = daemon_service_pb2.ShutdownRequest(
        mode=daemon_service_pb2.SHUTDOWN_MODE_STOP_AGENTS if stop else daemon_service_pb2.SHUTDOWN_MODE_KEEP_AGENTS,
        timeout_s=20,
    )
    answer = kaged.daemon.Shutdown(request, timeout=10)
    assert (answer.agents_kept, answer.agents_stopping) == ((0, 1) if stop else (1, 0))
    assert kaged.exit_code() == 0
    assert bool(kaged.carriers()) is not stop
    kaged.start()
    word = agent_service_pb2.AGENT_STATE_CANCELLED if stop else agent_service_pb2.AGENT_STATE_RUNNING
    assert kaged.agent(agent).state == word
    facts = [event.meta.fact.daemon_stopped for event in kaged.read('type = "daemon.stopped"')]
    assert [fact.agents for fact in facts] == [mode]
