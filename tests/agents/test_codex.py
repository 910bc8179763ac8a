"""The real Codex (`codex app-server`) under a real kaged; only the model is scripted."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kaged.adapters.codex import words
from kaged.api.v1 import agent_service_pb2 as pb
from tests.agents.programs import LONG_S, Driven, needs, program
from tests.e2e.daemon_kit import Kaged, eventually
from tests.fakes.scripted_model import ScriptedModel, script

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600), needs("codex")]
Start = Callable[..., Driven]

CONFIG = """
model = "scripted"
model_provider = "scripted"
approval_policy = "on-request"
sandbox_mode = "read-only"
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "SCRIPTED_KEY"
request_max_retries = 1
stream_max_retries = 1
"""


@pytest.fixture
def start(kaged: Kaged, model: ScriptedModel, tmp_path: Path) -> Start:
    """Starts a Codex in an empty folder, with a home of its own."""

    def begin(goal: str = "", **spec: object) -> Driven:
        for name in ("home", "work", "tmp"):
            (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / "home" / "config.toml").write_text(CONFIG.format(url=model.url))
        environment = {
            "HOME": str(tmp_path / "home"),
            "CODEX_HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path / "tmp"),  # Codex puts its helpers nowhere below it
            "SCRIPTED_KEY": "dummy",
        }
        agent = kaged.spawn(
            *(program("codex"), "app-server"),
            adapter="codex",
            goal=goal,
            working_directory=str(tmp_path / "work"),
            environment=environment,
            **spec,
        )
        return Driven(kaged, agent)

    return begin


def touch(name: str = "a.txt") -> dict[str, object]:
    """A step that makes a file, which it must ask for."""
    asked = {"cmd": f"touch {name}", "sandbox_permissions": "require_escalated", "justification": f"May I make {name}?"}
    return {"text": "I make it.", "tool": "exec_command", "input": asked}


def test_a_goal_is_worked_on_under_approvals_and_everything_is_in_the_journal(start: Start, tmp_path: Path) -> None:
    agent = start(script(touch("a.txt"), touch("b.txt"), {"text": "One of two."}))
    question = agent.asked()
    assert not (tmp_path / "work" / "a.txt").exists()
    assert (question.tool, question.why) == ("shell", "May I make a.txt?")
    assert "touch a.txt" in question.title
    agent.answer(approve=True)
    eventually(lambda: agent.asked().id != question.id, "the second question", LONG_S)
    agent.answer(approve=False, note="one is enough")
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["a.txt"]
    kinds = [kind for kind in agent.types() if kind not in ("log", "unknown")]
    assert kinds == [
        *("session.started", "turn.started", "message", "tool.started", "tool.finished", "usage"),
        *("message", "tool.started", "tool.finished", "usage", "message", "usage", "turn.ended"),
    ]
    assert [event.meta.fact.signal.outcome for event in agent.heard("tool.finished", 2)] == ["ok", "denied"]
    usage = agent.kaged.agent(agent.id).usage
    assert (usage.turns, usage.input_tokens, usage.output_tokens) == (1, 3300, 150)
    assert agent.told().count(b"Do what is written here.") == 1


def test_an_edit_is_asked_for_with_its_diff(start: Start, tmp_path: Path) -> None:
    patch = "apply_patch <<'EOP'\n*** Begin Patch\n*** Add File: p.txt\n+hello\n*** End Patch\nEOP"
    agent = start(script({"tool": "exec_command", "input": {"cmd": patch}}, {"text": "done"}))
    question = agent.answer(approve=True)
    assert question.tool == "edit"
    assert json.loads(question.data_json)["changes"][0]["diff"] == "hello\n"
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert (tmp_path / "work" / "p.txt").read_text() == "hello\n"
    (edited,) = agent.heard("file.edited")
    assert edited.body.signal.text.endswith("p.txt")


def test_the_daemon_may_be_killed_in_mid_turn_and_in_mid_approval(start: Start, kaged: Kaged, tmp_path: Path) -> None:
    agent = start(script(touch(), {"sleep": 1.5, "text": "slow"}))
    before = agent.asked()
    pid = kaged.agent(agent.id).run.pid
    kaged.restart()
    assert agent.asked() == before
    agent.answer(approve=True)
    agent.heard("tool.finished")
    kaged.restart()
    assert kaged.agent(agent.id).run.pid == pid
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert [agent.types().count(kind) for kind in ("session.started", "turn.started", "turn.ended")] == [1, 1, 1]
    assert [event.body.signal.text for event in agent.heard("message", 2)] == ["I make it.", "slow"]
    usage = kaged.agent(agent.id).usage
    assert (usage.input_tokens, usage.output_tokens) == (2100, 100)


def test_an_agent_killed_with_a_question_open_is_resumed_in_its_thread_and_not_told_its_goal_again(
    start: Start, kaged: Kaged
) -> None:
    restart = {"type": "RESTART_TYPE_TRANSIENT", "backoff_off": True}
    agent = start(script(touch(), {"text": "I see."}), restart=restart)
    first = agent.asked()
    os.kill(kaged.agent(agent.id).run.pid, signal.SIGKILL)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert kaged.agent(agent.id).run.attempt == 2
    sessions = {event.meta.fact.signal.native_session for event in agent.heard("session.started", 2)}
    assert len(sessions) == 1
    assert agent.told().count(b"Do what is written here.") == 1
    withdrawn = agent.events("approval.withdrawn")
    assert [event.meta.fact.approval_withdrawn.approval for event in withdrawn] == [first.id]


def test_an_agent_killed_before_its_model_ever_answered_goes_on_as_well(start: Start, kaged: Kaged) -> None:
    restart = {"type": "RESTART_TYPE_TRANSIENT", "backoff_off": True}
    # What an agent kept of the turn that was cut off may count as the model's turn: then the second step is played.
    agent = start(script({"sleep": 3, "text": "at last"}, {"text": "at last"}), restart=restart)
    agent.heard("turn.started")
    os.kill(kaged.agent(agent.id).run.pid, signal.SIGKILL)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert kaged.agent(agent.id).run.attempt == 2
    assert [event.body.signal.text.strip() for event in agent.heard("message")] == ["at last"]


def test_words_that_come_during_a_turn_become_part_of_it(start: Start, kaged: Kaged) -> None:
    agent = start(script(touch(), {"text": "first"}))
    agent.asked()
    agent.say(script({"text": "second"}))
    agent.answer(approve=True)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert [event.body.signal.text for event in agent.heard("message", 2)] == ["I make it.", "second"]


def test_an_interrupt_ends_the_turn_and_the_agent_waits_for_new_words(start: Start, kaged: Kaged) -> None:
    agent = start(script(touch(), {"text": "never"}))
    agent.asked()
    agent.interrupt()
    (ended,) = agent.heard("turn.ended")
    assert ended.meta.fact.signal.outcome == "cancelled"
    agent.say(script({"text": "something else"}))
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert [event.meta.fact.signal.outcome for event in agent.heard("turn.ended", 2)] == ["cancelled", "ok"]
    assert [event.body.signal.text for event in agent.heard("message", 2)][-1] == "something else"


def test_an_interrupt_ends_a_command_that_runs(start: Start) -> None:
    agent = start(script({"tool": "exec_command", "input": {"cmd": "sleep 600"}}, {"text": "never"}))
    agent.heard("tool.started")
    agent.interrupt()
    (ended,) = agent.heard("turn.ended")
    assert ended.meta.fact.signal.outcome == "cancelled"
    agent.say(script({"text": "something else"}))
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED


def test_an_interrupt_that_comes_when_the_turn_is_over_means_nothing(start: Start, kaged: Kaged) -> None:
    agent = start()
    (session,) = agent.heard("session.started")
    agent.say(script({"text": "one"}))
    agent.heard("turn.ended")
    (turn,) = agent.heard("turn.started")
    native = json.loads(turn.body.signal.data_json)["turn"]
    kaged.send(agent.id, words.interrupt(session.meta.fact.signal.native_session, native, 0))
    agent.say(script({"text": "two"}))
    ended = agent.heard("turn.ended", 2)
    assert [event.meta.fact.signal.outcome for event in ended] == ["ok", "ok"]
    kaged.send(agent.id, b"", eof=True)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED


def test_a_model_that_fails_is_a_failed_turn_and_a_failed_agent_though_it_exits_with_0(start: Start) -> None:
    agent = start(script({"status": 500}))
    ended = agent.wait()
    assert ended.state == pb.AGENT_STATE_FAILED
    assert (ended.outcome.exit_code, ended.outcome.reason) == (0, "turn")
    (turn,) = agent.heard("turn.ended")
    assert turn.meta.fact.signal.outcome == "error"
    assert turn.body.signal.text
