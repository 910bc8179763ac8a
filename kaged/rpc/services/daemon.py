"""DaemonService: status, figures, reload, shutdown. The only service that answers while the daemon recovers."""

from collections.abc import AsyncIterator
from typing import Protocol

from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.domain.errors import Invalid
from kaged.rpc.methods import Call


class Operator(Protocol):
    """What the service needs of the daemon."""

    def status(self) -> pb.DaemonStatus:
        """How it is."""

    async def stats(self) -> pb.GetStatsResponse:
        """Figures."""

    def reload(self) -> tuple[list[str], list[str]]:
        """Read the configuration again: what was taken over, what needs a restart."""

    def shutdown(self, *, stop_agents: bool, timeout_s: float, reason: str) -> tuple[int, int]:
        """Begin to stop: how many agents go on, how many are being stopped."""

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
        applied, needs_restart = self._operator.reload()
        return pb.ReloadResponse(applied=applied, needs_restart=needs_restart)

    async def Shutdown(self, request: pb.ShutdownRequest, call: Call) -> pb.ShutdownResponse:
        """Stop in order, after this answer."""
        if not 0 <= request.timeout_s <= 86_400:
            raise Invalid(("timeout_s", "must lie between 0 and 86400"))
        kept, stopping = self._operator.shutdown(
            stop_agents=request.mode == pb.SHUTDOWN_MODE_STOP_AGENTS,
            timeout_s=request.timeout_s or 30,
            reason="requested",
        )
        return pb.ShutdownResponse(agents_kept=kept, agents_stopping=stopping)

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
