"""What becomes of spooled output besides being read: recorded bytes are freed, and what was given up is recorded.

    read the spools -> read what the shim gave up -> commit -> free what is recorded -> tell the shim

Promises: only bytes whose chunk is durable are freed, and, where an adapter listens, only those that it understood;
recovery reads spools from the recorded offset on and the adapter's rest from the journal, so a crash at any line costs
disk space until the next pass, and nothing else. Bytes that the shim gave up are recorded once, as a range.

The order of the reads matters. The shim says what it gives up before it punches: zeros that a read has seen are
covered by what is read of the shim afterwards. Not here: reading and committing (`keeper.py`).
"""

import asyncio
import logging
from typing import Final

from kaged.crash_points import Point, passed
from kaged.domain.events import facts
from kaged.domain.run_records import Backlog, Channel, TornRecord
from kaged.ports import RunFolder
from kaged.runtime.runs.capture import Capture

STEP_BYTES: Final = 1 << 20  # freeing costs 0.1 ms, whatever the size
_LEAST_BYTES: Final = 4096
_CHANNELS: Final[tuple[Channel, ...]] = ("out", "err")
log = logging.getLogger("kaged.spools")


class Spools:
    """One run's. Used on the event loop only. `limit_bytes`, `total_bytes`: what its shim lets wait, 0 all."""

    def __init__(self, folder: RunFolder, run: str, *, limit_bytes: int, total_bytes: int) -> None:
        self._folder = folder
        self._run = run
        self._counts = bool(limit_bytes or total_bytes)
        # A shim that cannot know of the last bytes recorded must have room left for others.
        limits = [limit // part for limit, part in ((limit_bytes, 8), (total_bytes, 256)) if limit]
        self._step = max(_LEAST_BYTES, min([STEP_BYTES, *limits]))
        self._freed: dict[Channel, int] = {"out": 0, "err": 0}
        self._told = (0, 0)
        self._backlog: Backlog | None = None

    def given_up(self, capture: Capture) -> list[facts.CaptureEvent]:
        """Facts about bytes that are not there any more at the place to read from. Call it after the spools were
        read and before anything of that is used; when there are facts, what was read is worth nothing."""
        try:
            self._backlog = self._folder.read_backlog()
        except TornRecord as error:
            log.error("record_torn run=%s %s", self._run, error)
        found: list[facts.CaptureEvent] = []
        if self._backlog is not None:
            for channel in _CHANNELS:
                up_to = self._backlog.given_up(channel)
                if up_to > (start := capture.place.end(channel)):
                    log.warning(
                        "output_dropped run=%s channel=%s start=%s end=%s limit=%s",
                        *(self._run, channel, start, up_to, self._backlog.why),
                    )
                    found += capture.dropped(channel, up_to, self._backlog.why)
        return found

    def news(self, said: int) -> list[facts.AgentEvent]:
        """Facts about the agent being held, from what its shim said since its word number `said`."""
        backlog = self._backlog
        if backlog is None or backlog.number <= said:
            return []
        held = facts.OutputHeld(
            run=self._run,
            number=backlog.number - (backlog.number + 1) % 2,
            limit=backlog.why,
            waiting_bytes=backlog.waiting,
            limit_bytes=backlog.limit,
            since_us=backlog.since_us,
        )
        if backlog.number % 2:
            log.warning("output_held run=%s limit=%s waiting=%s", self._run, backlog.why, backlog.waiting)
            return [held]
        released = facts.OutputReleased(run=self._run, number=backlog.number, held_us=backlog.held_us)
        return [released] if said == held.number else [held, released]

    async def recorded(self, capture: Capture, *, at_rest: bool = False) -> None:
        """All up to the capture's place is durable: free it and tell the shim, if that is worth it by now."""
        place = capture.place
        ends = place.out_end, place.err_end
        held = self._backlog is not None and self._backlog.number % 2 == 1
        new = ends[0] - self._told[0] + ends[1] - self._told[1]
        tell = self._counts and new > 0 and (at_rest or held or new >= self._step)
        free: dict[Channel, int] = {"out": place.out_parsed if capture.listens else place.out_end, "err": place.err_end}
        if not tell and all(free[channel] - self._freed[channel] < STEP_BYTES for channel in _CHANNELS):
            return
        await asyncio.to_thread(self._record, ends if tell else None, free, ring=held)

    def _record(self, ends: tuple[int, int] | None, free: dict[Channel, int], *, ring: bool) -> None:
        for channel in _CHANNELS:
            if free[channel] > self._freed[channel]:
                self._freed[channel] = self._folder.free_spool(channel, self._freed[channel], free[channel])
                passed(Point.OUTPUT_FREED)
        if ends is None:
            return
        try:
            self._folder.note_consumed(*ends)
        except OSError as error:  # told again with the next bytes, or at rest
            log.warning("consumed_not_noted run=%s error=%s", self._run, error)
            return
        self._told = ends
        passed(Point.OUTPUT_NOTED)
        if ring:
            self._folder.ring()
