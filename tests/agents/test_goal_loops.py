"""Real agents that work at a goal turn after turn: judged between turns, paused in the middle of one, resumed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import goal_pb2
from tests.agents import test_acp, test_codex
from tests.agents.programs import LONG_S, Driven, needs, program
from tests.e2e.daemon_kit import Kaged, eventually
from tests.fakes.scripted_model import ScriptedModel, script

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600)]
Step = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An agent that may do what it wants: nobody is asked here."""

    program: str
    adapter: str
    arguments: tuple[str, ...]
    environment: Callable[[str, Path], Mapping[str, str]]
    shell: Callable[[str], Step]
    one_process: bool = True  # whether its turns are those of one process


def _codex(url: str, home: Path) -> Mapping[str, str]:
    (home / "config.toml").write_text(test_codex.CONFIG.format(url=url))
    (home.parent / "tmp").mkdir(exist_ok=True)
    return {"CODEX_HOME": str(home), "TMPDIR": str(home.parent / "tmp"), "SCRIPTED_KEY": "dummy"}


def _claude_shell(words: str) -> Step:
    return {"tool": "Bash", "input": {"command": words, "description": "as told"}}


def _codex_shell(words: str) -> Step:
    return {"tool": "exec_command", "input": {"cmd": words}}


_CODEX_FREE = ("-c", "approval_policy=never", "-c", "sandbox_mode=danger-full-access")
KINDS = {
    "claude": Kind(
        program="claude",
        adapter="claude-code",
        arguments=("--permission-mode", "acceptEdits"),
        environment=test_acp.KINDS["claude-agent-acp"].environment,
        shell=_claude_shell,
    ),
    "codex": Kind(
        program="codex",
        adapter="codex",
        arguments=("app-server", *_CODEX_FREE),
        environment=_codex,
        shell=_codex_shell,
    ),
    "codex-exec": Kind(
        program="codex",
        adapter="codex-exec",
        arguments=("exec", "--skip-git-repo-check", *_CODEX_FREE),
        environment=_codex,
        shell=_codex_shell,
        one_process=False,
    ),
    "copilot": Kind(
        program="copilot",
        adapter="acp",
        arguments=("--acp", "--allow-all-tools"),
        environment=test_acp.KINDS["copilot"].environment,
        shell=test_acp.KINDS["copilot"].shell,
    ),
}
Start = Callable[..., Driven]
MADE = goal_pb2.Criterion(file_exists="b.txt")


def each_kind(*names: str) -> pytest.MarkDecorator:
    """A test of these kinds."""
    return pytest.mark.parametrize("name", [pytest.param(name, marks=needs(KINDS[name].program)) for name in names])


@pytest.fixture
def start(kaged: Kaged, model: ScriptedModel, tmp_path: Path) -> Start:
    """Starts an agent of a kind that works until there is a file `b.txt`."""

    def begin(name: str, *steps: Step) -> Driven:
        kind, home, work = KINDS[name], tmp_path / "home", tmp_path / "work"
        home.mkdir()
        work.mkdir()
        agent = kaged.spawn(
            *(program(kind.program), *kind.arguments),
            adapter=kind.adapter,
            goal=script(*steps),
            loop=goal_pb2.GoalLoop(success=[MADE], limits=goal_pb2.GoalLimits(iterations=5)),
            working_directory=str(work),
            environment={"HOME": str(home), **kind.environment(model.url, home)},
        )
        return Driven(kaged, agent)

    return begin


def sessions(agent: Driven) -> set[str]:
    """Native sessions that it had."""
    return {event.meta.fact.signal.native_session for event in agent.events("signal.session.started")}


@each_kind("claude", "codex", "codex-exec", "copilot")
def test_turns_follow_each_other_in_one_session_until_the_criterion_holds(
    start: Start, kaged: Kaged, name: str
) -> None:
    shell = KINDS[name].shell
    agent = start(name, shell("touch a.txt"), {"text": "one"}, shell("touch b.txt"), {"text": "two"})
    ended = agent.wait()
    assert (ended.state, ended.outcome.reason) == (pb.AGENT_STATE_SUCCEEDED, "goal")
    assert (ended.progress.iterations, ended.usage.turns) == (2, 2)
    assert (ended.run.attempt == 1) == KINDS[name].one_process
    assert len(sessions(agent)) == 1
    if KINDS[name].one_process:
        assert agent.told().count(b"Do what is written here.") == 1


@each_kind("claude", "codex", "copilot")
def test_one_that_is_paused_in_the_middle_of_a_command_goes_on_with_a_persons_words(
    start: Start, kaged: Kaged, name: str
) -> None:
    shell = KINDS[name].shell
    agent = start(name, shell("sleep 600"), {"text": "never"})
    agent.heard("tool.started" if name == "codex" else "tool.requested")
    kaged.agents.PauseAgent(pb.PauseAgentRequest(agent=agent.id, now=True), timeout=LONG_S)
    eventually(lambda: kaged.agent(agent.id).state == pb.AGENT_STATE_PAUSED, "the pause", LONG_S)
    (ended,) = agent.heard("turn.ended")
    assert ended.meta.fact.signal.outcome == "cancelled"
    words = script(shell("touch b.txt"), {"text": "there"})
    kaged.agents.ResumeAgent(pb.ResumeAgentRequest(agent=agent.id, guidance=words), timeout=LONG_S)
    done = agent.wait()
    assert (done.state, done.outcome.reason, done.run.attempt) == (pb.AGENT_STATE_SUCCEEDED, "goal", 1)
    assert len(sessions(agent)) == 1
