"""How the daemon is, for all who ask: `GetStatus`, `GetStats`, `WatchStatus`, the line of the service manager."""

import asyncio
import contextlib
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Final

from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.config import Config
from kaged.domain.events.agent import Ended
from kaged.domain.places import LoopbackPlace
from kaged.domain.run_records import PROTOCOL
from kaged.machine.here import HERE
from kaged.rpc.convert import timestamp
from kaged.runtime.core import Core
from kaged.runtime.system import System
from kaged.service import ServiceManager, headline
from kaged.store.wire.codec import Draft
from kaged.version import __version__

API_REVISION: Final = 1
_KEPT_DELAYS: Final = 240


class Standing:
    """Phase, detail and figures. Used on the event loop only."""

    def __init__(self, config: Config, system: System, manager: ServiceManager, agent_path: str = "") -> None:
        self.phase: pb.DaemonPhase = pb.DAEMON_PHASE_RECOVERING
        self.detail = "reading the journal"
        self.complaint = ""
        self.core: Core | None = None
        self.ports: tuple[LoopbackPlace, ...] = ()  # those that were bound
        self.scopes = False
        self._agent_path = agent_path
        self._config = config
        self._manager = manager
        self._started_us = system.now_us()
        self._failed_agents = 0
        self._delays_us: list[int] = []
        self._changed = asyncio.Event()

    def set(self, phase: pb.DaemonPhase, detail: str) -> None:
        """It is like this from now on."""
        self.phase, self.detail = phase, detail
        self.tell_manager()
        self._changed.set()
        self._changed = asyncio.Event()

    def tell_manager(self) -> None:
        """The line in `systemctl status`; sent only when it has changed."""
        core = self.core
        if not self._manager.there or core is None or self.phase == pb.DAEMON_PHASE_RECOVERING:
            return
        states: dict[str, int] = {}
        for kept in core.world.agents.values():
            states[kept.state.word] = states.get(kept.state.word, 0) + 1
        questions = sum(1 for item in core.world.approvals.values() if item.state == "open")
        line = headline(states, questions=questions, failed=self._failed_agents)
        match self.phase:
            case pb.DAEMON_PHASE_READ_ONLY:
                line = f"READ-ONLY, {self.detail}; {line}"
            case pb.DAEMON_PHASE_DRAINING:
                line = f"leaving, {self.detail}; {line}"
            case _:
                line = f"{line}{self.complaint}"
        self._manager.status(line)

    def happened(self, draft: Draft, seq: int) -> None:
        """Count what the service manager is told of."""
        if isinstance(draft.event, Ended) and draft.event.outcome == "failed":
            self._failed_agents += 1

    def delayed(self, seconds: float) -> None:
        """The event loop came so much too late."""
        self._delays_us.append(int(seconds * 1e6))
        del self._delays_us[:-_KEPT_DELAYS]

    def status(self) -> pb.DaemonStatus:
        """How it is."""
        config, core = self._config, self.core
        status = pb.DaemonStatus(
            version=__version__,
            phase=self.phase,
            detail=self.detail,
            pid=os.getpid(),
            start_time=timestamp(self._started_us),
            state_dir=str(config.state_dir),
            socket=str(config.socket),
            agent_socket=str(config.agent_socket),
            disk_free_bytes=shutil.disk_usage(config.state_dir).free,
            api_revision=API_REVISION,
            listen=[f"unix:{config.socket}", *map(str, self.ports)],
            shim_protocol=PROTOCOL,
            scopes=self.scopes,
            agent_path=self._agent_path,
            python_version=".".join(map(str, sys.version_info[:3])),
            open_files_limit=_open_files_limit(),
            shared_with_group=config.share_with_group,
        )
        if core is not None:
            counters = core.journal.counters()
            status.store_id = core.journal.store_id
            status.head_seq = core.journal.durable_seq
            status.first_seq = core.journal.first_seq
            status.fsync_p50_us = counters.sync_p50_us
            status.fsync_p99_us = counters.sync_p99_us
            status.subscribers = core.feed.subscribers
            status.enforced_limits[:] = sorted(core.executor.enforces)
            if core.journal.last_recorded_us:
                status.newest_event_time.CopyFrom(timestamp(core.journal.last_recorded_us))
            status.open_approvals = sum(1 for item in core.world.approvals.values() if item.state == "open")
            status.trees = sum(1 for tree in core.world.trees.values() if not tree.over)
            for kept in core.world.agents.values():
                status.agents[kept.state.word] += 1
        return status

    async def stats(self) -> pb.GetStatsResponse:
        """Figures since the start."""
        status = self.status()
        answer = pb.GetStatsResponse(status=status, rss_bytes=HERE.rss_bytes())
        usage = resource.getrusage(resource.RUSAGE_SELF)
        answer.cpu_s = usage.ru_utime + usage.ru_stime
        delays = sorted(self._delays_us)
        if delays:
            answer.loop_delay_p99_us = max(0, delays[len(delays) * 99 // 100])
        core = self.core
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

    async def changed(self, timeout_s: float) -> None:
        """Return when the phase changed, at the latest after the timeout."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)


def _open_files_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if soft == resource.RLIM_INFINITY else soft


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
