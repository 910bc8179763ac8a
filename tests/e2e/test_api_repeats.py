"""A repeat with the same request id gets the first answer: of a call that changed nothing, from the next daemon."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import daemon_service_pb2 as daemon_pb
from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as trees_pb
from tests.e2e.api_words import head, refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged
from tests.e2e.test_offline import kaged_verb
from tests.e2e.tree_words import apply, child, stop, supervisor, tree, up

pytestmark = pytest.mark.e2e

KEEP, STOP = daemon_pb.SHUTDOWN_MODE_KEEP_AGENTS, daemon_pb.SHUTDOWN_MODE_STOP_AGENTS


def _stop_agent(kaged: Kaged, agent: str, request_id: str) -> agents_pb.Agent:
    request = agents_pb.StopAgentRequest(agent=agent, request_id=request_id)
    return kaged.agents.StopAgent(request, timeout=DEADLINE_S).agent


def test_a_stop_that_found_nothing_to_stop_does_not_stop_what_was_started_after_it(kaged):
    agent = kaged.spawn("sleep", "1000", stop=spec_pb2.StopPolicy(grace_s=0.5))
    kaged.end(agent)
    first = _stop_agent(kaged, agent, "nothing-to-stop")
    kaged.agents.RestartAgent(agents_pb.RestartAgentRequest(agent=agent), timeout=DEADLINE_S)
    pid = kaged.wait_state(agent, agents_pb.AGENT_STATE_RUNNING).run.pid
    assert _stop_agent(kaged, agent, "nothing-to-stop") == first
    kaged.restart()
    assert _stop_agent(kaged, agent, "nothing-to-stop") == first
    assert (kaged.agent(agent).state, kaged.agent(agent).run.pid) == (agents_pb.AGENT_STATE_RUNNING, pid)
    other = agents_pb.StopAgentRequest(agent=agent, note="why", request_id="nothing-to-stop")
    assert refused(lambda: kaged.agents.StopAgent(other, timeout=DEADLINE_S)).reason == "REQUEST_ID_REUSED"
    kaged.end(agent)


def test_what_changed_nothing_is_one_event_that_names_the_call_and_the_agent(kaged):
    agent = kaged.spawn("true")
    kaged.wait(agent)
    before = head(kaged)
    answer = _stop_agent(kaged, agent, "one-event")
    (noted,) = [event for event in kaged.read("") if event.seq > before]
    assert (noted.meta.type, noted.meta.agent, noted.meta.request.id) == ("daemon.request_noted", agent, "one-event")
    assert noted.meta.fact.daemon_request_noted.method == "AgentService.StopAgent"
    assert answer.as_of_seq == noted.seq
    assert _stop_agent(kaged, agent, "one-event") == answer
    assert _stop_agent(kaged, agent, "").as_of_seq == noted.seq, "without an id nothing is remembered"
    assert head(kaged) == noted.seq


def test_verbs_of_trees_that_changed_nothing_are_remembered_too(kaged):
    spec = supervisor(child("a"))
    apply(kaged, "still", spec)
    up(kaged, "still")
    again = apply(kaged, "still", spec, request_id="same-spec")
    assert list(again.kept) == ["a"]
    stop(kaged, "still")
    ended = trees_pb.StopTreeRequest(tree="still", request_id="ended-already")
    first = kaged.trees.StopTree(ended, timeout=DEADLINE_S)
    apply(kaged, "still", spec)
    pids = up(kaged, "still")
    assert kaged.trees.StopTree(ended, timeout=DEADLINE_S) == first
    assert apply(kaged, "still", spec, request_id="same-spec") == again
    assert up(kaged, "still") == pids
    assert tree(kaged, "still").phase == "running"
    stop(kaged, "still")


def test_a_repeated_shutdown_does_not_stop_the_next_daemon(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        agent = kaged.spawn("sleep", "1000")
        kaged.wait_state(agent, agents_pb.AGENT_STATE_RUNNING)
        request = daemon_pb.ShutdownRequest(mode=KEEP, request_id="good-night")
        first = kaged.daemon.Shutdown(request, timeout=DEADLINE_S)
        assert first.agents_kept == 1
        assert kaged.exit_code() == 0
        kaged.start()
        assert kaged.daemon.Shutdown(request, timeout=DEADLINE_S) == first
        other = daemon_pb.ShutdownRequest(mode=STOP, request_id="good-night")
        assert refused(lambda: kaged.daemon.Shutdown(other, timeout=DEADLINE_S)).reason == "REQUEST_ID_REUSED"
        kaged.end(agent)
        assert kaged.process is not None
        assert kaged.process.poll() is None
        kinds = [event.meta.type for event in kaged.read('type = "daemon.*"')]
        assert kinds == ["daemon.started", "daemon.stop_wanted", "daemon.stopped", "daemon.started"]
        assert kaged.stop() == 0
        assert kaged_verb("fsck", kaged.state).returncode == 0


def test_a_repeated_reload_tells_what_the_first_one_did(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        settings = kaged.state / "kaged.toml"
        settings.write_text('log_level = "debug"\n')
        request = daemon_pb.ReloadRequest(request_id="once")
        first = kaged.daemon.Reload(request, timeout=DEADLINE_S)
        assert list(first.applied) == ["log_level"]
        settings.write_text('log_level = "info"\nmax_subscribers = 7\n')
        assert kaged.daemon.Reload(request, timeout=DEADLINE_S) == first
        kaged.restart()
        assert kaged.daemon.Reload(request, timeout=DEADLINE_S) == first
        (told,) = [event.meta.fact.daemon_reloaded for event in kaged.read('type = "daemon.reloaded"')]
        assert list(told.applied) == ["log_level"]
