"""The tour of the README with the real Claude Code, as a person types it; only the model is scripted.

    python -m tests.agents.tour          prints what the README shows

A repository with three bugs, one agent with a goal: it may make two turns, and asks before it commits. While its
question is open the daemon and the agent are both killed. Nothing here waits for time to pass; every command is a real
process. `test_tour.py` says what must be true of it.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.agents.programs import program
from tests.demo.repository import GIT_ENV, Repository
from tests.fakes.scripted_model import ScriptedModel

GOAL: Final = "make the tests pass, and commit each fix"
GUIDANCE: Final = "the last one is in shop/pages.py: rounding up"
_CHECK: Final = "cmd: python3 -B -m unittest"
_BIN: Final = Path(sys.executable).parent


def _shell(words: str, **step: object) -> dict[str, object]:
    return {"tool": "Bash", "input": {"command": words, "description": "as asked"}, **step}


def _fix(job: str, edit: str) -> list[dict[str, object]]:
    return [_shell(f"cat shop/{job}.py"), _shell(f"sed -i '{edit}' shop/{job}.py", text=f"I see it: {edit}")]


_COMMIT: Final = _shell("git commit -am 'prices: subtract the discount'", text="I commit that.")
# What the model does when it hears these words: the goal, what it is told after a kill, and so on turn by turn.
MODEL: Final[Mapping[str, list[dict[str, object]]]] = {
    GUIDANCE: [*_fix("pages", "s/per_page - 2/per_page - 1/"), {"text": "Rounded up."}],
    "started again": [_shell("git status --short"), _COMMIT, {"text": "The first one is fixed."}],
    "(turn 1 of 2)": [*_fix("stock", "s/wanted < free/wanted <= free/"), {"text": "The second one is fixed."}],
    GOAL: [*_fix("prices", "s/price + price/price - price/"), _COMMIT, {"text": "The first one is fixed."}],
}


@dataclass(slots=True)
class Typed:
    """A command and what it printed."""

    command: str
    code: int
    output: str


class Tour:
    """A person's shell in the repository, and what was typed into it."""

    def __init__(self, home: Path, model_url: str) -> None:
        self.home = home
        self.typed: list[Typed] = []
        self.repository = Repository(home)
        self.repository.make()
        self._environment = {
            "PATH": f"{_BIN}:{Path(program('claude')).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            **GIT_ENV,
            "ANTHROPIC_API_KEY": "a-secret-key",
        }
        # What Claude Code is told about its model stands in its own settings, so that the commands are a user's.
        settings = home / ".claude" / "settings.json"
        settings.parent.mkdir()
        variables = {"ANTHROPIC_BASE_URL": model_url, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
        settings.write_text(json.dumps({"env": variables}), "utf-8")

    def type(self, line: str) -> str:
        """A line of shell; what it printed, errors included. It is kept for the transcript."""
        done = self._run(["/bin/sh", "-c", line], stderr=subprocess.STDOUT)
        self.typed.append(Typed(line, done.returncode, done.stdout))
        return done.stdout

    def git(self, *words: str) -> str:
        """Something about the repository that is not part of the tour."""
        return self._run(["git", *words], stderr=subprocess.PIPE).stdout.strip()

    def events(self, kind: str) -> list[Any]:
        """The agent's events of a kind, oldest first."""
        done = self._run(
            ["kagectl", "-o", "jsonl", "event", "list", "--agent", "fix", "--type", kind, "--limit", "1000"],
            stderr=subprocess.PIPE,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ask(self, *words: str) -> Any:
        """Something that is not part of the tour: kagectl, as JSON."""
        done = self._run(["kagectl", "-o", "json", *words], stderr=subprocess.PIPE)
        return json.loads(done.stdout or "null")

    def wait(self, state: str) -> Any:
        """Until the agent is in this state. Raises TimeoutError that shows the agent."""
        done = self._run(
            ["kagectl", "--timeout", "120s", "agent", "wait", "fix", "--for", state], stderr=subprocess.STDOUT
        )
        agent = self.ask("agent", "show", "fix")
        if agent["state"] != state:
            raise TimeoutError(f"it is not {state}: {done.stdout}\n{json.dumps(agent, indent=1)}")
        return agent

    def transcript(self) -> str:
        """All of it as a terminal shows it."""
        shown = "".join(f"$ {each.command}\n{each.output}" for each in self.typed)
        return shown.replace(str(self.home), "/home/ann")

    def _run(self, command: list[str], *, stderr: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.repository.main,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=150,
            check=False,
        )


@contextlib.contextmanager
def touring() -> Iterator[Tour]:
    """A home of its own; daemon and agents are gone at its end."""
    home = Path(tempfile.mkdtemp(prefix="kt-", dir="/tmp"))  # short: the path of a socket has 107 bytes at most
    with ScriptedModel(MODEL) as model:
        tour = Tour(home, model.url)
        try:
            yield tour
        finally:
            tour.ask("daemon", "start")
            tour.ask("daemon", "stop", "--stop-agents", "--within", "10s")
            shutil.rmtree(home, ignore_errors=True)


def walk(tour: Tour) -> None:
    """The tour, from the first command to the merge."""
    until_it_asks(tour)
    kill_both(tour)
    go_on(tour)


def until_it_asks(tour: Tour) -> None:
    """A daemon, an agent with a goal, its first question."""
    tour.type("kagectl daemon start")
    limits = f"--until {shlex.quote(_CHECK)} --max-iterations 2 --approve on-commit"
    tour.type(f"kagectl run -d {shlex.quote(GOAL)} --agent claude --name fix {limits} --secret ANTHROPIC_API_KEY")
    tour.wait("waiting")
    tour.type("kagectl approval list")


def kill_both(tour: Tour) -> None:
    """Daemon and agent at once; the next daemon starts the agent again in its session, and it asks again."""
    daemon, agent = tour.ask("daemon", "status")["pid"], tour.ask("agent", "show", "fix")["run"]["pid"]
    tour.type(f"kill -9 {daemon} {agent}")
    tour.type("kagectl ps")
    tour.type("kagectl daemon start")
    _again(tour)
    tour.type("kagectl ps")


def go_on(tour: Tour) -> None:
    """The answer, the limit, a person's words, the end, the merge."""
    tour.type("kagectl approval list")
    (question,) = tour.ask("approval", "list")
    tour.type(f"kagectl approval approve {question['id'][:8]} --note 'go on'")
    tour.wait("paused")
    tour.type("kagectl ps")
    tour.type(f"kagectl agent resume fix --add-iterations 3 --guidance {shlex.quote(GUIDANCE)}")
    tour.type("kagectl agent wait fix")
    tour.type("kagectl agent diff fix --stat")
    tour.type("kagectl agent merge fix")
    tour.type("python3 -B -m unittest 2>&1 | tail -1")


def _again(tour: Tour) -> None:
    """Until its second process has asked, too."""
    for _ in range(20):
        agent = tour.wait("waiting")
        if agent["run"]["attempt"] > 1:
            return
    raise TimeoutError("it was not started again")


def main() -> int:
    """Print the transcript."""
    if not program("claude"):
        sys.stderr.write("there is no claude here: make test-agents installs one\n")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with touring() as tour:
        try:
            walk(tour)
        finally:
            sys.stdout.write(tour.transcript())
    return 0


if __name__ == "__main__":
    sys.exit(main())
