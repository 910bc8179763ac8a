"""Disks that fail or fill up under a working daemon: it stops writing, says so, and the next start has everything."""

# mypy: disable-error-code="no-untyped-call"
# (generated stubs are untyped)

import contextlib
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from kaged.api.v1 import (
    agent_service_pb2,
    daemon_service_pb2,
    event_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    spec_pb2,
    supervisor_service_pb2,
)
from tests.e2e.api_words import Refused, details, refused
from tests.e2e.daemon_kit import Kaged, eventually
from tests.faults.sweep import is_traced

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


def counting(go: Path) -> list[str]:
    """Says one number after another until a file appears, then how many there were."""
    return ["sh", "-c", f"n=0; while ! test -e {go}; do n=$((n+1)); echo $n; sleep 0.02; done; echo end $n"]


def assert_counted(kaged: Kaged, agent: str) -> None:
    *numbers, last = kaged.output(agent).decode().splitlines()
    assert numbers == [str(number + 1) for number in range(len(numbers))]
    assert last == f"end {len(numbers)}"


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_an_error_of_fdatasync_ends_the_daemon_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Kaged(tmp_path) as kaged:
        agent = kaged.spawn(*counting(go))
        eventually(lambda: kaged.agent(agent).run.stdout_bytes, "its first output")
        assert kaged.process is not None
        pid = kaged.process.pid
        flags = ["-f", "-b", "execve", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
        tracer = subprocess.Popen(["strace", *flags, "-e", "inject=fdatasync:error=EIO:when=8", "-p", str(pid)])
        try:
            if not eventually(lambda: is_traced(pid) or tracer.poll() is not None, "strace to attach"):
                pytest.skip("tracing is not allowed here")
            acknowledged = list(_spawned_until_it_fails(kaged))
            assert kaged.exit_code() == 74
        finally:
            tracer.terminate()
            tracer.wait(10)
        assert "store_failed" in kaged.words()
        assert "Traceback" not in kaged.words()
        kaged.start()
        for spawned in acknowledged:
            assert kaged.wait(spawned).outcome.exit_code == 0
        go.touch()
        assert kaged.wait(agent).outcome.exit_code == 0
        assert_counted(kaged, agent)
        kaged.kill()
        assert kaged.fsck()[0] == 0, kaged.fsck()[1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A state folder on a disk of 48 MiB."""
    state = tmp_path / "state"
    state.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "kage", str(state)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mount is not allowed here")
    try:
        yield state
    finally:
        subprocess.run(["umount", "-l", str(state)], check=False)


def test_a_disk_that_gets_full_stops_writing_in_time_and_all_goes_on_when_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    go = tmp_path / "go"
    with Kaged(tmp_path, environment={"KAGED_MIN_FREE_BYTES": str(16 << 20)}) as kaged:
        agent = kaged.spawn(*counting(go))
        eventually(lambda: kaged.agent(agent).run.stdout_bytes, "its first output")
        fill(small_disk, leave_bytes=8 << 20)
        eventually(lambda: _read_only(kaged), "the daemon to notice")
        assert kaged.health() == health_pb2.HealthCheckResponse.NOT_SERVING
        assert refused(lambda: kaged.spawn("true")).reason == "STORE_READ_ONLY"
        (small_disk / "filler").unlink()
        kaged.wait_serving()
        assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0
        go.touch()
        assert kaged.wait(agent).outcome.exit_code == 0
        assert_counted(kaged, agent)


@pytest.mark.parametrize("killed", [False, True])
def test_a_commit_that_finds_no_room_is_kept_and_made_when_there_is_some(
    tmp_path: Path, small_disk: Path, *, killed: bool
) -> None:
    """No reserve: the commit itself meets the full disk. Reads, subscriptions and agents go on."""
    go = tmp_path / "go"
    with Kaged(tmp_path, environment={"KAGED_MIN_FREE_BYTES": "1"}) as kaged:
        agent = kaged.spawn(*counting(go))
        eventually(lambda: kaged.agent(agent).run.stdout_bytes, "its first output")
        following = _Following(kaged)
        fill(small_disk, leave_bytes=1 << 20)
        acknowledged, refusal = _appended_until_refused(kaged)
        assert refusal.reason == "STORE_STALLED"
        assert refusal.retry_s
        assert "request id" in refusal.hint
        assert not _ended(kaged)
        eventually(lambda: _read_only(kaged), "the status")
        eventually(lambda: kaged.health() == health_pb2.HealthCheckResponse.NOT_SERVING, "health to say so")
        assert refused(lambda: kaged.spawn("true")).reason == "STORE_READ_ONLY"
        assert refused(lambda: _append(kaged, acknowledged)).reason == "STORE_STALLED"  # the same request
        assert refused(lambda: _append(kaged, acknowledged + 1)).reason == "STORE_READ_ONLY"
        assert kaged.agent(agent).state == agent_service_pb2.AGENT_STATE_RUNNING
        assert [found.id for found in kaged.agents.ListAgents(agent_service_pb2.ListAgentsRequest()).agents] == [agent]
        assert _stored(kaged) == list(range(acknowledged))
        if killed:
            kaged.kill()
        (small_disk / "filler").unlink()
        if killed:
            kaged.start()
        else:
            kaged.wait_serving()
            # The one that nobody could be told about is there, once; its repeat is told where.
            assert _stored(kaged) == list(range(acknowledged + 1))
        seq = _append(kaged, acknowledged)
        assert seq == _append(kaged, acknowledged)
        assert _stored(kaged) == list(range(acknowledged + 1))
        if not killed:
            following.until(seq)
        following.close()
        assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0
        go.touch()
        assert kaged.wait(agent).outcome.exit_code == 0
        assert_counted(kaged, agent)
        kaged.kill()
        assert kaged.fsck()[0] == 0, kaged.fsck()[1]


@pytest.mark.parametrize("room", ["before the next start", "after it", "while it stops"])
def test_agents_are_stopped_on_a_full_disk_and_the_stop_is_recorded_when_there_is_room(
    tmp_path: Path, small_disk: Path, room: str
) -> None:
    environment = {"KAGED_MIN_FREE_BYTES": str(8 << 20) if room == "after it" else "1"}
    with Kaged(tmp_path, flags=("--on-stop", "stop"), environment=environment) as kaged:
        stubborn = "trap 'sleep 1; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
        plain = kaged.spawn("sh", "-c", stubborn, restart=spec_pb2.RestartPolicy(type=spec_pb2.RESTART_TYPE_PERMANENT))
        leaf = supervisor_service_pb2.ChildSpec(
            id="a",
            restart=spec_pb2.RESTART_TYPE_PERMANENT,
            agent=spec_pb2.AgentSpec(name="leaf", command=["sleep", "600"], working_directory=str(tmp_path)),
        )
        tree = supervisor_service_pb2.SupervisorSpec(children=[leaf])
        kaged.trees.ApplyTree(supervisor_service_pb2.ApplyTreeRequest(tree="t", spec=tree), timeout=10)
        agents = (plain, "leaf")
        eventually(lambda: all(kaged.agent(agent).run.pid for agent in agents), "both to run")
        eventually(lambda: kaged.agent(plain).run.stdout_bytes, "its trap")
        pids = [kaged.agent(agent).run.pid for agent in agents]
        if room == "after it":
            fill(small_disk, leave_bytes=6 << 20)
        else:
            fill(small_disk)
            _appended_until_refused(kaged)
        eventually(lambda: _read_only(kaged), "the daemon to notice")
        if room == "while it stops":
            assert kaged.process is not None
            kaged.process.terminate()
            eventually(lambda: "stopping_agents_unrecorded" in kaged.words(), "the stop to begin")
            (small_disk / "filler").unlink()
            assert kaged.exit_code() == 0
        else:
            assert kaged.stop() == 0
            assert "ends_unrecorded" in kaged.words()
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        if room == "after it":
            kaged.launch()
            eventually(lambda: _read_only(kaged), "the next start to notice")
            assert kaged.agent(plain).state == agent_service_pb2.AGENT_STATE_RUNNING  # as it is recorded
        if room != "while it stops":
            (small_disk / "filler").unlink()
        if room == "after it":
            kaged.wait_serving()
        else:
            kaged.start()
        for agent in agents:
            ended = kaged.wait(agent)
            assert ended.state == agent_service_pb2.AGENT_STATE_CANCELLED
            assert ended.run.attempt == 1
        assert [event.meta.fact.run_ended.stopped_by for event in kaged.read('type = "run.ended"')] == ["request"] * 2
        eventually(lambda: not kaged.carriers(), "the shims to end")
        fresh = kaged.spawn("sleep", "600")
        eventually(lambda: kaged.agent(fresh).run.pid, "it to run")
        kaged.restart()  # the stop was of then, not of now
        assert kaged.agent(fresh).state == agent_service_pb2.AGENT_STATE_RUNNING


def fill(disk: Path, *, leave_bytes: int = 0) -> None:
    """Leave only so much room."""
    count = (shutil.disk_usage(disk).free - leave_bytes) // 4096
    command = ["dd", "if=/dev/zero", f"of={disk / 'filler'}", "bs=4k", f"count={count}"]
    subprocess.run(command, capture_output=True, check=False)


def _append(kaged: Kaged, number: int) -> int:
    """One event of its own request; its seq."""
    event = event_pb2.NewEvent(
        meta=event_pb2.Meta(stream="filling", type="test.filled", tags=[event_pb2.Tag(key="n", value=str(number))]),
        body=event_pb2.Body(custom=event_pb2.CustomPayload(data=random.Random(number).randbytes(50_000))),
    )
    request = event_service_pb2.AppendEventsRequest(request_id=f"fill-{number}", events=[event])
    return int(kaged.events.AppendEvents(request, timeout=30).appended[0].seq)


def _appended_until_refused(kaged: Kaged) -> tuple[int, Refused]:
    """How many were acknowledged, and what the next was told."""
    number = 0
    while True:
        try:
            _append(kaged, number)
        except grpc.RpcError as error:
            return number, details(error)
        number += 1


def _stored(kaged: Kaged) -> list[int]:
    """Numbers of the events of `_append`."""
    tags = [event.meta.tags for event in kaged.read('type = "test.filled"')]
    return [int(tag.value) for some in tags for tag in some if tag.key == "n"]


class _Following:
    """A subscription in a thread, and how far it has got."""

    def __init__(self, kaged: Kaged) -> None:
        self._channel = kaged.connect()
        stub = event_service_pb2_grpc.EventServiceStub(kaged.owned(self._channel))
        self._answers = stub.SubscribeEvents(event_service_pb2.SubscribeEventsRequest(after_seq=0))
        self.seqs: list[int] = []
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        with contextlib.suppress(grpc.RpcError):
            for answer in self._answers:
                self.seqs += [event.seq for event in answer.batch.events]

    def until(self, seq: int) -> None:
        eventually(lambda: self.seqs and self.seqs[-1] >= seq, "the subscription to get there")
        assert self.seqs == list(range(1, len(self.seqs) + 1))

    def close(self) -> None:
        self._answers.cancel()
        self._channel.close()
        self._thread.join()


def _spawned_until_it_fails(kaged: Kaged) -> Iterator[str]:
    try:
        while True:
            yield kaged.spawn("true")
    except grpc.RpcError:
        return


def _ended(kaged: Kaged) -> bool:
    assert kaged.process is not None
    return kaged.process.poll() is not None


def _read_only(kaged: Kaged) -> bool:
    try:
        status = kaged.daemon.GetStatus(daemon_service_pb2.GetStatusRequest(), timeout=5).status
    except grpc.RpcError:
        return False
    return bool(status.phase == daemon_service_pb2.DAEMON_PHASE_READ_ONLY)
