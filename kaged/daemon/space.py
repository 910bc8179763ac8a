"""Room on the disk: below `min_free_bytes`, or when the store says so, the daemon is read-only until there is some."""

import asyncio
import logging
import shutil
from pathlib import Path

from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.daemon.standing import Standing
from kaged.rpc.server import Doors
from kaged.runtime.core import Core
from kaged.store.log.journal import StoreReadOnly

log = logging.getLogger("kaged")


class Space:
    """Looks at the disk of the state folder, and says to everybody whether it takes writes."""

    def __init__(self, state_dir: Path, core: Core, doors: Doors, standing: Standing) -> None:
        self._state_dir = state_dir
        self._core = core
        self._doors = doors
        self._standing = standing

    def look(self, min_free_bytes: int) -> None:
        """Refuse writes while less than that is free; take them again when there is more."""
        core = self._core
        try:
            free = shutil.disk_usage(self._state_dir).free
        except OSError as error:  # gone, or a disk that does not answer: the next commit will tell
            log.error("disk_unknown error=%s", error)
            return
        if free >= min_free_bytes:
            core.journal.refuse_writes(None)
        elif core.journal.refusal is None:
            why = StoreReadOnly(
                f"only {free >> 20} MiB are free on the disk of {self._state_dir}",
                hint=f"free some space; writes go on above {min_free_bytes >> 20} MiB",
                retry_after_s=5.0,
            )
            core.journal.refuse_writes(why)
            log.error("disk_nearly_full free_bytes=%s", free)
        self.tell()

    def tell(self) -> None:
        """In the status and to health checks. During recovery nothing: there is nothing to read yet."""
        core, standing = self._core, self._standing
        why = core.journal.refusal
        if why is not None and standing.phase == pb.DAEMON_PHASE_SERVING:
            log.error("read_only reason=%s %s", why.reason, why)
            standing.set(pb.DAEMON_PHASE_READ_ONLY, why.message)
            self._tell_health(serving=False)
        elif why is None and standing.phase == pb.DAEMON_PHASE_READ_ONLY:
            log.info("writable")
            standing.set(pb.DAEMON_PHASE_SERVING, "serving")
            self._tell_health(serving=True)
            core.resume()

    def _tell_health(self, *, serving: bool) -> None:
        say = self._doors.serve_again() if serving else self._doors.refuse()
        self._telling = asyncio.ensure_future(say)
