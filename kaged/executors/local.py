"""The plain executor: the shim is a child process of kaged, in a session of its own.

    launch -> wait_ready -> open_gate          the agent runs
                         `-> abandon           exit.json says not_started

Nothing of the agent starts before `open_gate`, so the daemon can journal the start in between; if it dies there,
the gate closes with it and the shim records not_started. Start is subprocess with vfork: no `preexec_fn`, no
`user=`, and no gRPC variable reaches a child. The executor keeps no list: `Launched.reap` collects the zombie of
a shim that this daemon started; a later daemon never has to.

The seam for systemd scopes and sandboxes is `prefix`: a command that ends by exec'ing the rest of its arguments
and lets the gate's descriptor through. Deliberately not here: waiting for the agent, reading its output, policy.
"""

import contextlib
import hashlib
import importlib.util
import marshal
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import kaged.shim
from kaged.crash_points import Point, passed
from kaged.domain.errors import Broken, Unavailable
from kaged.domain.run_records import ExecFailed, Exited, Meta, NotStarted, RunSpec
from kaged.executors.run_folder import RunFolder

# What the loader of a shared libpython and `systemd-run --user` need; the agent's environment is in the spec.
KEPT_ENV: Final = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
)


class LaunchFailed(Broken):
    """The shim did not come up; nothing of the agent ran."""

    reason = "LAUNCH_FAILED"

    def __init__(self, run_id: str, why: str) -> None:
        super().__init__(
            f"the shim of run {run_id} did not start: {why}",
            hint="shim.log in the run folder has its last words",
            run_id=run_id,
        )
        self.why = why


class Launched:
    """A shim that was started. One owner; not for several threads at once."""

    __slots__ = ("_gate", "_refusal", "folder", "pid", "wait_status")

    def __init__(self, folder: RunFolder, pid: int, gate: socket.socket) -> None:
        self.folder = folder
        self.pid = pid
        self.wait_status: int | None = None
        self._gate: socket.socket | None = gate
        self._refusal = ""

    def refuse(self, why: str) -> None:
        """Something that it needs beside the shim cannot be had: `wait_ready` ends it and says why."""
        self._refusal = why

    def wait_ready(self, timeout_s: float) -> Meta:
        """Wait until the shim has its lock and stands at the gate. Raises LaunchFailed (it ended: cancelled,
        unusable spec, no memory ...) or Unavailable (not within `timeout_s`; the run can still be abandoned)."""
        assert self._gate is not None, "the gate is used up"
        self._gate.settimeout(timeout_s)
        try:
            word = self._gate.recv(1)
        except TimeoutError:
            raise Unavailable(
                f"the shim of run {self.folder.run_id} is not ready after {timeout_s:g} s",
                hint="the machine is overloaded; the start is tried again",
            ) from None
        except OSError:
            word = b""
        if word and self._refusal:
            self.abandon()
            raise LaunchFailed(self.folder.run_id, self._refusal)
        meta = self.folder.read_meta() if word else None
        if meta is None:
            self.abandon()
            raise LaunchFailed(self.folder.run_id, self._last_words())
        return meta

    def open_gate(self) -> None:
        """Let the agent start. Call it after the start is durable. Raises LaunchFailed when the shim is gone."""
        assert self._gate is not None, "the gate is used up"
        try:
            self._gate.send(b"g")
        except OSError as error:
            raise LaunchFailed(self.folder.run_id, self._last_words()) from error
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the gate. Before `open_gate`: the shim records not_started and ends. After it: nothing."""
        if self._gate is not None:
            self._gate.close()
            self._gate = None

    def reap(self) -> int | None:
        """Collect the shim if it has ended. Its wait status (raw; 0 = its records are complete), or None."""
        if self.wait_status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0  # somebody waited for all children
            if pid:
                self.wait_status = status
        return self.wait_status

    def _last_words(self) -> str:
        match self.folder.read_exit():
            case NotStarted(reason=reason):
                return reason
            case Exited() | ExecFailed():
                return "the run id was used before"
            case None:
                pass
        try:
            tail = (self.folder.path / "shim.log").read_bytes()[-500:].decode("utf-8", "replace").strip()
        except OSError:
            tail = ""
        return tail.rpartition("\n")[2] or "it ended without a word"


class LocalExecutor:
    """Starts shims as plain children. `shim` is what `install_shim` returned."""

    name: Final = "local"

    def __init__(
        self,
        shim: Path,
        *,
        python: str | None = None,
        carried: Path | None = None,
        prefix: tuple[str, ...] = (),
        umask: int = -1,
    ) -> None:
        """`python`: another interpreter for shims; `carried`: a copy of the one that we run on (carried.py)."""
        # byte code is for the Python that we run on; any other one compiles the source
        self._shim = byte_code(shim) if python is None and byte_code(shim).exists() else shim
        # not the venv's link to it: a shim must start while an upgrade replaces the venv
        ours = getattr(sys, "_base_executable", "") or sys.executable
        self._python = python or (str(carried) if carried is not None else ours)
        self._prefix = prefix
        self._umask = umask  # the agent's: the daemon's own is 077, and files of a work tree must not be; -1: as it is

    def launch(self, folder: RunFolder, spec: RunSpec) -> Launched:
        """Make the folder and start its shim; returns without waiting for it.
        Raises AlreadyExists (the run id was used), LaunchFailed."""
        folder.create(spec)
        passed(Point.RUN_FOLDER_MADE)
        ours, theirs = socket.socketpair()
        try:
            with open(folder.path / "shim.log", "ab", opener=_private) as log:
                process = subprocess.Popen(
                    [*self._prefix, *self._command(folder, theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env=shim_environment(os.environ),
                    close_fds=True,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    umask=self._umask,
                )
        except OSError as error:
            ours.close()
            raise LaunchFailed(folder.run_id, error.strerror or str(error)) from error
        finally:
            theirs.close()
        passed(Point.RUN_SHIM_SPAWNED)
        process.returncode = 0  # we wait for it ourselves, in reap(); Popen must neither wait nor warn
        return Launched(folder, process.pid, ours)

    def _command(self, folder: RunFolder, gate: int) -> list[str]:
        return [self._python, "-I", "-S", str(self._shim), str(folder.path), str(gate)]


def install_shim(state_dir: Path) -> Path:
    """Copy the shim to a folder named by its content and return the path. Repeatable, safe with several daemons.

    Running shims keep the text they were started from, whatever an upgrade does to the package. Beside the
    source lies its byte code for this Python: compiling at each start would cost 20 to 40 ms (measured).
    """
    source = Path(kaged.shim.__path__[0], "shim.py").read_bytes()
    folder = state_dir / "shim" / hashlib.sha256(source).hexdigest()[:12]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / "shim.py"
    _place(target, source)
    # flags 0b01: the header holds a hash that nobody checks, so equal sources give equal files
    header = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
    if not _begins_with(byte_code(target), header):
        code = compile(source, str(target), "exec", dont_inherit=True, optimize=2)
        _place(byte_code(target), header + marshal.dumps(code))
    return target


def byte_code(shim: Path) -> Path:
    """Where the byte code of an installed shim lies, for the Python that we run on."""
    return shim.with_name(f"shim.{sys.implementation.cache_tag}.pyc")


def _begins_with(path: Path, head: bytes) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        return file.read(len(head)) == head
    return False


def _place(target: Path, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        if target.read_bytes() == content:
            return
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.chmod(0o600)
    draft.rename(target)


def shim_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What of our environment a shim gets. Never KAGE_RUN_ID: a shim must not look like part of some run."""
    return {name: ours[name] for name in KEPT_ENV if name in ours}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
