"""Real agents that speak the Agent Client Protocol, under a real kaged; only the model is scripted."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from kaged.adapters.acp import words
from kaged.api.v1 import agent_service_pb2 as pb
from tests.agents.programs import LONG_S, Driven, needs, program
from tests.e2e.daemon_kit import Kaged, eventually
from tests.fakes.scripted_model import ScriptedModel, script

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600)]
Step = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One agent: how it is started, how it is pointed at a model, and how its tools are called."""

    command: tuple[str, ...]
    environment: Callable[[str, Path], Mapping[str, str]]
    write: Callable[[Path], Step]
    shell: Callable[[str], Step]
    loads: bool  # whether a killed session can be loaded again
    goes_on: bool  # whether a refusal leaves it in its turn


def _gemini(url: str, home: Path) -> Mapping[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True},
    }
    (home / ".gemini").mkdir(exist_ok=True)
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    return {
        "GEMINI_API_KEY": "dummy",
        "GOOGLE_GEMINI_BASE_URL": url,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "GEMINI_CLI_NO_RELAUNCH": "true",
        "GEMINI_MODEL": "gemini-2.5-flash",
    }


def _opencode(url: str, home: Path) -> Mapping[str, str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{url}/v1", "apiKey": "dummy"},
        "models": {"scripted": {"name": "scripted", "limit": {"context": 100000, "output": 8000}}},
    }
    config = {
        "provider": {"fake": provider},
        "model": "fake/scripted",
        "small_model": "fake/scripted",
        "autoupdate": False,
        "permission": {"edit": "ask", "bash": "ask"},
    }
    folder = home / ".config" / "opencode"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "opencode.json").write_text(json.dumps(config))
    return {}


def _claude(url: str, home: Path) -> Mapping[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


def _copilot(url: str, home: Path) -> Mapping[str, str]:
    return {
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
        "COPILOT_PROVIDER_API_KEY": "dummy",
        "COPILOT_MODEL": "scripted",
        "COPILOT_OFFLINE": "true",
    }


def _step(tool: str, **given: object) -> Step:
    return {"tool": tool, "input": given}


KINDS: dict[str, Kind] = {
    "claude-agent-acp": Kind(
        command=("claude-agent-acp",),
        environment=_claude,
        write=lambda path: _step("Write", file_path=str(path), content="hi\n"),
        shell=lambda words: _step("Bash", command=words, description="as told"),
        loads=True,
        goes_on=True,
    ),
    "copilot": Kind(
        command=("copilot", "--acp"),
        environment=_copilot,
        write=lambda path: _step("create", path=str(path), file_text="hi\n"),
        shell=lambda words: _step("bash", command=words, description="as told"),
        loads=True,
        goes_on=False,
    ),
    "gemini": Kind(
        command=("gemini", "--acp"),
        environment=_gemini,
        write=lambda path: _step("write_file", file_path=str(path), content="hi\n"),
        shell=lambda words: _step("run_shell_command", command=words),
        loads=False,
        goes_on=True,
    ),
    "opencode": Kind(
        command=("opencode", "acp"),
        environment=_opencode,
        write=lambda path: _step("write", filePath=str(path), content="hi\n"),
        shell=lambda words: _step("bash", command=words, description="as told"),
        loads=True,
        goes_on=False,
    ),
}
each_kind = pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in KINDS])
Start = Callable[..., Driven]


@pytest.fixture
def start(kaged: Kaged, model: ScriptedModel, tmp_path: Path) -> Start:
    """Starts an agent of a kind in an empty folder, with a home of its own."""

    def begin(name: str, goal: str = "", **spec: object) -> Driven:
        kind, home, work = KINDS[name], tmp_path / "home", tmp_path / "work"
        home.mkdir(exist_ok=True)
        work.mkdir(exist_ok=True)
        agent = kaged.spawn(
            *(program(name), *kind.command[1:]),
            adapter="acp",
            goal=goal,
            working_directory=str(work),
            environment={"HOME": str(home), **kind.environment(model.url, home)},
            **spec,
        )
        return Driven(kaged, agent)

    return begin


def said_by(agent: Driven) -> list[str]:
    """What its model said; Copilot says notes of its own in the same voice."""
    said = [event.body.signal.text.strip() for event in agent.events("signal.message")]
    return [text for text in said if not text.startswith("Info: ")]


@each_kind
def test_a_goal_is_worked_on_under_approvals(start: Start, tmp_path: Path, name: str) -> None:
    kind, work = KINDS[name], tmp_path / "work"
    agent = start(name, script(kind.write(work / "a.txt"), kind.shell("touch b.txt"), {"text": "One of two."}))
    first = agent.asked()
    assert not (work / "a.txt").exists()
    assert "a.txt" in first.title + first.data_json
    agent.answer(approve=True)
    eventually(lambda: agent.asked().id != first.id, "the second question", LONG_S)
    second = agent.answer(approve=False)
    assert "touch b.txt" in second.title + second.data_json
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert [path.name for path in work.iterdir()] == ["a.txt"]
    assert (work / "a.txt").read_text() == "hi\n"
    assert [agent.types().count(heard) for heard in ("session.started", "turn.started", "turn.ended")] == [1, 1, 1]
    (ended,) = agent.heard("turn.ended")
    assert ended.meta.fact.signal.outcome == "ok"
    assert said_by(agent) == (["One of two."] if kind.goes_on else [])
    assert "garbled" not in agent.types()


@each_kind
def test_an_approval_outlives_a_kill_of_the_daemon(start: Start, kaged: Kaged, tmp_path: Path, name: str) -> None:
    kind, work = KINDS[name], tmp_path / "work"
    agent = start(name, script(kind.write(work / "a.txt"), {"sleep": 1.0, "text": "slow"}))
    before = agent.asked()
    pid = kaged.agent(agent.id).run.pid
    kaged.restart()
    assert agent.asked() == before
    agent.answer(approve=True)
    eventually(lambda: (work / "a.txt").exists(), "the file", LONG_S)
    kaged.restart()
    assert kaged.agent(agent.id).run.pid == pid
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    agent.heard("message")
    assert said_by(agent) == ["slow"]
    assert agent.told().count(b"Do what is written here.") == 1


@each_kind
def test_an_interrupt_withdraws_the_question_and_the_agent_waits_for_new_words(
    start: Start, kaged: Kaged, tmp_path: Path, name: str
) -> None:
    kind, work = KINDS[name], tmp_path / "work"
    agent = start(name, script(kind.write(work / "a.txt"), {"text": "never"}))
    question = agent.asked()
    agent.interrupt()
    (ended,) = agent.heard("turn.ended")
    assert ended.meta.fact.signal.outcome == "cancelled"
    withdrawn = [event.meta.fact.approval_withdrawn.approval for event in agent.events("approval.withdrawn")]
    assert withdrawn == [question.id]
    agent.say(script({"text": "something else"}))
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert [event.meta.fact.signal.outcome for event in agent.heard("turn.ended", 2)] == ["cancelled", "ok"]
    assert not (work / "a.txt").exists()


@each_kind
def test_an_interrupt_that_comes_when_the_turn_is_over_means_nothing(start: Start, kaged: Kaged, name: str) -> None:
    agent = start(name)
    (session,) = agent.heard("session.started")
    agent.say(script({"text": "one"}))
    agent.heard("turn.ended")
    kaged.send(agent.id, words.cancel(session.meta.fact.signal.native_session))
    agent.say(script({"text": "two"}))
    ended = agent.heard("turn.ended", 2)
    assert [event.meta.fact.signal.outcome for event in ended] == ["ok", "ok"]


@each_kind
def test_a_killed_agent_goes_on_in_its_session_where_it_can(
    start: Start, kaged: Kaged, tmp_path: Path, name: str
) -> None:
    kind, work = KINDS[name], tmp_path / "work"
    if not kind.loads:
        pytest.skip(f"{name} destroys a session that it loads (docs/agents.md)")
    restart = {"type": "RESTART_TYPE_TRANSIENT", "backoff_off": True}
    agent = start(name, script(kind.write(work / "a.txt"), {"text": "I see."}), restart=restart)
    agent.asked()
    os.kill(kaged.agent(agent.id).run.pid, signal.SIGKILL)
    eventually(lambda: kaged.agent(agent.id).run.attempt == 2, "the second run", LONG_S)
    agent.heard("turn.ended")
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    sessions = {event.meta.fact.signal.native_session for event in agent.heard("session.started", 2)}
    assert len(sessions) == 1
    assert agent.told().count(b"Do what is written here.") == 1
    assert agent.types().count("turn.started") == 2
