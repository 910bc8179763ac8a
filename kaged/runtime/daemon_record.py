"""What the daemon records about itself: its start, its orderly stop, and acts of an operator, each once.

Not here: what becomes of agents at a start (`recovery.py`) and at a stop (`stops.py`).
"""

import logging
from collections.abc import Callable

from kaged.crash_points import Point, passed
from kaged.domain.errors import Unavailable
from kaged.domain.events import facts
from kaged.runtime.engine import DAEMON_STREAM, Caller, Engine, Receipt
from kaged.runtime.recorded import fact_at
from kaged.store.reading.reader import Reader
from kaged.store.wire.codec import Draft

log = logging.getLogger("kaged.core")


class DaemonRecord:
    """See the module. `version` and `pid` are those of this daemon. Used on the event loop only."""

    def __init__(self, engine: Engine, reader: Reader, *, version: str, pid: int) -> None:
        self._engine = engine
        self._reader = reader
        self._version = version
        self._pid = pid
        self._unsaid: facts.DaemonStarted | None = None

    def started(self, *, adopted: int, settled: int, after_clean_stop: bool) -> None:
        """Recovery is done: record the start, at once or as soon as there is room."""
        self._unsaid = facts.DaemonStarted(
            version=self._version,
            pid=self._pid,
            boot_id=self._engine.system.boot_id(),
            adopted=adopted,
            settled=settled,
            after_clean_stop=after_clean_stop,
        )
        self.say_started()

    def say_started(self) -> None:
        """Record the start, once: at the end of recovery or, on a full disk, as soon as there is room."""
        if self._unsaid is not None and self._engine.journal.refusal is None:
            self._engine.commit([Draft(stream=DAEMON_STREAM, event=self._unsaid)])
            self._unsaid = None

    async def say_stopped(self, agents: str, reason: str) -> None:
        """Record an orderly stop as the last fact."""
        if self._engine.journal.refusal is not None:
            return
        kept = facts.DaemonStopped(agents="stop" if agents == "stop" else "keep", reason=reason)
        receipt = self._engine.commit([Draft(stream=DAEMON_STREAM, event=kept)])
        await self._engine.journal.settles(receipt.last_seq)
        passed(Point.STOP_RECORDED)

    async def once(self, caller: Caller, act: Callable[[], facts.DaemonEvent]) -> tuple[facts.DaemonEvent, bool]:
        """Act and record the fact of it; for a repeat of the request the fact of the first time, and True.

        Who may not write at the moment may still act: then nothing is remembered.
        """
        made: list[facts.DaemonEvent] = []

        def commit() -> Receipt:
            made.append(act())
            return self._engine.commit([Draft(stream=DAEMON_STREAM, event=made[0])], caller)

        try:
            receipt = await self._engine.once(caller, commit)
        except Unavailable as error:
            if not made:
                raise
            log.warning("not_recorded type=%s reason=%s", made[0].type_name, error.reason)
        if made:
            return made[0], False
        found = fact_at(self._reader, receipt.first_seq)
        assert isinstance(found, facts.DaemonEvent)
        return found, True
