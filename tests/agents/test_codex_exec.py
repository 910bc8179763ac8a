"""The real `codex exec` under a real kaged; only the model is scripted."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2 as pb
from tests.agents.programs import LONG_S, Driven, needs, program
from tests.agents.test_codex import CONFIG
from tests.e2e.daemon_kit import Kaged
from tests.fakes.scripted_model import ScriptedModel, script

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600), needs("codex")]
Start = Callable[..., Driven]


@pytest.fixture
def start(kaged: Kaged, model: ScriptedModel, tmp_path: Path) -> Start:
    """Starts a `codex exec` in an empty folder, with a home of its own."""

    def begin(goal: str, **spec: object) -> Driven:
        for name in ("home", "work", "tmp"):
            (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / "home" / "config.toml").write_text(CONFIG.format(url=model.url))
        agent = kaged.spawn(
            *(program("codex"), "exec", "--skip-git-repo-check", "-s", "danger-full-access"),
            adapter="codex-exec",
            goal=goal,
            working_directory=str(tmp_path / "work"),
            environment={
                "HOME": str(tmp_path / "home"),
                "CODEX_HOME": str(tmp_path / "home"),
                "TMPDIR": str(tmp_path / "tmp"),
                "SCRIPTED_KEY": "dummy",
            },
            **spec,
        )
        return Driven(kaged, agent)

    return begin


def shell(words: str) -> dict[str, object]:
    """A step that runs a command."""
    return {"tool": "exec_command", "input": {"cmd": words}}


def test_a_goal_is_worked_on_and_everything_is_in_the_journal(start: Start, tmp_path: Path) -> None:
    agent = start(script(shell("echo hello > a.txt; cat a.txt"), {"text": "It is written."}))
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert (tmp_path / "work" / "a.txt").read_text() == "hello\n"
    kinds = [kind for kind in agent.types() if kind != "log"]
    assert kinds == [
        *("session.started", "turn.started", "tool.started", "tool.finished", "message", "usage", "turn.ended"),
    ]
    usage = agent.kaged.agent(agent.id).usage
    assert (usage.turns, usage.input_tokens, usage.output_tokens) == (1, 2100, 100)


def test_a_killed_one_is_resumed_in_its_thread(start: Start, kaged: Kaged) -> None:
    restart = {"type": "RESTART_TYPE_TRANSIENT", "backoff_off": True}
    agent = start(script(shell("echo one"), {"sleep": 6, "text": "late"}, {"text": "I see."}), restart=restart)
    agent.heard("tool.finished")
    os.kill(kaged.agent(agent.id).run.pid, signal.SIGKILL)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert kaged.agent(agent.id).run.attempt == 2
    sessions = {event.meta.fact.signal.native_session for event in agent.heard("session.started", 2)}
    assert len(sessions) == 1


def test_what_a_thread_used_over_several_runs_is_counted_once(start: Start, kaged: Kaged) -> None:
    agent = start(script({"text": "one"}, {"text": "two"}))
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    first = kaged.agent(agent.id).usage
    kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=agent.id), timeout=LONG_S)
    agent.heard("turn.ended", 2)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert len({event.meta.fact.signal.native_session for event in agent.heard("session.started", 2)}) == 1
    whole = json.loads(kaged.output(agent.id).splitlines()[-1])["usage"]
    usage = kaged.agent(agent.id).usage
    assert (usage.turns, usage.input_tokens, usage.output_tokens) == (2, whole["input_tokens"], whole["output_tokens"])
    assert usage.input_tokens > first.input_tokens > 0


def test_one_killed_before_its_model_ever_answered_goes_on_as_well(start: Start, kaged: Kaged) -> None:
    restart = {"type": "RESTART_TYPE_TRANSIENT", "backoff_off": True}
    agent = start(script({"sleep": 4, "text": "at last"}, {"text": "at last"}), restart=restart)
    agent.heard("turn.started")
    os.kill(kaged.agent(agent.id).run.pid, signal.SIGKILL)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert kaged.agent(agent.id).run.attempt == 2


def test_a_model_that_fails_is_a_failed_turn(start: Start) -> None:
    agent = start(script({"status": 500}))
    assert agent.wait().state == pb.AGENT_STATE_FAILED
    (turn,) = agent.heard("turn.ended")
    assert turn.meta.fact.signal.outcome == "error"
    assert turn.body.signal.text
