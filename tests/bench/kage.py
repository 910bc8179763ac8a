"""A kaged to measure, and processes that load it. Everything here ends what it started."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kagectl.client.address import Address
from kagectl.client.synchronous import Client
from tests.bench.machine import cpu_s, memory_mb

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 60.0


class Kaged:
    """One running daemon. `ready_s` is from exec to READY=1, as a service manager sees it."""

    def __init__(
        self, state: Path, *, env: dict[str, str] | None = None, program: tuple[str, str] = ("-m", "kaged")
    ) -> None:
        self.state = state
        self._program = program
        self._sockets = Path(tempfile.mkdtemp(prefix="kage-"))  # short: a socket's path is limited
        self.socket = str(self._sockets / "s")
        self.env = {**os.environ, "KAGE_SOCKET": self.socket, **(env or {})}
        self.env.pop("KAGE_RUN_ID", None)
        self.start()

    def start(self) -> None:
        """Start it and wait for READY=1."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            path = str(self._sockets / "n")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            notices.bind(path)
            notices.settimeout(START_LIMIT_S)
            command = [sys.executable, *self._program, "--state-dir", str(self.state), "--socket", self.socket]
            begun = time.perf_counter()
            with (self._sockets / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [*command, "--log-level", "warning"],
                    cwd=ROOT, env={**self.env, "NOTIFY_SOCKET": path}, stdout=log, stderr=log,
                )  # fmt: skip
            while b"READY=1" not in notices.recv(4096):
                if self.process.poll() is not None:
                    raise RuntimeError((self._sockets / "log").read_text())
            self.ready_s = time.perf_counter() - begun

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def address(self) -> Address:
        """For clients."""
        return Address(socket=self.socket, token_file=str(self._sockets / "owner.token"))

    def client(self) -> Client:
        """A blocking client."""
        return Client(self.address)

    def cpu_s(self) -> float:
        """CPU that it used so far."""
        return cpu_s(self.pid)

    def rss_mb(self) -> float:
        """Resident memory now."""
        return memory_mb(self.pid)

    def stop(self) -> None:
        """End it in order; its agents were ended before."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it if it runs, remove its sockets."""
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self._sockets, ignore_errors=True)


class Bare:
    """`tests.bench.bare` on a state folder: what a long read could be at best."""

    def __init__(self, state: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kage-"))
        self.socket = str(self._folder / "s")
        token = self._folder / "token"
        token.write_text("nobody asks for it")
        self.address = Address(socket=self.socket, token_file=str(token))
        command = [sys.executable, "-m", "tests.bench.bare", str(state), self.socket]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def cpu_s(self) -> float:
        """CPU that it used so far."""
        return cpu_s(self.process.pid)

    def close(self) -> None:
        """End it, remove its folder."""
        self.process.kill()
        self.process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)


class Worker:
    """`tests.bench.worker` in a process of its own: says `ready`, waits for `go`, answers with JSON."""

    def __init__(self, task: str, **arguments: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.worker", task, json.dumps(arguments)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line != "ready\n":
            raise RuntimeError(f"the worker {task} failed to start: {line}")

    def go(self) -> "Worker":
        """Let it begin."""
        self._say("go\n")
        return self

    def _say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Wait for its answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.process.wait()
        if not line:
            raise RuntimeError(f"a worker failed with {self.process.returncode}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End it without an answer."""
        self.process.kill()
        self.process.communicate()


def work(task: str, **arguments: Any) -> dict[str, Any]:
    """One worker from start to answer."""
    return Worker(task, **arguments).go().result()


def measured(daemon: Kaged | Bare, task: str, **arguments: Any) -> dict[str, Any]:
    """The same against a daemon, with the daemon's CPU per event in microseconds as `daemon_us`."""
    worker = Worker(task, socket=daemon.socket, token=str(daemon.address.token_file), **arguments)
    before = daemon.cpu_s()
    answer = worker.go().result()
    answer["daemon_us"] = (daemon.cpu_s() - before) / max(answer.get("count", 1), 1) * 1e6
    return answer


@contextlib.contextmanager
def kaged(
    state: Path, *, env: dict[str, str] | None = None, program: tuple[str, str] = ("-m", "kaged")
) -> Iterator[Kaged]:
    """A daemon for the length of a block; its state folder stays."""
    daemon = Kaged(state, env=env, program=program)
    try:
        yield daemon
    finally:
        daemon.close()
