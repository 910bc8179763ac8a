"""Levels of approval on real agent programs: nothing is written before the answer, whatever their own settings allow.

Each program gets a home whose settings allow it everything, as a person has who usually works without Kage.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import approval_service_pb2 as approvals_pb
from kaged.api.v1 import spec_pb2
from tests.agents.programs import LONG_S, Driven, needs, program
from tests.e2e.daemon_kit import Kaged, eventually
from tests.fakes.scripted_model import ScriptedModel, script
from tests.integration.workspace.repositories import repository

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600)]
Step = dict[str, object]
Start = Callable[..., Driven]

CODEX = """
model = "scripted"
model_provider = "scripted"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "SCRIPTED_KEY"
request_max_retries = 1
stream_max_retries = 1
"""
CLAUDE = {"permissions": {"allow": ["Bash", "Write", "Edit", "Read"], "defaultMode": "acceptEdits"}}


@pytest.fixture
def start(kaged: Kaged, model: ScriptedModel, tmp_path: Path) -> Start:
    """Starts a program in a folder, with a home that allows it everything."""
    home = tmp_path / "home"
    (home / ".claude").mkdir(parents=True)
    (home / "tmp").mkdir()
    (home / ".claude" / "settings.json").write_text(json.dumps(CLAUDE))
    (home / "config.toml").write_text(CODEX.format(url=model.url))
    common = {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **{f"GIT_{who}_{what}": "x@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    own = {
        "claude": {
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": "dummy",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
        },
        "codex": {"CODEX_HOME": str(home), "TMPDIR": str(home / "tmp"), "SCRIPTED_KEY": "dummy"},
    }

    def begin(name: str, goal: str, level: str, folder: Path, **spec: object) -> Driven:
        agent = kaged.spawn(
            *((program("codex"), "app-server") if name == "codex" else (program(name),)),
            adapter="codex" if name == "codex" else "claude-code",
            goal=goal,
            working_directory=str(folder),
            environment={**common, **own[name]},
            guard=spec_pb2.Guard(approve=level),
            **spec,
        )
        return Driven(kaged, agent)

    return begin


def shell(name: str, line: str) -> Step:
    if name == "codex":
        return {"tool": "exec_command", "input": {"cmd": line}}
    return {"tool": "Bash", "input": {"command": line, "description": "as told"}}


def write(name: str, path: Path) -> Step:
    """A new file with one line, by the program's own way to edit."""
    if name == "codex":
        patch = f"*** Begin Patch\n*** Add File: {path.name}\n+hello\n*** End Patch"
        return {"tool": "exec_command", "input": {"cmd": f"apply_patch <<'EOP'\n{patch}\nEOP"}}
    return {"tool": "Write", "input": {"file_path": str(path), "content": "hello\n"}}


def after(agent: Driven, seen: str) -> approvals_pb.Approval:
    """The open question, once it is another one."""
    return eventually(lambda: found if (found := agent.asked()).id != seen else None, "another question", LONG_S)


PROGRAMS = [pytest.param(name, marks=needs(name)) for name in ("claude", "codex")]
LEVELS = [
    pytest.param("claude", "on-write", marks=needs("claude")),
    pytest.param("claude", "always", marks=needs("claude")),
    pytest.param("codex", "on-write", marks=needs("codex")),
]


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_nothing_is_written_before_the_answer_and_a_denial_reaches_the_agent(
    start: Start, tmp_path: Path, name: str, level: str
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    steps = [
        *(write(name, folder / "no.txt"), write(name, folder / "yes.txt")),
        *(shell(name, "touch no-shell.txt"), shell(name, "touch yes-shell.txt")),
    ]
    agent = start(name, script(*steps, {"text": "All four."}), level, folder)
    there: list[str] = []
    seen = ""
    for wanted in ("no.txt", "yes.txt", "no-shell.txt", "yes-shell.txt"):
        question = after(agent, seen)
        seen = question.id
        assert wanted in question.title + question.data_json
        assert question.rule == f"approve.{level}"
        assert sorted(path.name for path in folder.iterdir()) == sorted(there)
        agent.answer(approve=wanted.startswith("yes"), note="" if wanted.startswith("yes") else "not this one")
        there += [wanted] if wanted.startswith("yes") else []
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert sorted(path.name for path in folder.iterdir()) == sorted(there)
    outcomes = [event.meta.fact.signal.outcome for event in agent.heard("tool.finished", 4)]
    assert outcomes == ["denied", "ok", "denied", "ok"]
    assert not agent.events("guardrail.judged")  # nothing was found afterwards


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_commit_waits_for_a_person_and_one_out_of_a_script_is_refused_by_git(
    start: Start, kaged: Kaged, tmp_path: Path, name: str
) -> None:
    folder = repository(tmp_path / "work", **{"commit.sh": "echo 1 > by-script; git add .; git commit -m sneaky\n"})
    steps = (shell(name, "sh commit.sh"), shell(name, "git commit --allow-empty -m asked"), {"text": "So it is."})
    agent = start(
        name, script(*steps), "on-commit", folder,
        workspace=spec_pb2.Workspace(kind=spec_pb2.WORKSPACE_KIND_WORKTREE),
    )  # fmt: skip
    question = agent.asked()
    assert "git commit" in question.title + question.data_json
    assert question.rule == "approve.on-commit"
    place = kaged.agent(agent.id).workspace.path
    assert (Path(place) / "by-script").exists()  # no person was asked about that

    def commits() -> list[str]:
        done = subprocess.run(["git", "log", "--format=%s"], cwd=place, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert commits() == ["first"]
    agent.answer(approve=True)
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert commits() == ["asked", "first"]
