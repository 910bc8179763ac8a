"""All live runs: one keeper task each, one watch on disk changes, limits on starting many at once.

Effects of facts about runs arrive here once they are durable: start a process, give an order, write input. What a
keeper sees of its run goes back as reports. The same keeper serves a run that this daemon started and one that it
adopted; `keeper.py` is that life. Not here: what follows from an end (the machines decide).

A quiet run costs nothing: the watch tells of output, records and a shim's death. Behind it stands a safety scan
(decision 18), which looks at a tenth of the runs each second, and each second at those that need it: not watched,
behind with their orders, or silent for as long as their idle limit.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kaged.crash_points import Point, passed
from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.machines.agent import AgentState, Run
from kaged.ports import Launched, Watch
from kaged.runtime.runs.host import Host
from kaged.runtime.runs.keeper import Keeper
from kaged.store.wire.codec import Draft

_SCAN_S: Final = 1.0
_POLL_S: Final = 0.1  # where the system tells of nothing (not Linux)
_SCANS_A_ROUND: Final = 10  # of the safety scan: a run that the watch tells of is looked at once in so many
_LET_GO_S: Final = (
    0.05  # from the close of a lock to the lock's end in the kernel; microseconds, but for a busy machine
)
_TRY_AGAIN_S: Final = 1.0
log = logging.getLogger("kaged.children")


class Children:
    """See the module. Used on the event loop only; `serve` runs until cancelled."""

    def __init__(self, host: Host, watch: Watch, find: Callable[[str], AgentState | None]) -> None:
        self._host = host
        self._watch = watch
        self._find = find
        self._keepers: dict[str, Keeper] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._zombies: list[Launched] = []
        self._kept = 0

    def __len__(self) -> int:
        return len(self._keepers)

    async def serve(self) -> None:
        """Keep runs until cancelled; keepers end with it, agents do not."""
        fd = self._watch.fileno()
        loop = asyncio.get_running_loop()
        if fd is not None:
            loop.add_reader(fd, self._changed)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                if fd is None:
                    group.create_task(self._poll(), name="poll")
                scan = 0
                while True:
                    await asyncio.sleep(_SCAN_S)
                    scan = (scan + 1) % _SCANS_A_ROUND
                    for keeper in self._keepers.values():
                        if fd is None or keeper.turn == scan or keeper.restless():
                            keeper.look()
                    if self._zombies:
                        self._zombies = [launched for launched in self._zombies if launched.reap() is None]
        finally:
            self._group = None
            if fd is not None:
                loop.remove_reader(fd)

    def _changed(self) -> None:
        changes = self._watch.changed()
        for run in self._keepers if changes.lost else changes.runs | changes.let_go:
            self._look(run)
        for run in changes.let_go:
            asyncio.get_running_loop().call_later(_LET_GO_S, self._look, run)

    async def _poll(self) -> None:
        """Look for changes without being woken."""
        while True:
            await asyncio.sleep(_POLL_S)
            if self._keepers:
                self._changed()

    def _look(self, run: str) -> None:
        keeper = self._keepers.get(run)
        if keeper is not None:
            keeper.look()

    # --- runs --------------------------------------------------------------------------------------------------

    def keep(self, state: AgentState, run: Run, *, adopted: bool) -> Keeper:
        """Begin to keep a run. It has no keeper yet: two would start and abandon the same run."""
        assert run.id not in self._keepers, f"run {run.id} has a keeper"
        keeper = self._keepers[run.id] = self._keeper(state, run, adopted=adopted)
        assert self._group is not None, "serve() has begun"
        self._tasks[run.id] = self._group.create_task(self._life(keeper), name=f"run {run.id}")
        return keeper

    def _keeper(self, state: AgentState, run: Run, *, adopted: bool) -> Keeper:
        self._kept += 1
        return Keeper(self._host, self._watch, state, run, adopted=adopted, turn=self._kept % _SCANS_A_ROUND)

    async def _life(self, keeper: Keeper) -> None:
        run, said = keeper.run, ""
        try:
            while True:
                try:
                    await keeper.live()
                    return
                except (KageError, OSError) as error:
                    # The journal refuses (a full disk), or the disk of the run folder does. The run itself goes on:
                    # adopt it again from what is recorded, when that may help.
                    if str(error) != said:  # a full disk takes its time
                        said = str(error)
                        log.error("keeper_stopped run=%s error=%s", run, error)
                except Exception:  # a bug that one run's data finds must not take the others along
                    log.exception("keeper_bug run=%s", run)
                await asyncio.sleep(_TRY_AGAIN_S)
                state = self._find(keeper.agent)
                if state is None or state.live_run is None or state.live_run.id != run:
                    return
                keeper = self._keepers[run] = self._keeper(state, state.live_run, adopted=True)
        finally:
            self._keepers.pop(run, None)
            self._tasks.pop(run, None)

    def keeper(self, run: str) -> Keeper | None:
        """The keeper of a run."""
        return self._keepers.get(run)

    def bury(self, launched: Launched) -> None:
        """Collect a shim now or, if it has not quite ended, soon."""
        if launched.reap() is None:
            self._zombies.append(launched)

    # --- effects -----------------------------------------------------------------------------------------------

    def happened(self, draft: Draft, seq: int) -> None:
        """Carry out what a durable fact asks for."""
        event = draft.event
        match event:
            case facts.RunWanted():
                passed(Point.RUN_WANTED)
                state = self._find(draft.agent)
                if state is not None and state.run is not None and state.run.id == event.run and state.run.live:
                    self.keep(state, state.run, adopted=False)
            case facts.StopWanted() | facts.Signalled() | facts.Resized() | facts.InputAccepted():
                passed(Point.INPUT_RECORDED if isinstance(event, facts.InputAccepted) else Point.ORDER_RECORDED)
                keeper = self._keepers.get(event.run)
                if keeper is not None:
                    keeper.obey(event)
            case _:
                pass
