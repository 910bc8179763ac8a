"""Real runs under real shims, for tests: start one, wait for what it does, leave nothing behind.

Every wait has a deadline and a condition. On exit all shims that were started are gone, with their trees.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypedDict, TypeVar, Unpack

from kaged.domain.run_records import (
    Channel,
    ExitRecord,
    Order,
    RunSpec,
    SealedRecord,
    TerminalSize,
    order_line,
)
from kaged.executors.local import Launched, LocalExecutor, install_shim
from kaged.executors.process_table import ProcessTable, kill_carriers
from kaged.executors.run_folder import Liveness, RunFolder

T = TypeVar("T")
DEADLINE_S = 30.0


def eventually(look: Callable[[], T | None], what: str = "", deadline_s: float = DEADLINE_S) -> T:
    """The first true answer of `look`; fails when there is none before the deadline."""
    limit = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < limit, f"not within {deadline_s} s: {what or look}"
        time.sleep(0.002)
    return found


def python(code: str, *args: str) -> list[str]:
    """A small Python program as an agent."""
    return [getattr(sys, "_base_executable", sys.executable), "-I", "-S", "-c", code, *args]


def alive(pid: int) -> bool:
    """Is there such a process that is not a zombie?"""
    process = ProcessTable.read().process(pid)
    return process is not None and process.state not in "ZX"


class Wishes(TypedDict, total=False):
    env: dict[str, str]
    cwd: str
    stdin: str
    capture: str
    merge_stderr: bool
    terminal: TerminalSize | None
    daemon_lock: str
    unsupervised_max_s: float
    wall_s: float
    stop_signal: int
    grace_s: float
    linger_s: float
    spool_bytes: int
    max_spool_bytes: int
    keep_free_bytes: int
    on_full: str


class Run:
    """One run, seen from the daemon's side."""

    def __init__(self, folder: RunFolder, launched: Launched) -> None:
        self.folder = folder
        self.launched = launched
        self.input_offset = 0
        self.order_offset = 0
        self.orders = 0

    def open(self) -> "Run":
        self.launched.wait_ready(DEADLINE_S)
        self.launched.open_gate()
        return self

    def exit(self) -> ExitRecord:
        return eventually(self.folder.read_exit, "exit.json")

    def sealed(self) -> SealedRecord:
        found = eventually(self.folder.read_sealed, "sealed.json")
        eventually(lambda: self.folder.is_alive() is not Liveness.HELD, "the shim to end")
        eventually(lambda: self.launched.reap() is not None, "the shim's zombie")
        return found

    def agent_pid(self) -> int:
        return eventually(self.folder.read_agent, "agent.json").pid

    def shim_pid(self) -> int:
        return eventually(self.folder.read_meta, "meta.json").pid

    def output(self, channel: Channel = "out") -> bytes:
        return self.folder.read_spool(channel, 0, 1 << 30)

    def wait_output(self, part: bytes, channel: Channel = "out") -> bytes:
        return eventually(lambda: part in (found := self.output(channel)) and found, f"{part!r} in the output")

    def write(self, data: bytes) -> None:
        self.input_offset = self.folder.write_input(self.input_offset, data)

    def order(self, order: Order) -> None:
        self.orders += 1
        offset = self.order_offset
        self.order_offset = self.folder.write_order(offset, self.orders, order)
        assert self.order_offset == offset + len(order_line(self.orders, order))

    def words(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder.path / "shim.log").read_text(errors="replace")
        return ""


class Runs:
    """A state folder with runs; a context manager that ends them all."""

    def __init__(self, root: Path, *, prefix: tuple[str, ...] = (), python: str | None = None) -> None:
        self.root = root
        self.folder = root / "runs"
        self.folder.mkdir(exist_ok=True)
        self.shim = install_shim(root)
        self.executor = LocalExecutor(self.shim, prefix=prefix, python=python)
        self.started: list[Run] = []

    def launch(self, argv: list[str], **wishes: Unpack[Wishes]) -> Run:
        """Start a shim; its gate stays shut."""
        run_id = f"{self.root.name}-{os.getpid()}-{len(self.started)}"
        wishes.setdefault("env", {"PATH": os.environ["PATH"], "TERM": "dumb"})
        wishes.setdefault("cwd", str(self.root))
        spec = RunSpec(run_id=run_id, agent_id="agent", argv=tuple(argv), **wishes)  # type: ignore[arg-type]
        folder = RunFolder(self.folder / run_id)
        run = Run(folder, self.executor.launch(folder, spec))
        self.started.append(run)
        return run

    def start(self, argv: list[str], **wishes: Unpack[Wishes]) -> Run:
        """Start a run and open its gate."""
        return self.launch(argv, **wishes).open()

    def __enter__(self) -> "Runs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self.started:
            run.launched.abandon()
            table = ProcessTable.read()
            if run.launched.reap() is None:
                for pid in [process.pid for process in table.below(run.launched.pid)] + [run.launched.pid]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                eventually(lambda run=run: run.launched.reap() is not None)  # type: ignore[misc]
            kill_carriers(run.folder.run_id)
            if kind is not None and run.words():
                print(f"{run.folder.run_id}: {run.words()}")
