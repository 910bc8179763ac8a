"""Any order of wishes and reports: whatever hypothesis does to an agent, its history stays sane."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kaged.domain.errors import Refusal
from kaged.domain.events.facts import (
    AgentEvent,
    ApprovalAnswered,
    ApprovalRequested,
    Ended,
    InputAccepted,
    Resized,
    RunEnded,
    RunExecuted,
    RunStarted,
    RunWanted,
    Signalled,
    Spawned,
    StopWanted,
)
from kaged.domain.machines import agent as machine
from kaged.domain.orders import ResizeOrder, SignalOrder, StopOrder, order_line
from kaged.domain.restart import Backoff
from kaged.domain.spec import AgentSpec, RestartPolicy, StopPolicy
from tests.search import examples

policies = st.builds(
    RestartPolicy,
    type=st.sampled_from(["permanent", "transient", "temporary"]),
    intensity=st.integers(0, 3),
    period_s=st.sampled_from([1.0, 60.0]),
    backoff=st.none() | st.just(Backoff(base_s=1, max_s=8, healthy_after_s=5)),
)
graces = st.none() | st.sampled_from([0.0, 1.0, 10.0, 60.0])


class AgentLife(RuleBasedStateMachine):
    """A journal of one agent, a model of what must hold, and nothing else."""

    @initialize(policy=policies, supervised=st.booleans(), stdin=st.sampled_from(["null", "pipe"]), pty=st.booleans())
    def spawn(self, policy, supervised, stdin, pty):
        self.now_us = 1_000_000
        self.journal: list[tuple[AgentEvent, int]] = []
        self.run_ids: set[str] = set()
        self.attempt = 0
        self.may_start = True  # nobody has asked it to end for good since somebody last asked it to run
        self.answered = 0
        self.ordinal = 0
        spec = AgentSpec(
            name="a", command=("true",), working_directory="/", restart=policy, stdin=stdin,
            capture="pty" if pty else "pipe", stop=StopPolicy(grace_s=10),
        )  # fmt: skip
        events = machine.decide_spawn(spec, number=1, supervisor="tree/a" if supervised else "", run=self.next_run())
        first = events[0]
        assert isinstance(first, Spawned)
        self.state = machine.spawn("id", first, self.now_us)
        self.journal.append((first, self.now_us))
        self.record(events[1:])

    # --- the daemon's part ---------------------------------------------------------------------------------------

    def next_run(self) -> str:
        self.answered_runs = getattr(self, "answered_runs", 0) + 1
        return f"run-{self.answered_runs}"

    def record(self, events: Sequence[AgentEvent]) -> None:
        for event in events:
            self.check(event)
            self.state = machine.apply(self.state, event, self.now_us)
            self.journal.append((event, self.now_us))

    def ask(self, decide, *args, **kwargs) -> bool:
        try:
            events = decide(self.state, *args, **kwargs)
        except Refusal:  # any other error is a bug and fails the test
            return False
        self.record(events)
        return True

    def check(self, event: AgentEvent) -> None:
        """What must be true of a fact in the moment in which it happens."""
        run = self.state.run
        match event:
            case RunWanted():
                assert self.state.live_run is None, "two runs at once"
                assert event.run not in self.run_ids, "a run id was used twice"
                assert event.attempt == self.attempt + 1, "attempts have a gap"
                assert self.may_start, "it was to stay down"
                assert not self.state.removed or self.state.supervisor
                self.run_ids.add(event.run)
                self.attempt = event.attempt
            case StopWanted(run=""):
                assert self.state.live_run is None
            case StopWanted():
                self.check_order(event, StopOrder(signal=event.signal, grace_s=event.grace_s))
            case Signalled():
                self.check_order(event, SignalOrder(signal=event.signal, whole_tree=event.whole_tree))
            case Resized():
                self.check_order(event, ResizeOrder(rows=event.rows, cols=event.columns))
            case InputAccepted():
                assert run is not None
                assert run.live
                assert event.run == run.id
                assert not run.input_closed
                assert (event.offset, event.length) == (run.input_end, len(event.data))
            case Ended():
                assert self.state.live_run is None, "ended with a process"
                assert self.state.phase != "ended", "ended twice"
            case _:
                pass

    def check_order(self, event, order) -> None:
        run = self.state.live_run
        assert run is not None
        assert event.run == run.id
        assert (event.order, event.offset) == (run.orders + 1, run.orders_end)
        assert event.length == len(order_line(event.order, order))

    # --- wishes --------------------------------------------------------------------------------------------------

    @rule(cause=st.sampled_from(["user", "limit", "daemon"]), grace_s=graces)
    def stop(self, cause, grace_s):
        self.ask(machine.decide_stop, cause=cause, limit="memory" if cause == "limit" else "", grace_s=grace_s)
        if not self.state.supervisor:
            self.may_start = False
            assert self.state.phase in ("stopping", "ended")

    @precondition(lambda self: self.state.supervisor)
    @rule(grace_s=graces)
    def stop_by_the_tree(self, grace_s):
        self.ask(machine.decide_stop, cause="supervisor", grace_s=grace_s)

    @rule(grace_s=graces)
    def restart(self, grace_s):
        before = self.may_start
        self.may_start = True
        if not self.ask(machine.decide_restart, run=self.next_run(), grace_s=grace_s):
            self.may_start = before

    @precondition(lambda self: self.state.supervisor)
    @rule(repeat=st.booleans())
    def start_by_the_tree(self, repeat):
        self.ordinal += not repeat
        self.ask(machine.decide_start, run=self.next_run(), ordinal=max(1, self.ordinal))

    @precondition(lambda self: self.state.supervisor)
    @rule()
    def retire(self):
        self.ask(machine.decide_retired)

    @precondition(lambda self: self.state.supervisor)
    @rule()
    def come_to_rest(self):
        before = self.state
        self.ask(machine.decide_rest)
        assert (before.phase == "idle") == (self.state != before), "only what is idle comes to rest, and once"

    @rule(number=st.integers(1, 15), whole_tree=st.booleans())
    def signal(self, number, whole_tree):
        self.ask(machine.decide_signal, signal=number, whole_tree=whole_tree)

    @rule(rows=st.integers(1, 200))
    def resize(self, rows):
        self.ask(machine.decide_resize, rows=rows, columns=80)

    @rule(data=st.binary(max_size=9), eof=st.booleans())
    def send(self, data, eof):
        self.ask(machine.decide_input, data, eof=eof)

    @rule()
    def remove(self):
        self.ask(machine.decide_remove)

    @rule(seconds=st.sampled_from([0.1, 1, 10, 100]))
    def wait(self, seconds):
        self.now_us += int(seconds * 1e6)

    @rule()
    def due(self):
        self.ask(machine.decide_due, run=self.next_run(), now_us=self.now_us)

    # --- reports -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.state.run is not None and self.state.run.phase == "wanted")
    @rule()
    def shim_is_ready(self):
        run = self.state.run.id
        self.record((RunStarted(run=run, shim_pid=7, shim_start_ticks=1, boot_id="b", protocol=1),))

    @precondition(lambda self: self.state.run is not None and self.state.run.phase == "started")
    @rule()
    def program_runs(self):
        run = self.state.run.id
        self.record((RunExecuted(run=run, pid=8, start_ticks=1, session=8, at_us=self.now_us),))

    @precondition(lambda self: self.state.run is not None and self.state.run.phase == "executed")
    @rule()
    def asks_a_question(self):
        self.answered += 1
        self.record(
            (
                ApprovalRequested(
                    approval=f"q{self.answered}", run=self.state.run.id, key="k", kind="action", deadline_us=0,
                    title="", tool="", data_json="", why="",
                ),
            )
        )  # fmt: skip

    @precondition(lambda self: self.state.approvals)
    @rule()
    def gets_an_answer(self):
        approval, run = self.state.approvals[0], self.state.run.id
        self.record((ApprovalAnswered(approval=approval, outcome="denied", run=run, note=""),))

    @precondition(lambda self: self.state.run is not None)
    @rule(
        kind=st.sampled_from(["exited", "exited", "not_started", "exec_failed", "lost"]),
        code=st.sampled_from([0, 1]),
        number=st.sampled_from([0, 9]),
        stopped_by=st.sampled_from(["", "", "", "request", "wall_time", "unsupervised"]),
        late_us=st.integers(0, 3_000_000),
        jitter=st.sampled_from([0, 0.5, 0.999]),
        stale=st.booleans(),
    )
    def run_is_over(self, kind, code, number, stopped_by, late_us, jitter, stale):
        run = self.state.run
        report = RunEnded(
            run=run.id, kind=kind, exit_code=-1 if number else code, signal=number, core_dumped=False, how="abnormal",
            ended_us=self.now_us - late_us, boot_id="b", cpu_us=0, max_rss_bytes=0, stdout_bytes=0, stderr_bytes=0,
            stopped_by=stopped_by if kind == "exited" else "", survivors=0, errno=0, note="",
        )  # fmt: skip
        before = self.state
        if stale:
            report = replace(report, run="run-0")
        self.ask(machine.decide_ended, report, next_run=self.next_run(), now_us=self.now_us, jitter=jitter)
        if stale or not run.live:
            assert self.state == before, "a stale or repeated report changed something"
        elif not self.state.supervisor:
            assert self.state.phase in ("starting", "backoff", "ended"), "nobody decided what follows"

    # --- always --------------------------------------------------------------------------------------------------

    @invariant()
    def folding_the_journal_gives_the_same_state(self):
        (first, at_us), *rest = self.journal
        state = machine.spawn("id", first, at_us)
        for event, at_us in rest:
            state = machine.apply(state, event, at_us)
        assert state == self.state

    @invariant()
    def phase_and_run_agree(self):
        state = self.state
        assert (state.phase in ("starting", "running", "stopping")) == (state.live_run is not None)
        assert (state.stop is not None) == (state.phase == "stopping")
        assert (state.ended is not None) == (state.phase in ("ended", "stopped"))
        assert (state.due_us > 0) == (state.phase == "backoff")
        assert not state.approvals or state.live_run is not None
        assert state.word

    @invariant()
    def the_window_is_bounded(self):
        assert len(self.state.window) <= self.state.spec.restart.intensity + 3


TestAgentLife = pytest.mark.timeout(300)(AgentLife.TestCase)
TestAgentLife.settings = settings(max_examples=examples(120), stateful_step_count=40, deadline=None)
