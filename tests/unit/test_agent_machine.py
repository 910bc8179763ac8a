"""The life of one agent as sentences. Random orders of all of it: tests/model/test_agent_machine.py."""

from dataclasses import replace

import pytest

from kaged.domain.errors import Invalid, Precondition
from kaged.domain.events.facts import (
    ApprovalRequested,
    ApprovalWithdrawn,
    Ended,
    InputAccepted,
    Removed,
    RestartScheduled,
    RunEnded,
    RunExecuted,
    RunStarted,
    RunWanted,
    SignalHeard,
    Spawned,
    StopWanted,
)
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentNotEnded, AgentNotRunning, AgentSupervised
from kaged.domain.orders import SignalOrder, StopOrder, order_line
from kaged.domain.restart import Backoff
from kaged.domain.spec import AgentSpec, RestartPolicy

SECOND = 1_000_000
NOW = 1_000 * SECOND
SPEC = AgentSpec(name="a", command=("true",), working_directory="/", stdin="pipe")
HEARD = SignalHeard(
    type="signal.usage", run="r1", turn=0, call="", outcome="", input_tokens=0, output_tokens=0, cost_microusd=0,
    native_session="", text="", data_json="", tool="",
)  # fmt: skip
BACKOFF = Backoff(base_s=1, factor=2, max_s=8, healthy_after_s=30)


class Life:
    """One agent with its clock: says what happens, remembers the state."""

    def __init__(self, *, supervisor="", **changes):
        self.now_us = NOW
        self.runs = 0
        self.spec = replace(SPEC, **changes)
        self.state = None
        self.take(machine.decide_spawn(self.spec, number=1, supervisor=supervisor, run=self.run()))

    def run(self):
        self.runs += 1
        return f"r{self.runs}"

    def take(self, events):
        for event in events:
            if isinstance(event, Spawned):
                self.state = machine.spawn("id", event, self.now_us)
            else:
                self.state = machine.apply(self.state, event, self.now_us)
        return events

    def starts(self):
        run = self.state.run.id
        self.take((RunStarted(run=run, shim_pid=5, shim_start_ticks=1, boot_id="b", protocol=1),))
        self.take((RunExecuted(run=run, pid=6, start_ticks=1, session=6, at_us=self.now_us),))
        return self

    def ends(self, *, code=0, signal=0, kind="exited", stopped_by="", jitter=0.5, after_s=1.0, note=""):
        self.now_us += int(after_s * SECOND)
        code = -1 if signal or kind != "exited" else code
        report = RunEnded(
            run=self.state.run.id, kind=kind, exit_code=code, signal=signal, core_dumped=False, how="abnormal",
            ended_us=self.now_us, boot_id="b", cpu_us=0, max_rss_bytes=0, stdout_bytes=0, stderr_bytes=0,
            stopped_by=stopped_by, survivors=0, errno=0, note=note,
        )  # fmt: skip
        return self.take(
            machine.decide_ended(self.state, report, next_run=self.run(), now_us=self.now_us, jitter=jitter)
        )

    def stops(self, **wish):
        return self.take(machine.decide_stop(self.state, **{"cause": "user", **wish}))

    def restarts(self, **wish):
        return self.take(machine.decide_restart(self.state, run=self.run(), **wish))

    def due(self):
        return self.take(machine.decide_due(self.state, run=self.run(), now_us=self.now_us))


def policy(kind, **changes):
    return RestartPolicy(type=kind, **{"intensity": 3, "period_s": 60, "backoff": BACKOFF, **changes})


def names(events):
    return [event.type_name for event in events]


# --- spawn and end -----------------------------------------------------------------------------------------------


def test_a_new_agent_wants_its_first_run_at_once():
    life = Life()
    assert (life.state.phase, life.state.word, life.state.run.id, life.state.run.attempt) == ("starting",) * 2 + (
        "r1",
        1,
    )
    assert life.starts().state.word == "running"


def test_a_supervised_agent_waits_for_its_tree():
    life = Life(supervisor="tree/a")
    assert (life.state.phase, life.state.word, life.state.run) == ("idle", "pending", None)


@pytest.mark.parametrize(
    ("end", "how", "ended"),
    [
        ({"code": 0}, "normal", ("succeeded", "exit", 0, 0)),
        ({"code": 3}, "normal", ("succeeded", "exit", 3, 0)),  # one of its success codes
        ({"code": 1}, "abnormal", ("failed", "exit", 1, 0)),
        ({"signal": 9}, "abnormal", ("failed", "signal", -1, 9)),
        ({"kind": "exec_failed"}, "abnormal", ("failed", "exec_failed", -1, 0)),
        ({"kind": "lost"}, "abnormal", ("failed", "lost", -1, 0)),
        ({"signal": 15, "stopped_by": "wall_time"}, "shutdown", ("failed", "limit", -1, 15)),
        ({"code": 0, "stopped_by": "unsupervised"}, "shutdown", ("failed", "limit", 0, 0)),
        ({"code": 0, "stopped_by": "spool_bytes"}, "shutdown", ("failed", "limit", 0, 0)),
        ({"code": 0, "stopped_by": "a limit that only a newer shim knows"}, "shutdown", ("failed", "limit", 0, 0)),
    ],
)
def test_a_temporary_agent_ends_with_its_run(end, how, ended):
    life = Life(success_exit_codes=(3,)).starts()
    report, last = life.ends(**end)
    assert report.how == how
    assert (last.outcome, last.reason, last.exit_code, last.signal) == ended
    assert last.limit == end.get("stopped_by", "")
    assert life.state.word == ended[0]


@pytest.mark.parametrize(
    ("kind", "end", "follows"),
    [
        ("permanent", {"code": 0}, "agent.restart_scheduled"),
        ("permanent", {"code": 1}, "agent.restart_scheduled"),
        ("permanent", {"kind": "lost"}, "agent.restart_scheduled"),
        ("permanent", {"kind": "exec_failed"}, "agent.restart_scheduled"),
        ("permanent", {"signal": 15, "stopped_by": "wall_time"}, "agent.ended"),
        ("transient", {"code": 0}, "agent.ended"),
        ("transient", {"code": 1}, "agent.restart_scheduled"),
        ("transient", {"signal": 9}, "agent.restart_scheduled"),
        ("temporary", {"code": 1}, "agent.ended"),
    ],
)
def test_the_restart_type_decides_what_follows_an_exit(kind, end, follows):
    life = Life(restart=policy(kind)).starts()
    assert names(life.ends(**end)) == ["run.ended", follows]


def test_a_repeated_or_stale_report_is_nothing():
    life = Life().starts()
    report = life.ends()[0]
    assert machine.decide_ended(life.state, report, next_run="x", now_us=NOW, jitter=0) == ()
    life.restarts()
    assert machine.decide_ended(life.state, report, next_run="x", now_us=NOW, jitter=0) == ()


def test_a_start_that_never_reached_the_program_is_tried_again_five_times_before_it_counts():
    life = Life()
    for attempt in range(2, 7):
        _, wanted = life.ends(kind="not_started")
        assert (wanted.cause, wanted.attempt) == ("retry", attempt)
    _, last = life.ends(kind="not_started", note="no cgroup")
    assert (last.outcome, last.reason, last.note) == ("failed", "not_started", "no cgroup")


def test_a_start_that_worked_makes_the_tries_count_from_zero_again():
    life = Life(restart=policy("permanent", backoff=None))
    life.ends(kind="not_started")
    assert life.state.retries == 1
    life.starts().ends(code=1)
    assert life.state.retries == 0


# --- restart windows and back-off -------------------------------------------------------------------------------


@pytest.mark.parametrize(("jitter", "delay_us"), [(0, 0), (0.5, SECOND // 2), (0.999, 999_000)])
def test_the_wait_is_a_random_share_of_the_ceiling(jitter, delay_us):
    life = Life(restart=policy("permanent")).starts()
    scheduled = life.ends(code=1, jitter=jitter)[1]
    assert scheduled == RestartScheduled(due_us=life.now_us + delay_us, delay_us=delay_us, consecutive=1)
    assert life.state.word == ("waiting" if delay_us else "starting")


def test_the_ceiling_doubles_with_each_failure_up_to_the_cap():
    life = Life(restart=policy("permanent", intensity=99))
    delays = []
    for _ in range(6):
        delays.append(life.starts().ends(code=1)[1].delay_us / SECOND)
        life.now_us = life.state.due_us
        life.due()
    assert delays == [0.5, 1, 2, 4, 4, 4]


def test_a_healthy_run_makes_the_next_failure_the_first_again():
    life = Life(restart=policy("permanent"))
    for after_s, consecutive in ((1, 1), (1, 2), (29, 3), (30, 1)):
        assert life.starts().ends(code=1, after_s=after_s)[1].consecutive == consecutive
        life.now_us = life.state.due_us
        life.due()


def test_without_back_off_it_starts_again_at_once():
    life = Life(restart=policy("permanent", backoff=None)).starts()
    assert names(life.ends(code=1)) == ["run.ended", "agent.restart_scheduled", "run.wanted"]


def test_the_timer_may_come_early_late_or_twice():
    life = Life(restart=policy("permanent")).starts()
    life.ends(code=1)
    assert life.due() == ()
    life.now_us += 100 * SECOND
    (wanted,) = life.due()
    assert (wanted.cause, wanted.attempt) == ("restart", 2)
    assert life.due() == ()


@pytest.mark.parametrize(
    ("ends_at", "given_up"),
    [
        ([0, 1, 2], False),
        ([0, 1, 2, 3], True),
        ([0, 1, 60, 61.5], False),
        ([0, 1, 2, 60], True),
        ([0, 1, 2, 61.5], False),
    ],
)
def test_more_than_intensity_restarts_within_the_period_are_too_many(ends_at, given_up):
    life = Life(restart=policy("permanent", backoff=None))
    events = ()
    for at in ends_at:
        life.starts()
        events = life.ends(code=1, after_s=(NOW + at * SECOND - life.now_us) / SECOND)
    assert (isinstance(events[-1], Ended) and events[-1].reason == "restarts_exhausted") == given_up


def test_intensity_zero_means_no_restart_at_all():
    assert Life(restart=policy("permanent", intensity=0)).starts().ends(code=1)[-1].reason == "restarts_exhausted"


def test_a_storm_of_instant_exits_is_over_after_intensity_restarts():
    life = Life(restart=policy("permanent", intensity=1000, backoff=None))
    while life.state.phase != "ended":
        life.starts().ends(code=1, after_s=0)
    assert life.state.restarts == 1000


# --- stop --------------------------------------------------------------------------------------------------------


def test_a_stop_gives_the_shim_an_order_and_ends_in_cancelled():
    life = Life().starts()
    (wanted,) = life.stops(grace_s=3, note="enough")
    line = order_line(1, StopOrder(signal=15, grace_s=3))
    assert (wanted.run, wanted.order, wanted.offset, wanted.length) == ("r1", 1, 0, len(line))
    assert life.state.word == "stopping"
    report, last = life.ends(signal=15, stopped_by="request")
    assert (report.how, last.outcome, last.reason, last.note) == ("shutdown", "cancelled", "stopped", "enough")


@pytest.mark.parametrize("kind", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("end", [{"code": 0}, {"code": 1}, {"signal": 9}, {"kind": "not_started"}, {"kind": "lost"}])
def test_after_a_stop_nothing_starts_again_however_the_run_ends(kind, end):
    life = Life(restart=policy(kind))
    life.stops()
    life.starts()
    assert life.state.phase == "stopping"
    report, last = life.ends(**end)
    assert (report.how, last.outcome) == ("shutdown", "cancelled")
    life.now_us += 10**12
    assert life.due() == ()


def test_a_stop_while_it_waits_to_start_again_is_its_end_at_once():
    life = Life(restart=policy("permanent")).starts()
    life.ends(code=1)
    assert names(life.stops()) == ["agent.stop_wanted", "agent.ended"]
    assert (life.state.word, life.state.ended.exit_code) == ("cancelled", 1)
    life.now_us += 10**12
    assert life.due() == ()


def test_a_stop_of_an_ended_agent_is_nothing():
    life = Life().starts()
    life.ends()
    assert life.stops() == ()
    assert life.state.word == "succeeded"


@pytest.mark.parametrize(("grace_s", "orders"), [(9, 1), (10, 0), (11, 0), (0, 1), (None, 0)])
def test_a_second_stop_counts_only_if_it_is_more_impatient(grace_s, orders):
    life = Life().starts()
    life.stops(grace_s=10)
    again = life.stops(grace_s=grace_s)
    assert len(again) == orders
    if again:
        assert (again[0].order, again[0].offset) == (2, len(order_line(1, StopOrder(signal=15, grace_s=10))))


def test_a_stop_for_good_replaces_a_restart_that_is_under_way():
    life = Life().starts()
    life.restarts(grace_s=1)
    assert len(life.stops(grace_s=10)) == 1
    assert life.ends(signal=15, stopped_by="request")[-1].outcome == "cancelled"


def test_a_limit_fails_the_agent_and_says_which_one():
    life = Life(restart=policy("permanent")).starts()
    life.stops(cause="limit", limit="output_bytes", note="1 GB")
    last = life.ends(signal=15, stopped_by="request")[-1]
    assert (last.outcome, last.reason, last.limit, last.note) == ("failed", "limit", "output_bytes", "1 GB")


@pytest.mark.parametrize("cause", ["user", "daemon"])
def test_an_impatient_stop_of_an_agent_over_its_limit_still_ends_in_the_limit(cause):
    life = Life().starts()
    life.stops(cause="limit", limit="output_bytes", grace_s=10)
    assert len(life.stops(cause=cause, grace_s=0)) == 1
    last = life.ends(signal=9, stopped_by="request")[-1]
    assert (last.outcome, last.reason, last.limit) == ("failed", "limit", "output_bytes")


# --- restart -----------------------------------------------------------------------------------------------------


def test_a_restart_of_a_running_agent_stops_it_and_starts_the_next_run_when_it_is_gone():
    life = Life().starts()
    assert names(life.restarts()) == ["agent.stop_wanted"]
    _, wanted = life.ends(signal=15, stopped_by="request")
    assert (wanted.cause, wanted.attempt, life.state.phase) == ("requested", 2, "starting")


def test_a_restart_while_it_waits_starts_it_now():
    life = Life(restart=policy("permanent")).starts()
    life.ends(code=1)
    (wanted,) = life.restarts()
    assert (wanted.cause, life.state.due_us, life.state.phase) == ("requested", 0, "starting")


def test_a_restart_revives_an_agent_that_had_ended():
    life = Life().starts()
    life.ends(code=1)
    life.restarts()
    assert (life.state.word, life.state.ended, life.state.run.attempt) == ("starting", None, 2)


def test_a_restart_asked_twice_is_one_and_a_more_impatient_one_is_obeyed():
    life = Life().starts()
    life.restarts(grace_s=10)
    assert life.restarts(grace_s=10) == ()
    (faster,) = life.restarts(grace_s=0)
    assert (faster.cause, faster.grace_s, faster.order) == ("restart", 0, 2)
    assert isinstance(life.ends(signal=9)[-1], RunWanted)


def test_a_restart_is_refused_while_a_stop_is_under_way_and_after_removal():
    life = Life().starts()
    life.stops()
    with pytest.raises(AgentNotRunning):
        life.restarts()
    life.ends()
    life.take(machine.decide_remove(life.state))
    with pytest.raises(AgentNotRunning, match="removed"):
        life.restarts()


# --- supervised --------------------------------------------------------------------------------------------------


def test_a_child_starts_once_for_each_ordinal_of_its_tree():
    life = Life(supervisor="tree/a")
    (wanted,) = life.take(machine.decide_start(life.state, run="x1", ordinal=1))
    assert wanted == RunWanted(run="x1", attempt=1, cause="supervisor", ordinal=1)
    assert machine.decide_start(life.state, run="x2", ordinal=1) == ()
    assert machine.decide_start(life.state, run="x2", ordinal=2) == ()  # the old run is still there
    life.starts().ends(code=1)
    assert machine.decide_start(life.state, run="x2", ordinal=1) == ()
    assert machine.decide_start(life.state, run="x2", ordinal=2)[0].attempt == 2


@pytest.mark.parametrize("end", [{"code": 0}, {"code": 1}, {"kind": "exec_failed"}, {"stopped_by": "wall_time"}])
def test_a_child_decides_nothing_about_what_follows_its_exit(end):
    life = Life(supervisor="tree/a", restart=policy("permanent"))
    life.take(machine.decide_start(life.state, run="x1", ordinal=1))
    assert names(life.starts().ends(**end)) == ["run.ended"]
    assert life.state.word == "pending"


def test_a_start_of_a_child_that_never_reached_its_program_is_tried_again_without_its_tree():
    life = Life(supervisor="tree/a", restart=policy("permanent"))
    life.take(machine.decide_start(life.state, run="x1", ordinal=7))
    for _ in range(5):
        ended, again = life.ends(kind="not_started")
        assert (ended.kind, again.cause, again.ordinal) == ("not_started", "retry", 7)
    assert names(life.ends(kind="not_started")) == ["run.ended"]  # enough: now its tree hears of it


def test_a_child_that_its_tree_stops_before_the_start_is_not_tried_again():
    life = Life(supervisor="tree/a")
    life.take(machine.decide_start(life.state, run="x1", ordinal=1))
    life.stops(cause="supervisor")
    assert names(life.ends(kind="not_started")) == ["run.ended"]


def test_only_its_tree_restarts_a_child():
    with pytest.raises(AgentSupervised) as caught:
        Life(supervisor="tree/b/a").restarts()
    assert caught.value.hint == "kagectl tree restart tree b/a"


def test_a_tree_that_stops_what_does_not_run_is_told_nothing():
    assert Life(supervisor="tree/a").stops(cause="supervisor") == ()


def test_a_child_that_its_tree_does_not_need_any_more_ends():
    life = Life(supervisor="tree/a")
    (ended,) = life.take(machine.decide_retired(life.state))
    assert (ended.outcome, ended.reason) == ("cancelled", "supervisor")
    assert machine.decide_retired(life.state) == ()


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ({"code": 0}, ("succeeded", "exit", 0, 0)),
        ({"code": 3}, ("failed", "exit", 3, 0)),
        ({"signal": 9}, ("failed", "signal", -1, 9)),
        ({"kind": "lost"}, ("failed", "lost", -1, 0)),
        ({"signal": 15, "stopped_by": "request"}, ("cancelled", "stopped", -1, 15)),
    ],
)
def test_a_child_at_rest_is_stopped_and_tells_how_its_last_run_ended(end, told):
    life = Life(supervisor="tree/a")
    life.take(machine.decide_start(life.state, run=life.run(), ordinal=1))
    life.starts().ends(**end)
    assert life.state.word == "pending", "its tree has yet to say"
    (stopped,) = life.take(machine.decide_rest(life.state))
    assert (stopped.outcome, stopped.reason, stopped.exit_code, stopped.signal) == told
    assert life.state.word == "stopped"
    assert (life.state.ended.outcome, life.state.ended.reason) == told[:2]
    assert machine.decide_rest(life.state) == ()


def test_a_child_at_rest_is_started_again_by_its_tree_and_what_it_came_to_is_forgotten():
    life = Life(supervisor="tree/a")
    life.take(machine.decide_rest(life.state))
    assert (life.state.ended.outcome, life.state.ended.reason) == ("cancelled", "stopped")
    life.take(machine.decide_start(life.state, run="r1", ordinal=1))
    assert (life.state.word, life.state.ended) == ("starting", None)


def test_a_child_that_has_not_ended_is_taken_out_by_its_tree():
    with pytest.raises(AgentSupervised) as caught:
        machine.decide_remove(Life(supervisor="tree/a").state)
    assert caught.value.hint == "kagectl tree delete tree a"


# --- signals, sizes, input ---------------------------------------------------------------------------------------


def test_orders_stand_one_after_another_in_the_control_file():
    life = Life().starts()
    (first,) = life.take(machine.decide_signal(life.state, signal=10, whole_tree=True))
    (second,) = life.take(machine.decide_signal(life.state, signal=12, whole_tree=False))
    (third,) = life.stops()
    assert first.length == len(order_line(1, SignalOrder(signal=10, whole_tree=True)))
    assert (second.order, second.offset) == (2, first.length)
    assert (third.order, third.offset) == (3, first.length + second.length)


@pytest.mark.parametrize("phase", ["starting", "backoff", "ended"])
def test_a_signal_needs_a_process(phase):
    life = Life(restart=policy("temporary" if phase == "ended" else "permanent"))
    if phase != "starting":
        life.starts().ends(code=1)
    assert life.state.phase == phase
    with pytest.raises(AgentNotRunning) as caught:
        machine.decide_signal(life.state, signal=1, whole_tree=False)
    assert caught.value.facts["agent"] == "id"


def test_only_a_terminal_has_a_size():
    with pytest.raises(Invalid):
        machine.decide_resize(Life().starts().state, rows=2, columns=2)
    life = Life(capture="pty").starts()
    assert names(life.take(machine.decide_resize(life.state, rows=2, columns=2))) == ["agent.resized"]
    life.ends()
    with pytest.raises(AgentNotRunning):
        machine.decide_resize(life.state, rows=2, columns=2)


def test_input_is_laid_end_to_end_until_it_is_closed():
    life = Life()
    life.take(machine.decide_input(life.state, b"abc", eof=False))
    (event,) = life.take(machine.decide_input(life.state, b"de", eof=True))
    assert event == InputAccepted(run="r1", offset=3, length=2, eof=True, data=b"de")
    with pytest.raises(Precondition, match="closed"):
        machine.decide_input(life.state, b"f", eof=False)


def test_input_begins_anew_with_each_run():
    life = Life(restart=policy("permanent", backoff=None)).starts()
    life.take(machine.decide_input(life.state, b"abc", eof=True))
    life.ends(code=1)
    assert machine.decide_input(life.state, b"x", eof=False)[0].offset == 0


def test_input_is_refused_by_what_cannot_read_it():
    with pytest.raises(Precondition, match="/dev/null"):
        machine.decide_input(Life(stdin="null").starts().state, b"x", eof=False)
    machine.decide_input(Life(stdin="null", capture="pty").starts().state, b"x", eof=False)
    life = Life().starts()
    life.stops()
    with pytest.raises(AgentNotRunning):
        machine.decide_input(life.state, b"x", eof=False)


# --- the rest ----------------------------------------------------------------------------------------------------


def test_open_questions_are_withdrawn_when_their_run_ends():
    life = Life().starts()
    for name in ("q1", "q2"):
        life.take(
            (
                ApprovalRequested(
                    approval=name,
                    run="r1",
                    key=name,
                    kind="action",
                    deadline_us=0,
                    title="",
                    tool="",
                    data_json="",
                    why="",
                ),
            )
        )
    assert life.state.word == "waiting"
    events = life.ends()
    assert names(events) == ["run.ended", "approval.withdrawn", "approval.withdrawn", "agent.ended"]
    assert [event.approval for event in events if isinstance(event, ApprovalWithdrawn)] == ["q1", "q2"]
    assert life.state.approvals == ()


def test_only_an_ended_agent_can_be_removed_and_only_once():
    life = Life().starts()
    with pytest.raises(AgentNotEnded):
        machine.decide_remove(life.state)
    life.ends()
    assert life.take(machine.decide_remove(life.state)) == (Removed(),)
    assert machine.decide_remove(life.state) == ()


@pytest.mark.parametrize(
    ("turns", "code", "outcome", "reason"),
    [
        (["ok"], 0, "succeeded", "exit"),
        (["error"], 0, "failed", "turn"),  # some agents exit with 0 whatever happened
        (["error", "ok"], 0, "succeeded", "exit"),  # the last one counts
        (["ok", "refusal"], 0, "failed", "turn"),
        (["cancelled"], 0, "succeeded", "exit"),  # somebody wanted that
        (["a word of its own"], 0, "succeeded", "exit"),
        (["error"], 3, "failed", "exit"),
    ],
)
def test_an_agent_whose_last_turn_failed_has_failed_though_it_exits_with_0(turns, code, outcome, reason):
    life = Life().starts()
    for turn in turns:
        life.take((replace(HEARD, type="signal.turn.ended", outcome=turn),))
    (*_, ended) = life.ends(code=code)
    assert (ended.outcome, ended.reason) == (outcome, reason)


def test_a_turn_that_failed_in_an_earlier_run_is_forgiven():
    life = Life(restart=RestartPolicy(type="transient", backoff=None)).starts()
    life.take((replace(HEARD, type="signal.turn.ended", outcome="error"),))
    (*_, again) = life.ends()
    assert isinstance(again, RunWanted)
    (*_, ended) = life.starts().ends()
    assert ended.outcome == "succeeded"


def test_a_session_that_was_lost_is_not_gone_on_with():
    life = Life().starts()
    life.take((replace(HEARD, type="signal.session.started", native_session="s"),))
    assert life.state.usage.native_session == "s"
    life.take((replace(HEARD, type="signal.session.lost"),))
    assert life.state.usage.native_session == ""


def test_usage_adds_up_over_runs():
    life = Life().starts()
    heard = replace(HEARD, turn=2, input_tokens=5, output_tokens=7, cost_microusd=11, native_session="s")
    life.take((heard, replace(heard, turn=1, native_session="")))
    assert life.state.usage == machine.Usage(
        turns=2, input_tokens=10, output_tokens=14, cost_microusd=22, native_session="s"
    )


def test_a_stop_wish_that_the_tree_did_not_make_is_spent_when_the_run_ends():
    life = Life(supervisor="tree/a")
    life.take(machine.decide_start(life.state, run="x1", ordinal=1))
    life.starts().stops(cause="daemon")
    (report,) = life.ends(signal=15, stopped_by="request")
    assert (report.how, life.state.stop) == ("shutdown", None)
    assert not any(isinstance(event, StopWanted) for event in (report,))
