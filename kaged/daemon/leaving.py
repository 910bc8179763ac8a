"""Leaving: who asks for it, what becomes of the agents, and the order of the last steps."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.crash_points import Point, passed
from kaged.daemon.standing import Standing
from kaged.domain.errors import KageError, Unavailable
from kaged.executors.systemd import pending_job
from kaged.rpc.server import Doors
from kaged.runtime.core import Core
from kaged.service import ServiceManager

_STOP_AGENTS_S: Final = 25.0  # the longest that a signal waits for them
_LEAVE_S: Final = 15.0  # the longest that leaving takes without them
_CLOSE_S: Final = 0.5  # for calls under way; an idle client that reads nothing makes us wait it out
log = logging.getLogger("kaged")


class Stopping(Unavailable):
    """The daemon is on its way out."""

    reason = "DRAINING"

    def __init__(self) -> None:
        super().__init__("kaged is stopping", hint="resume from your cursor when it is back", retry_after_s=0.2)


class Leaving:
    """The wish to leave, once: by signal, by call, or because the store failed. A second signal hurries."""

    def __init__(self, manager: ServiceManager, standing: Standing, environ: Mapping[str, str]) -> None:
        self.wanted: asyncio.Future[tuple[bool, float, str]] = asyncio.get_running_loop().create_future()
        self._manager = manager
        self._standing = standing
        self._environ = environ
        self._hurry = asyncio.Event()
        self._deciding: asyncio.Task[None] | None = None

    def listen(self, policy: Callable[[], str]) -> None:
        """Take signals; `policy` is `on_stop` at that moment."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number, policy)

    def want(self, *, stop_agents: bool, timeout_s: float, reason: str) -> None:
        """Leave; the first wish counts."""
        if not self.wanted.done():
            self.wanted.set_result((stop_agents, timeout_s, reason))

    async def wind_down(
        self, core: Core, doors: Doors, *, store_works: bool, stop_agents: bool, timeout_s: float, reason: str
    ) -> None:
        """Everything but the store: agents if wanted, subscriptions, doors, the last fact."""
        self._manager.stopping(_LEAVE_S + (timeout_s if stop_agents else 0.0))
        core.agents.draining = True
        self._standing.set(pb.DAEMON_PHASE_DRAINING, "stopping agents" if stop_agents else "agents go on")
        if stop_agents and store_works:
            await self._stop_agents(core, timeout_s)
        core.feed.close(Stopping())
        await doors.close(0.0 if self._hurry.is_set() else _CLOSE_S)
        if store_works:
            await core.record.say_stopped("stop" if stop_agents else "keep", reason)

    async def _stop_agents(self, core: Core, timeout_s: float) -> None:
        try:
            log.info("stopping_agents count=%s", core.stops.stop_all())
        except KageError as error:  # a full disk: the operator's word holds without a record
            log.error("stopping_agents_unrecorded count=%s reason=%s", core.stops.order_all(), error.reason)
        passed(Point.STOP_AGENTS_ASKED)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await _first(core.stops.wait_stopped(), self._hurry.wait())
        passed(Point.STOP_AGENTS_GONE)
        if core.journal.refusal is not None:
            log.error("ends_unrecorded count=%s hint=%s", len(core.children), "the next start with room records them")
        elif len(core.children):
            log.error("agents_left count=%s hint=%s", len(core.children), "they go on; the next start adopts them")

    def _signalled(self, number: signal.Signals, policy: Callable[[], str]) -> None:
        if self.wanted.done() or self._deciding is not None:
            self._hurry.set()
            return
        self._deciding = asyncio.create_task(self._decide(signal.Signals(number).name, policy()))

    async def _decide(self, name: str, policy: str) -> None:
        """Stop the agents too? A stop of the service does, its restart does not, and unknown is no stop."""
        job = ""
        if policy == "auto":
            job = await asyncio.to_thread(pending_job, self._environ)
            policy = "stop" if job == "stop" else "keep"
        log.info("signal name=%s job=%s agents=%s", name, job or "unknown", policy)
        reason = f"{name} ({job})" if job else name
        self.want(stop_agents=policy == "stop", timeout_s=_STOP_AGENTS_S, reason=reason)


async def _first(*waits: Coroutine[None, None, object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
