"""Promises 3 and 4 through a real daemon: rebuilt state equals live state, and an old answer can be asked for again."""

import subprocess
import sys
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2, approval_service_pb2, spec_pb2, supervisor_service_pb2
from kaged.store.rows.keys import DERIVED
from kaged.store.rows.rocks import RocksStore
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually

ASKER = """
import json, sys
print(json.dumps({"type": "turn.started"}), flush=True)
print(json.dumps({"type": "usage", "input_tokens": 7, "output_tokens": 3}), flush=True)
print(json.dumps({"type": "approval.request", "id": "k", "title": "act"}), flush=True)
json.loads(sys.stdin.readline())
print(json.dumps({"type": "turn.ended", "outcome": "ok"}), flush=True)
"""


def derived(state: Path) -> dict[str, dict[bytes, bytes]]:
    """All rows of the derived families of a store that no daemon has open."""
    store = RocksStore(state / "db")
    try:
        return {family: dict(store.scan(family, b"", limit=1_000_000)) for family in DERIVED}
    finally:
        store.close()


def busy_day(kaged: Kaged) -> list[agent_service_pb2.Agent]:
    """A bit of everything; returns answers that were given on the way, each with the seq it is as of."""
    answers: list[agent_service_pb2.Agent] = []

    def note(agent: str) -> None:
        answers.append(kaged.agent(agent))

    quick = kaged.spawn("sh", "-c", "echo one; echo two >&2; exit 4", request_id="quick")
    note(quick)
    echo = kaged.spawn("cat", stdin=spec_pb2.STDIN_MODE_PIPE, name="echo", labels={"role": "echo"})
    flaky = kaged.spawn(
        "sh", "-c", "exit 1",
        restart=spec_pb2.RestartPolicy(type=spec_pb2.RESTART_TYPE_PERMANENT, intensity=3, backoff_initial_s=0.01),
    )  # fmt: skip
    asker = kaged.spawn(sys.executable, "-c", ASKER, adapter="jsonl")
    spec = supervisor_service_pb2.SupervisorSpec(strategy=supervisor_service_pb2.STRATEGY_ONE_FOR_ALL)
    for name in ("a", "b"):
        child = spec.children.add(id=name)
        child.agent.command.extend(["sleep", "1000"])
        child.agent.working_directory = str(kaged.folder)
    kaged.trees.ApplyTree(supervisor_service_pb2.ApplyTreeRequest(tree="day", spec=spec), timeout=DEADLINE_S)
    for text in (b"x" * 10, b"y" * 100, b"z"):
        kaged.send(echo, text)
        note(echo)
    eventually(lambda: kaged.agent(asker).open_approvals, "the question")
    note(asker)
    kaged.wait(quick)
    note(quick)
    kaged.restart()
    approvals = kaged.approvals.ListApprovals(approval_service_pb2.ListApprovalsRequest(), timeout=DEADLINE_S)
    answer = approval_service_pb2.AnswerApprovalRequest(approval=approvals.approvals[0].id, approve=True, note="go")
    kaged.approvals.AnswerApproval(answer, timeout=DEADLINE_S)
    note(asker)
    for agent in (asker, flaky):
        kaged.wait(agent)
        note(agent)
    kaged.agents.RestartAgent(agent_service_pb2.RestartAgentRequest(agent=quick), timeout=DEADLINE_S)
    note(quick)
    kaged.wait(quick)
    note(quick)
    kaged.agents.RemoveAgent(agent_service_pb2.RemoveAgentRequest(agent=flaky), timeout=DEADLINE_S)
    kaged.trees.StopTree(supervisor_service_pb2.StopTreeRequest(tree="day"), timeout=DEADLINE_S)
    note(echo)
    kaged.end(echo)
    note(echo)
    return answers


def as_recorded(answer: agent_service_pb2.Agent) -> agent_service_pb2.Agent:
    """An answer without what is sampled and never stored."""
    kept = agent_service_pb2.Agent()
    kept.CopyFrom(answer)
    kept.ClearField("health")
    return kept


@pytest.mark.e2e
def test_states_rebuilt_from_events_are_the_live_ones_byte_for_byte_and_old_answers_come_again(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        answers = busy_day(kaged)
        # An answer that was given as of a seq is given again when that seq is asked for later.
        for answer in answers:
            request = agent_service_pb2.GetAgentRequest(agent=answer.id, at_seq=answer.as_of_seq)
            again = kaged.agents.GetAgent(request, timeout=DEADLINE_S).agent
            assert as_recorded(again) == as_recorded(answer)
        assert kaged.stop() == 0
        live = derived(kaged.state)
        command = [sys.executable, "-m", "kaged", "reindex", "--state-dir", str(kaged.state)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        rebuilt = derived(kaged.state)
        assert {family: len(rows) for family, rows in rebuilt.items()} == {f: len(rows) for f, rows in live.items()}
        for family, rows in live.items():
            assert [key for key, value in rows.items() if rebuilt[family].get(key) != value] == [], family
        assert rebuilt == live
        kaged.start()
        for answer in answers:
            request = agent_service_pb2.GetAgentRequest(agent=answer.id, at_seq=answer.as_of_seq)
            again = kaged.agents.GetAgent(request, timeout=DEADLINE_S).agent
            assert as_recorded(again) == as_recorded(answer)
