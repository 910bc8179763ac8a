"""Bulk output does not grow for ever: after `keep_output` the bodies of old bulk events go, a little at a time.

Heads, facts and hashes stay (decision 4), so states, proofs and the audit trail are what they were. What went is
recorded as one `event.redacted` for each pass. Off by default: nothing is lost that nobody asked to lose.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kaged.domain.errors import KageError
from kaged.domain.events.daemon import Redacted
from kaged.runtime.core import Core
from kaged.runtime.engine import DAEMON_STREAM
from kaged.store.upkeep.retention import drop_old_bulk
from kaged.store.wire.codec import Draft

_EVERY_S: Final = 600.0
_BREATH_S: Final = 0.05  # between steps, so that a long pass is felt by nobody
log = logging.getLogger("kaged.retention")


async def keep_retention(core: Core, keep_s: Callable[[], float]) -> None:
    """Run until cancelled; `keep_s` is asked at each pass, 0 keeps everything."""
    while True:
        await asyncio.sleep(_EVERY_S)
        if keep_s() > 0 and core.journal.refusal is None:
            try:
                await one_pass(core, keep_s())
            except KageError as error:
                log.warning("retention_stopped reason=%s", error.reason)


async def one_pass(core: Core, keep_s: float) -> int:
    """Take out what is due now; returns how many bodies went."""
    before_us = core.system.now_us() - int(keep_s * 1e6)
    first = last = bodies = 0
    more = True
    while more:
        step = await asyncio.to_thread(drop_old_bulk, core.journal.store, core.reader, before_us=before_us)
        more = step.more
        if step.bodies:
            first, last, bodies = first or step.first_seq, step.last_seq, bodies + step.bodies
        await asyncio.sleep(_BREATH_S)
    if bodies:
        core.feed.purge()
        fact = Redacted(first_seq=first, last_seq=last, bodies=bodies, reason="retention")
        receipt = core.engine.commit([Draft(stream=DAEMON_STREAM, event=fact)])
        if receipt.done is not None:
            await asyncio.shield(receipt.done)
        log.info("retention bodies=%s up_to=%s", bodies, last)
    return bodies
