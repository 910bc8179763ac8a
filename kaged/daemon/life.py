"""One life of the daemon: builds every part, in the order of starting, and takes them down in the reverse.

    lock -> store -> doors (health and status only) -> recover -> doors open -> READY
    signal or Shutdown -> DRAINING -> (stop agents) -> doors close -> last fact -> store closes

Imports the world; nothing imports it but `cli`.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import fields
from typing import Final

from kaged.adapters.registry import ADAPTERS
from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.config import Config, base_environment
from kaged.crash_points import Point, passed
from kaged.daemon.leaving import Leaving
from kaged.daemon.sockets import free_paths, hand_out, share, tell_ports
from kaged.daemon.space import Space
from kaged.daemon.standing import Standing
from kaged.domain.errors import KageError
from kaged.domain.events.daemon import DaemonEvent
from kaged.executors.announcer import LocalAnnouncer, passed_on
from kaged.executors.carried import install_python
from kaged.executors.checks import LocalChecker
from kaged.executors.daemon_lock import DaemonLock
from kaged.executors.local import install_shim
from kaged.executors.provider import LocalRuns, ProcSampler, RunWatch
from kaged.executors.scope import Scopes, find_manager
from kaged.executors.stop_note import StopNote
from kaged.policies.files import PolicyFiles
from kaged.rpc.identity import AgentGate, Identity, OwnerGate, run_token, secret_file
from kaged.rpc.server import Doors
from kaged.runtime.core import Core
from kaged.runtime.engine import Caller
from kaged.runtime.notices import Notices
from kaged.runtime.queue import Places
from kaged.runtime.retention import keep_retention
from kaged.runtime.runs.held import Fence
from kaged.runtime.runs.run_host import Settings
from kaged.runtime.system import System
from kaged.service import ServiceManager, keep_extending, keep_watch
from kaged.store.log.journal import Journal
from kaged.store.log.opening import create_store
from kaged.store.log.witness import Witness
from kaged.store.log.writer import Commit
from kaged.store.reading.selection import FIRST_AGENT_ACTOR
from kaged.store.rows.keyvalue import DiskFull
from kaged.store.rows.rocks import RocksStore
from kaged.version import __version__
from kaged.workspace.provider import LocalWorkspaces

_PLACES: Final = ("max_agents", "max_agents_per_namespace")
_RELOADABLE: Final = frozenset(("log_level", "min_free_bytes", "on_stop", "keep_output_s", "notify", *_PLACES))
_TICK_S: Final = 1.0  # each one costs an idle daemon 0.02 % of a core
EXIT_OK: Final = 0
EXIT_STORE_FAILED: Final = 74  # EX_IOERR: what reached the disk is unknown
log = logging.getLogger("kaged")


class Daemon:
    """One life of the daemon. `run` returns its exit code."""

    def __init__(
        self, config: Config, environ: dict[str, str], *, read: Callable[[], Config], agent_umask: int = -1
    ) -> None:
        """`read` makes the configuration again, from the same flags, file and environment: what a reload sees."""
        self._read = read
        self._agent_umask = agent_umask
        self._config = config
        self._environ = environ
        self._system = System()
        self._manager = ServiceManager(environ)
        agent_path = base_environment(environ).get("PATH", "")
        self._standing = Standing(config, self._system, self._manager, agent_path)
        self._leaving: Leaving | None = None
        self._core: Core | None = None
        self._space: Space | None = None
        self._doors: Doors | None = None
        self._failure: KageError | None = None

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve until told to stop. Raises what refuses the start."""
        config = self._config
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with DaemonLock(config.lock_file):
            passed(Point.START_LOCKED)
            free_paths(config.socket, config.agent_socket)
            config.tcp_file.unlink(missing_ok=True)
            token = secret_file(config.state_dir / "owner.token")
            key = bytes.fromhex(secret_file(config.state_dir / "agents.key"))
            self._extending = asyncio.create_task(keep_extending(self._manager, lambda: self._standing.detail))
            try:
                store = await asyncio.to_thread(self._open_store)
            except BaseException:
                self._extending.cancel()
                raise
            passed(Point.START_STORE_OPEN)
            try:
                return await self._serve(store, token, key)
            except BaseException as error:
                if self._doors is not None:
                    await self._doors.close(0.0)
                if isinstance(error, BaseExceptionGroup):
                    raise _first_error(error) from error
                raise
            finally:
                self._extending.cancel()
                for path in (config.socket, config.agent_socket, config.tcp_file):
                    path.unlink(missing_ok=True)
                await asyncio.to_thread(store.close)

    def _open_store(self) -> RocksStore:
        store = RocksStore(self._config.state_dir / "db")
        create_store(store, self._system.event_id().hex())
        return store

    async def _serve(self, store: RocksStore, token: str, key: bytes) -> int:
        config, standing = self._config, self._standing
        leaving = self._leaving = Leaving(self._manager, standing, self._environ)
        leaving.listen(lambda: self._config.on_stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hung_up)
        owner = OwnerGate(token, config.state_dir / "owner.token")
        doors = self._doors = Doors(self, owner, AgentGate(key, self._live_run))
        hand_out(token, config.state_dir, config.socket)  # before the door: who finds that reads the token at once
        await doors.bind(config.socket, config.agent_socket)
        share(config.share_with_group, config.socket, config.state_dir)
        if config.listen:
            standing.ports = await doors.bind_ports(config.listen)
            tell_ports(config.tcp_file, standing.ports)
            log.info("listening ports=%s", " ".join(map(str, standing.ports)))
        passed(Point.START_BOUND)
        witness = Witness(config.state_dir / "db")
        journal = await asyncio.to_thread(Journal, store, clock_us=self._system.now_us, witness=witness.note)
        witness.confront(journal.durable_seq)  # before anything is appended: an end that was lost is named
        journal.listen(self)
        journal.start()
        core = self._core = standing.core = self._build(journal, key)
        core.engine.listen(standing)
        hook_env = {**base_environment(self._environ), **passed_on(self._environ)}
        announcer = LocalAnnouncer(lambda: self._config.notify, hook_env, str(config.socket))
        notices = Notices(core.engine, core.agents.load, announcer)
        core.engine.listen(notices)
        space = self._space = Space(config.state_dir, core, doors, standing)
        async with asyncio.TaskGroup() as group:
            children = group.create_task(core.children.serve(), name="children")
            telling = group.create_task(announcer.serve(), name="notices")
            goals = group.create_task(core.goals.serve(), name="goals")
            ticking = group.create_task(self._tick(space), name="tick")
            keeping = group.create_task(keep_retention(core, lambda: self._config.keep_output_s), name="retention")
            overlaps = group.create_task(core.workspaces.overlaps.watch(), name="overlaps")
            await asyncio.sleep(0)  # all have begun
            space.look(config.min_free_bytes)
            standing.detail = "looking at every run"
            recovered = await core.recovery.run()
            notices.sum_up()
            await doors.open(core)
            standing.set(pb.DAEMON_PHASE_SERVING, f"adopted {recovered.adopted}, settled {recovered.settled} runs")
            space.look(config.min_free_bytes)
            self._extending.cancel()
            self._manager.ready()
            passed(Point.START_READY)
            watching = group.create_task(keep_watch(self._manager, journal.prove), name="watchdog")
            gc.freeze()  # what is here stays: later searches for garbage need not walk through it
            log.info("ready socket=%s adopted=%s settled=%s", config.socket, recovered.adopted, recovered.settled)
            stop_agents, timeout_s, reason = await leaving.wanted
            passed(Point.STOP_WANTED)
            store_works = self._failure is None
            await leaving.wind_down(
                core, doors, store_works=store_works, stop_agents=stop_agents, timeout_s=timeout_s, reason=reason
            )
            goals.cancel()
            overlaps.cancel()
            children.cancel()
            ticking.cancel()
            telling.cancel()
            keeping.cancel()
            watching.cancel()
        core.timers.close()
        await core.workspaces.close()
        await journal.stop()
        if self._failure is None:
            with contextlib.suppress(DiskFull):  # what was acknowledged is in the log; the next start reads it there
                await asyncio.to_thread(store.flush)
        log.info("stopped reason=%s", reason)
        return EXIT_OK if self._failure is None else EXIT_STORE_FAILED

    def _build(self, journal: Journal, key: bytes) -> Core:
        config = self._config
        shim = install_shim(config.state_dir)
        carried = install_python(config.state_dir)
        manager = find_manager(self._environ)
        scopes = Scopes(manager) if manager is not None else None
        self._standing.scopes = scopes is not None
        log.info("executor scopes=%s limits=%s", scopes is not None, sorted(manager.limits) if manager else [])
        settings = Settings(
            version=__version__,
            daemon_lock=config.lock_file,
            agent_socket=str(config.agent_socket),
            unsupervised_s=config.unsupervised_s,
            max_subscribers=config.max_subscribers,
            base_env=base_environment(self._environ),
            places=_places(config),
            spool_bytes=config.spool_bytes,
            max_spool_bytes=config.max_spool_bytes,
            keep_free_bytes=2 * config.min_free_bytes,  # the second half is for recording what waits
            fence=Fence(guarded=(str(config.state_dir),), home=self._environ.get("HOME", "")),
            grounds=PolicyFiles(self._environ),
        )
        return Core(
            journal,
            self._system,
            LocalRuns(config.runs_dir, shim, umask=self._agent_umask, scopes=scopes, carried=carried),
            RunWatch(config.runs_dir),
            ADAPTERS,
            settings,
            token=lambda run: run_token(key, run),
            pid=os.getpid(),
            sampler=ProcSampler(),
            stop_note=StopNote(config.state_dir / "stop.note"),
            places=LocalWorkspaces(config.state_dir / "workspaces", self._environ, umask=self._agent_umask),
            checker=LocalChecker(str(config.state_dir)),
        )

    def _live_run(self, run: str) -> Identity | None:
        if self._core is None:
            return None
        state = self._core.world.agent(run.rpartition(".")[0])
        if state is None or state.live_run is None or state.live_run.id != run:
            return None
        return Identity(actor=FIRST_AGENT_ACTOR + state.number - 1, agent=state.id, run=run)

    def _hung_up(self) -> None:
        with contextlib.suppress(KageError):  # `reload` has logged it; nobody else waits for an answer
            self.reload()

    # --- from the engine and the journal ---------------------------------------------------------------------------

    def committed(self, commit: Commit) -> None:
        """Nothing to do for each commit."""

    def failed(self, why: KageError) -> None:
        """The store does not take writes any more: end, so that the next start sees what is really on disk."""
        self._failure = why
        log.critical("store_failed reason=%s %s; %s", why.reason, why, why.hint)
        self._standing.set(pb.DAEMON_PHASE_READ_ONLY, why.message)
        self.shutdown(stop_agents=False, timeout_s=0.0, reason="store failed")

    def stalled(self, why: KageError | None) -> None:
        """The disk is full, or has room again: reads and agents go on, and so will writes."""
        core = self._core
        if why is not None:
            log.error("disk_full hint=%s", why.hint)
        elif core is not None and self._standing.phase == pb.DAEMON_PHASE_RECOVERING:
            core.resume()
        if self._space is not None:
            self._space.tell()

    async def _tick(self, space: Space) -> None:
        """Measure the loop's delay, look at the disk, tell the service manager."""
        while True:
            before_s = self._system.monotonic_s()
            await asyncio.sleep(_TICK_S)
            self._standing.delayed(self._system.monotonic_s() - before_s - _TICK_S)
            if self._failure is None:
                space.look(self._config.min_free_bytes)
            self._standing.tell_manager()

    # --- what DaemonService needs (Operator) -------------------------------------------------------------------

    def status(self) -> pb.DaemonStatus:
        """How it is."""
        return self._standing.status()

    async def stats(self) -> pb.GetStatsResponse:
        """Figures since the start."""
        return await self._standing.stats()

    async def changed(self, timeout_s: float) -> None:
        """Return when the phase changed, at the latest after the timeout."""
        await self._standing.changed(timeout_s)

    def reload(self) -> tuple[list[str], list[str]]:
        """Read the configuration again; the keys in `_RELOADABLE` change at once."""
        with self._manager.reloading(self._system.monotonic_s()):
            return self._reload()

    def _reload(self) -> tuple[list[str], list[str]]:
        try:
            fresh = self._read()
        except KageError as error:
            log.error("reload_refused %s", error)
            self._standing.complaint = f"; NOT RELOADED, {error}"
            self._standing.tell_manager()
            raise
        self._standing.complaint = ""
        changed = [
            item.name for item in fields(Config) if getattr(fresh, item.name) != getattr(self._config, item.name)
        ]
        applied = [name for name in changed if name in _RELOADABLE]
        later = [name for name in changed if name not in _RELOADABLE]
        self._config = fresh
        if self._core is not None:
            self._core.change_places(_places(fresh))
        logging.getLogger().setLevel(fresh.log_level.upper())
        log.info("reloaded applied=%s needs_restart=%s", applied, later)
        return applied, later

    def live_runs(self) -> int:
        """How many agents have a process."""
        return len(self._core.children) if self._core is not None else 0

    async def record_once(self, caller: Caller, act: Callable[[], DaemonEvent]) -> tuple[DaemonEvent, bool]:
        """Act and record the fact of it; for a repeat of the request the fact of the first time, and True."""
        assert self._core is not None, "not served while the daemon recovers"
        return await self._core.record.once(caller, act)

    def shutdown(self, *, stop_agents: bool, timeout_s: float, reason: str) -> None:
        """Begin to stop."""
        if self._leaving is not None:
            self._leaving.want(stop_agents=stop_agents, timeout_s=timeout_s, reason=reason)


def _places(config: Config) -> Places:
    return Places(overall=config.max_agents, of_namespace=config.max_agents_per_namespace)


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a user can learn from, of what several tasks have failed with; else the first."""
    known = group.subgroup((KageError, OSError)) or group
    error: BaseException = known
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
