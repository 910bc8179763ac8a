"""Running git so that it cannot surprise: our words only, no prompt, no pager, no hook, bounded in time.

Nothing of the daemon's own `GIT_*` reaches it. Hooks, file system monitors and background maintenance are off: what
Kage does in a repository must not start what others wrote there, and must be over when it says so. The user's
configuration holds otherwise, because filters (LFS, line ends) are part of what a checkout is. Refusals come back in
git's own words, in English. Blocks; called in threads. Not here: what the commands mean.
"""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from kaged.domain.workspace import GitFailed, WorkspaceRefused
from kaged.workspace.process import Done, Wish, never, run_child

QUICK_S: Final = 120.0
LONG_S: Final = 3600.0  # a checkout of a large repository, with LFS
_ALWAYS: Final = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "core.untrackedCache=keep",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
    "-c", "advice.detachedHead=false",
    "-c", "core.quotePath=false",
    "-c", "core.safecrlf=false",
    "-c", "credential.helper=",
    "-c", "protocol.ext.allow=never",
)  # fmt: skip
_SAID_BYTES: Final = 2000
_TRIES: Final = 6
_PAUSE_S: Final = 0.05
# git looks at all worktrees of a repository, and gives up when somebody is just making or removing one of them.
_HALF_MADE: Final = re.compile(rb"/worktrees/[^/\n]+/(commondir|gitdir|HEAD)\b|config\.lock': File exists")


class Git:
    """git for one purpose: with an environment, marks for its processes, and a wish to cancel."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        marks: Mapping[str, str] | None = None,
        umask: int = -1,
        cancelled: Wish = never,
    ) -> None:
        clean = {name: value for name, value in environ.items() if not name.startswith(("GIT_", "KAGE"))}
        self._environment = {
            **clean,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "GIT_EDITOR": "true",
            "GIT_PAGER": "cat",
            "GIT_OPTIONAL_LOCKS": "0",
            **(marks or {}),
        }
        self._umask = umask  # the user's: the daemon's own is 077, and files of a work tree must not be
        self._cancelled = cancelled

    def run(
        self,
        where: str | Path,
        *words: str,
        data: bytes = b"",
        git_dir: str | Path | None = None,
        extra: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (0,),
        timeout_s: float = QUICK_S,
    ) -> Done:
        """Run it in a folder; with `git_dir` on that repository, whatever the folder is.

        Raises GitFailed for an exit code that is not `ok`, WorkspaceRefused without a git, Cancelled.
        """
        where = Path(where)
        place = ("--git-dir", str(git_dir)) if git_dir is not None else ()
        environment = {**self._environment, **(extra or {})}
        if not where.is_dir():
            raise GitFailed(words, -1, f"{where} is not a folder")
        for attempt in range(_TRIES):
            try:
                done = run_child(
                    [os.fsencode(word) for word in ("git", *_ALWAYS, *place, *words)],
                    environment=environment,
                    cwd=where,
                    data=data,
                    timeout_s=timeout_s,
                    umask=self._umask,
                    cancelled=self._cancelled,
                )
            except FileNotFoundError:
                hint = "install git, or use --workspace here"
                raise WorkspaceRefused("git is not installed here", hint=hint) from None
            if done.code in ok or not _HALF_MADE.search(done.err):
                break
            time.sleep(_PAUSE_S * (attempt + 1))
        if done.late:
            raise GitFailed(words, done.code, f"not done after {timeout_s:g} s")
        if done.code not in ok:
            raise GitFailed(words, done.code, said(done))
        return done

    def text(
        self,
        where: str | Path,
        *words: str,
        git_dir: str | Path | None = None,
        extra: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (0,),
        timeout_s: float = QUICK_S,
    ) -> str:
        """One line of its output, without the line end; empty for an exit code that is `ok` and not 0."""
        done = self.run(where, *words, git_dir=git_dir, extra=extra, ok=ok, timeout_s=timeout_s)
        return os.fsdecode(done.out).removesuffix("\n") if done.code == 0 else ""

    @contextlib.contextmanager
    def stream(self, where: str | Path, *words: str, git_dir: str | Path) -> "Iterator[subprocess.Popen[bytes]]":
        """Run it with both ends open, for questions and answers. Killed when the block is left early."""
        process = subprocess.Popen(
            ["git", *_ALWAYS, "--git-dir", str(git_dir), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            cwd=where,
            start_new_session=True,
        )
        try:
            yield process
            process.wait(QUICK_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def identity(self, where: str | Path, git_dir: str | Path) -> dict[str, str]:
        """Variables that name an author, if the user's configuration does not."""
        done = self.run(where, "var", "GIT_COMMITTER_IDENT", git_dir=git_dir, ok=(0, 128))
        return {} if done.code == 0 else KAGE_IDENTITY


KAGE_IDENTITY: Final = {
    "GIT_AUTHOR_NAME": "Kage",
    "GIT_AUTHOR_EMAIL": "kage@localhost",
    "GIT_COMMITTER_NAME": "Kage",
    "GIT_COMMITTER_EMAIL": "kage@localhost",
}


def said(done: Done) -> str:
    """git's own words of what went wrong."""
    text = (done.err or done.out).decode("utf-8", "replace").strip()
    return text[-_SAID_BYTES:]


def quoted(path: bytes) -> bytes:
    """A path for a line of git's standard input, whatever bytes it has: in C quotes."""
    plain = bytearray(b'"')
    for byte in path:
        if byte in b'"\\' or byte < 0x20 or byte >= 0x7F:
            plain += b"\\%03o" % byte
        else:
            plain.append(byte)
    return bytes(plain + b'"')


def words_of(found: bytes) -> list[bytes]:
    """What `-z` prints, as a list."""
    return found.split(b"\0")[:-1]
