"""Levels of approval on real agents of the Agent Client Protocol, whose own settings allow them everything."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2 as pb
from tests.agents.programs import Driven, needs, program
from tests.agents.test_acp import KINDS
from tests.e2e.daemon_kit import Kaged
from tests.fakes.scripted_model import ScriptedModel, script

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]


def _gemini(home: Path) -> None:
    file = home / ".gemini" / "settings.json"
    settings = json.loads(file.read_text())
    settings["general"]["defaultApprovalMode"] = "auto_edit"
    settings["tools"] = {"allowed": ["run_shell_command", "write_file"]}
    file.write_text(json.dumps(settings))


def _opencode(home: Path) -> None:
    file = home / ".config" / "opencode" / "opencode.json"
    settings = json.loads(file.read_text())
    settings["permission"] = "allow"
    file.write_text(json.dumps(settings))


def _claude(home: Path) -> None:
    (home / ".claude").mkdir(exist_ok=True)
    allowed = {"permissions": {"allow": ["Bash", "Write", "Edit", "Read"], "defaultMode": "acceptEdits"}}
    (home / ".claude" / "settings.json").write_text(json.dumps(allowed))


ALLOWING: Mapping[str, Callable[[Path], None]] = {
    "gemini": _gemini,
    "opencode": _opencode,
    "claude-agent-acp": _claude,
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in ALLOWING])
def test_an_agent_asks_nothing_that_its_own_settings_allow(
    kaged: Kaged, model: ScriptedModel, tmp_path: Path, name: str
) -> None:
    """Nothing in the protocol makes it ask: so no level but `none` is taken for these agents."""
    kind, home, work = KINDS[name], tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    environment = {"HOME": str(home), **kind.environment(model.url, home)}
    ALLOWING[name](home)
    agent = Driven(
        kaged,
        kaged.spawn(
            *(program(name), *kind.command[1:]),
            adapter="acp",
            goal=script(kind.write(work / "a.txt"), {"text": "Done."}),
            working_directory=str(work),
            environment=environment,
        ),
    )
    assert agent.wait().state == pb.AGENT_STATE_SUCCEEDED
    assert [path.name for path in work.iterdir()] == ["a.txt"]
    assert not agent.events("approval.requested")
