"""AgentService through a real daemon and real processes: every verb, every limit, and the past as it was told."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import fact_pb2, spec_pb2
from tests.e2e.api_words import head, raw_call, refused, stream
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually

pytestmark = pytest.mark.e2e

OUT = fact_pb2.OUTPUT_CHANNEL_STDOUT
ERR = fact_pb2.OUTPUT_CHANNEL_STDERR
TREE_OF_SESSIONS = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) > 1 and int(sys.argv[1]):
    subprocess.Popen([sys.executable, __file__, str(int(sys.argv[1]) - 1)], start_new_session=True)
print(os.getpid(), flush=True)
time.sleep(1000)
"""


def _lines(kaged: Kaged, agent: str, **request: object) -> list[pb.LogLine]:
    asked = pb.StreamLogsRequest(agent=agent, **request)  # type: ignore[arg-type]  # names are checked by protobuf
    return [line for answer in kaged.agents.StreamLogs(asked, timeout=DEADLINE_S) for line in answer.lines]


def _text(kaged: Kaged, agent: str, **request: object) -> list[bytes]:
    return [line.data for line in _lines(kaged, agent, **request)]


def _list(kaged: Kaged, **request: object) -> pb.ListAgentsResponse:
    return kaged.agents.ListAgents(pb.ListAgentsRequest(**request), timeout=DEADLINE_S)  # type: ignore[arg-type]


def _running(kaged: Kaged, *command: str, **spec: object) -> str:
    agent = kaged.spawn(*(command or ("sleep", "1000")), **spec)
    kaged.wait_state(agent, pb.AGENT_STATE_RUNNING)
    return agent


def _said(kaged: Kaged, agent: str, words: bytes) -> None:
    eventually(lambda: words in kaged.output(agent), f"{agent} to say {words!r}")


def _as_told(agent: pb.Agent) -> pb.Agent:
    """Without samples, which belong to now only."""
    told = pb.Agent()
    told.CopyFrom(agent)
    told.ClearField("health")
    return told


# --- spawn, get, list -----------------------------------------------------------------------------------------


def spawned(kaged):
    """Agents that there ever were: other tests' agents may still be ending, so the head tells nothing."""
    return [event.meta.agent for event in kaged.read('type = "agent.spawned"')]


def test_an_agent_runs_says_and_ends(kaged):
    agent = kaged.spawn("sh", "-c", "echo out; echo err >&2; exit 0", name="first")
    ended = kaged.wait(agent)
    assert (ended.name, ended.state) == ("first", pb.AGENT_STATE_SUCCEEDED)
    assert (ended.outcome.reason, ended.outcome.exit_code) == ("exit", 0)
    assert (ended.run.stdout_bytes, ended.run.stderr_bytes, ended.run.end_kind) == (4, 4, "exited")
    assert (kaged.output(agent), kaged.output(agent, ERR)) == (b"out\n", b"err\n")


def test_a_name_is_made_when_none_is_given_and_is_of_use(kaged):
    agent = _running(kaged, "/bin/sleep", "1000")
    name = kaged.agent(agent).name
    assert name.startswith("sleep-")
    assert kaged.agent(name).id == agent
    kaged.end(agent)


def test_a_name_is_one_live_agents_alone_and_free_after_its_end(kaged):
    first = _running(kaged, name="taken")
    found = refused(lambda: kaged.spawn("true", name="taken"))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "AGENT_NAME_TAKEN")
    assert found.metadata["agent"] == first
    kaged.end(first)
    second = _running(kaged, name="taken")
    assert kaged.agent("taken").id == second
    assert refused(lambda: kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=first))).reason == "AGENT_NAME_TAKEN"
    kaged.end(second)


def test_an_agent_is_found_by_a_unique_prefix_and_an_ambiguous_one_is_refused(kaged):
    agents: dict[str, str] = {}
    for _ in range(5):
        agent = kaged.spawn("true")
        agents[agent[:4]] = agent
    for agent in agents.values():
        prefix = agent[:10]
        assert kaged.agent(prefix).id == agent
    assert refused(lambda: kaged.agent(next(iter(agents.values()))[:3])).reason == "AGENT_NOT_FOUND"


@pytest.mark.parametrize("unknown", ["nobody-of-this-name", "zzzz", "x" * 5000, "a\0b", "é" * 100, "agents/x"])
def test_an_agent_that_is_not_there_is_not_found(kaged, unknown):
    for call in (
        lambda: kaged.agent(unknown),
        lambda: kaged.agents.StopAgent(pb.StopAgentRequest(agent=unknown)),
        lambda: kaged.agents.StreamLogs(pb.StreamLogsRequest(agent=unknown)),
        lambda: kaged.agents.WaitAgent(pb.WaitAgentRequest(agent=unknown)),
    ):
        found = refused(call)
        assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND")
        assert found.hint


def test_an_empty_reference_is_refused_in_every_method(kaged):
    for call in (
        lambda: kaged.agent(""),
        lambda: kaged.agents.StopAgent(pb.StopAgentRequest()),
        lambda: kaged.agents.RemoveAgent(pb.RemoveAgentRequest()),
        lambda: kaged.agents.SendInput(pb.SendInputRequest(data=b"x")),
    ):
        assert refused(call).fields == ("agent",)


def test_everything_that_is_wrong_with_a_spec_is_named_at_once_and_nothing_is_started(kaged):
    before = spawned(kaged)
    spec = spec_pb2.AgentSpec(
        name="UPPER", adapter="telepathy", working_directory="relative", labels={"": "x"}, environment={"A=B": "x"}
    )
    spec.limits.wall_time_s = -1
    spec.restart.period_s = float("nan")
    spec.stop.signal = "NONSENSE"
    first = refused(lambda: kaged.agents.SpawnAgent(pb.SpawnAgentRequest(spec=spec)))
    assert {"spec.limits.wall_time_s", "spec.restart.period_s", "spec.stop.signal"} <= set(first.fields)
    spec.ClearField("limits")
    spec.ClearField("restart")
    spec.ClearField("stop")
    second = refused(lambda: kaged.agents.SpawnAgent(pb.SpawnAgentRequest(spec=spec)))
    assert {"spec.name", "spec.adapter", "spec.command", "spec.working_directory"} <= set(second.fields)
    assert spawned(kaged) == before


@pytest.mark.parametrize("limit", ["memory_bytes", "cpus", "processes"])
def test_a_limit_that_nobody_can_hold_here_is_refused_by_its_name(kaged, limit):
    found = refused(lambda: kaged.spawn("true", limits=spec_pb2.Limits(**{limit: 1})))
    assert found.fields == (f"spec.limits.{limit}",)
    assert "enforced" in found.message


@pytest.mark.parametrize(
    "bad",
    [
        {"restart": spec_pb2.RestartPolicy(backoff_max_s=float("inf"))},
        {"restart": spec_pb2.RestartPolicy(healthy_after_s=float("nan"))},
        {"restart": spec_pb2.RestartPolicy(backoff_initial_s=-1)},
        {"limits": spec_pb2.Limits(unsupervised_s=float("nan"))},
        {"limits": spec_pb2.Limits(wall_time_s=float("inf"))},
        {"stop": spec_pb2.StopPolicy(grace_s=float("nan"))},
        {"success_exit_codes": [256]},
        {"environment": {"A": "x\0y"}},
        {"environment": {"A": "1"}, "secret_environment": {"A": "2"}},
        {"goal": "x" * 131_070},
        {"environment": {"A": "x" * 131_070}},
        {"environment": {str(at): "x" * 60_000 for at in range(5)}},
        {"stdin": 77},
        {"terminal": spec_pb2.TerminalSize(rows=100_000), "capture": spec_pb2.CAPTURE_MODE_TERMINAL},
    ],
)
def test_numbers_and_words_out_of_bounds_are_refused(kaged, bad):
    assert refused(lambda: kaged.spawn("true", **bad)).fields[0].startswith("spec")


def test_a_spec_can_be_checked_without_starting_anything(kaged):
    before = spawned(kaged)
    spec = spec_pb2.AgentSpec(command=["true"], working_directory="/", name="only-checked")
    answer = kaged.agents.SpawnAgent(pb.SpawnAgentRequest(spec=spec, validate_only=True), timeout=DEADLINE_S)
    assert (answer.agent.name, answer.agent.id) == ("only-checked", "")
    assert answer.agent.spec.stop.signal == "TERM"
    assert spawned(kaged) == before


def test_pages_show_every_agent_once_newest_first(kaged):
    agents = [kaged.spawn("true", labels={"group": "paged"}) for _ in range(7)]
    for agent in agents:
        kaged.wait(agent)
    found: list[str] = []
    token = ""
    while True:
        page = _list(kaged, filter='labels.group = "paged"', show_ended=True, page_size=3, page_token=token)
        found += [agent.id for agent in page.agents]
        kaged.spawn("true", labels={"group": "paged"})
        token = page.next_page_token
        if not token:
            break
        assert len(page.agents) == 3
    assert found == agents[::-1]


def test_pages_of_live_agents_are_whole_too(kaged):
    agents = [_running(kaged, labels={"group": "live"}) for _ in range(5)]
    first = _list(kaged, filter='labels.group = "live"', page_size=3)
    second = _list(kaged, filter='labels.group = "live"', page_size=3, page_token=first.next_page_token)
    assert [agent.id for agent in [*first.agents, *second.agents]] == agents[::-1]
    assert second.next_page_token == ""
    for agent in agents:
        kaged.end(agent)
    assert _list(kaged, filter='labels.group = "live"').agents == []


@pytest.mark.parametrize("show_ended", [False, True])
def test_a_page_of_large_agents_is_cut_by_size(kaged, show_ended):
    labels = {"group": f"large-{show_ended}"}
    large = {"A": "x" * 120_000, "B": "x" * 120_000}
    agents = [kaged.spawn("sleep", "1000", labels=labels, environment=large) for _ in range(20)]
    found: list[str] = []
    token = ""
    while not found or token:
        asked = pb.ListAgentsRequest(
            filter=f'labels.group = "large-{show_ended}"', page_size=1000, page_token=token, show_ended=show_ended
        )
        [answer] = raw_call(kaged, "AgentService/ListAgents", asked.SerializeToString())
        assert len(answer) < 4 << 20
        page = pb.ListAgentsResponse.FromString(answer)
        found += [agent.id for agent in page.agents]
        token = page.next_page_token
    assert found == agents[::-1]
    for agent in agents:
        kaged.agents.StopAgent(pb.StopAgentRequest(agent=agent, grace_s=0), timeout=DEADLINE_S)


def test_a_filter_chooses_by_state_name_and_label(kaged):
    good = kaged.spawn("true", name="filter-good", labels={"team": "red"})
    bad = kaged.spawn("false", name="filter-bad", labels={"team": "red"})
    kaged.wait(good)
    kaged.wait(bad)
    for where, wanted in (
        ("labels.team = red AND state = failed", [bad]),
        ("labels.team = red AND state = succeeded", [good]),
        ('name = "filter-good"', [good]),
        ("labels.team = blue", []),
    ):
        assert [agent.id for agent in _list(kaged, filter=where, show_ended=True).agents] == wanted
    assert refused(lambda: _list(kaged, filter="colour = red")).fields == ("filter",)


# --- the past -------------------------------------------------------------------------------------------------


def test_the_past_is_what_was_told_then(kaged):
    agent = kaged.spawn("sh", "-c", "echo one; read a; echo two; read b; exit 3", stdin=spec_pb2.STDIN_MODE_PIPE)
    told: list[pb.Agent] = []
    lists: list[pb.ListAgentsResponse] = []

    def tell() -> None:
        told.append(_as_told(kaged.agent(agent)))
        lists.append(_list(kaged, filter=f'id = "{agent}"', show_ended=True))

    tell()
    _said(kaged, agent, b"one")
    tell()
    kaged.send(agent, b"a\n")
    _said(kaged, agent, b"two")
    tell()
    kaged.send(agent, b"b\n")
    kaged.wait(agent)
    tell()
    kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=agent), timeout=DEADLINE_S)
    tell()
    kaged.end(agent)
    tell()
    kaged.restart()
    for then in told:
        request = pb.GetAgentRequest(agent=agent, at_seq=then.as_of_seq)
        assert kaged.agents.GetAgent(request, timeout=DEADLINE_S).agent == then
    for page in lists:
        again = _list(kaged, filter=f'id = "{agent}"', show_ended=True, at_seq=page.as_of_seq)
        assert [_as_told(item) for item in again.agents] == [_as_told(item) for item in page.agents]


def test_a_time_in_the_past_is_as_good_as_a_seq(kaged):
    agent = kaged.spawn("true")
    ended = kaged.wait(agent)
    at = Timestamp(seconds=ended.create_time.seconds, nanos=ended.create_time.nanos)
    then = kaged.agents.GetAgent(pb.GetAgentRequest(agent=agent, at_time=at), timeout=DEADLINE_S).agent
    assert then.state in (pb.AGENT_STATE_PENDING, pb.AGENT_STATE_STARTING)
    early = pb.GetAgentRequest(agent=agent, at_time=Timestamp(seconds=5))
    assert refused(lambda: kaged.agents.GetAgent(early)).reason == "AGENT_NOT_FOUND"
    both = pb.GetAgentRequest(agent=agent, at_time=at, at_seq=3)
    assert refused(lambda: kaged.agents.GetAgent(both)).fields == ("at_time",)
    future = pb.GetAgentRequest(agent=agent, at_seq=2**60)
    assert refused(lambda: kaged.agents.GetAgent(future)).reason == "POSITION_IN_FUTURE"


def test_an_agent_is_not_in_the_list_of_a_time_before_it(kaged):
    before = head(kaged)
    agent = kaged.spawn("true")
    kaged.wait(agent)
    page = _list(kaged, at_seq=before, show_ended=True, page_size=1000)
    assert agent not in [item.id for item in page.agents]
    assert page.as_of_seq == before


# --- watch, wait ----------------------------------------------------------------------------------------------


def _watch(kaged: Kaged, where: str = "") -> "stream":
    return stream(kaged.agents.WatchAgents(pb.WatchAgentsRequest(filter=where), timeout=DEADLINE_S))


def test_a_watch_shows_what_there_is_then_every_change_until_it_is_gone(kaged):
    there = _running(kaged, labels={"watched": "yes"})
    with _watch(kaged, "labels.watched = yes") as call:
        assert next(call).agent.id == there
        assert next(call).WhichOneof("message") == "caught_up_seq"
        agent = kaged.spawn("sh", "-c", "exit 3", labels={"watched": "yes"})
        kaged.spawn("true", labels={"watched": "no"})
        states = []
        for message in call:
            assert message.agent.id == agent
            states.append(message.agent.state)
            if states[-1] == pb.AGENT_STATE_FAILED:
                break
        assert states == sorted(states)
        kaged.agents.RemoveAgent(pb.RemoveAgentRequest(agent=agent), timeout=DEADLINE_S)
        assert next(message.gone for message in call if message.WhichOneof("message") == "gone") == agent
    kaged.end(there)


def test_a_watch_tells_when_an_agent_does_not_match_any_more(kaged):
    agent = _running(kaged)
    with _watch(kaged, f'state = running AND id = "{agent}"') as call:
        assert next(call).agent.id == agent
        kaged.end(agent)
        assert next(message.gone for message in call if message.WhichOneof("message") == "gone") == agent


def test_waiting_returns_at_the_state_and_says_when_it_will_never_come(kaged):
    agent = kaged.spawn("sh", "-c", "read x", stdin=spec_pb2.STDIN_MODE_PIPE)
    assert kaged.wait_state(agent, pb.AGENT_STATE_RUNNING).state == pb.AGENT_STATE_RUNNING
    request = pb.WaitAgentRequest(agent=agent, states=[pb.AGENT_STATE_FAILED])
    waiting = kaged.agents.WaitAgent.future(request, timeout=DEADLINE_S)
    kaged.send(agent, b"x\n")
    found = refused(waiting.result)
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_ENDED")
    assert kaged.wait(agent).state == pb.AGENT_STATE_SUCCEEDED
    assert refused(lambda: kaged.wait_state(agent, 99)).fields == ("states",)


def test_waiting_ends_with_its_deadline_and_the_agent_goes_on(kaged):
    agent = _running(kaged)
    with pytest.raises(grpc.RpcError) as caught:
        kaged.wait(agent, deadline_s=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert kaged.agent(agent).state == pb.AGENT_STATE_RUNNING
    kaged.end(agent)


# --- stop, signal, restart, remove ----------------------------------------------------------------------------


def test_an_agent_that_heeds_its_signal_is_cancelled_within_its_grace(kaged):
    agent = _running(kaged, "sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    _said(kaged, agent, b"up")
    answer = kaged.agents.StopAgent(pb.StopAgentRequest(agent=agent, note="enough"), timeout=DEADLINE_S).agent
    assert answer.state == pb.AGENT_STATE_STOPPING
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason, ended.outcome.detail) == (pb.AGENT_STATE_CANCELLED, "stopped", "enough")
    assert kaged.output(agent).endswith(b"bye\n")


def test_an_agent_that_ignores_its_signal_is_killed_with_all_its_children_in_sessions_of_their_own(kaged, tmp_path):
    script = tmp_path / "tree.py"
    script.write_text(TREE_OF_SESSIONS)
    agent = _running(kaged, sys.executable, str(script), "3")
    eventually(lambda: kaged.output(agent).count(b"\n") == 4, "four generations")
    pids = [int(line) for line in kaged.output(agent).split()]
    run = kaged.agent(agent).run.id
    kaged.agents.StopAgent(pb.StopAgentRequest(agent=agent, grace_s=0.3), timeout=DEADLINE_S)
    ended = kaged.wait(agent)
    assert ended.state == pb.AGENT_STATE_CANCELLED
    assert (ended.run.signal, ended.run.survivors) == (signal.SIGKILL, 0)
    assert run not in kaged.live_runs()
    assert not [
        pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_stop_may_name_another_signal_and_grace(kaged):
    agent = _running(kaged, "sh", "-c", "trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done")
    _said(kaged, agent, b"up")
    kaged.agents.StopAgent(pb.StopAgentRequest(agent=agent, signal="USR1", grace_s=20), timeout=DEADLINE_S)
    assert kaged.wait(agent).run.exit_code == 9


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("grace_s", {"grace_s": -1.0}),
        ("grace_s", {"grace_s": float("nan")}),
        ("signal", {"signal": "SIGWHAT"}),
        ("signal", {"signal": "900"}),
        ("note", {"note": "x" * 5000}),
        ("request_id", {"request_id": "a\tb"}),
    ],
)
def test_a_stop_with_nonsense_is_refused(kaged, field, request_):
    agent = kaged.spawn("true")
    assert refused(lambda: kaged.agents.StopAgent(pb.StopAgentRequest(agent=agent, **request_))).fields == (field,)


def test_a_stop_of_what_has_ended_is_nothing(kaged):
    agent = kaged.spawn("true")
    ended = kaged.wait(agent)
    before = list(kaged.read(f'agent = "{agent}"'))
    answer = kaged.agents.StopAgent(pb.StopAgentRequest(agent=agent), timeout=DEADLINE_S).agent
    assert answer.outcome == ended.outcome
    assert list(kaged.read(f'agent = "{agent}"')) == before


def test_a_signal_reaches_the_program_and_the_agent_goes_on(kaged):
    agent = _running(kaged, "sh", "-c", "trap 'echo heard' USR1; echo up; while :; do sleep 0.05; done")
    _said(kaged, agent, b"up")
    kaged.agents.SignalAgent(pb.SignalAgentRequest(agent=agent, signal="USR1"), timeout=DEADLINE_S)
    _said(kaged, agent, b"heard")
    assert kaged.agent(agent).state == pb.AGENT_STATE_RUNNING
    kaged.agents.SignalAgent(pb.SignalAgentRequest(agent=agent, signal="9", whole_tree=True), timeout=DEADLINE_S)
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason, ended.outcome.signal) == (pb.AGENT_STATE_FAILED, "signal", 9)
    found = refused(lambda: kaged.agents.SignalAgent(pb.SignalAgentRequest(agent=agent, signal="TERM")))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_NOT_RUNNING")
    assert refused(lambda: kaged.agents.SignalAgent(pb.SignalAgentRequest(agent=agent))).fields == ("signal",)


def test_a_restart_gives_a_running_agent_a_new_run_and_keeps_the_agent(kaged):
    agent = _running(kaged, name="restarted")
    first = kaged.agent(agent)
    kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=agent, grace_s=5), timeout=DEADLINE_S)
    eventually(lambda: kaged.agent(agent).run.attempt == 2 and kaged.agent(agent).run.pid, "the second run")
    second = kaged.agent(agent)
    assert (second.id, second.name, second.restarts) == (first.id, "restarted", 1)
    assert second.run.pid not in (0, first.run.pid)
    kaged.end(agent)
    kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=agent), timeout=DEADLINE_S)
    third = kaged.wait_state(agent, pb.AGENT_STATE_RUNNING)
    assert (third.run.attempt, third.HasField("outcome")) == (3, False)
    assert agent in [item.id for item in _list(kaged).agents]
    kaged.end(agent)


def test_a_restart_ends_a_back_off_at_once(kaged):
    policy = spec_pb2.RestartPolicy(type=spec_pb2.RESTART_TYPE_PERMANENT, backoff_initial_s=1000, backoff_max_s=1000)
    agent = kaged.spawn("sh", "-c", "exit 1", restart=policy)
    waiting = kaged.wait_state(agent, pb.AGENT_STATE_WAITING)
    assert (waiting.waiting_for, waiting.HasField("restart_due")) == ("backoff", True)
    kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=agent), timeout=DEADLINE_S)
    eventually(lambda: kaged.agent(agent).run.attempt == 2, "the second attempt")
    kaged.end(agent)


def test_a_removed_agent_is_out_of_the_lists_and_its_history_stays(kaged):
    agent = _running(kaged, "sh", "-c", "echo here; sleep 1000")
    found = refused(lambda: kaged.agents.RemoveAgent(pb.RemoveAgentRequest(agent=agent)))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_NOT_ENDED")
    _said(kaged, agent, b"here")
    kaged.end(agent)
    before = head(kaged)
    kaged.agents.RemoveAgent(pb.RemoveAgentRequest(agent=agent), timeout=DEADLINE_S)
    assert agent not in [item.id for item in _list(kaged, show_ended=True, page_size=1000).agents]
    assert agent in [item.id for item in _list(kaged, show_ended=True, page_size=1000, at_seq=before).agents]
    assert kaged.agent(agent).id == agent
    assert _text(kaged, agent) == [b"here"]
    again = refused(lambda: kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=agent)))
    assert again.reason == "AGENT_NOT_RUNNING"


# --- input, terminal ------------------------------------------------------------------------------------------


def test_input_reaches_the_agent_in_order_and_its_end_too(kaged):
    agent = kaged.spawn("cat", stdin=spec_pb2.STDIN_MODE_PIPE)
    assert kaged.send(agent, b"one\n") == 0
    assert kaged.send(agent, b"two\n") == 4
    assert kaged.send(agent, b"", eof=True) == 8
    assert kaged.wait(agent).state == pb.AGENT_STATE_SUCCEEDED
    assert kaged.output(agent) == b"one\ntwo\n"


def test_input_is_refused_where_nobody_reads_it(kaged):
    deaf = _running(kaged)
    found = refused(lambda: kaged.send(deaf, b"x"))
    assert found.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "stdin" in found.hint
    kaged.end(deaf)
    closed = _running(kaged, "sh", "-c", "cat; sleep 1000", stdin=spec_pb2.STDIN_MODE_PIPE)
    kaged.send(closed, b"", eof=True)
    assert refused(lambda: kaged.send(closed, b"x")).code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused(lambda: kaged.send(closed, b"")).fields == ("data",)
    assert refused(lambda: kaged.send(closed, bytes((1 << 20) + 1))).fields == ("data",)
    kaged.end(closed)
    assert refused(lambda: kaged.send(closed, b"x")).reason == "AGENT_NOT_RUNNING"


def test_a_terminal_is_one_and_changes_its_size(kaged):
    script = "trap 'stty size' WINCH; test -t 0 && test -t 1 && stty size; while :; do sleep 0.05; done"
    size = spec_pb2.TerminalSize(rows=30, columns=100)
    agent = _running(kaged, "sh", "-c", script, capture=spec_pb2.CAPTURE_MODE_TERMINAL, terminal=size)
    _said(kaged, agent, b"30 100")
    other = spec_pb2.TerminalSize(rows=40, columns=120)
    kaged.agents.ResizeTerminal(pb.ResizeTerminalRequest(agent=agent, size=other), timeout=DEADLINE_S)
    _said(kaged, agent, b"40 120")
    kaged.send(agent, b"\x03")  # what a terminal makes of Ctrl-C is an interrupt
    assert kaged.wait(agent).run.signal == signal.SIGINT


def test_a_size_for_what_has_no_terminal_is_refused(kaged):
    agent = _running(kaged)
    size = spec_pb2.TerminalSize(rows=1, columns=1)
    assert refused(lambda: kaged.agents.ResizeTerminal(pb.ResizeTerminalRequest(agent=agent, size=size))).fields
    none = pb.ResizeTerminalRequest(agent=agent)
    assert refused(lambda: kaged.agents.ResizeTerminal(none)).fields == ("size",)
    kaged.end(agent)


# --- environment, secrets -------------------------------------------------------------------------------------


def test_an_agent_gets_its_folder_its_environment_and_none_of_the_daemons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("env")
    with Kaged(folder, environment={"DAEMON_ONLY": "1", "NOTIFY_SOCKET": "/nowhere"}) as kaged:
        agent = kaged.spawn("sh", "-c", "pwd; env", environment={"MINE": "yes", "PATH": os.environ["PATH"]})
        kaged.wait(agent)
        lines = kaged.output(agent).decode().splitlines()
        names = {line.partition("=")[0] for line in lines[1:]}
        assert lines[0] == str(folder)
        assert "MINE=yes" in lines
        assert f"KAGE_AGENT_ID={agent}" in lines
        assert {"KAGE_RUN_ID", "KAGE_SOCKET", "KAGE_TOKEN_FILE", "PATH", "HOME"} <= names
        assert not {"DAEMON_ONLY", "NOTIFY_SOCKET", "GRPC_ENABLE_FORK_SUPPORT"} & names


def test_secrets_reach_the_agent_and_nobody_else(kaged):
    secret = "s3cr3t-" + os.urandom(12).hex()
    agent = kaged.spawn(
        "sh", "-c", "echo before $TOKEN after; echo ${#TOKEN}; echo $TOKEN >&2", secret_environment={"TOKEN": secret}
    )
    ended = kaged.wait(agent)
    assert ended.secret_names == ["TOKEN"]
    assert dict(ended.spec.secret_environment) in ({}, {"TOKEN": ""})
    output = kaged.output(agent)
    assert f"\n{len(secret)}\n".encode() in output
    assert output.startswith(b"before ")
    assert len(output.splitlines()[0]) == len(f"before {secret} after")
    everything = b"".join(raw_call(kaged, "EventService/ReadEvents", b""))
    everything += b"".join(
        raw_call(kaged, "AgentService/StreamLogs", pb.StreamLogsRequest(agent=agent).SerializeToString())
    )
    everything += kaged.agent(agent).SerializeToString() + _list(kaged, show_ended=True).SerializeToString()
    assert secret.encode() not in everything
    masks = [
        mask
        for event in kaged.read(f'agent = "{agent}" AND type = "output.chunk"')
        for mask in event.meta.fact.output_chunk.masks
    ]
    assert {mask.length for mask in masks} == {len(secret)}
    assert secret not in kaged.words(10**9)


# --- limits, restarts, exit codes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "command", "word"),
    [
        (spec_pb2.Limits(wall_time_s=0.5), "sleep 1000", "wall_time"),
        (spec_pb2.Limits(idle_s=0.5), "echo once; sleep 1000", "idle"),
        (spec_pb2.Limits(output_bytes=10_000), "while :; do echo more output; done", "output_bytes"),
    ],
)
def test_a_limit_is_held_and_the_end_says_which(kaged, limits, command, word):
    stop = spec_pb2.StopPolicy(grace_s=0.2)
    agent = kaged.spawn("sh", "-c", command, limits=limits, stop=stop)
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason) == (pb.AGENT_STATE_FAILED, "limit")
    assert ended.outcome.limit.startswith(word)
    assert ended.run.survivors == 0


def test_an_agent_that_writes_is_not_idle(kaged):
    script = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.25; done"
    agent = kaged.spawn("sh", "-c", script, limits=spec_pb2.Limits(idle_s=0.9))
    assert kaged.wait(agent).state == pb.AGENT_STATE_SUCCEEDED


def test_a_transient_agent_is_started_again_after_a_failure_until_it_ends_well(kaged, tmp_path):
    policy = spec_pb2.RestartPolicy(
        type=spec_pb2.RESTART_TYPE_TRANSIENT, intensity=10, backoff_initial_s=0.01, backoff_max_s=0.05
    )
    script = f"echo try; echo x >> {tmp_path}/count; test $(wc -l < {tmp_path}/count) -ge 3"
    agent = kaged.spawn("sh", "-c", script, restart=policy)
    ended = kaged.wait(agent)
    assert (ended.state, ended.restarts, ended.run.attempt) == (pb.AGENT_STATE_SUCCEEDED, 2, 3)
    scheduled = list(kaged.read(f'agent = "{agent}" AND type = "agent.restart_scheduled"'))
    assert len(scheduled) == 2


def test_restarts_over_the_intensity_end_the_agent(kaged):
    policy = spec_pb2.RestartPolicy(type=spec_pb2.RESTART_TYPE_PERMANENT, intensity=2, period_s=1000, backoff_off=True)
    agent = kaged.spawn("true", restart=policy)
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason) == (pb.AGENT_STATE_FAILED, "restarts_exhausted")
    assert ended.run.attempt == 3


def test_success_exit_codes_are_successes(kaged):
    assert kaged.wait(kaged.spawn("sh", "-c", "exit 7", success_exit_codes=[7])).state == pb.AGENT_STATE_SUCCEEDED
    assert kaged.wait(kaged.spawn("sh", "-c", "exit 7", success_exit_codes=[8])).state == pb.AGENT_STATE_FAILED


def test_a_program_that_is_not_there_fails_with_its_name(kaged):
    ended = kaged.wait(kaged.spawn("no-such-program-anywhere"))
    assert (ended.state, ended.outcome.reason) == (pb.AGENT_STATE_FAILED, "exec_failed")
    assert "no-such-program-anywhere" in ended.outcome.detail or "No such file" in ended.outcome.detail


def test_a_folder_that_is_not_there_fails_with_its_name(kaged, tmp_path):
    ended = kaged.wait(kaged.spawn("true", working_directory=str(tmp_path / "gone")))
    assert ended.state == pb.AGENT_STATE_FAILED
    assert ended.outcome.detail


# --- logs -----------------------------------------------------------------------------------------------------


def test_logs_are_lines_of_both_streams_with_their_places(kaged):
    agent = kaged.spawn("sh", "-c", "printf 'one\\n\\nthree\\nrest'; echo err >&2")
    kaged.wait(agent)
    out = _lines(kaged, agent, channel=OUT)
    assert [line.data for line in out] == [b"one", b"", b"three", b"rest"]
    assert [line.offset for line in out] == [0, 4, 5, 11]
    assert [line.partial for line in out] == [False, False, False, True]
    assert all(line.HasField("time") and line.seq for line in out)
    assert [line.data for line in _lines(kaged, agent, channel=ERR)] == [b"err"]
    assert sorted(_text(kaged, agent)) == sorted([b"one", b"", b"three", b"rest", b"err"])


def test_a_huge_line_comes_in_marked_pieces_of_1_mib(kaged):
    size = (5 << 19) + 17
    agent = kaged.spawn(sys.executable, "-c", f"print('x' * {size}); print('end')")
    kaged.wait(agent)
    lines = _lines(kaged, agent)
    assert b"".join(line.data for line in lines[:-1]) == b"x" * size
    assert [len(line.data) for line in lines[:-1]] == [1 << 20, 1 << 20, size - (2 << 20)]
    assert [line.partial for line in lines] == [True, True, False, False]
    assert lines[-1].data == b"end"
    assert lines[-1].offset == size + 1


def test_a_million_empty_lines_fit_into_messages(kaged):
    agent = kaged.spawn(sys.executable, "-c", "import sys; sys.stdout.write('\\n' * 300_000)")
    kaged.wait(agent)
    answers = raw_call(kaged, "AgentService/StreamLogs", pb.StreamLogsRequest(agent=agent).SerializeToString())
    assert max(map(len, answers)) < 4 << 20
    assert sum(len(pb.StreamLogsResponse.FromString(answer).lines) for answer in answers) == 300_000


def test_binary_output_is_kept_byte_for_byte(kaged):
    script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000)"
    agent = kaged.spawn(sys.executable, "-c", script)
    kaged.wait(agent)
    pieces = _lines(kaged, agent, raw=True)
    assert b"".join(piece.data for piece in pieces) == bytes(range(256)) * 1000
    at = 0
    for piece in pieces:
        assert piece.offset == at
        at += len(piece.data)
    assert b"\n".join(_text(kaged, agent)) == bytes(range(256)) * 1000


@pytest.mark.parametrize(("tail", "wanted"), [(0, []), (1, [b"9"]), (3, [b"7", b"8", b"9"]), (99, None)])
def test_a_tail_is_the_last_lines(kaged, tail, wanted):
    agent = kaged.spawn("sh", "-c", "for i in 0 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.01; done")
    kaged.wait(agent)
    everything = [str(number).encode() for number in range(10)]
    assert _text(kaged, agent, tail_lines=tail) == (everything if wanted is None else wanted)


def test_a_tail_counts_a_last_line_without_an_end(kaged):
    agent = kaged.spawn("printf", "one\\ntwo\\nthree")
    kaged.wait(agent)
    assert _text(kaged, agent, tail_lines=1) == [b"three"]
    assert _text(kaged, agent, tail_lines=0) == []
    assert _text(kaged, agent, tail_lines=2) == [b"two", b"three"]


def test_an_offset_is_where_reading_begins(kaged):
    agent = kaged.spawn("printf", "0123\\n5678\\n")
    run = kaged.wait(agent).run.id
    lines = _lines(kaged, agent, run=run, channel=OUT, from_offset=5)
    assert [(line.data, line.offset) for line in lines] == [(b"5678", 5)]
    middle = _lines(kaged, agent, run=run, channel=OUT, from_offset=2)
    assert [(line.data, line.offset) for line in middle] == [(b"23", 2), (b"5678", 5)]


def test_logs_are_told_per_run(kaged):
    agent = kaged.spawn("sh", "-c", "echo $KAGE_RUN_ID")
    first = kaged.wait(agent).run.id
    kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=agent), timeout=DEADLINE_S)
    second = kaged.wait(agent).run.id
    assert _text(kaged, agent) == [first.encode(), second.encode()]
    assert _text(kaged, agent, run=second) == [second.encode()]
    assert refused(lambda: _lines(kaged, agent, run="another")).fields == ("run",)


def test_following_shows_lines_as_they_come_and_ends_with_the_agent(kaged):
    script = "echo first; read x; echo $x; printf rest"
    agent = kaged.spawn("sh", "-c", script, stdin=spec_pb2.STDIN_MODE_PIPE)
    asked = pb.StreamLogsRequest(agent=agent, follow=True)
    with stream(kaged.agents.StreamLogs(asked, timeout=DEADLINE_S)) as call:
        lines: Iterator[pb.LogLine] = (line for answer in call for line in answer.lines)
        assert next(lines).data == b"first"
        kaged.send(agent, b"second\n")
        assert next(lines).data == b"second"
        last = next(lines)
        assert (last.data, last.partial) == (b"rest", True)
        assert next(lines, None) is None


def test_following_many_short_agents_never_misses_their_last_words(kaged):
    def one(number: int) -> list[bytes]:
        agent = kaged.spawn("sh", "-c", f"echo {number}; echo last")
        return _text(kaged, agent, follow=True)

    with ThreadPoolExecutor(4) as pool:
        for number, words in enumerate(pool.map(one, range(24))):
            assert words == [str(number).encode(), b"last"]


def test_following_an_agent_that_was_started_again_shows_the_new_run(kaged):
    script = "echo $KAGE_RUN_ID; read x"
    agent = kaged.spawn("sh", "-c", script, stdin=spec_pb2.STDIN_MODE_PIPE)
    kaged.send(agent, b"\n")
    kaged.wait(agent)
    kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=agent), timeout=DEADLINE_S)
    with stream(kaged.agents.StreamLogs(pb.StreamLogsRequest(agent=agent, follow=True), timeout=DEADLINE_S)) as call:
        lines = (line.data for answer in call for line in answer.lines)
        assert [next(lines), next(lines)] == [f"{agent}.1".encode(), f"{agent}.2".encode()]
        kaged.send(agent, b"\n")
        assert next(lines, None) is None


# --- request ids ----------------------------------------------------------------------------------------------


def _verbs(agent: str) -> dict[str, object]:
    return {
        "SignalAgent": pb.SignalAgentRequest(agent=agent, signal="CONT"),
        "SendInput": pb.SendInputRequest(agent=agent, data=b"once\n"),
        "ResizeTerminal": pb.ResizeTerminalRequest(agent=agent, size=spec_pb2.TerminalSize(rows=9, columns=9)),
        "RestartAgent": pb.RestartAgentRequest(agent=agent),
        "StopAgent": pb.StopAgentRequest(agent=agent),
    }


@pytest.mark.parametrize("verb", ["SignalAgent", "SendInput", "ResizeTerminal", "RestartAgent", "StopAgent"])
def test_a_repeated_request_has_one_effect_and_one_answer(kaged, verb):
    agent = _running(kaged, "cat", capture=spec_pb2.CAPTURE_MODE_TERMINAL, stop=spec_pb2.StopPolicy(grace_s=0.1))
    request = _verbs(agent)[verb]
    request.request_id = f"once-{verb}"  # type: ignore[attr-defined]  # all of them have one
    call = getattr(kaged.agents, verb)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: call(request, timeout=DEADLINE_S), range(20)))
    assert all(answer == answers[0] for answer in answers)
    marked = [event for event in kaged.read(f'agent = "{agent}"') if event.meta.request.id == f"once-{verb}"]
    assert len(marked) == 1
    kaged.restart()
    assert getattr(kaged.agents, verb)(request, timeout=DEADLINE_S) == answers[0]
    request.agent = "somebody-else"  # type: ignore[attr-defined]
    found = refused(lambda: getattr(kaged.agents, verb)(request))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    kaged.end(agent)


def test_a_repeated_spawn_starts_one_agent_and_tells_the_first_answer(kaged):
    spec = spec_pb2.AgentSpec(command=["sleep", "1000"], working_directory="/", name="spawned-once")
    request = pb.SpawnAgentRequest(spec=spec, request_id="spawn-once")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: kaged.agents.SpawnAgent(request, timeout=DEADLINE_S), range(20)))
    assert all(answer == answers[0] for answer in answers)
    kaged.restart()
    assert kaged.agents.SpawnAgent(request, timeout=DEADLINE_S) == answers[0]
    kaged.end(answers[0].agent.id)
    assert kaged.agents.SpawnAgent(request, timeout=DEADLINE_S) == answers[0]
    request.spec.name = "spawned-twice"
    assert refused(lambda: kaged.agents.SpawnAgent(request)).reason == "REQUEST_ID_REUSED"


def test_a_repeat_is_about_the_agent_of_the_first_time_although_its_name_is_anothers_now(kaged):
    first = _running(kaged, name="namesake")
    request = pb.StopAgentRequest(agent="namesake", request_id="stop-namesake", grace_s=0)
    told = kaged.agents.StopAgent(request, timeout=DEADLINE_S)
    kaged.wait(first)
    second = _running(kaged, name="namesake")
    assert kaged.agents.StopAgent(request, timeout=DEADLINE_S) == told
    assert kaged.agent(second).state == pb.AGENT_STATE_RUNNING
    kaged.end(second)


def test_a_repeated_removal_tells_the_first_answer(kaged):
    agent = kaged.spawn("true")
    kaged.wait(agent)
    request = pb.RemoveAgentRequest(agent=agent, request_id=f"remove-{agent}")
    told = kaged.agents.RemoveAgent(request, timeout=DEADLINE_S)
    assert kaged.agents.RemoveAgent(request, timeout=DEADLINE_S) == told


# --- health ---------------------------------------------------------------------------------------------------


def test_a_running_agent_has_samples_of_its_whole_tree(kaged):
    agent = _running(kaged, "sh", "-c", "echo hello; sleep 1000 & sleep 1000 & wait")
    _said(kaged, agent, b"hello")
    eventually(lambda: kaged.agent(agent).health.processes >= 3, "a sample of all processes")
    health = kaged.agent(agent).health
    assert health.rss_bytes > 100_000
    assert health.HasField("up_since")
    assert health.HasField("last_output")
    assert not [event for event in kaged.read(f'agent = "{agent}"') if "health" in event.meta.type]
    kaged.end(agent)


def test_the_events_of_a_life_tell_its_story_in_order(kaged):
    agent = kaged.spawn("echo", "hi")
    kaged.wait(agent)
    story = [event.meta.type for event in kaged.read(f'agent = "{agent}"')]
    wanted = ["agent.spawned", "run.wanted", "run.started", "run.executed", "output.chunk", "run.ended", "agent.ended"]
    assert [kind for kind in story if kind in wanted] == wanted


def test_actors_tell_who_did_what(kaged):
    agent = _running(kaged)
    kaged.end(agent)
    actors = {event.meta.type: event.actor for event in kaged.read(f'agent = "{agent}"')}
    assert (actors["agent.spawned"], actors["run.ended"]) == (2, 1)
    assert kaged.agent(agent).actor >= 16
