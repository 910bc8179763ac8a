"""DaemonService: status, figures, reload, shutdown. The only service that answers while the daemon recovers."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.domain.errors import Invalid
from kaged.domain.events.daemon import DaemonEvent, DaemonStopWanted, Reloaded
from kaged.rpc import convert
from kaged.rpc.methods import Call
from kaged.runtime.engine import Caller


class Operator(Protocol):
    """What the service needs of the daemon."""

    def status(self) -> pb.DaemonStatus:
        """How it is."""

    async def stats(self) -> pb.GetStatsResponse:
        """Figures."""

    def reload(self) -> tuple[list[str], list[str]]:
        """Read the configuration again: what was taken over, what needs a restart."""

    def shutdown(self, *, stop_agents: bool, timeout_s: float, reason: str) -> None:
        """Begin to stop."""

    def live_runs(self) -> int:
        """How many agents have a process."""

    async def record_once(self, caller: Caller, act: Callable[[], DaemonEvent]) -> tuple[DaemonEvent, bool]:
        """Act and record the fact of it; for a repeat of the request the fact of the first time, and True.

        A disk that takes nothing at the moment keeps nobody from acting; then nothing is remembered.
        """

    async def changed(self, timeout_s: float) -> None:
        """Return when the status may have changed, at the latest after the timeout."""


class DaemonService:
    """See the module."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def GetStatus(self, request: pb.GetStatusRequest, call: Call) -> pb.GetStatusResponse:
        """How it is."""
        return pb.GetStatusResponse(status=self._operator.status())

    async def GetStats(self, request: pb.GetStatsRequest, call: Call) -> pb.GetStatsResponse:
        """Figures since the start."""
        return await self._operator.stats()

    async def Reload(self, request: pb.ReloadRequest, call: Call) -> pb.ReloadResponse:
        """Read the configuration again."""

        def act() -> Reloaded:
            applied, needs_restart = self._operator.reload()
            return Reloaded(applied=tuple(applied), needs_restart=tuple(needs_restart))

        caller = call.caller(convert.request_id_in(request.request_id), request)
        fact, _ = await self._operator.record_once(caller, act)
        assert isinstance(fact, Reloaded)
        return pb.ReloadResponse(applied=fact.applied, needs_restart=fact.needs_restart)

    async def Shutdown(self, request: pb.ShutdownRequest, call: Call) -> pb.ShutdownResponse:
        """Stop in order, after this answer. The wish is on disk before it begins, so a repeat does not do it again."""
        if not 0 <= request.timeout_s <= 86_400:
            raise Invalid(("timeout_s", "must lie between 0 and 86400"))
        stop_agents, timeout_s = request.mode == pb.SHUTDOWN_MODE_STOP_AGENTS, request.timeout_s or 30

        def act() -> DaemonStopWanted:
            live = self._operator.live_runs()
            return DaemonStopWanted(
                agents="stop" if stop_agents else "keep",
                timeout_s=timeout_s,
                agents_kept=0 if stop_agents else live,
                agents_stopping=live if stop_agents else 0,
            )

        caller = call.caller(convert.request_id_in(request.request_id), request)
        fact, repeated = await self._operator.record_once(caller, act)
        if not repeated:
            self._operator.shutdown(stop_agents=stop_agents, timeout_s=timeout_s, reason="requested")
        assert isinstance(fact, DaemonStopWanted)
        return pb.ShutdownResponse(agents_kept=fact.agents_kept, agents_stopping=fact.agents_stopping)

    async def WatchStatus(self, request: pb.WatchStatusRequest, call: Call) -> AsyncIterator[pb.WatchStatusResponse]:
        """The status, and again whenever it changes."""
        if not 0 <= request.min_interval_s <= 86_400:
            raise Invalid(("min_interval_s", "must lie between 0 and 86400"))
        interval_s = max(0.05, request.min_interval_s or 1.0)
        last: bytes | None = None
        while True:
            status = self._operator.status()
            now = status.SerializeToString(deterministic=True)
            if now != last:
                last = now
                yield pb.WatchStatusResponse(status=status)
            await self._operator.changed(interval_s)
