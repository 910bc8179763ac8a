"""What Kage adds to OTP: restarts that wait, stops that do not, and reports that may be late, early or doubled."""

from dataclasses import replace
from typing import Any

import pytest

from kaged.domain.machines import tree as t
from tests.model.tree_world import TreeWorld

S = 1_000_000
BACKOFF = t.Backoff(base_s=1, factor=2, max_s=60, healthy_after_s=10)


def leaf(name: str, **more: Any) -> t.ChildSpec:
    return replace(t.ChildSpec(id=name, work=name, backoff=BACKOFF), **more)


def running(*children: t.NodeSpec, **more: Any) -> TreeWorld:
    spec = t.SupervisorSpec(id="main", children=children, intensity=100, period_s=3600)
    return TreeWorld(replace(spec, **more)).start()


def wake(world: TreeWorld, path: str) -> int:
    (timer,) = (e for e in t.outstanding(world.state) if isinstance(e, t.ArmTimer) and e.path == path)
    return timer.at_us


def test_a_crash_waits_and_the_wait_grows_until_the_child_stays_healthy() -> None:
    world, ceilings = running(leaf("a")), []
    for ran_s in (1, 1, 1, 11, 1):
        world.now_us += ran_s * S
        world.exit("a")
        scheduled = wake(world, "a") - world.now_us
        ceilings.append(scheduled)
        world.settle()
    # jitter is spread over the whole range, so only its ceiling is known
    assert all(wait <= top * S for wait, top in zip(ceilings, (1, 2, 4, 1, 2), strict=True))
    assert world.state.nodes["a"].failures == 2
    assert world.state.nodes["a"].restarts == 5


def test_the_timer_starts_the_child_and_an_early_or_doubled_one_does_nothing() -> None:
    world = running(leaf("a"))
    world.exit("a")
    at_us = wake(world, "a")
    assert world.take(t.TimerDue(path="a", at_us=at_us - 1, jitter=0)) == ()
    assert world.take(t.TimerDue(path="a", at_us=at_us, jitter=0)) != ()
    assert world.take(t.TimerDue(path="a", at_us=at_us, jitter=0)) == ()
    world.settle()
    assert world.phases() == {"a": "running"}


def test_the_siblings_of_a_waiting_child_are_stopped_at_once_and_started_with_it() -> None:
    world = running(leaf("a"), leaf("b"), leaf("c"), strategy="one_for_all")
    assert world.exit("b") == ["stop c", "stop a"]
    assert world.phases() == {"a": "stopped", "b": "waiting", "c": "stopped"}
    world.log.clear()
    world.settle()
    assert world.log == ["start a", "start b", "start c"]


def test_a_supervisor_goes_on_working_while_a_child_waits() -> None:
    world = running(leaf("a"), leaf("b", backoff=None), leaf("c"))
    world.exit("a")
    assert world.exit("b") == ["start b"]
    assert world.ask(t.TerminateChild, "c") == ["stop c"]
    assert world.phases()["a"] == "waiting"


def test_a_failed_restart_waits_longer_each_time_and_counts_each_time() -> None:
    world = running(leaf("a"))
    world.fails["a"] = 4
    world.exit("a")
    world.settle()
    assert world.state.nodes["a"].failures == 5
    assert len(world.branch("").window) == 5


def test_terminating_a_waiting_child_ends_the_wait_and_restarting_it_by_hand_does_not_wait() -> None:
    world = running(leaf("a"))
    world.exit("a")
    with pytest.raises(t.ChildRestarting):
        world.ask(t.DeleteChild, "a")
    assert world.ask(t.TerminateChild, "a") == []
    assert world.phases() == {"a": "stopped"}
    assert t.outstanding(world.state) == ()
    world.ask(t.RestartChild, "a")
    world.exit("a")
    assert world.ask(t.RestartChild, "a") == ["start a"]


def test_a_supervisor_that_gave_up_can_wait_as_well() -> None:
    inner = t.SupervisorSpec(id="s", intensity=0, backoff=BACKOFF, children=(leaf("a"),))
    world = running(inner)
    assert world.exit("s/a") == []
    assert world.phases()["s"] == "waiting"
    world.log.clear()
    world.settle()
    assert world.log == ["init s", "start s/a"]


def test_a_childs_failures_outlive_the_restart_of_its_supervisor() -> None:
    world = running(t.SupervisorSpec(id="s", intensity=1, children=(leaf("a"),)))
    world.exit("s/a")
    world.settle()
    world.exit("s/a")  # s gives up and is restarted at once
    assert world.phases() == {"s": "running", "s/a": "running"}
    assert world.state.nodes["s/a"].failures == 1


def test_an_exit_found_after_a_downtime_counts_and_waits_from_its_own_time() -> None:
    world = running(leaf("a"), intensity=1, period_s=5)
    world.now_us = 3600 * S
    ordinal = world.alive.pop("a")
    world.take(
        t.ChildExited(path="a", ordinal=ordinal, how="abnormal", exited_at_us=100 * S, at_us=3600 * S, jitter=0.5)
    )
    assert world.branch("").window == (100 * S,)
    assert wake(world, "a") < 200 * S  # over long ago: due at once


def test_reports_about_another_start_are_ignored() -> None:
    world = running(leaf("a", backoff=None))
    stale = world.alive["a"]
    world.exit("a")
    for report in (
        t.ChildExited(path="a", ordinal=stale, how="abnormal", at_us=0, jitter=0),
        t.ChildStarted(path="a", ordinal=stale, at_us=0, jitter=0),
        t.StartFailed(path="a", ordinal=stale, why="", at_us=0, jitter=0),
        t.ChildStarted(path="a", ordinal=world.alive["a"], at_us=0, jitter=0),
        t.ChildExited(path="nobody", ordinal=1, how="normal", at_us=0, jitter=0),
        t.TimerDue(path="a", at_us=0, jitter=0),
    ):
        assert world.take(report) == ()


def test_a_child_that_ends_before_it_was_said_to_run_has_failed_to_start() -> None:
    world = TreeWorld(t.SupervisorSpec(id="main", children=(leaf("a"),)))
    world.take(t.ApplySpec(spec=world.spec, at_us=0, jitter=0))
    (start,) = t.outstanding(world.state)
    assert isinstance(start, t.StartChild)
    world.take(t.ChildExited(path="a", ordinal=start.ordinal, how="normal", at_us=0, jitter=0))
    assert world.state.phase == "failed"


def test_stopping_the_tree_does_not_wait_for_a_start_that_hangs() -> None:
    world = TreeWorld(t.SupervisorSpec(id="main", children=(leaf("a"), leaf("b"), leaf("c"))))
    world.take(t.ApplySpec(spec=world.spec, at_us=0, jitter=0))
    world.answer(t.outstanding(world.state)[0])
    world.take(t.StopTree(at_us=0, jitter=0))
    (stop,) = t.outstanding(world.state)
    assert isinstance(stop, t.StopChild)
    assert stop.path == "b"
    world.settle()
    assert world.state.phase == "ended"
    assert world.alive == {}


def test_terminating_a_child_whose_start_hangs_lets_the_next_ones_start() -> None:
    world = TreeWorld(t.SupervisorSpec(id="main", children=(leaf("a"), leaf("b"))))
    world.take(t.ApplySpec(spec=world.spec, at_us=0, jitter=0))
    world.take(t.TerminateChild(path="a", at_us=0, jitter=0))
    world.settle()
    assert world.phases() == {"a": "stopped", "b": "running"}
    assert world.state.phase == "running"


def test_a_request_to_a_busy_supervisor_is_done_when_it_is_free_and_asked_twice_is_asked_once() -> None:
    world = running(leaf("a", backoff=None), leaf("b"), strategy="one_for_all")
    world.die("a")
    for _ in range(3):
        world.take(t.TerminateChild(path="a", **world.stamp()))
    assert len(world.branch("").inbox) == 1
    world.log.clear()
    world.settle()
    assert world.log == ["stop b", "start a", "start b", "stop a"]


def test_the_same_command_gives_the_same_events() -> None:
    world = running(leaf("a"))
    command = t.ChildExited(path="a", ordinal=world.alive["a"], how="abnormal", at_us=5, jitter=0.25)
    assert t.decide(world.state, command) == t.decide(world.state, command)
