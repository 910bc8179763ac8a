"""The composition: builds every part, in the order of starting, and takes them down in the reverse.

    lock -> store -> doors (health and status only) -> recover -> doors open -> READY
    signal or Shutdown -> DRAINING -> (stop agents) -> doors close -> last fact -> store closes

Imports the world; nothing imports it but `cli`.
"""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import shutil
import signal
import socket
from collections.abc import Callable, Coroutine
from dataclasses import fields
from pathlib import Path
from typing import Final

from kaged import config as configuration
from kaged.adapters.registry import ADAPTERS
from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.config import Config, base_environment
from kaged.domain.errors import AlreadyExists, KageError, Unavailable
from kaged.domain.events.agent import DaemonEvent, Ended
from kaged.executors.daemon_lock import DaemonLock
from kaged.executors.local import install_shim
from kaged.executors.provider import LocalRuns, ProcSampler, RunWatch
from kaged.executors.scope import Scopes, find_manager
from kaged.executors.stop_note import StopNote
from kaged.executors.systemd import pending_job
from kaged.rpc.convert import timestamp
from kaged.rpc.identity import AgentGate, Identity, OwnerGate, run_token, secret_file
from kaged.rpc.server import Doors
from kaged.runtime.core import Core
from kaged.runtime.engine import Caller
from kaged.runtime.retention import keep_retention
from kaged.runtime.run_host import Settings
from kaged.runtime.system import System
from kaged.service import ServiceManager, headline, keep_extending, keep_watch
from kaged.store.log.journal import Commit, Journal, StoreReadOnly, create_store
from kaged.store.log.witness import Witness
from kaged.store.reading.selection import FIRST_AGENT_ACTOR
from kaged.store.rows.keyvalue import DiskFull
from kaged.store.rows.rocks import RocksStore
from kaged.store.wire.codec import Draft
from kaged.version import __version__

API_REVISION: Final = 1
_RELOADABLE: Final = frozenset(("log_level", "min_free_bytes", "on_stop", "keep_output_s"))
_TICK_S: Final = 1.0  # each one costs an idle daemon 0.02 % of a core
_STOP_AGENTS_S: Final = 25.0  # the longest that a signal waits for them
_LEAVE_S: Final = 15.0  # the longest that leaving takes without them
_CLOSE_S: Final = 0.5  # for calls under way; an idle client that reads nothing makes us wait it out
EXIT_OK: Final = 0
EXIT_STORE_FAILED: Final = 74  # EX_IOERR: what reached the disk is unknown
log = logging.getLogger("kaged")


class Stopping(Unavailable):
    """The daemon is on its way out."""

    reason = "DRAINING"

    def __init__(self) -> None:
        super().__init__("kaged is stopping", hint="resume from your cursor when it is back", retry_after_s=0.2)


class SocketTaken(AlreadyExists):
    """Another daemon, of another state folder, answers at our socket."""

    reason = "SOCKET_TAKEN"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"another kaged serves {path}", hint="stop it, or give this one another --socket", socket=str(path)
        )


class Daemon:
    """One life of the daemon. `run` returns its exit code."""

    def __init__(self, config: Config, environ: dict[str, str], *, agent_umask: int = -1) -> None:
        self._agent_umask = agent_umask
        self._config = config
        self._environ = environ
        self._system = System()
        self._manager = ServiceManager(environ)
        self._deciding: asyncio.Task[None] | None = None
        self._failed_agents = 0
        self._complaint = ""
        self._started_us = self._system.now_us()
        self._phase = pb.DAEMON_PHASE_RECOVERING
        self._detail = "reading the journal"
        self._core: Core | None = None
        self._doors: Doors | None = None
        self._stop: asyncio.Future[tuple[bool, float, str]] | None = None
        self._hurry = asyncio.Event()
        self._changed = asyncio.Event()
        self._delays_us: list[int] = []
        self._failure: KageError | None = None

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve until told to stop. Raises what refuses the start."""
        config = self._config
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with DaemonLock(config.lock_file):
            _free(config.socket, config.agent_socket)
            token = secret_file(config.state_dir / "owner.token")
            key = bytes.fromhex(secret_file(config.state_dir / "agents.key"))
            self._extending = asyncio.create_task(keep_extending(self._manager, lambda: self._detail))
            try:
                store = await asyncio.to_thread(self._open_store)
            except BaseException:
                self._extending.cancel()
                raise
            try:
                return await self._serve(store, token, key)
            except BaseExceptionGroup as group:
                raise _first_error(group) from group
            finally:
                self._extending.cancel()
                for path in (config.socket, config.agent_socket):
                    path.unlink(missing_ok=True)
                await asyncio.to_thread(store.close)

    def _open_store(self) -> RocksStore:
        store = RocksStore(self._config.state_dir / "db")
        create_store(store, self._system.event_id().hex())
        return store

    async def _serve(self, store: RocksStore, token: str, key: bytes) -> int:
        config, loop = self._config, asyncio.get_running_loop()
        self._stop = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        owner = OwnerGate(token, config.state_dir / "owner.token")
        doors = self._doors = Doors(self, owner, AgentGate(key, self._live_run))
        await doors.bind(config.socket, config.agent_socket)
        self._hand_out(token)
        witness = Witness(config.state_dir / "db")
        journal = await asyncio.to_thread(Journal, store, clock_us=self._system.now_us, witness=witness.note)
        witness.confront(journal.durable_seq)  # before anything is appended: an end that was lost is named
        journal.listen(self)
        journal.start()
        core = self._core = self._build(journal, key)
        core.engine.listen(self)
        async with asyncio.TaskGroup() as group:
            children = group.create_task(core.children.serve(), name="children")
            ticking = group.create_task(self._tick(), name="tick")
            keeping = group.create_task(keep_retention(core, lambda: self._config.keep_output_s), name="retention")
            await asyncio.sleep(0)  # children.serve has begun
            self._look_at_space()
            self._detail = "looking at every run"
            recovered = await core.recover()
            await doors.open(core)
            self._set(pb.DAEMON_PHASE_SERVING, f"adopted {recovered.adopted}, settled {recovered.settled} runs")
            self._look_at_space()
            self._extending.cancel()
            self._manager.ready()
            watching = group.create_task(keep_watch(self._manager, journal.prove), name="watchdog")
            gc.freeze()  # what is here stays: later searches for garbage need not walk through it
            log.info("ready socket=%s adopted=%s settled=%s", config.socket, recovered.adopted, recovered.settled)
            stop_agents, timeout_s, reason = await self._stop
            await self._wind_down(core, doors, stop_agents=stop_agents, timeout_s=timeout_s, reason=reason)
            children.cancel()
            ticking.cancel()
            keeping.cancel()
            watching.cancel()
        core.timers.close()
        await journal.stop()
        if self._failure is None:
            with contextlib.suppress(DiskFull):  # what was acknowledged is in the log; the next start reads it there
                await asyncio.to_thread(store.flush)
        log.info("stopped reason=%s", reason)
        return EXIT_OK if self._failure is None else EXIT_STORE_FAILED

    def _build(self, journal: Journal, key: bytes) -> Core:
        config = self._config
        shim = install_shim(config.state_dir)
        manager = find_manager(self._environ)
        scopes = Scopes(manager) if manager is not None else None
        log.info("executor scopes=%s limits=%s", scopes is not None, sorted(manager.limits) if manager else [])
        settings = Settings(
            version=__version__,
            daemon_lock=config.lock_file,
            agent_socket=str(config.agent_socket),
            unsupervised_s=config.unsupervised_s,
            max_subscribers=config.max_subscribers,
            base_env=base_environment(self._environ),
        )
        return Core(
            journal,
            self._system,
            LocalRuns(config.runs_dir, shim, umask=self._agent_umask, scopes=scopes),
            RunWatch(config.runs_dir),
            ADAPTERS,
            settings,
            token=lambda run: run_token(key, run),
            pid=os.getpid(),
            sampler=ProcSampler(),
            stop_note=StopNote(config.state_dir / "stop.note"),
        )

    def _hand_out(self, token: str) -> None:
        """A copy of the owner's token beside the socket, where clients look for it."""
        beside = self._config.socket.with_name("owner.token")
        if beside == self._config.state_dir / "owner.token":
            return
        draft = beside.with_name(f".{os.getpid()}.token")
        draft.touch(mode=0o600)
        draft.write_text(token + "\n", "ascii")
        draft.rename(beside)

    def _live_run(self, run: str) -> Identity | None:
        if self._core is None:
            return None
        state = self._core.world.agent(run.rpartition(".")[0])
        if state is None or state.live_run is None or state.live_run.id != run:
            return None
        return Identity(actor=FIRST_AGENT_ACTOR + state.number - 1, agent=state.id, run=run)

    async def _wind_down(self, core: Core, doors: Doors, *, stop_agents: bool, timeout_s: float, reason: str) -> None:
        self._manager.stopping(_LEAVE_S + (timeout_s if stop_agents else 0.0))
        core.agents.draining = True
        self._set(pb.DAEMON_PHASE_DRAINING, "stopping agents" if stop_agents else "agents go on")
        if stop_agents and self._failure is None:
            await self._stop_agents(core, timeout_s)
        core.feed.close(Stopping())
        await doors.close(0.0 if self._hurry.is_set() else _CLOSE_S)
        if self._failure is None:
            await core.say_stopped("stop" if stop_agents else "keep", reason)

    async def _stop_agents(self, core: Core, timeout_s: float) -> None:
        try:
            log.info("stopping_agents count=%s", core.stop_all())
        except KageError as error:  # a full disk: the operator's word holds without a record
            log.error("stopping_agents_unrecorded count=%s reason=%s", core.order_stops(), error.reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await _first(core.wait_stopped(), self._hurry.wait())
        if core.journal.refusal is not None:
            log.error("ends_unrecorded count=%s hint=%s", len(core.children), "the next start with room records them")
        elif len(core.children):
            log.error("agents_left count=%s hint=%s", len(core.children), "they go on; the next start adopts them")

    def _signalled(self, number: signal.Signals) -> None:
        assert self._stop is not None
        if self._stop.done() or self._deciding is not None:
            self._hurry.set()
            return
        self._deciding = asyncio.create_task(self._decide_stop(signal.Signals(number).name))

    async def _decide_stop(self, name: str) -> None:
        """Stop the agents too? A stop of the service does, its restart does not, and unknown is no stop."""
        assert self._stop is not None
        policy, job = self._config.on_stop, ""
        if policy == "auto":
            job = await asyncio.to_thread(pending_job, self._environ)
            policy = "stop" if job == "stop" else "keep"
        log.info("signal name=%s job=%s agents=%s", name, job or "unknown", policy)
        if not self._stop.done():
            self._stop.set_result((policy == "stop", _STOP_AGENTS_S, f"{name} ({job})" if job else name))

    def _hung_up(self) -> None:
        with contextlib.suppress(KageError):  # `reload` has logged it; nobody else waits for an answer
            self.reload()

    # --- from the engine and the journal ---------------------------------------------------------------------------

    def happened(self, draft: Draft, seq: int) -> None:
        """Count what the service manager is told of."""
        if isinstance(draft.event, Ended) and draft.event.outcome == "failed":
            self._failed_agents += 1

    def committed(self, commit: Commit) -> None:
        """Nothing to do for each commit."""

    def failed(self, why: KageError) -> None:
        """The store does not take writes any more: end, so that the next start sees what is really on disk."""
        self._failure = why
        log.critical("store_failed reason=%s %s; %s", why.reason, why, why.hint)
        self._set(pb.DAEMON_PHASE_READ_ONLY, why.message)
        if self._stop is not None and not self._stop.done():
            self._stop.set_result((False, 0.0, "store failed"))

    def stalled(self, why: KageError | None) -> None:
        """The disk is full, or has room again: reads and agents go on, and so will writes."""
        core = self._core
        if why is not None:
            log.error("disk_full hint=%s", why.hint)
        elif core is not None and self._phase == pb.DAEMON_PHASE_RECOVERING:
            core.resume()
        if core is not None:
            self._say_whether_writable(core)

    # --- ticking -----------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Measure the loop's delay, look at the disk, tell the service manager."""
        while True:
            before_s = self._system.monotonic_s()
            await asyncio.sleep(_TICK_S)
            self._delays_us.append(int((self._system.monotonic_s() - before_s - _TICK_S) * 1e6))
            del self._delays_us[:-240]
            self._look_at_space()
            self._tell_manager()

    def _look_at_space(self) -> None:
        core = self._core
        if core is None or self._failure is not None:
            return
        try:
            free = shutil.disk_usage(self._config.state_dir).free
        except OSError as error:  # gone, or a disk that does not answer: the next commit will tell
            log.error("disk_unknown error=%s", error)
            return
        if free >= self._config.min_free_bytes:
            core.journal.refuse_writes(None)
        elif core.journal.refusal is None:
            why = StoreReadOnly(
                f"only {free >> 20} MiB are free on the disk of {self._config.state_dir}",
                hint=f"free some space; writes go on above {self._config.min_free_bytes >> 20} MiB",
                retry_after_s=5.0,
            )
            core.journal.refuse_writes(why)
            log.error("disk_nearly_full free_bytes=%s", free)
        self._say_whether_writable(core)

    def _say_whether_writable(self, core: Core) -> None:
        """In the status and to health checks. During recovery nothing: there is nothing to read yet."""
        why = core.journal.refusal
        if why is not None and self._phase == pb.DAEMON_PHASE_SERVING:
            log.error("read_only reason=%s %s", why.reason, why)
            self._set(pb.DAEMON_PHASE_READ_ONLY, why.message)
            self._tell_health(serving=False)
        elif why is None and self._phase == pb.DAEMON_PHASE_READ_ONLY:
            log.info("writable")
            self._set(pb.DAEMON_PHASE_SERVING, "serving")
            self._tell_health(serving=True)
            core.resume()

    def _tell_health(self, *, serving: bool) -> None:
        if self._doors is not None:
            say = self._doors.serve_again() if serving else self._doors.refuse()
            self._telling = asyncio.ensure_future(say)

    def _set(self, phase: "pb.DaemonPhase", detail: str) -> None:
        self._phase, self._detail = phase, detail
        self._tell_manager()
        self._changed.set()
        self._changed = asyncio.Event()

    def _tell_manager(self) -> None:
        """The line in `systemctl status`; sent only when it has changed."""
        core = self._core
        if not self._manager.there or core is None or self._phase == pb.DAEMON_PHASE_RECOVERING:
            return
        states: dict[str, int] = {}
        for kept in core.world.agents.values():
            states[kept.state.word] = states.get(kept.state.word, 0) + 1
        questions = sum(1 for item in core.world.approvals.values() if item.state == "open")
        line = headline(states, questions=questions, failed=self._failed_agents)
        match self._phase:
            case pb.DAEMON_PHASE_READ_ONLY:
                line = f"READ-ONLY, {self._detail}; {line}"
            case pb.DAEMON_PHASE_DRAINING:
                line = f"leaving, {self._detail}; {line}"
            case _:
                line = f"{line}{self._complaint}"
        self._manager.status(line)

    # --- what DaemonService needs (Operator) -------------------------------------------------------------------

    def status(self) -> pb.DaemonStatus:
        """How it is."""
        config, core = self._config, self._core
        status = pb.DaemonStatus(
            version=__version__,
            phase=self._phase,
            detail=self._detail,
            pid=os.getpid(),
            start_time=timestamp(self._started_us),
            state_dir=str(config.state_dir),
            socket=str(config.socket),
            agent_socket=str(config.agent_socket),
            disk_free_bytes=shutil.disk_usage(config.state_dir).free,
            api_revision=API_REVISION,
        )
        if core is not None:
            counters = core.journal.counters()
            status.store_id = core.journal.store_id
            status.head_seq = core.journal.durable_seq
            status.first_seq = core.journal.first_seq
            status.fsync_p50_us = counters.sync_p50_us
            status.fsync_p99_us = counters.sync_p99_us
            status.subscribers = core.feed.subscribers
            status.open_approvals = sum(1 for item in core.world.approvals.values() if item.state == "open")
            status.trees = sum(1 for tree in core.world.trees.values() if not tree.over)
            for kept in core.world.agents.values():
                status.agents[kept.state.word] += 1
        return status

    async def stats(self) -> pb.GetStatsResponse:
        """Figures since the start."""
        status = self.status()
        answer = pb.GetStatsResponse(status=status, rss_bytes=_rss_bytes())
        usage = resource.getrusage(resource.RUSAGE_SELF)
        answer.cpu_s = usage.ru_utime + usage.ru_stime
        delays = sorted(self._delays_us)
        if delays:
            answer.loop_delay_p99_us = max(0, delays[len(delays) * 99 // 100])
        core = self._core
        if core is not None:
            counters = core.journal.counters()
            answer.events_appended = counters.events
            answer.commits = counters.commits
            answer.bytes_appended = counters.bytes
            answer.output_bytes = core.output_bytes
            answer.runs_started = core.runs_started
            answer.fell_behind = core.feed.fell_behind
            answer.store_bytes = await asyncio.to_thread(_folder_bytes, self._config.state_dir / "db")
            for name in ("rocksdb.cur-size-all-mem-tables", "rocksdb.block-cache-usage"):
                answer.store[name] = core.journal.store.property("events", name)
        return answer

    def reload(self) -> tuple[list[str], list[str]]:
        """Read the configuration again; the keys in `_RELOADABLE` change at once."""
        with self._manager.reloading(self._system.monotonic_s()):
            return self._reload()

    def _reload(self) -> tuple[list[str], list[str]]:
        try:
            fresh = configuration.load(
                state_dir=str(self._config.state_dir),
                socket=str(self._config.socket),
                config_file=None,
                flags={},
                environ=self._environ,
            )
        except KageError as error:
            log.error("reload_refused %s", error)
            self._complaint = f"; NOT RELOADED, {error}"
            self._tell_manager()
            raise
        self._complaint = ""
        changed = [
            item.name for item in fields(Config) if getattr(fresh, item.name) != getattr(self._config, item.name)
        ]
        applied = [name for name in changed if name in _RELOADABLE]
        later = [name for name in changed if name not in _RELOADABLE]
        self._config = fresh
        logging.getLogger().setLevel(fresh.log_level.upper())
        log.info("reloaded applied=%s needs_restart=%s", applied, later)
        return applied, later

    def live_runs(self) -> int:
        """How many agents have a process."""
        return len(self._core.children) if self._core is not None else 0

    async def record_once(self, caller: Caller, act: Callable[[], DaemonEvent]) -> tuple[DaemonEvent, bool]:
        """Act and record the fact of it; for a repeat of the request the fact of the first time, and True."""
        assert self._core is not None, "not served while the daemon recovers"
        return await self._core.record_once(caller, act)

    def shutdown(self, *, stop_agents: bool, timeout_s: float, reason: str) -> None:
        """Begin to stop."""
        assert self._stop is not None
        if not self._stop.done():
            self._stop.set_result((stop_agents, timeout_s, reason))

    async def changed(self, timeout_s: float) -> None:
        """Return when the phase changed, at the latest after the timeout."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a user can learn from, of what several tasks have failed with; else the first."""
    known = group.subgroup((KageError, OSError)) or group
    error: BaseException = known
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _first(*waits: Coroutine[None, None, object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _free(*paths: Path) -> None:
    """Make sure that nobody lives at these sockets, and clear away what starts that were killed left beside them.

    Raises SocketTaken. The state folder's lock says nothing about a daemon of another folder at the same socket.
    """
    for path in paths:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(path))
            except OSError as error:
                if isinstance(error, TimeoutError | BlockingIOError):  # somebody is there, but busy
                    raise SocketTaken(path) from error
            else:
                raise SocketTaken(path)
    ends = {"token", *(path.name[:8] for path in paths)}
    for folder in {path.parent for path in paths}:
        for draft in folder.glob(".*.*"):
            _, pid, end = draft.name.split(".", 2)
            if pid.isdigit() and end in ends and not _lives(int(pid)):
                draft.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _rss_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
