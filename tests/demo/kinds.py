"""The kinds of agent that the demo can run: the scripted one that ships with it, or an installed Claude Code.

A kind says how to start one agent on one job: options of `kagectl run`, and the command. All of them work in turns
towards a goal, in a worktree of their own, and ask before they commit. Every command leaves a copy of its output in
`transcript.out` and `transcript.err` that Kage has nothing to do with.

Claude Code is started as `kagectl run --agent claude` would start it, behind `tee` for the copy. It needs its key or
its sign-in: variables that begin with ANTHROPIC_ or CLAUDE_ go along, those that hold keys as secrets.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

AGENT_SCRIPT: Final = Path(__file__).with_name("agent.py")
_CLAUDE_GOAL: Final = (
    "tests/test_{job}.py fails because of one bug in shop/{job}.py. Fix that bug, nothing else. Run "
    "`python3 -B -m unittest tests.test_{job}` until it passes, then commit with `git commit -am '{job}: fix the bug'`."
)
# `tee` keeps the copies; the agent's own exit code is the one that counts. Its input is Kage's.
_TEE: Final = 'set -o pipefail; copy="$1"; shift; "$@" 2> >(tee "$copy.err" >&2) | tee "$copy.out"'
_PASSED_ON: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")
_OUTER: Final = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT")  # of a Claude Code around us


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One agent's part: its goal in words, options of `kagectl run`, its command."""

    goal: str
    options: tuple[str, ...]
    command: tuple[str, ...]


class Missing(Exception):
    """The chosen agent is not installed."""


def scripted(job: str, transcript: Path) -> Task:
    """The agent of `agent.py`, over jsonl. The hard job gets two turns, so that its limit is seen."""
    turns = "2" if job == "pages" else "5"
    arguments = ("--test", f"tests.test_{job}", "--transcript", str(transcript))
    return Task(
        goal=f"make tests.test_{job} pass",
        options=("--adapter", "jsonl", "--max-iterations", turns),
        command=(sys.executable, str(AGENT_SCRIPT), *arguments),
    )


def claude(job: str, transcript: Path) -> Task:
    """Claude Code. It reads, edits and tests by itself; a person is asked before the commit."""
    found = {name: shutil.which(name) for name in ("claude", "bash", "tee")}
    for name, path in found.items():
        if path is None:
            raise Missing(
                f"AGENT=claude needs the `{name}` program on PATH, and it is not there. "
                "Install Claude Code and sign in (or set ANTHROPIC_API_KEY), or run `make demo` without AGENT."
            )
    options = ["--adapter", "claude-code", "--max-iterations", "5", "--max-cost", "2usd", "--wall-time", "10m"]
    options += ["--inherit", *_environment(os.environ)]
    words = (str(found["bash"]), "-c", _TEE, "claude", str(transcript), str(found["claude"]))
    return Task(goal=_CLAUDE_GOAL.format(job=job), options=tuple(options), command=words)


def _environment(here: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(here):
        ours = name.startswith(("ANTHROPIC_", "CLAUDE_")) or name.upper() in _PASSED_ON
        if ours and name not in _OUTER:
            yield "--secret" if "KEY" in name or "TOKEN" in name else "-e"
            yield name


KINDS: Final[Mapping[str, Callable[[str, Path], Task]]] = {"scripted": scripted, "claude": claude}
