"""The user's own lines around a workspace: setup after it is made, cleanup before it goes.

Run by `/bin/sh` in the workspace with the agent's environment, a time limit and no input. All output goes to a file
(a background process that keeps it open holds nobody up); its end is what is told. Killed as a group at its time or
when nobody wants it any more. A repeat after a crash runs the line again: setup lines must stand that.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kaged.domain.workspace import HookFailed
from kaged.workspace.process import Wish, never, run_child

SETUP_S: Final = 1800.0
CLEANUP_S: Final = 120.0
_TOLD_BYTES: Final = 8 << 10


def run_hook(
    name: str,
    line: str,
    folder: Path,
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    umask: int = -1,
    cancelled: Wish = never,
) -> str:
    """Run it; the end of what it printed. Raises HookFailed (a bad exit code, too late), Cancelled."""
    if not line.strip():
        return ""
    with tempfile.TemporaryFile() as output:
        try:
            done = run_child(
                ["/bin/sh", "-c", line],
                environment=environment,
                cwd=folder,
                into=output,
                timeout_s=timeout_s,
                umask=umask,
                cancelled=cancelled,
            )
        except OSError as error:
            raise HookFailed(name, f"could not be run: {error.strerror}", "") from error
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _TOLD_BYTES))
        told = output.read().decode("utf-8", "replace").strip()
    if done.late:
        raise HookFailed(name, f"was not done after {timeout_s:g} s and was killed", told)
    if done.code:
        raise HookFailed(
            name, f"ended with {done.code}" if done.code > 0 else f"was killed by signal {-done.code}", told
        )
    return told
