"""What an installation does, as values: so that it can be shown, compared and tested without being done.

    plan -> [Write, Remove, Run, Say ...] -> shown (`--dry-run`) or done, one after the other, each with a word of what
    became of it

Every step may be done again: a file that is as it should be is left alone. A step that fails ends the rest; what was
done stays, and the same command goes on from there. Deliberately not here: which steps (`systemd.py`, `launchd.py`).
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kagectl.errors import REFUSED, UNAVAILABLE, Complaint
from kagectl.service.seal import Whose, sealed, whose

_COMMAND_S = 60.0
_AGAIN_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder that has to be there."""

    path: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A file, whole; `text` without its seal; `packaged`: what somebody may have copied there by hand."""

    path: str
    text: str
    packaged: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A file of ours that has to go; `text`: what it would hold, to see whether somebody changed it."""

    path: str
    text: str = ""
    packaged: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A command. `may_fail`: it is tried, and nothing hangs on it. `again_s`: launchd says no while it still works
    on the last order; ask again for so long. `hint`: what to do when it fails."""

    command: tuple[str, ...]
    may_fail: bool = False
    again_s: float = 0.0
    hint: str = ""


Step = Folder | Write | Remove | Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a step: `word` is past (`wrote`), or future in a dry run (`would write`)."""

    word: str
    what: str
    text: str = ""


def show(step: Step) -> Done:
    """What would become of a step, and for a file its whole text."""
    match step:
        case Folder(path=path):
            return Done(word="would leave" if os.path.isdir(path) else "would make", what=path)
        case Write(path=path, text=text):
            match _whose(step):
                case "same":
                    return Done(word="would leave", what=path)
                case "edited":
                    return Done(word="would refuse", what=f"{path}: somebody changed it (--force)", text=sealed(text))
                case _:
                    return Done(word="would write", what=path, text=sealed(text))
        case Remove(path=path):
            return Done(word="would remove" if os.path.lexists(path) else "would find gone", what=path)
        case Run(command=command):
            return Done(word="would run", what=" ".join(command))


def check(steps: Sequence[Step], *, force: bool) -> None:
    """Before anything is done. Raises Complaint: a file was changed by somebody, and `force` was not said."""
    for step in steps:
        if isinstance(step, Write | Remove) and not force and _whose(step) == "edited":
            raise Complaint(
                f"{step.path} was changed since kagectl wrote it, or somebody else wrote it",
                hint="changes of your own belong into a drop-in (systemctl edit); --force keeps a backup and goes on",
                exit_code=REFUSED,
            )


def do(step: Step, environ: Mapping[str, str]) -> Done:
    """Do one step. Raises Complaint when it fails."""
    try:
        match step:
            case Folder(path=path, mode=mode):
                if os.path.isdir(path):
                    return Done(word="unchanged", what=path)
                os.makedirs(path, mode=mode)
                return Done(word="made", what=path)
            case Write(path=path, text=text):
                found = _whose(step)
                if found == "same":
                    return Done(word="unchanged", what=path)
                kept = _keep_backup(path) if found == "edited" else ""
                _replace(path, sealed(text))
                return Done(word="wrote", what=path + kept)
            case Remove(path=path):
                kept = _keep_backup(path) if _whose(step) == "edited" else ""
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    return Done(word="gone", what=path + kept)
                if path.endswith(".service.d/kage.conf"):
                    with contextlib.suppress(OSError):  # other drop-ins
                        os.rmdir(os.path.dirname(path))
                return Done(word="removed", what=path)
            case Run():
                return _run(step, environ)
    except PermissionError as error:
        raise Complaint(
            f"{error.filename}: {error.strerror}", hint="the system forms need root: sudo", exit_code=REFUSED
        ) from None
    except OSError as error:
        raise Complaint(f"{error.filename}: {error.strerror}", exit_code=UNAVAILABLE) from None


def changes(steps: Sequence[Step]) -> bool:
    """Whether a file is going to be another one."""
    return any(_whose(step) != "same" for step in steps if isinstance(step, Write))


def answer(command: Sequence[str], environ: Mapping[str, str], timeout_s: float = 10.0) -> tuple[int, str]:
    """Exit code and output of a command that only asks; (127, "") when there is no such program or no answer."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            env=dict(environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        return 127, ""
    return done.returncode, done.stdout


def _run(step: Run, environ: Mapping[str, str], pause: Callable[[float], None] = time.sleep) -> Done:
    shown = " ".join(step.command)
    deadline = time.monotonic() + step.again_s
    while True:
        try:
            done = subprocess.run(
                step.command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_COMMAND_S,
                check=False,
                env=dict(environ),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Complaint(f"{shown}: {error}", hint=step.hint, exit_code=UNAVAILABLE) from None
        if done.returncode == 0:
            return Done(word="ran", what=shown)
        if step.may_fail:
            return Done(word="tried", what=shown)
        if time.monotonic() >= deadline:
            lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            said = [line for line in lines if not line.startswith('See "systemctl')]  # we look there ourselves
            raise Complaint(
                f"{shown} failed: {said[-1].strip() if said else f'exit code {done.returncode}'}",
                hint=step.hint,
                exit_code=UNAVAILABLE,
            )
        pause(_AGAIN_S)


def _whose(step: Write | Remove) -> Whose:
    try:
        there: str | None = Path(step.path).read_text("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        there = None
    return whose(there, step.text, step.packaged)


def _keep_backup(path: str) -> str:
    """Put a changed file aside; how to say so."""
    number = 1
    while os.path.lexists(backup := f"{path}.saved-{number}"):
        number += 1
    os.rename(path, backup)
    return f" (the changed one is {os.path.basename(backup)})"


def _replace(path: str, text: str) -> None:
    """All of it or nothing, whatever happens meanwhile."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    partial = f"{path}.partial"
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(partial, 0o644)  # launchd and systemd read it, whatever our umask
    os.replace(partial, path)
