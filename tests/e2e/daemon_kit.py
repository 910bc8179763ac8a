"""A real kaged on a temporary folder, for tests: start it, kill it, start it again, talk to it as its owner.

    with Kaged(tmp_path) as kaged:
        agent = kaged.spawn("sh", "-c", "echo hi")
        kaged.kill()            # kill -9; agents go on
        kaged.start()           # returns when health says SERVING
        kaged.wait(agent)

Every wait has a condition and a deadline. Leaving the `with` ends the daemon and every process that carries the
state folder's name in its environment, so that a failed test leaves nothing behind. The socket is in a folder of
its own under /tmp because pytest's paths are longer than a socket path may be. Not here: what to check.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return"
# (generated stubs are untyped)

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kaged.api.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    approval_service_pb2_grpc,
    daemon_service_pb2_grpc,
    event_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    spec_pb2,
    supervisor_service_pb2_grpc,
)

T = TypeVar("T")
DEADLINE_S: Final = 30.0
ENDED: Final = (
    agent_service_pb2.AGENT_STATE_SUCCEEDED,
    agent_service_pb2.AGENT_STATE_FAILED,
    agent_service_pb2.AGENT_STATE_CANCELLED,
)


def eventually(look: Callable[[], T | None], what: str = "", deadline_s: float = DEADLINE_S) -> T:
    """The first true answer of `look`; fails when there is none before the deadline."""
    limit = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < limit, f"not within {deadline_s} s: {what or look}"
        time.sleep(0.005)
    return found


class Kaged:
    """One state folder and, between `start` and `stop` or `kill`, the daemon that owns it."""

    def __init__(
        self,
        folder: Path,
        *,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """`prefix` is put before the command, such as `strace ...`; `environment` is added to the daemon's."""
        self.folder = folder
        self.state = folder / "state"
        self._sockets = Path(tempfile.mkdtemp(prefix="kage-"))
        self.socket = self._sockets / "kaged.sock"
        self.log = folder / "kaged.log"
        self.flags = tuple(flags)
        self.environment = dict(environment or {})
        self.prefix = tuple(prefix)
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0
        self._channel: grpc.Channel | None = None

    # --- life --------------------------------------------------------------------------------------------------

    def __enter__(self) -> "Kaged":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pid in self.carriers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.carriers(), "the processes of the daemon to end")
        shutil.rmtree(self._sockets, ignore_errors=True)
        if kind is not None and self.log.exists():
            print(self.words())

    def command(self) -> list[str]:
        """What is executed."""
        kaged = [sys.executable, "-m", "kaged", "--state-dir", str(self.state), "--socket", str(self.socket)]
        return [*self.prefix, *kaged, *self.flags]

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start the process; wait for nothing."""
        assert self.process is None or self.process.poll() is not None, "one daemon at a time"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._close_channel()
        self.started += 1
        with self.log.open("ab") as log:
            log.write(f"--- start {self.started}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                self.command(),
                env={**os.environ, "HOME": str(self.folder), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    def start(self, *, deadline_s: float = DEADLINE_S) -> "Kaged":
        """Start it and return when it serves. Fails with its last words when it ends instead."""
        self.launch()
        self.wait_serving(deadline_s=deadline_s)
        return self

    def wait_serving(self, *, deadline_s: float = DEADLINE_S) -> None:
        """Return when health says SERVING."""
        eventually(self._serves, f"kaged to serve; {self.words(2000)}", deadline_s)

    def _serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"kaged ended with {self.process.returncode}: {self.words(3000)}"
        if not self.socket.exists():
            return False
        return bool(self.health() == health_pb2.HealthCheckResponse.SERVING)

    def health(self, service: str = "") -> int:
        """What the health service says; UNKNOWN when nobody answers."""
        stub = health_pb2_grpc.HealthStub(self.channel)
        try:
            return int(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=1.0).status)
        except grpc.RpcError:
            self._close_channel()  # a new channel asks at once; an old one sits out its back-off
            return int(health_pb2.HealthCheckResponse.UNKNOWN)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone. Repeatable."""
        self._close_channel()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self._gone()

    def stop(self, *, deadline_s: float = DEADLINE_S) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.exit_code(deadline_s=deadline_s)

    def restart(self) -> "Kaged":
        """`kill -9`, then start."""
        self.kill()
        return self.start()

    def exit_code(self, *, deadline_s: float = DEADLINE_S) -> int:
        """Wait until it has ended by itself."""
        assert self.process is not None
        code = self.process.wait(deadline_s)
        self._close_channel()
        return code

    def _gone(self) -> None:
        if self.process is not None:
            self.process.wait(DEADLINE_S)

    def words(self, last: int = 8000) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-last:] if self.log.exists() else ""

    def fsck(self) -> tuple[int, str]:
        """Exit code and words of `kaged fsck`, beside the daemon when it runs."""
        done = subprocess.run([*self.command(), "fsck"], capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    def carriers(self) -> list[int]:
        """Pids of processes (not zombies) that this state folder's daemon has started: shims, agents, theirs."""
        marks = (os.fsencode(self.state / "runs"), os.fsencode(self.socket.with_name("agents.sock")))
        own = self.process.pid if self.process is not None else 0
        return [pid for pid, text in processes() if pid != own and any(mark in text for mark in marks)]

    def live_runs(self) -> dict[str, list[int]]:
        """Run id -> pids that carry it in their environment, of this state folder only."""
        found: dict[str, list[int]] = {}
        mark = os.fsencode(self.socket.with_name("agents.sock"))
        for pid, text in processes():
            if mark in text:
                for item in text.split(b"\0"):
                    if item.startswith(b"KAGE_RUN_ID="):
                        found.setdefault(item[12:].decode(), []).append(pid)
        return found

    # --- talking -----------------------------------------------------------------------------------------------

    @property
    def token(self) -> str:
        """The owner's."""
        return (self.state / "owner.token").read_text("ascii").strip()

    def connect(self) -> grpc.Channel:
        """A channel of one's own, for a thread; close it. Calls on `owned(channel)` carry the owner's token."""
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", 32 << 20),
            ("grpc.max_send_message_length", 32 << 20),
        ]
        return grpc.insecure_channel(f"unix:{self.socket}", options)

    def owned(self, channel: grpc.Channel) -> grpc.Channel:
        """The same channel, with the owner's token on each call."""
        return grpc.intercept_channel(channel, _Bearer(self))

    @property
    def channel(self) -> grpc.Channel:
        """A channel to the running daemon; a new one after each start. Calls carry the owner's token."""
        if self._channel is None:
            self._channel = self.connect()
        return self.owned(self._channel)

    def _close_channel(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    @property
    def agents(self) -> agent_service_pb2_grpc.AgentServiceStub:
        """AgentService."""
        return agent_service_pb2_grpc.AgentServiceStub(self.channel)

    @property
    def events(self) -> event_service_pb2_grpc.EventServiceStub:
        """EventService."""
        return event_service_pb2_grpc.EventServiceStub(self.channel)

    @property
    def approvals(self) -> approval_service_pb2_grpc.ApprovalServiceStub:
        """ApprovalService."""
        return approval_service_pb2_grpc.ApprovalServiceStub(self.channel)

    @property
    def trees(self) -> supervisor_service_pb2_grpc.SupervisorServiceStub:
        """SupervisorService."""
        return supervisor_service_pb2_grpc.SupervisorServiceStub(self.channel)

    @property
    def daemon(self) -> daemon_service_pb2_grpc.DaemonServiceStub:
        """DaemonService."""
        return daemon_service_pb2_grpc.DaemonServiceStub(self.channel)

    # --- short cuts --------------------------------------------------------------------------------------------

    def spawn(self, *command: str, request_id: str = "", **spec: Any) -> str:
        """Spawn an agent; its id. `spec`: further fields of AgentSpec."""
        spec.setdefault("working_directory", str(self.folder))
        asked = spec_pb2.AgentSpec(command=command, **spec)
        request = agent_service_pb2.SpawnAgentRequest(spec=asked, request_id=request_id)
        return str(self.agents.SpawnAgent(request, timeout=DEADLINE_S).agent.id)

    def agent(self, agent: str) -> agent_service_pb2.Agent:
        """The agent now."""
        return self.agents.GetAgent(agent_service_pb2.GetAgentRequest(agent=agent), timeout=DEADLINE_S).agent

    def wait(self, agent: str, *, deadline_s: float = DEADLINE_S) -> agent_service_pb2.Agent:
        """The agent once it has ended."""
        request = agent_service_pb2.WaitAgentRequest(agent=agent)
        return self.agents.WaitAgent(request, timeout=deadline_s).agent

    def wait_state(self, agent: str, *states: int, deadline_s: float = DEADLINE_S) -> agent_service_pb2.Agent:
        """The agent once it is in one of these states."""
        request = agent_service_pb2.WaitAgentRequest(agent=agent, states=states)  # type: ignore[arg-type]  # an int is a value
        return self.agents.WaitAgent(request, timeout=deadline_s).agent

    def send(self, agent: str, data: bytes, *, eof: bool = False, request_id: str = "") -> int:
        """Write to its input; the offset."""
        request = agent_service_pb2.SendInputRequest(agent=agent, data=data, eof=eof, request_id=request_id)
        return int(self.agents.SendInput(request, timeout=DEADLINE_S).offset)

    def end(self, agent: str, *, grace_s: float = 0.0) -> agent_service_pb2.Agent:
        """Stop an agent and wait for its end."""
        self.agents.StopAgent(agent_service_pb2.StopAgentRequest(agent=agent, grace_s=grace_s), timeout=DEADLINE_S)
        return self.wait(agent)

    def read(self, where: str = "", **request: Any) -> Iterator[event_pb2.Event]:
        """Events that match the filter, oldest first, up to the head as it is now."""
        asked = event_service_pb2.ReadEventsRequest(filter=where, **request)
        for answer in self.events.ReadEvents(asked, timeout=DEADLINE_S * 4):
            yield from answer.events

    def output(self, agent: str, channel: int = 1) -> bytes:
        """All recorded bytes of an agent's stream (1 standard output, 2 standard error), all runs."""
        return b"".join(
            event.body.output
            for event in self.read(f'agent = "{agent}" AND type = "output.chunk"')
            if event.meta.fact.output_chunk.channel == channel
        )


class _Bearer(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]  # the stubs' type variables do not matter here
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]
):
    """Adds the owner's token to each call."""

    def __init__(self, kaged: Kaged) -> None:
        self._kaged = kaged

    def _with_token(self, details: Any) -> Any:
        with contextlib.suppress(FileNotFoundError):
            metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self._kaged.token}")]
            return _Details(details, metadata)
        return details

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with_token(details), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with_token(details), request)

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(self._with_token(details), requests)


class _Details(grpc.ClientCallDetails):
    def __init__(self, before: Any, metadata: list[tuple[str, str]]) -> None:
        self.method = before.method
        self.timeout = before.timeout
        self.metadata = metadata  # type: ignore[assignment]  # grpc takes any sequence
        self.credentials = before.credentials
        self.wait_for_ready = getattr(before, "wait_for_ready", None)
        self.compression = getattr(before, "compression", None)


def processes() -> Iterator[tuple[int, bytes]]:
    """Every live process of this machine that may be looked at: pid, and its arguments and environment."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            stat = Path("/proc", name, "stat").read_bytes()
            if stat[stat.rindex(b")") + 2 : stat.rindex(b")") + 3] in (b"Z", b"X"):
                continue
            text = Path("/proc", name, "cmdline").read_bytes() + Path("/proc", name, "environ").read_bytes()
        except (OSError, ValueError):
            continue
        yield int(name), text
