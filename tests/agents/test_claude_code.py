"""The real Claude Code under a real kaged; only the model is scripted."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kaged.adapters.claude_code import words as claude_words
from kaged.api.v1 import agent_service_pb2 as pb
from tests.agents.programs import LONG_S, Driven, needs, program
from tests.e2e.daemon_kit import Kaged, eventually
from tests.fakes.scripted_model import ScriptedModel, script

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600), needs("claude")]
Start = Callable[..., Driven]


@pytest.fixture
def start(kaged: Kaged, model: ScriptedModel, tmp_path: Path) -> Start:
    """Starts a Claude Code in an empty folder, with a home of its own."""

    def begin(goal: str = "", **spec: object) -> Driven:
        home, work = tmp_path / "home", tmp_path / "work"
        home.mkdir(exist_ok=True)
        work.mkdir(exist_ok=True)
        environment = {
            "HOME": str(home),
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": "dummy",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
        }
        agent = kaged.spawn(
            program("claude"),
            adapter="claude-code",
            goal=goal,
            working_directory=str(work),
            environment=environment,
            **spec,
        )
        return Driven(kaged, agent)

    return begin


def write(tmp_path: Path, name: str = "hello.txt") -> dict[str, object]:
    """A step that writes a file, which it must ask for."""
    path = tmp_path / "work" / name
    return {"text": "I write it.", "tool": "Write", "input": {"file_path": str(path), "content": "hello\n"}}


def test_a_goal_is_worked_on_under_an_approval_and_everything_is_in_the_journal(start: Start, tmp_path: Path) -> None:
    agent = start(script(write(tmp_path), {"text": "It is written."}))
    question = agent.asked()
    assert not (tmp_path / "work" / "hello.txt").exists()
    assert question.tool == "Write"
    assert question.title.endswith("hello.txt")
    agent.answer(approve=True)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert (tmp_path / "work" / "hello.txt").read_text() == "hello\n"
    assert agent.types() == [
        *("session.started", "turn.started", "message", "usage", "tool.requested", "tool.finished", "file.edited"),
        *("message", "usage", "usage", "turn.ended"),
    ]
    (session,) = agent.heard("session.started")
    assert session.meta.fact.signal.native_session == claude_words.session_of(f"{agent.id}.1")
    (finished,) = agent.heard("tool.finished")
    assert (finished.body.signal.tool, finished.meta.fact.signal.outcome) == ("Write", "ok")
    (ended,) = agent.heard("turn.ended")
    assert ended.meta.fact.signal.outcome == "ok"
    usage = agent.kaged.agent(agent.id).usage
    assert (usage.turns, usage.input_tokens, usage.output_tokens) == (1, 2100, 100)
    assert usage.cost_microusd > 0
    assert agent.told().count(b"Do what is written here.") == 1


def test_what_is_denied_does_not_happen_and_the_agent_hears_why(start: Start, tmp_path: Path) -> None:
    agent = start(script(write(tmp_path), {"text": "Then not."}))
    agent.answer(approve=False, note="use the other folder")
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert not (tmp_path / "work" / "hello.txt").exists()
    (finished,) = agent.heard("tool.finished")
    assert finished.meta.fact.signal.outcome == "denied"
    assert "use the other folder" in finished.body.signal.text


def test_a_question_of_its_gets_a_persons_words(start: Start) -> None:
    options = [{"label": "pg", "description": "Postgres"}, {"label": "my", "description": "MySQL"}]
    asked = {"question": "Which database?", "header": "DB", "multiSelect": False, "options": options}
    agent = start(script({"tool": "AskUserQuestion", "input": {"questions": [asked]}}, {"text": "So be it."}))
    question = agent.answer(approve=True, note="pg")
    assert question.kind == "question"
    assert question.title == "Which database?"
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    (finished,) = agent.heard("tool.finished")
    assert '"Which database?"="pg"' in finished.body.signal.text


def test_a_daemon_killed_in_mid_turn_comes_back_to_the_same_process_and_hears_everything_once(
    start: Start, kaged: Kaged, tmp_path: Path
) -> None:
    agent = start(script({"tool": "Bash", "input": {"command": "ls"}}, {"sleep": 1.5, "text": "slow"}, {"text": "end"}))
    agent.heard("tool.finished")
    pid = kaged.agent(agent.id).run.pid
    kaged.kill()
    kaged.start()
    assert kaged.agent(agent.id).run.pid == pid
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert [agent.types().count(kind) for kind in ("session.started", "turn.started", "turn.ended")] == [1, 1, 1]
    assert [event.body.signal.text.strip() for event in agent.events("signal.message")] == ["slow"]
    assert agent.told().count(b"Do what is written here.") == 1
    usage = kaged.agent(agent.id).usage
    assert (usage.input_tokens, usage.output_tokens) == (2100, 100)


def test_an_approval_outlives_a_kill_of_the_daemon_and_its_answer_is_heard(
    start: Start, kaged: Kaged, tmp_path: Path
) -> None:
    agent = start(script(write(tmp_path), write(tmp_path, "two.txt"), {"text": "both"}))
    before = agent.asked()
    kaged.restart()
    assert agent.asked() == before
    agent.answer(approve=True)
    eventually(lambda: (tmp_path / "work" / "hello.txt").exists(), "the file", LONG_S)
    eventually(lambda: agent.asked().id != before.id, "the next question", LONG_S)
    kaged.restart()
    agent.answer(approve=False, note="one is enough")
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert not (tmp_path / "work" / "two.txt").exists()
    outcomes = [event.meta.fact.signal.outcome for event in agent.heard("tool.finished")]
    assert outcomes == ["ok", "denied"]


def test_an_agent_killed_with_a_question_open_is_resumed_in_its_session_and_not_told_its_goal_again(
    start: Start, kaged: Kaged, tmp_path: Path
) -> None:
    restart = {"type": "RESTART_TYPE_TRANSIENT", "backoff_off": True}
    goal = script(write(tmp_path), {"text": "I see."})
    agent = start(goal, restart=restart)
    first = agent.asked()
    os.kill(kaged.agent(agent.id).run.pid, signal.SIGKILL)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert kaged.agent(agent.id).run.attempt == 2
    sessions = {event.meta.fact.signal.native_session for event in agent.heard("session.started", 2)}
    assert len(sessions) == 1
    assert agent.told().count(b"Do what is written here.") == 1
    assert b"started again" in agent.told()
    withdrawn = agent.events("approval.withdrawn")
    assert [event.meta.fact.approval_withdrawn.approval for event in withdrawn] == [first.id]
    turns = [event.meta.fact.signal.turn for event in agent.heard("turn.started", 2)]
    assert turns == [1, 2]


def test_an_agent_killed_before_its_model_ever_answered_goes_on_as_well(start: Start, kaged: Kaged) -> None:
    restart = {"type": "RESTART_TYPE_TRANSIENT", "backoff_off": True}
    # What an agent kept of the turn that was cut off may count as the model's turn: then the second step is played.
    agent = start(script({"sleep": 3, "text": "at last"}, {"text": "at last"}), restart=restart)
    agent.heard("turn.started")
    os.kill(kaged.agent(agent.id).run.pid, signal.SIGKILL)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    # Claude Code may not have kept the session yet: then a run finds that out, and the next begins another.
    lost = len(agent.events("signal.session.lost"))
    assert kaged.agent(agent.id).run.attempt == 2 + lost
    assert [event.body.signal.text.strip() for event in agent.heard("message")] == ["at last"]


def test_words_that_come_during_the_turn_of_a_goal_do_not_disturb_it(
    start: Start, kaged: Kaged, tmp_path: Path
) -> None:
    agent = start(script(write(tmp_path), {"text": "first"}))
    agent.asked()
    agent.say(script({"text": "second"}))
    agent.answer(approve=True)
    said = [event.body.signal.text.strip() for event in agent.heard("message", 2)]
    assert said == ["I write it.", "first"]
    agent.heard("turn.ended")
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED


def test_an_interrupt_ends_the_turn_and_the_agent_waits_for_new_words(
    start: Start, kaged: Kaged, tmp_path: Path
) -> None:
    agent = start(script(write(tmp_path), {"text": "never"}))
    question = agent.asked()
    agent.interrupt()
    (ended,) = agent.heard("turn.ended")
    assert ended.meta.fact.signal.outcome == "cancelled"
    assert [event.meta.fact.approval_withdrawn.approval for event in agent.events("approval.withdrawn")] == [
        question.id
    ]
    agent.say(script({"text": "something else"}))
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert [event.meta.fact.signal.outcome for event in agent.heard("turn.ended", 2)] == ["cancelled", "ok"]
    assert not (tmp_path / "work" / "hello.txt").exists()


def test_an_interrupt_ends_a_command_that_runs(start: Start, tmp_path: Path) -> None:
    agent = start(script({"tool": "Bash", "input": {"command": "sleep 600", "description": "wait"}}, {"text": "never"}))
    agent.heard("tool.requested")
    agent.interrupt()
    (ended,) = agent.heard("turn.ended")
    assert ended.meta.fact.signal.outcome == "cancelled"
    agent.say(script({"text": "something else"}))
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED


def test_an_interrupt_that_comes_when_the_turn_is_over_means_nothing(start: Start, kaged: Kaged) -> None:
    agent = start()
    agent.say(script({"text": "one"}))
    agent.heard("turn.ended")
    kaged.send(agent.id, claude_words.interrupt(0))
    agent.say(script({"text": "two"}))
    ended = agent.heard("turn.ended", 2)
    assert [event.meta.fact.signal.outcome for event in ended] == ["ok", "ok"]
    kaged.send(agent.id, b"", eof=True)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED


def test_a_model_that_fails_is_a_failed_turn_and_a_failed_agent(start: Start) -> None:
    agent = start(script({"status": 529}))
    ended = agent.wait()
    assert ended.state == pb.AGENT_STATE_FAILED
    assert ended.outcome.exit_code == 1
    (turn,) = agent.heard("turn.ended")
    assert turn.meta.fact.signal.outcome == "error"
    assert "529" in turn.body.signal.text
    assert "error" in agent.types()


def test_usage_of_a_resumed_session_is_not_counted_twice(start: Start, kaged: Kaged) -> None:
    agent = start(script({"text": "one"}))
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    first = kaged.agent(agent.id).usage
    kaged.agents.RestartAgent(pb.RestartAgentRequest(agent=agent.id), timeout=LONG_S)
    agent.heard("turn.ended", 2)
    agent.wait()
    both = kaged.agent(agent.id).usage
    assert (first.input_tokens, first.output_tokens) == (1000, 50)
    assert both.output_tokens == 100
    assert both.input_tokens == first.input_tokens + 1100
    assert both.cost_microusd < 2.5 * first.cost_microusd
