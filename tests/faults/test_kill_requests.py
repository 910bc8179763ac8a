"""What was acknowledged happens once, however the daemon dies right after the answer."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import spec_pb2
from tests.e2e.daemon_kit import Kaged

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.fixture
def kaged(tmp_path: Path) -> Iterator[Kaged]:
    with Kaged(tmp_path) as daemon:
        yield daemon


def test_input_that_was_accepted_for_a_run_which_never_started_reaches_the_run_after_it(kaged: Kaged) -> None:
    """Found by the soak: the retry of a start began with empty input, and the agent waited for ever."""
    moved = 0
    for number in range(12):
        agent = kaged.spawn("cat", stdin=spec_pb2.STDIN_MODE_PIPE)
        kaged.send(agent, b"first ")
        kaged.send(agent, b"last\n", eof=True)
        kaged.restart()
        assert kaged.wait(agent).outcome.exit_code == 0
        assert kaged.output(agent) == b"first last\n"
        ends = [event.meta.fact.run_ended.kind for event in kaged.read(f'agent = "{agent}" AND type = "run.ended"')]
        assert ends[-1] == "exited"
        moved += "not_started" in ends
        if moved and number >= 2:
            return
    assert moved, "no kill came before a start; the machine is too fast for this test"


def test_a_request_that_is_repeated_after_a_kill_gets_the_first_answer_and_makes_no_second_agent(kaged: Kaged) -> None:
    spec = spec_pb2.AgentSpec(command=["sleep", "600"], name="one", working_directory=str(kaged.folder))
    spawn = pb.SpawnAgentRequest(spec=spec, request_id="r1")
    first = kaged.agents.SpawnAgent(spawn, timeout=10)
    kaged.restart()
    assert kaged.agents.SpawnAgent(spawn, timeout=10) == first
    other = pb.SpawnAgentRequest(spec=spec_pb2.AgentSpec(command=["true"], working_directory="/"), request_id="r1")
    with pytest.raises(grpc.RpcError) as refused:
        kaged.agents.SpawnAgent(other, timeout=10)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    stop = pb.StopAgentRequest(agent=first.agent.id, request_id="r2", grace_s=1.0)
    answer = kaged.agents.StopAgent(stop, timeout=10)
    kaged.kill()
    kaged.start()
    assert kaged.agents.StopAgent(stop, timeout=10) == answer
    assert kaged.wait(first.agent.id).state == pb.AGENT_STATE_CANCELLED
    assert len(kaged.agents.ListAgents(pb.ListAgentsRequest(show_ended=True), timeout=10).agents) == 1


def test_a_request_whose_answer_was_cut_off_by_a_kill_happens_once_when_it_is_repeated(kaged: Kaged) -> None:
    for number in range(6):
        spec = spec_pb2.AgentSpec(command=["sh", "-c", "echo once"], working_directory=str(kaged.folder))
        request = pb.SpawnAgentRequest(spec=spec, request_id=f"cut-{number}")
        call = kaged.agents.SpawnAgent.future(request, timeout=10)
        with contextlib.suppress(grpc.FutureTimeoutError, grpc.RpcError):
            call.result(timeout=0.002 * number)
        kaged.kill()
        kaged.start()
        agent = kaged.agents.SpawnAgent(request, timeout=10).agent.id
        assert kaged.wait(agent).outcome.exit_code == 0
        assert kaged.output(agent) == b"once\n"
    spawned = [event.meta.request.id for event in kaged.read('type = "agent.spawned"')]
    assert spawned == [f"cut-{number}" for number in range(6)]
