"""Clocks that jump by hours and machines that restart, with a real daemon: waits stay short, order stays order."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2, event_pb2, event_service_pb2, spec_pb2
from tests.e2e.daemon_kit import Kaged, eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

HOUR_S = 3600


class Machine(Kaged):
    """A daemon whose clock and boot are set by the test."""

    def __init__(self, folder: Path) -> None:
        self._machine = folder / "machine"
        super().__init__(folder)
        self.be()

    def be(self, *, ahead_s: float = 0, boot_id: str = "") -> None:
        """From now on the clock is so much ahead of the true one."""
        draft = self._machine.with_name("draft")
        draft.write_text(f"{ahead_s} {boot_id}")
        draft.rename(self._machine)

    def command(self) -> list[str]:
        before = super().command()
        at = before.index("kaged")
        return [*before[:at], "tests.fakes.moved_kaged", str(self._machine), *before[at + 1 :]]

    def recorded(self) -> list[int]:
        """When each event was recorded."""
        return [event.recorded_us for event in self.read()]

    def attempts(self, agent: str) -> int:
        return int(self.agent(agent).run.attempt)

    def goes_on(self, agent: str) -> None:
        """Return when it was started a few times more."""
        before = self.attempts(agent)
        eventually(lambda: bool(self.attempts(agent) >= before + 3), "restarts after the jump", 10)

    def append(self, request_id: str) -> int:
        """The seq that an event gets, or has got, under a request id."""
        event = event_pb2.NewEvent(meta=event_pb2.Meta(stream="notes", type="test.noted"))
        request = event_service_pb2.AppendEventsRequest(request_id=request_id, events=[event])
        return int(self.events.AppendEvents(request, timeout=10).appended[0].seq)


@pytest.fixture
def kaged(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    with machine:
        yield machine


def restless() -> spec_pb2.RestartPolicy:
    """Again and again, after a fifth of a second at most."""
    return spec_pb2.RestartPolicy(
        type=spec_pb2.RESTART_TYPE_PERMANENT, intensity=1000, period_s=1.0, backoff_initial_s=0.2, backoff_max_s=0.2
    )


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_jumps_holds_up_no_restart_and_keeps_the_order_of_events(kaged: Machine, hours: int) -> None:
    agent = kaged.spawn("sh", "-c", "exit 1", restart=restless())
    eventually(lambda: kaged.attempts(agent) >= 3, "its first restarts")
    for ahead_s in (hours * HOUR_S, 0, hours * HOUR_S):
        kaged.be(ahead_s=ahead_s)
        before = kaged.attempts(agent)
        eventually(lambda before=before: kaged.attempts(agent) >= before + 3, "restarts after the jump", 10)
        assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0
    kaged.kill()
    kaged.be()
    kaged.start()
    kaged.goes_on(agent)  # also after a jump between two daemons
    assert kaged.agent(agent).state != agent_service_pb2.AGENT_STATE_FAILED
    recorded = kaged.recorded()
    assert recorded == sorted(recorded)
    kaged.kill()
    assert kaged.fsck()[0] == 0, kaged.fsck()[1]


def test_a_request_is_remembered_for_a_day_of_the_clock_and_longer_when_that_jumps_back(kaged: Machine) -> None:
    first = kaged.append("once")
    kaged.be(ahead_s=-5 * HOUR_S)
    assert kaged.append("once") == first
    kaged.restart()
    assert kaged.append("once") == first
    kaged.be(ahead_s=23 * HOUR_S)
    assert kaged.append("once") == first
    kaged.be(ahead_s=25 * HOUR_S)
    assert kaged.append("once") > first


def test_a_run_that_a_restart_of_the_machine_ended_is_lost_and_its_output_is_read_to_the_end(
    kaged: Machine, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    script = f"echo early; while ! test -e {go}; do sleep 0.02; done; echo late; exec sleep 600"
    agent = kaged.spawn("sh", "-c", script)
    eventually(lambda: kaged.output(agent) == b"early\n", "its first output")
    spool = kaged.state / "runs" / kaged.agent(agent).run.id / "out.log"
    kaged.kill()
    go.touch()
    eventually(lambda: spool.read_bytes() == b"early\nlate\n", "output that no daemon has seen")
    for pid in kaged.carriers():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not kaged.carriers(), "the machine to be down")
    kaged.be(boot_id="another-boot")
    kaged.start()
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason) == (agent_service_pb2.AGENT_STATE_FAILED, "lost")
    (note,) = [event.body.note for event in kaged.read('type = "agent.ended"')]
    assert "the machine was restarted" in note
    assert kaged.output(agent) == b"early\nlate\n"
    (started, *_) = [event.meta.fact.daemon_started for event in kaged.read('type = "daemon.started"')][1:]
    assert (started.boot_id, started.adopted, started.settled) == ("another-boot", 0, 1)
