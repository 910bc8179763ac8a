"""The life of one run as the daemon sees it, from the wish to the sealed end. The same for adopted runs.

    wanted -> shim at its gate -> run.started (durable) -> gate opens -> run.executed -> output ... -> run.ended

A crash of the daemon after any step is met by the next daemon's keeper at the same place: everything that it needs
is in the journal or in the run's folder. Reports are commits; a keeper waits for each before it reads on, so a run
holds at most one batch in flight and its spool is the buffer.
"""

import asyncio
import contextlib
import dataclasses
import logging
from typing import Final

from kaged.crash_points import Point, passed
from kaged.domain.assignment import assignment
from kaged.domain.errors import AlreadyExists, KageError, Unavailable
from kaged.domain.events import facts
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.run_records import PROTOCOL, Channel, Meta, TornRecord
from kaged.domain.workspace import Cancelled
from kaged.ports import Launched, RunFolder, Watch
from kaged.runtime.runs.capture import Capture, Place
from kaged.runtime.runs.host import Done, Host
from kaged.runtime.runs.run_facts import NOTHING, FolderFact, ended, perform, read_exit, read_sealed, with_note
from kaged.runtime.runs.spools import Spools

READ_BYTES: Final = 1 << 20
FLUSH_S: Final = 0.02  # small output is gathered this long (decision 13)
_ENOUGH_BYTES: Final = 64 << 10  # ... unless there is this much of it
_READY_S: Final = 30.0
_GONE_S: Final = 10.0  # for a shim that lost its daemon at the gate to say that it did not start
_AT_REST_S: Final = 0.5
_REMOVE_TRIES: Final = 100
_REMOVE_EVERY_S: Final = 0.02
log = logging.getLogger("kaged.keeper")


class Keeper:
    """One run. `live` returns when the run has ended and its folder is gone."""

    def __init__(self, host: Host, watch: Watch, state: AgentState, run: Run, *, adopted: bool, turn: int = 0) -> None:
        self.agent = state.id
        self.run = run.id
        self.turn = turn  # of the safety scan, when it looks at this run
        self.last_output_s = self._last_input_s = host.system.monotonic_s()
        self.adopted_alive: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._host = host
        self._watch = watch
        self._spec = state.spec
        self._state_at_start = state
        self._phase = run.phase
        self._adopted = adopted
        self._folder: RunFolder = host.executor.folder(run.id)
        self._launched: Launched | None = None
        self._dirty = asyncio.Event()
        self._watched = False
        self._ready = False
        self._waiting: list[FolderFact] = []
        self._limited = False
        self._unwanted = False  # asked from a thread that makes its workspace
        self._place = Place()
        limit_bytes, total_bytes = host.spool_limits(state)
        self._spools = Spools(self._folder, run.id, limit_bytes=limit_bytes, total_bytes=total_bytes)
        self._read_s = 0.0

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of standard output and standard error that are recorded."""
        return self._place.out_end, self._place.err_end

    @property
    def adapter_state(self) -> bytes:
        """What its adapter remembers of what it heard."""
        return self._place.adapter_state

    def look(self) -> None:
        """Something may have changed in the folder."""
        self._dirty.set()

    def restless(self) -> bool:
        """Whether the run needs a look at each safety scan, and not only in its turn."""
        return not self._watched or not self._ready or self._idle_too_long()

    def obey(self, fact: FolderFact) -> None:
        """Put a durable order or input into the folder; kept until there is one."""
        if isinstance(fact, facts.InputAccepted):
            self._last_input_s = self._host.system.monotonic_s()
        self._unwanted = self._unwanted or isinstance(fact, facts.StopWanted)
        if not self._ready:
            self._waiting.append(fact)
            return
        try:
            perform(self._folder, fact)
        except (OSError, KageError) as error:
            # The folder lacks it now; it is repeated, in order, when the disk allows.
            log.warning("folder_write_failed run=%s error=%s", self.run, error)
            self._ready = False
            self._waiting.append(fact)
            self.look()

    async def live(self) -> None:
        """Keep the run until its end."""
        try:
            if self._phase == "wanted" and not await self._start():
                return
            if self._adopted and not await self._readable():
                return
            await self._capture()
        finally:
            self._unwanted = True
            if self._launched is not None:
                self._launched.abandon()
                self._host.bury(self._launched)
            if not self.adopted_alive.done():
                self.adopted_alive.set_result(False)
            self._watch.remove(self.run)

    # --- starting ----------------------------------------------------------------------------------------------

    async def _start(self) -> bool:
        """Get the run to its start, or report that it never started."""
        if self._adopted:
            await self._abandon_start()
            return False
        if not await self._prepared():
            return False
        try:
            async with self._host.starts:
                meta = await asyncio.to_thread(self._launch)
        except (KageError, OSError) as error:
            await self._not_started(str(error))
            return False
        assert self._launched is not None
        state = self._host.state(self.agent)
        if state is None or state.stop is not None or state.live_run is None:
            self._launched.abandon()
            await self._not_started("stopped before it started")
            return False
        started = facts.RunStarted(
            run=self.run,
            shim_pid=meta.pid,
            shim_start_ticks=meta.start_ticks,
            boot_id=meta.boot_id,
            protocol=meta.protocol,
        )
        await _durable(self._host.report(self.agent, (started,)))
        passed(Point.RUN_STARTED)
        try:
            self._launched.open_gate()
            passed(Point.RUN_GATE_OPENED)
        except KageError as error:
            await self._not_started(str(error))
            return False
        return True

    async def _prepared(self) -> bool:
        """Get the place where it works, or report why there is none: as a failed start, so that nothing retries it
        for ever."""
        try:
            await self._host.prepare(self.agent, self.run, lambda: self._unwanted)
        except (Unavailable, Cancelled) as error:
            await self._not_started(str(error))
            return False
        except KageError as error:
            end = ended(self.run, NOTHING, None, Place(), self._host.system.now_us(), self._host.system.boot_id())
            failed = dataclasses.replace(end, kind="exec_failed", note=f"workspace: {error.message}")
            await _durable(self._host.ended(self.agent, failed))
            await self._finish()
            return False
        self._state_at_start = self._host.state(self.agent) or self._state_at_start
        return True

    def _launch(self) -> Meta:
        """In a thread: start the shim and wait until it stands at its gate."""
        state = self._state_at_start
        assert state.run is not None
        spec = self._host.run_spec(state, state.run)
        try:
            self._launched = self._host.executor.launch(self.run, spec)
            self._host.equip(self.run)
            passed(Point.RUN_EQUIPPED)
            meta = self._launched.wait_ready(_READY_S)
        except Unavailable:
            if self._launched is not None:
                self._launched.abandon()
            raise
        except AlreadyExists as error:  # an older store was put back under newer run folders
            raise Unavailable(f"run folder {self.run} is there already") from error
        passed(Point.RUN_META_SEEN)
        return meta

    async def _abandon_start(self) -> None:
        """The daemon that wanted this run died before its gate opened: no shim may start it any more."""
        if self._state_at_start.workspace is not None:  # what it had begun to make it may still be at work
            await asyncio.to_thread(self._host.executor.kill_leftovers, self.run)
        if self._folder.exists():
            await asyncio.to_thread(self._folder.cancel)
            passed(Point.RUN_CANCELLED)
            deadline = self._host.system.monotonic_s() + _GONE_S
            while self._folder.held() and self._host.system.monotonic_s() < deadline:
                self._dirty.clear()
                await self._nap(0.05)
        await self._not_started("the daemon ended before the start")

    async def _not_started(self, why: str) -> None:
        await self._host.input_known(self.agent)  # no other wait until `ended`: its successor gets that input
        now_us = self._host.system.now_us()
        end = ended(self.run, NOTHING, None, Place(), now_us, self._host.system.boot_id())
        await _durable(self._host.ended(self.agent, with_note(end, why)))
        passed(Point.RUN_NOT_STARTED)
        await self._finish()

    async def _readable(self) -> bool:
        """Whether this daemon can read the run's files. While it cannot, the run is left alone: a newer release that
        comes back goes on with it. It is given up only when its shim is gone and somebody wants it to end."""
        host, found = self._host, 0
        while (state := host.state(self.agent)) is not None and (run := state.live_run) is not None:
            with contextlib.suppress(TornRecord):
                found = self._folder.protocol() or 0
            if (found > PROTOCOL) != run.set_aside:
                fact = facts.RunSetAside(run=self.run, protocol=found, spoken=PROTOCOL)
                await _durable(host.report(self.agent, (fact,)))
            if found <= PROTOCOL:
                return True
            alive = self._folder.held()
            if not self.adopted_alive.done():
                log.error("run_set_aside run=%s protocol=%s hint=%s", self.run, found, "a newer kaged can read it")
                self.adopted_alive.set_result(alive)
            if not alive and state.stop is not None:
                place = await asyncio.to_thread(host.place, self.agent, self.run, False)
                end = ended(self.run, None, None, place, host.system.now_us(), host.system.boot_id())
                note = f"a newer release started it (protocol {found}): how it ended cannot be read"
                await _durable(host.ended(self.agent, with_note(end, note)))
                await self._finish()
                return False
            self._dirty.clear()
            await self._dirty.wait()
        return False

    # --- capturing ---------------------------------------------------------------------------------------------

    async def _capture(self) -> None:
        host = self._host
        if self._adopted:
            await host.settled()  # what was read of it before, or the journal would get it twice
        adapter, place = host.adapter(self._state_at_start), Place()
        if self._adopted:
            place = await asyncio.to_thread(host.place, self.agent, self.run, adapter.listens)
            passed(Point.RECOVERY_PLACED)
        self._place = place
        capture = Capture(
            assignment(self._state_at_start, self.run),
            adapter,
            host.masker(self._state_at_start),
            place,
        )
        with contextlib.suppress(OSError, KageError):
            self._watch.add(self.run)
            self._watched = True
        while True:
            self._dirty.clear()
            if not self._ready:
                self._catch_up_folder()
            end = await self._pass(capture)
            if end is not None:
                if end.kind == "not_started":
                    await host.input_known(self.agent)
                await _durable(host.ended(self.agent, end))
                passed(Point.RUN_ENDED)
                await self._finish()
                return
            if not self._dirty.is_set():
                await self._dirty.wait()

    def _catch_up_folder(self) -> None:
        """Repeat recorded orders and input that the folder lacks: after a crash, or after a failed write."""
        waiting, self._waiting = self._waiting, []
        try:
            if not self._folder.exists():
                return
            if self._adopted:
                for fact in self._host.unperformed(self.agent, self.run, self._folder):
                    perform(self._folder, fact)
                    passed(Point.RECOVERY_REPEATED)
                self._folder.ring()  # the daemon before us may have died between a write and its ring
                passed(Point.RECOVERY_RUNG)
            for fact in waiting:
                perform(self._folder, fact)
            self._ready = True
        except (OSError, KageError) as error:
            log.warning("folder_catch_up_failed run=%s error=%s", self.run, error)
            self._waiting = waiting

    async def _pass(self, capture: Capture) -> facts.RunEnded | None:
        """One look at the folder: commit what is new. The end, once everything is read."""
        host, folder = self._host, self._folder
        if self._phase != "executed":
            await self._look_for_program()
        # Asked before the spools are read: what was sealed, or let go of, by now cannot grow any more.
        sealed, alive = read_sealed(folder), True
        if sealed is None and not (alive := folder.held()):
            sealed = read_sealed(folder)
        if not self.adopted_alive.done():
            self.adopted_alive.set_result(alive and sealed is None)
        over = sealed is not None or not alive
        if sealed is not None:
            passed(Point.RUN_SEALED_SEEN)
        if over and self._phase != "executed":  # it may have come and gone between the two looks
            await self._look_for_program()
        if not alive and sealed is None:
            # Before the last read: with `capture: file` what is left of it may still be writing.
            await asyncio.to_thread(host.executor.kill_leftovers, self.run)
            passed(Point.RUN_LEFTOVERS_KILLED)
        more = True
        while more:
            out = self._read("out", capture)
            err = self._read("err", capture)
            if gone := self._spools.given_up(capture):  # after the reads: they may have seen the hole
                await _durable(host.report(self.agent, gone))
                continue
            more = len(out) == READ_BYTES or len(err) == READ_BYTES
            final = over and not more
            if not (out or err or final):
                break
            reading = capture.take(out, err, final=final)
            passed(Point.OUTPUT_READ)
            await _durable(host.read(self.agent, self.run, reading))
            passed(Point.OUTPUT_COMMITTED)
            self._noted(reading.recorded, capture)
            await self._spools.recorded(capture)
        await self._tend_spools(capture, over=over)
        if over:
            record = read_exit(folder)
            passed(Point.RUN_EXIT_SEEN)
            boot_id = host.system.boot_id()
            end = ended(self.run, record, sealed, capture.place, host.system.now_us(), boot_id)
            before = self._boot_id()
            if end.kind == "lost" and before and boot_id and before != boot_id:
                return with_note(end, "the machine was restarted under it; how it ended is not known")
            return end
        await self._gather(capture)
        return None

    async def _tend_spools(self, capture: Capture, *, over: bool) -> None:
        """All that was there is read: record whether the agent is held back, tell its shim what is recorded."""
        state = self._host.state(self.agent)
        if state is not None and (run := state.live_run) is not None and run.id == self.run:
            await _durable(self._host.report(self.agent, self._spools.news(run.said)))
        if not over:
            await self._spools.recorded(capture, at_rest=self._host.system.monotonic_s() > self._read_s + _AT_REST_S)

    def _boot_id(self) -> str:
        """Of the boot that the run was started in."""
        state = self._host.state(self.agent)
        return state.run.boot_id if state is not None and state.run is not None else ""

    async def _look_for_program(self) -> None:
        try:
            record = self._folder.read_agent()
        except TornRecord as error:
            log.error("record_torn run=%s %s", self.run, error)
            return
        if record is None:
            return
        passed(Point.RUN_AGENT_SEEN)
        self._phase = "executed"
        event = facts.RunExecuted(
            run=self.run,
            pid=record.pid,
            start_ticks=record.start_ticks,
            session=record.session,
            at_us=record.at.wall_us,
        )
        await _durable(self._host.executed(self.agent, event))
        passed(Point.RUN_EXECUTED)

    def _read(self, channel: Channel, capture: Capture) -> bytes:
        at = capture.place.end(channel)
        data = self._folder.read_spool(channel, at, READ_BYTES)
        if not data and at and (size := self._folder.spool_size(channel)) < capture.place.end(channel):
            self._host.report(self.agent, (capture.shrunk(channel, size),))
        return data

    def _noted(self, count: int, capture: Capture) -> None:
        now_s = self._host.system.monotonic_s()
        if count:
            self.last_output_s = self._read_s = now_s
        limits = self._spec.limits
        total = capture.place.out_end + capture.place.err_end
        if limits.output_bytes and total > limits.output_bytes and not self._limited:
            self._limited = True
            self._host.limit(self.agent, "output_bytes")

    async def _gather(self, capture: Capture) -> None:
        """Let small output gather; look at the idle limit."""
        if self._idle_too_long():
            self._limited = True
            self._host.limit(self.agent, "idle_s")
        rest_s = self._read_s + FLUSH_S - self._host.system.monotonic_s()
        if rest_s > 0 and self._unread(capture) < _ENOUGH_BYTES:
            await asyncio.sleep(rest_s)

    def _idle_too_long(self) -> bool:
        idle_s = self._spec.limits.idle_s
        if not idle_s or self._limited:
            return False
        return self._host.system.monotonic_s() - max(self.last_output_s, self._last_input_s) > idle_s

    def _unread(self, capture: Capture) -> int:
        sizes = self._folder.spool_size("out") + self._folder.spool_size("err")
        return sizes - capture.place.out_end - capture.place.err_end

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._dirty.wait(), seconds)

    async def _finish(self) -> None:
        """The run is over and in the journal: remove its folder once its shim, which is about to end, let go."""
        if self._launched is not None:
            self._launched.abandon()
        for _ in range(_REMOVE_TRIES):
            if await asyncio.to_thread(self._removed):
                return
            await asyncio.sleep(_REMOVE_EVERY_S)
        log.warning("folder_not_removed run=%s hint=%s", self.run, "the next start removes it")

    def _removed(self) -> bool:
        try:
            if self._folder.exists():
                self._folder.forget_spec()
                passed(Point.RUN_SPEC_FORGOTTEN)
                if self._folder.held():
                    return False
                self._folder.remove()
                passed(Point.RUN_FOLDER_REMOVED)
        except (OSError, KageError) as error:
            log.warning("folder_not_removed run=%s error=%s", self.run, error)
        return True


async def _durable(done: Done | None) -> None:
    if done is not None:
        await asyncio.shield(done)
