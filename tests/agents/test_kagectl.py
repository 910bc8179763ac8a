"""The documented way to run an agent: `kagectl run --agent KIND`, as a person types it."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.agents.programs import Driven, needs, program
from tests.agents.test_codex import CONFIG
from tests.e2e.daemon_kit import Kaged, eventually
from tests.fakes.scripted_model import ScriptedModel, script

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600)]


def kagectl(kaged: Kaged, *words: str, cwd: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run it to its end."""
    given = {"KAGE_SOCKET": str(kaged.socket), "KAGE_STATE_DIR": str(kaged.state), **environment}
    return subprocess.run(
        [sys.executable, "-m", "kagectl", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **given},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )


@needs("claude")
def test_run_agent_claude_works_on_its_goal_and_exits_as_it_does(
    kaged: Kaged, model: ScriptedModel, tmp_path: Path
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    environment = {
        "PATH": f"{Path(program('claude')).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "ANTHROPIC_API_KEY": "a-secret-key",
    }
    write = {"tool": "Write", "input": {"file_path": str(work / "a.txt"), "content": "hi\n"}}
    options = ["--secret", "ANTHROPIC_API_KEY", "-e", f"ANTHROPIC_BASE_URL={model.url}", "--name", "fix"]
    options += ["-e", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "--goal", script(write, {"text": "done"})]
    done: list[subprocess.CompletedProcess[str]] = []

    def run() -> None:
        words = ["run", "--agent", "claude", *options, "--", "--model", "opus"]
        done.append(kagectl(kaged, *words, cwd=work, environment=environment))

    thread = threading.Thread(target=run)
    thread.start()
    agent = Driven(kaged, "")
    agent.id = eventually(lambda: next((e.meta.agent for e in kaged.read('type = "agent.spawned"')), ""), "the agent")
    question = agent.asked()
    answered = kagectl(kaged, "approval", "approve", question.id, cwd=work, environment=environment)
    assert answered.returncode == 0, answered.stderr
    thread.join(200)
    assert done[0].returncode == 0, done[0].stderr
    assert (work / "a.txt").read_text() == "hi\n"
    assert all(body["model"].startswith("claude-opus") for body in model.bodies if body.get("tools"))
    shown = kagectl(kaged, "agent", "show", "fix", cwd=work, environment=environment)
    assert "claude-code" in shown.stdout
    assert "a-secret-key" not in shown.stdout


@needs("codex")
def test_an_agent_without_a_goal_waits_for_messages_and_ends_with_its_input(
    kaged: Kaged, model: ScriptedModel, tmp_path: Path
) -> None:
    for name in ("home", "work", "tmp"):
        (tmp_path / name).mkdir()
    plain = CONFIG.replace('approval_policy = "on-request"\nsandbox_mode = "read-only"\n', "")
    (tmp_path / "home" / "config.toml").write_text(plain.format(url=model.url))
    environment = {
        "PATH": f"{Path(program('codex')).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "CODEX_HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "SCRIPTED_KEY": "dummy",
    }

    def say(*words: str) -> "subprocess.CompletedProcess[str]":
        return kagectl(kaged, *words, cwd=tmp_path / "work", environment=environment)

    names = [word for name in ("CODEX_HOME", "TMPDIR", "SCRIPTED_KEY") for word in ("-e", name)]
    policy = ["-c", "approval_policy=on-request", "-c", "sandbox_mode=read-only"]
    started = say("run", "-d", "--name", "fix", "--agent", "codex", *names, "--", *policy)
    assert started.returncode == 0, started.stderr
    agent = Driven(kaged, started.stdout.strip())
    (session,) = agent.heard("session.started")
    assert '"approvalPolicy":"on-request"' in session.body.signal.data_json
    assert '"readOnly"' in session.body.signal.data_json
    for number, word in enumerate(("one", "two"), 1):
        told = say("agent", "send", "fix", "--message", script({"text": word}))
        assert told.returncode == 0, told.stderr
        agent.heard("turn.ended", number)
    assert say("agent", "send", "fix", "--eof").returncode == 0
    assert say("agent", "wait", "fix").returncode == 0
    assert [event.body.signal.text for event in agent.heard("message", 2)] == ["one", "two"]
    assert kaged.agent(agent.id).usage.turns == 2
