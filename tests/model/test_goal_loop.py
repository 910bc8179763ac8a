"""The loop of an agent under any order of turns, crashes, exits, judgements and wishes.

No prompt is given twice, a limit is never passed, what is paused stays so until it is resumed, one run at a time,
and every path can come to its end.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.events import goal as goal_facts
from kaged.domain.events.goal import CheckResult
from kaged.domain.goal_spec import AbortCriteria, CommandHolds, GoalLimits, GoalLoop
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.machines.goal import GoalState
from kaged.domain.machines.goal.judge import Checked, Evidence
from kaged.domain.spec import AgentSpec, RestartPolicy
from tests.search import examples

SPEC = AgentSpec(
    name="a",
    adapter="jsonl",
    command=("x",),
    working_directory="/",
    stdin="pipe",
    goal="g",
    restart=RestartPolicy(type="transient", intensity=1000, backoff=None),
)
SECOND = 1_000_000


def speak(state: AgentState, words: str) -> bytes:
    return words.encode()


class LoopMachine(RuleBasedStateMachine):
    """A process that does anything, and a person who wishes anything."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = SECOND
        self.prompts = 0  # given and not begun
        self.judged = 0

    @initialize(iterations=st.integers(0, 4), by_run=st.booleans())
    def spawned(self, iterations: int, by_run: bool) -> None:
        loop = GoalLoop(
            success=(CommandHolds(command="true"),),
            limits=GoalLimits(iterations=iterations),
            abort=AbortCriteria(errors=0, repeats=0, no_progress=0),
            run_is_turn=by_run,
        )
        spec = replace(SPEC, loop=loop, stdin="null" if by_run else "pipe", adapter="command" if by_run else "jsonl")
        first, *rest = machine.decide_spawn(spec, number=1, supervisor="", run="a.1")
        assert isinstance(first, facts.Spawned)
        self.by_run = by_run
        self.state = machine.spawn("a", first, self.now_us)
        self.apply(*rest)

    def apply(self, *events: facts.AgentEvent) -> None:
        for event in events:
            before = self.state
            held = before.goal is not None and bool(before.goal.paused)
            match event:
                case facts.RunWanted():
                    assert before.live_run is None, "a second run beside the first"
                    assert not held or event.cause == "requested", "a run for an agent that is paused"
                    self.prompts = 1
                case facts.InputAccepted(eof=False, data=data) if data != b"stop":
                    assert not held, "a prompt for an agent that is paused"
                    assert before.goal is not None
                    assert not before.goal.turn_began_us, "a prompt in the middle of a turn"
                    assert not before.goal.anew, "a prompt for a process that cannot work any more"
                    self.prompts += 1
                    assert self.prompts == 1, "a prompt behind one that was not begun"
                case goal_facts.Judged():
                    self.judged += event.why != "auth"
                    assert event.iteration == self.judged
                case _:
                    pass
            self.state = machine.apply(self.state, event, self.now_us)

    @property
    def goal(self) -> GoalState:
        assert self.state.goal is not None
        return self.state.goal

    def live(self) -> bool:
        return self.state.live_run is not None

    @property
    def run(self) -> Run:
        assert self.state.run is not None
        return self.state.run

    def next_run(self) -> str:
        return f"a.{self.run.attempt + 1}"

    @rule(seconds=st.integers(1, 100))
    def time_passes(self, seconds: int) -> None:
        self.now_us += seconds * SECOND

    @precondition(lambda self: self.live() and self.run.phase == "wanted")
    @rule()
    def program_is_there(self) -> None:
        run = self.run.id
        self.apply(
            facts.RunStarted(run=run, shim_pid=1, shim_start_ticks=1, boot_id="b", protocol=1),
            facts.RunExecuted(run=run, pid=2, start_ticks=1, session=2, at_us=self.now_us),
        )
        if self.by_run:
            self.prompts = 0

    def says(self, kind: str, outcome: str = "", failure: str = "") -> None:
        self.apply(
            facts.SignalHeard(
                type=kind, run=self.run.id, turn=1, call="", outcome=outcome, input_tokens=0, output_tokens=0,
                cost_microusd=0, native_session="s", text="", data_json="", tool="", failure=failure,
            )
        )  # fmt: skip

    @precondition(
        lambda self: not self.by_run and self.live() and self.run.phase == "executed"
        and not self.goal.turn_began_us and self.prompts
    )  # fmt: skip
    @rule()
    def turn_begins(self) -> None:
        self.prompts = 0
        self.says("signal.turn.started")

    @precondition(lambda self: not self.by_run and self.live() and self.goal.turn_began_us)
    @rule(
        outcome=st.sampled_from(["ok", "error", "cancelled"]),
        failure=st.sampled_from(["", "auth", "context_exhausted", "other"]),
    )
    def turn_ends(self, outcome: str, failure: str) -> None:
        self.says("signal.turn.ended", outcome, failure if outcome == "error" else "")
        assert self.goal.phase != "working", "a turn that nobody judges"

    @precondition(lambda self: self.by_run and self.live() and self.run.phase == "executed")
    @rule(kind=st.sampled_from(["started", "ended"]))
    def program_whose_run_is_its_turn_tells_of_one_as_well(self, kind: str) -> None:
        before = self.goal
        self.says(f"signal.turn.{kind}", "ok" if kind == "ended" else "")
        assert self.goal == before, "a turn that counts twice"

    @precondition(lambda self: self.live() and self.run.phase != "wanted")
    @rule(code=st.sampled_from([0, 1, -9]), lost=st.booleans())
    def program_ends(self, code: int, lost: bool) -> None:
        report = facts.RunEnded(
            run=self.run.id, kind="lost" if lost else "exited", exit_code=-1 if lost else max(code, -1),
            signal=0 if lost else max(0, -code), core_dumped=False, how="normal", ended_us=self.now_us, boot_id="b",
            cpu_us=0, max_rss_bytes=0, stdout_bytes=0, stderr_bytes=0, stopped_by="", survivors=0, errno=0, note="",
        )  # fmt: skip
        self.prompts = 0
        self.apply(*machine.decide_ended(self.state, report, next_run=self.next_run(), now_us=self.now_us, jitter=0.0))

    @precondition(lambda self: self.goal.phase == "judging" and self.state.phase not in ("ended", "stopping"))
    @rule(holds=st.booleans())
    def turn_is_judged(self, holds: bool) -> None:
        checks = (Checked(result=CheckResult(passed=holds)),)
        failed, why = self.goal.turn_outcome == "error", self.goal.failure
        evidence = Evidence(said="x", said_mark=str(self.judged), checks=checks, failed=failed)
        events = machine.decide_judged(self.state, evidence, next_run=self.next_run(), speak=speak, at_us=self.now_us)
        assert events, "a turn that waits is judged"
        session = self.state.usage.native_session
        self.apply(*events)
        if failed and why == "auth":
            assert self.goal.paused in ("failure", "guard"), "one that cannot sign in tries again"
        if failed and why == "context_exhausted" and not holds:
            assert self.state.usage.native_session == "", "a session with no room left is gone on with"
        elif self.goal.phase != "over":
            assert self.state.usage.native_session == session

    @rule(now=st.booleans())
    def person_pauses(self, now: bool) -> None:
        began = bool(self.goal.turn_began_us)
        try:
            self.apply(*machine.decide_pause(self.state, now=now, interrupt=b"stop" if began else b"", note=""))
        except KageError:
            return
        assert self.goal.paused or self.goal.pause_wanted or self.goal.limit

    @rule(name=st.sampled_from(["commands.disk", "loop"]))
    def it_does_what_a_rule_forbids(self, name: str) -> None:
        before = self.goal
        self.apply(*machine.decide_hold(self.state, rule=name))
        if self.state.phase == "ended" or self.state.stopped_for_good or before.over:
            assert self.goal == before, "an end that is held"
        elif before.paused in ("", "rate_limit"):
            assert self.goal.rule == (before.rule or name)
            assert self.goal.paused == "guard" or self.goal.pause_wanted

    @precondition(lambda self: self.goal.interrupt_wanted and not self.goal.interrupted and self.live())
    @rule()
    def turn_that_is_to_be_held_is_interrupted(self) -> None:
        self.apply(*machine.decide_interrupt(self.state, b"stop"))
        assert self.goal.interrupted or not self.goal.turn_began_us or self.state.stop is not None

    @rule(more=st.integers(0, 3), guidance=st.sampled_from(["", "try again"]))
    def person_resumes(self, more: int, guidance: str) -> None:
        try:
            events = machine.decide_resume(
                self.state, guidance=guidance, add=GoalLimits(iterations=more), next_run=self.next_run(),
                speak=speak, at_us=self.now_us,
            )  # fmt: skip
        except KageError:
            return
        self.apply(*events)
        assert not self.goal.paused

    @precondition(lambda self: self.state.phase != "ended")
    @rule()
    def person_stops(self) -> None:
        self.apply(*machine.decide_stop(self.state, cause="user"))

    @precondition(lambda self: self.goal.over and self.live() and self.state.phase != "stopping")
    @rule()
    def process_stays_after_the_end(self) -> None:
        self.apply(*machine.decide_stop(self.state, cause="goal"))

    @rule()
    def person_restarts(self) -> None:
        try:
            self.apply(*machine.decide_restart(self.state, run=self.next_run()))
        except KageError:
            return

    @invariant()
    def no_limit_is_passed(self) -> None:
        state = getattr(self, "state", None)
        if state is None or state.loop is None:
            return
        loop, goal = state.loop
        most = goal.limits(loop).iterations
        assert not most or goal.iterations <= most or goal.over or state.phase == "ended"

    @invariant()
    def what_a_guardrail_holds_is_held_in_its_name_until_it_is_resumed(self) -> None:
        state = getattr(self, "state", None)
        if state is None or state.goal is None or state.goal.over or state.phase == "ended":
            return
        goal = state.goal
        assert (goal.paused == "guard") == bool(goal.paused and goal.rule), goal
        assert not goal.rule or goal.paused or goal.pause_wanted, goal

    @invariant()
    def something_comes_next(self) -> None:
        """Unless it has ended or is paused there is a process, a judgement to make, or a wait with an end."""
        state = getattr(self, "state", None)
        if state is None or state.phase in ("ended", "backoff"):
            return
        assert state.live_run is not None or self.goal.phase in ("judging", "paused"), state


LoopMachine.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40, deadline=None)
TestLoop = LoopMachine.TestCase
