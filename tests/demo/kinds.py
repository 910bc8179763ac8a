"""The kinds of agent that the demo can run: the scripted one that ships with it, or an installed `claude`.

A kind says how to start one agent on one job: the words for `kagectl run`, and the command.
Every command leaves a copy of its output in `transcript.out` (and `.err`) that Kage has nothing to do with.
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

AGENT_SCRIPT: Final = Path(__file__).with_name("agent.py")
_PROMPT: Final = (
    "The test tests/test_{job}.py fails because of a bug in shop/{job}.py. Fix the bug in shop/{job}.py, nothing else. "
    "Run `python3 -m unittest tests.test_{job}` until it passes, then commit with git."
)
# `tee` keeps the copy; the agent's own exit code is the one that counts.
_TEE: Final = 'set -o pipefail; copy="$1"; shift; "$@" 2>&1 </dev/null | tee "$copy"'

Command = tuple[list[str], list[str]]  # options of `kagectl run`, command


class Missing(Exception):
    """The chosen agent is not installed."""


def scripted(job: str, transcript: Path) -> Command:
    """The agent of `agent.py`, over jsonl."""
    arguments = ["--test", f"tests.test_{job}", "--transcript", str(transcript)]
    return ["--adapter", "jsonl"], [sys.executable, str(AGENT_SCRIPT), *arguments]


def claude(job: str, transcript: Path) -> Command:
    """Claude Code without a terminal, as a plain command."""
    program = shutil.which("claude")
    bash = shutil.which("bash")
    if program is None or bash is None:
        missing = "claude" if program is None else "bash"
        raise Missing(
            f"AGENT=claude needs the `{missing}` program on PATH, and it is not there. "
            "Install Claude Code and log in, or run `make demo` without AGENT."
        )
    command = [program, "-p", _PROMPT.format(job=job), "--permission-mode", "acceptEdits"]
    command += [
        "--allowedTools",
        "Read,Edit,Bash(git:*),Bash(python3:*)",
        "--verbose",
        "--output-format",
        "stream-json",
    ]
    options = ["--wall-time", "5m", "--inherit"]
    return options, [bash, "-c", _TEE, "claude", str(transcript.with_suffix(".out")), *command]


KINDS: Final[Mapping[str, Callable[[str, Path], Command]]] = {"scripted": scripted, "claude": claude}
