"""A start over what the daemon before us left: fold what can still act, adopt or settle every run, resume the rest.

Recovery asks the state what should be under way and looks at what is there; unknown is never treated as dead. One
slow or broken run holds up nobody else. Nothing is signalled before all run folders were looked at.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kaged.crash_points import Point, passed
from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.frozen import frozen
from kaged.ports import Executor
from kaged.runtime.daemon_record import DaemonRecord
from kaged.runtime.engine import DAEMON_STREAM, Engine
from kaged.runtime.runs.children import Children
from kaged.runtime.stops import Stops
from kaged.runtime.workspaces.removing import Removing
from kaged.store.derived.views import Views
from kaged.store.reading.reader import Reader

_ADOPT_S: Final = 5.0
log = logging.getLogger("kaged.core")


@frozen
class Recovered:
    """What recovery found: runs that go on, and runs that did not."""

    adopted: int
    settled: int
    after_clean_stop: bool


class Recovery:
    """See the module. `resume` repeats everything else that should be under way (`core.py`). Used once, on the loop."""

    def __init__(
        self,
        engine: Engine,
        views: Views,
        reader: Reader,
        executor: Executor,
        children: Children,
        removing: Removing,
        stops: Stops,
        record: DaemonRecord,
        resume: Callable[[], None],
    ) -> None:
        self._world = engine.world
        self._journal = engine.journal
        self._views = views
        self._reader = reader
        self._executor = executor
        self._children = children
        self._removing = removing
        self._stops = stops
        self._record = record
        self._resume = resume

    async def run(self) -> Recovered:
        """Return when all is under way that should be, and that is on the disk. `Children.serve` must run."""
        await asyncio.to_thread(self._fold)
        passed(Point.RECOVERY_FOLDED)
        last = self._reader.last_of(DAEMON_STREAM)
        clean = last is not None and last.type == facts.DaemonStopped.type_name
        # Before any keeper: an end that it finds may start a run at once, whose folder nobody here would know.
        await asyncio.to_thread(self._sweep, {run.id for _, run in self._world.live_runs()})
        passed(Point.RECOVERY_SWEPT)
        self._stops.remember(last.seq if last is not None else 0)
        self._stops.as_owed()
        keepers = [self._children.keep(state, run, adopted=True) for state, run in list(self._world.live_runs())]
        passed(Point.RECOVERY_KEPT)
        if keepers:
            await asyncio.wait([keeper.adopted_alive for keeper in keepers], timeout=_ADOPT_S)
        alive = sum(1 for keeper in keepers if keeper.adopted_alive.done() and keeper.adopted_alive.result())
        passed(Point.RECOVERY_ADOPTED)
        recovered = Recovered(adopted=alive, settled=len(keepers) - alive, after_clean_stop=clean)
        self._resume()
        await self._removing.resume()
        self._record.started(adopted=recovered.adopted, settled=recovered.settled, after_clean_stop=clean)
        passed(Point.RECOVERY_RESUMED)
        await self._journal.settles(self._journal.accepted_seq)
        passed(Point.RECOVERY_RECORDED)
        return recovered

    def _fold(self) -> None:
        for agent in self._views.live_agents():
            found = self._views.agent(agent)
            if found is None:
                continue
            self._world.load(*found)
            for approval in found[0].approvals:
                state = self._views.approval(approval)
                if state is not None:
                    self._world.approvals[approval] = state
        self._world.numbers = max(self._world.numbers, self._views.last_number())
        # Also trees that have ended while some of their agents have not been told.
        for name in {*self._views.live_trees(), *self._world.of_tree}:
            tree = self._views.tree(name)
            if tree is not None:
                self._world.load_tree(*tree)

    def _sweep(self, live: set[str]) -> None:
        """Run folders that no live run owns: left by a crash between the last fact and the removal."""
        self._executor.empty_trash()
        for run in self._executor.runs():
            if run in live:
                continue
            folder = self._executor.folder(run)
            try:
                if folder.held():
                    log.error("stray_run run=%s hint=%s", run, "its shim lives, but this store does not know it")
                    continue
                folder.remove()
            except (KageError, OSError) as error:
                log.warning("stray_folder run=%s error=%s", run, error)
