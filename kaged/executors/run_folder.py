"""The daemon's half of a run folder: the files through which it and the shim speak.

    create -> (shim: lock, meta.json) -> (gate) -> spools grow, inputs and orders go in -> exit.json
           -> sealed.json -> forget_spec -> remove

Promises: every write of the daemon is safe to repeat with the same arguments, in the order of its offsets;
that is how recovery redoes what the journal says was intended. No call waits for the shim.

Nothing here is fsynced, on purpose: a power cut ends the agent too, and after it the journal decides (it holds
every intent); what must survive a power cut, exit.json and sealed.json, the shim syncs. Deliberately not here:
starting the shim (kaged/executors/local.py), noticing changes (watch.py), deciding what a dead run means.
"""

import contextlib
import ctypes
import enum
import fcntl
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from kaged.crash_points import Point, passed
from kaged.domain.errors import AlreadyExists, Bug, Precondition, Unavailable
from kaged.domain.run_records import (
    AgentRecord,
    Backlog,
    Channel,
    ExitRecord,
    Meta,
    Order,
    RunSpec,
    SealedRecord,
    order_line,
    parse_agent,
    parse_backlog,
    parse_exit,
    parse_meta,
    parse_protocol,
    parse_sealed,
)

TRASH: Final = ".trash"
_ORDERS_BYTES: Final = 4096  # some 60 orders
_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE
LOCK: Final = "lock"
CONSUMED: Final = "consumed"

_T = TypeVar("_T")


class Liveness(enum.Enum):
    """What the lock says. `FREE`: the shim that once had it is gone. `MISSING`: no shim ever came."""

    HELD = "held"
    FREE = "free"
    MISSING = "missing"


class InputGap(Bug):
    """A write beyond the end would feed zero bytes to the agent; intents are applied in order."""

    reason = "RUN_INPUT_GAP"

    def __init__(self, name: str, offset: int, size: int) -> None:
        super().__init__(f"{name}: write at {offset}, but it ends at {size}", offset=offset, size=size)
        self.offset = offset
        self.size = size


class RunFolder:
    """One run's folder. Cheap to make; holds no descriptor; any thread may use it."""

    __slots__ = ("_where", "path")

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._where = f"{path}/"  # a keeper looks often, and joining a Path costs more than opening the file

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def run_id(self) -> str:
        return self.path.name

    # -- the life of the folder --

    def create(self, spec: RunSpec) -> None:
        """Make the folder (0700) with the spec (0600) and empty inputs. Raises AlreadyExists: a run id is
        used once; whoever finds half a folder starts a new run."""
        try:
            self.path.mkdir(mode=0o700, parents=False)
        except FileExistsError:
            raise AlreadyExists(
                f"run folder {self.run_id} is there already", hint="a new attempt is a new run id"
            ) from None
        self._write("spec.json", spec.to_json())
        for name in ("in.log", "ctl.log"):
            fd = self._open(name, os.O_WRONLY | os.O_CREAT)
            if name == "ctl.log":
                _set_aside(fd, _ORDERS_BYTES)  # a stop must find room on a full disk
            os.close(fd)
        os.mkfifo(self.path / "bell", 0o600)

    def forget_spec(self) -> None:
        """Drop the spec and with it the agent's secrets: the run is over, nobody reads it again."""
        (self.path / "spec.json").unlink(missing_ok=True)

    def cancel(self) -> bool:
        """Give the run up before it starts: from now on no shim gets past its gate. False: already cancelled.

        A shim that is past the gate is not stopped by this: look at `is_alive` afterwards. The folder itself
        being gone counts as cancelled.
        """
        try:
            os.close(self._open("cancel", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except (FileExistsError, FileNotFoundError):
            return False
        return True

    def remove(self) -> None:
        """Delete the folder: renamed into the trash first, so that it is there whole or not at all.
        Raises Precondition while a shim has the lock."""
        if self.is_alive() is Liveness.HELD:
            raise Precondition(f"run {self.run_id} is alive", hint="stop it first", run_id=self.run_id)
        trash = self.path.parent / TRASH
        trash.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # an earlier call got as far as the rename, or further
            self.path.rename(trash / self.run_id)
        passed(Point.RUN_FOLDER_TRASHED)
        shutil.rmtree(trash / self.run_id, ignore_errors=True)

    # -- what the shim says --

    def is_alive(self) -> Liveness:
        """Ask the lock. "Cannot tell" raises Unavailable: it is never an answer of "dead"."""
        try:
            fd = self._open(LOCK, os.O_RDONLY)  # for writing, its close would look like that of a shim to our watch
        except FileNotFoundError:
            return Liveness.MISSING
        except OSError as error:
            raise Unavailable(f"cannot look at the lock of run {self.run_id}: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Unavailable(f"the lock of run {self.run_id} is no file")
            # shared, so that two who ask do not see each other; a shim that is just starting tries again
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Liveness.HELD
        except OSError as error:
            raise Unavailable(f"cannot ask the lock of run {self.run_id}: {error.strerror}") from error
        else:
            fcntl.flock(fd, fcntl.LOCK_UN)  # before the close: a vfork of another thread may share the lock
            return Liveness.FREE
        finally:
            os.close(fd)

    def read_meta(self) -> Meta | None:
        """None: not written yet. Raises TornRecord, like its three siblings."""
        return self._record("meta.json", parse_meta)

    def read_agent(self) -> AgentRecord | None:
        """None: exec has not worked (yet)."""
        return self._record("agent.json", parse_agent)

    def read_exit(self) -> ExitRecord | None:
        """None: the agent was not seen to end. With the lock free that means lost, not ended."""
        return self._record("exit.json", parse_exit)

    def read_sealed(self) -> SealedRecord | None:
        """None: somebody may still write to the spools."""
        return self._record("sealed.json", parse_sealed)

    def read_backlog(self) -> Backlog | None:
        """None: it never had too much to wait with. Read it after the spool: what it gives up may be zeros there."""
        return self._record("backlog.json", parse_backlog)

    def protocol(self) -> int | None:
        """Which protocol its shim speaks; None: there is no shim yet. Raises TornRecord."""
        return self._record("meta.json", parse_protocol)

    def spool_size(self, channel: Channel) -> int:
        """Bytes captured so far; 0 before the first."""
        try:
            return os.stat(f"{self._where}{channel}.log").st_size
        except FileNotFoundError:
            return 0

    def read_spool(self, channel: Channel, offset: int, max_bytes: int) -> bytes:
        """Up to `max_bytes` from `offset`; fewer only at the end of what is captured."""
        try:
            fd = self._open(f"{channel}.log", os.O_RDONLY)
        except FileNotFoundError:
            return b""
        try:
            first = os.pread(fd, max_bytes, offset)
            if not first or len(first) == max_bytes:
                return first
            parts = [first]
            done = len(first)
            while done < max_bytes and (part := os.pread(fd, max_bytes - done, offset + done)):
                parts.append(part)
                done += len(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    # -- what the daemon says; each after its intent is in the journal --

    def write_input(self, offset: int, data: bytes) -> int:
        """Put `data` at its absolute place in the input log; returns the offset behind it. Repeating it with
        the same arguments changes nothing, also after a crash in the middle. Raises InputGap."""
        return self._apply_at("in.log", offset, data, Point.INPUT_WRITTEN, Point.INPUT_RUNG)

    def close_input(self, total_bytes: int) -> None:
        """The agent sees the end of its input after `total_bytes`. Repeatable."""
        self._write("in.eof.tmp", b"%d\n" % total_bytes)
        passed(Point.INPUT_END_DRAFTED)
        (self.path / "in.eof.tmp").rename(self.path / "in.eof")
        passed(Point.INPUT_ENDED)
        self.ring()

    def write_order(self, offset: int, n: int, order: Order) -> int:
        """Put order number `n` at its absolute place in ctl.log; returns the offset behind it. Repeatable:
        the same arguments are the same bytes, and the shim obeys a number once. Raises InputGap."""
        return self._apply_at("ctl.log", offset, order_line(n, order), Point.ORDER_WRITTEN, Point.ORDER_RUNG)

    def note_consumed(self, out_end: int, err_end: int) -> None:
        """Tell the shim how much of each spool is recorded, in bytes. Raises OSError."""
        self._write(f"{CONSUMED}.tmp", b"%d %d\n" % (out_end, err_end))
        os.rename(f"{self._where}{CONSUMED}.tmp", self._where + CONSUMED)

    def ring(self) -> None:
        """Wake the shim. Nobody there, or rung already: both fine, it looks at the files when it comes."""
        with contextlib.suppress(OSError):  # ENXIO, EAGAIN, ENOENT
            fd = self._open("bell", os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(fd, b"!")
            finally:
                os.close(fd)

    # -- inside --

    def _open(self, name: str, flags: int) -> int:
        return os.open(self._where + name, flags | os.O_CLOEXEC, 0o600)

    def _write(self, name: str, data: bytes) -> None:
        with os.fdopen(self._open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(data)

    def _apply_at(self, name: str, offset: int, data: bytes, written: Point, rung: Point) -> int:
        fd = self._open(name, os.O_WRONLY | os.O_CREAT)
        try:
            size = os.fstat(fd).st_size
            if offset > size:
                raise InputGap(name, offset, size)
            done = size - offset  # what an earlier, interrupted call has written already
            while done < len(data):
                done += os.pwrite(fd, data[done:], offset + done)
        finally:
            os.close(fd)
        passed(written)
        self.ring()
        passed(rung)
        return offset + len(data)

    def _record(self, name: str, parse: Callable[[bytes], _T]) -> _T | None:
        try:
            fd = self._open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as file:
            return parse(file.read())


def _set_aside(fd: int, size: int) -> None:
    """Give a file blocks beyond its end, where the file system can."""
    with contextlib.suppress(AttributeError):  # not on macOS
        fallocate = ctypes.CDLL(None).fallocate64
        fallocate(fd, _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size))


def list_runs(runs_dir: Path) -> list[RunFolder]:
    """The run folders under `runs_dir`, by name; empty before the first run."""
    try:
        with os.scandir(runs_dir) as entries:
            names = sorted(entry.name for entry in entries if entry.name != TRASH and entry.is_dir())
    except FileNotFoundError:
        return []
    return [RunFolder(runs_dir / name) for name in names]


def empty_trash(runs_dir: Path) -> None:
    """Finish removals that a crash interrupted."""
    shutil.rmtree(runs_dir / TRASH, ignore_errors=True)
