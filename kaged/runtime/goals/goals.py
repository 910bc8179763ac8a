"""Agents with a loop: what may be asked of them, and what happens of itself. Runs on the event loop.

    a turn ends -> evidence -> verdict, what follows, and the next prompt, in one commit
    a limit is reached in mid-turn -> the turn is interrupted; its end is judged and pauses the agent
    a loop is over -> input ends; a process that stays is stopped after its grace

All of it follows from state, so that `resume` repeats what a crash cut short.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from kaged.crash_points import Point, passed
from kaged.domain.assignment import assignment
from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.events import goal as goal_facts
from kaged.domain.goal_spec import GoalLimits
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState
from kaged.ports import Adapter, Interrupter, Messenger
from kaged.runtime.agents import Agents, Answer, next_run
from kaged.runtime.engine import Caller, Engine
from kaged.runtime.goals.judging import Judging
from kaged.runtime.refusals import Draining
from kaged.runtime.timers import Timers
from kaged.store.wire.codec import Draft

_TRY_AGAIN_S: Final = 5.0
_LEAST_GRACE_S: Final = 2.0
_STAGGER_US: Final = 1_500_000
log = logging.getLogger("kaged.goals")


class Goals:
    """See the module. `hearing`: what a run's adapter remembers, None when nobody reads it; `account`: a key for
    whatever an agent's model is paid with; `checkpoint`: keeps an agent's place as it is, with why."""

    def __init__(
        self,
        engine: Engine,
        agents: Agents,
        judging: Judging,
        adapters: Mapping[str, Adapter],
        timers: Timers,
        hearing: Callable[[str], bytes | None],
        account: Callable[[AgentState], str],
        checkpoint: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._agents = agents
        self._judging = judging
        self._adapters = adapters
        self._timers = timers
        self._hearing = hearing
        self._account = account
        self._checkpoint = checkpoint
        self._woke_us: dict[str, int] = {}  # by account
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def serve(self) -> None:
        """Judge turns until cancelled; a judgement that is cut short is made again by the next daemon."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._judging.kill_earlier(), name="checks left")
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None

    # --- asking ------------------------------------------------------------------------------------------------

    async def pause(self, agent: str, caller: Caller, *, now: bool, note: str) -> Answer:
        """Hold it at the end of its turn, or interrupt the turn."""

        def decide(state: AgentState) -> tuple[facts.AgentEvent, ...]:
            interrupt = self._interrupt(state) if now else b""
            return machine.decide_pause(state, now=now, interrupt=interrupt, note=note)

        answer = await self._agents.ask(agent, caller, decide)
        if now:
            self._judging.cancel(answer.state.id)
        return answer

    async def resume(self, agent: str, caller: Caller, *, guidance: str, add: GoalLimits) -> Answer:
        """Let it go on."""

        def decide(state: AgentState) -> tuple[facts.AgentEvent, ...]:
            if self._agents.draining:
                raise Draining
            now_us = self._engine.journal.now_us()
            run = next_run(state)
            return machine.decide_resume(
                state, guidance=guidance, add=add, next_run=run, speak=self._speak, at_us=now_us
            )

        return await self._agents.ask(agent, caller, decide)

    def _speak(self, state: AgentState, words: str) -> bytes:
        adapter: object = self._adapters.get(state.spec.adapter)
        if not isinstance(adapter, Messenger):
            return b""
        number = state.run.input_end if state.run is not None else 0
        return adapter.message(words, session=state.usage.native_session, number=number)

    def _interrupt(self, state: AgentState) -> bytes:
        """What ends the turn that is under way; empty when there is none, or when that cannot be done."""
        adapter: object = self._adapters.get(state.spec.adapter)
        run = state.live_run
        heard = self._hearing(run.id) if run is not None else None
        if run is None or heard is None or not isinstance(adapter, Interrupter):
            return b""
        expected = state.goal is not None and bool(state.goal.words) and not state.goal.turn_began_us
        return adapter.interrupt(heard, task=assignment(state, run.id), number=run.input_end, expected=expected)

    # --- what happens ------------------------------------------------------------------------------------------

    def happened(self, draft: Draft, seq: int) -> None:
        """Carry out what a durable fact asks for."""
        match draft.event:
            case (
                facts.SignalHeard(type="signal.turn.started" | "signal.turn.ended" | "signal.usage")
                | facts.RunExecuted()
                | facts.RunEnded()
                | facts.StopWanted()
                | facts.Ended()
                | goal_facts.Judged()
                | goal_facts.PauseWanted()
                | goal_facts.Paused()
                | goal_facts.Resumed()
            ):
                state = self._engine.world.agent(draft.agent)
                if state is not None and state.loop is not None:
                    self.look(state)
            case _:
                pass

    def look(self, state: AgentState) -> None:
        """Do what its state asks for; repeated calls do no harm."""
        if state.loop is None:
            return
        loop, goal = state.loop
        key = ("goal", state.id)
        self._timers.disarm(key)
        if state.phase in ("ended", "stopping"):
            self._judging.cancel(state.id)
            return
        match goal.phase:
            case "judging":
                self._begin(state.id)
            case "over" if state.live_run is not None:
                grace_us = int(max(_LEAST_GRACE_S, state.spec.stop.grace_s) * 1e6)
                self._timers.arm(key, goal.over_us + grace_us)
            case "paused" if goal.until_us:
                self._timers.arm(key, goal.until_us)
            case "working" if goal.turn_began_us:
                limits = goal.limits(loop)
                wanted = goal.interrupt_wanted and not goal.interrupted
                if wanted or machine.spent(state) in ("tokens", "cost"):
                    self._end_turn(state)
                elif limits.time_us:
                    self._timers.arm(key, goal.turn_began_us + max(0, limits.time_us - goal.worked_us))
            case _:
                pass

    def due(self, agent: str, now_us: int) -> None:
        """The time of one of the waits above has come."""
        state = self._engine.world.agent(agent)
        if state is None or state.loop is None:
            return
        passed(Point.GOAL_DUE)
        match state.loop[1].phase:
            case "over":
                note = "the goal is reached" if state.loop[1].over == "succeeded" else "the goal is given up"
                self._agents.report(agent, machine.decide_stop(state, cause="goal", note=note))
            case "paused":
                self._wake(state, now_us)
            case "working":
                self._end_turn(state)
            case _:
                pass

    def _wake(self, state: AgentState, now_us: int) -> None:
        """An account's limit is over: its agents go on one after another, or they would meet it again at once."""
        account = self._account(state)
        free_us = self._woke_us.get(account, 0) + _STAGGER_US
        if now_us < free_us:
            self._timers.arm(("goal", state.id), free_us)
            return
        self._woke_us[account] = now_us
        run = next_run(state)
        self._agents.report(state.id, machine.decide_wake(state, next_run=run, speak=self._speak, at_us=now_us))

    def _closed_until(self, state: AgentState) -> int:
        """Until when the limit of its account holds, as another of its agents was told; 0: it does not."""
        now_us, account, until_us = self._engine.journal.now_us(), self._account(state), 0
        for kept in self._engine.world.agents.values():
            goal = kept.state.goal
            if goal is None or goal.paused != "rate_limit" or goal.until_us <= max(now_us, until_us):
                continue
            if self._account(kept.state) == account:
                until_us = goal.until_us
        return until_us

    def _end_turn(self, state: AgentState) -> None:
        events = machine.decide_interrupt(state, self._interrupt(state))
        if events:
            self._agents.report(state.id, events)

    # --- judging -----------------------------------------------------------------------------------------------

    def _begin(self, agent: str) -> None:
        if agent not in self._tasks and self._group is not None:
            passed(Point.GOAL_TURN_OVER)
            task = self._tasks[agent] = self._group.create_task(self._judge(agent), name=f"judge {agent}")
            task.add_done_callback(lambda _: self._tasks.pop(agent, None))

    def _waits(self, agent: str) -> AgentState | None:
        """The agent, if a turn of its still waits to be judged."""
        state = self._engine.world.agent(agent)
        waits = state is not None and state.goal is not None and state.goal.phase == "judging"
        return state if waits and state is not None and state.phase not in ("ended", "stopping") else None

    async def _judge(self, agent: str) -> None:
        while (state := self._waits(agent)) is not None:
            try:
                await self._judge_once(agent, state)
                return
            except (KageError, OSError) as error:  # nearly always a full disk
                log.warning("judging_refused agent=%s error=%s", agent, error)
            except Exception:  # a bug that one agent's data finds must not take the others along
                log.exception("judging_bug agent=%s", agent)
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _keep_place(self, state: AgentState) -> None:
        """Snapshot the agent's place if that is due after this turn, while nobody changes it.

        A place that cannot be kept does not hold up the work: the journal tells what was kept, the log what was not.
        """
        assert state.loop is not None
        loop, goal = state.loop
        turn = goal.iterations + 1
        if not loop.checkpoint_every or turn % loop.checkpoint_every:
            return
        try:
            await self._checkpoint(state.id, f"After turn {turn}")
        except (KageError, OSError) as error:
            log.warning("checkpoint_failed agent=%s turn=%s error=%s", state.id, turn, error)

    async def _judge_once(self, agent: str, state: AgentState) -> None:
        journal = self._engine.journal
        evidence = await self._judging.evidence(state, lambda: self._waits(agent) is not None, journal.now_us())
        passed(Point.GOAL_EVIDENCE)
        now = self._waits(agent)
        if now is None:
            return
        unable = evidence.parked_until_us or (
            evidence.failed and state.goal is not None and state.goal.failure == "auth"
        )
        if not unable:  # nothing was done in such a turn, and it is not counted
            await self._keep_place(now)
        now = self._waits(agent)
        if now is None:
            return
        events = machine.decide_judged(
            now,
            evidence,
            next_run=next_run(now),
            speak=self._speak,
            at_us=journal.now_us(),
            closed_until_us=self._closed_until(now),
        )
        receipt = self._agents.report(agent, events)
        if receipt.done is not None:
            await journal.recorded(receipt.done)
        passed(Point.GOAL_JUDGED)
