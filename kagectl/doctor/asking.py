"""Programs that only tell something, asked within a time: never a hang, never a process left behind."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a program answered. `code` None: it could not be started, or did not answer in time (`why`)."""

    code: int | None = None
    text: str = ""
    why: str = ""


def ask(command: Sequence[str], env: Mapping[str, str], *, timeout_s: float) -> Said:
    """Run a program, its standard input empty; both outputs together. What it started goes with it after the time."""
    try:
        process = subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Said(why=getattr(error, "strerror", None) or str(error))
    try:
        out, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return Said(why=f"it did not answer in {timeout_s:g} s")
    finally:
        with contextlib.suppress(OSError):  # also of one that ended and left something in its session
            os.killpg(process.pid, signal.SIGKILL)
        if process.returncode is None:
            process.kill()
        if process.stdout is not None:
            process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
    return Said(code=process.returncode, text=out.decode("utf-8", "replace"))
