"""A new spec: what did not change keeps running, the rest is stopped in reverse and started in order."""

from dataclasses import replace
from typing import Any

import pytest

from kaged.domain.machines import tree as t
from tests.model.tree_world import TreeWorld


def leaf(name: str, work: str = "1", **more: Any) -> t.ChildSpec:
    return replace(t.ChildSpec(id=name, work=work), **more)


def sup(name: str, *children: t.NodeSpec, **more: Any) -> t.SupervisorSpec:
    return replace(t.SupervisorSpec(id=name, children=children, intensity=5), **more)


def changed(world: TreeWorld, *children: t.NodeSpec, **more: Any) -> list[str]:
    world.log.clear()
    world.apply(sup("main", *children, **more))
    world.settle()
    return list(world.log)


def by_root(log: list[str]) -> list[str]:
    """What the root did. Supervisors act side by side: only what each one does has an order."""
    return [line for line in log if "/" not in line]


def by_s(log: list[str]) -> list[str]:
    return [line for line in log if "s/" in line]


@pytest.fixture
def world() -> TreeWorld:
    return TreeWorld(sup("main", leaf("a"), sup("s", leaf("b"), leaf("c")), leaf("d"))).start()


def test_the_same_spec_again_is_nothing(world: TreeWorld) -> None:
    assert world.take(t.ApplySpec(spec=world.spec, at_us=0, jitter=0)) == ()


def test_the_same_spec_again_is_nothing_while_the_tree_still_starts() -> None:
    world = TreeWorld(sup("main", leaf("a"), sup("s", leaf("b"))))
    world.take(t.ApplySpec(spec=world.spec, at_us=0, jitter=0))
    assert world.take(t.ApplySpec(spec=world.spec, at_us=0, jitter=0)) == ()


def test_new_children_start_in_order_and_the_others_keep_running(world: TreeWorld) -> None:
    log = changed(world, leaf("z"), leaf("a"), sup("s", leaf("b"), leaf("x"), leaf("c")), leaf("d"), leaf("e"))
    assert by_root(log) == ["start z", "start e"]
    assert by_s(log) == ["start s/x"]
    assert world.branch("").order == ("z", "a", "s", "d", "e")
    assert world.branch("s").order == ("b", "x", "c")


def test_removed_children_stop_in_reverse_order_and_leave(world: TreeWorld) -> None:
    assert changed(world, leaf("d")) == ["stop s/c", "stop s/b", "stop a"]
    assert world.phases() == {"d": "running"}


def test_changed_work_is_stopped_and_started_again(world: TreeWorld) -> None:
    log = changed(world, leaf("a", "2"), sup("s", leaf("b"), leaf("c", "2")), leaf("d", "2"))
    assert by_root(log) == ["stop d", "stop a", "start a", "start d"]
    assert by_s(log) == ["stop s/c", "start s/c"]


def test_changed_treatment_is_taken_over_without_a_restart(world: TreeWorld) -> None:
    log = changed(
        world,
        leaf("a", restart="temporary", shutdown=1),
        sup("s", leaf("b"), leaf("c"), strategy="one_for_all", intensity=9),
        leaf("d"),
        period_s=77.0,
    )
    assert log == []
    assert world.exit("a") == []
    assert world.exit("s/b") == ["stop s/c", "start s/b", "start s/c"]
    assert world.branch("").spec.period_s == 77.0


def test_a_leaf_that_becomes_a_supervisor_is_another_child(world: TreeWorld) -> None:
    log = changed(world, sup("a", leaf("x")), leaf("s"), leaf("d"))
    assert log == ["stop s/c", "stop s/b", "stop a", "init a", "start a/x", "start s"]


def test_a_new_order_moves_nobody_but_counts_from_then_on(world: TreeWorld) -> None:
    assert changed(world, leaf("d"), sup("s", leaf("c"), leaf("b")), leaf("a")) == []
    assert world.stop() == ["stop a", "stop s/b", "stop s/c", "stop d"]


def test_what_was_terminated_stays_so_what_was_deleted_comes_back_and_what_was_temporary_is_done() -> None:
    world = TreeWorld(sup("main", leaf("a"), leaf("b"), leaf("t", restart="temporary"))).start()
    world.ask(t.TerminateChild, "a")
    world.ask(t.TerminateChild, "b")
    world.ask(t.DeleteChild, "b")
    world.exit("t", "normal")
    world.log.clear()
    world.apply(world.spec)
    assert world.log == ["start b"]
    assert world.phases() == {"a": "stopped", "b": "running"}
    assert world.take(t.ApplySpec(spec=world.spec, at_us=0, jitter=0)) == ()


def test_a_new_child_that_does_not_start_is_tried_again_and_the_others_are_not_held_up() -> None:
    world = TreeWorld(sup("main", leaf("a"))).start()
    world.fails["b"] = 1
    assert changed(world, leaf("a"), leaf("b"), leaf("c")) == ["fail b", "start c", "start b"]


def test_a_spec_for_a_busy_supervisor_acts_when_it_is_free_and_only_the_last_one_counts(world: TreeWorld) -> None:
    world.die("a")
    for name in ("x", "y"):
        world.take(t.ApplySpec(spec=sup("main", leaf("a"), leaf(name)), **world.stamp()))
    world.log.clear()
    world.settle()
    assert world.log == ["start a", "stop d", "stop s/c", "stop s/b", "start y"]


def test_a_waiting_child_that_changes_starts_at_once_and_one_that_goes_is_forgotten() -> None:
    slow = t.Backoff(base_s=100, max_s=100)
    world = TreeWorld(sup("main", leaf("a", backoff=slow), leaf("b", backoff=slow), leaf("c", backoff=slow))).start()
    for path in ("a", "b", "c"):
        world.exit(path)
    world.log.clear()
    world.apply(sup("main", leaf("a", "2", backoff=slow), leaf("c", backoff=slow)))
    assert world.log == ["start a"]
    assert world.phases() == {"a": "running", "c": "waiting"}
    assert world.state.nodes["a"].failures == 0


def test_a_tree_that_ended_starts_again_and_one_that_stops_refuses() -> None:
    world = TreeWorld(sup("main", leaf("a"))).start()
    world.take(t.StopTree(at_us=0, jitter=0))
    with pytest.raises(t.TreeStopping):
        world.apply(world.spec)
    world.settle()
    world.apply(sup("main", leaf("b")))
    assert world.phases() == {"b": "running"}


def test_a_supervisor_that_restarts_before_it_has_read_its_new_spec_starts_with_it() -> None:
    world = TreeWorld(sup("main", sup("s", leaf("b"), intensity=0))).start()
    world.take(t.TerminateChild(path="s", **world.stamp()))  # s is on its way down, and reads nothing any more
    world.take(t.ApplySpec(spec=sup("main", sup("s", leaf("c"))), **world.stamp()))
    world.settle()
    assert world.ask(t.RestartChild, "s") == ["init s", "start s/c"]


def test_a_spec_taken_back_while_it_is_carried_out_is_taken_back(world: TreeWorld) -> None:
    world.take(t.ApplySpec(spec=sup("main"), **world.stamp()))  # everything begins to stop
    world.take(t.ApplySpec(spec=world.spec, **world.stamp()))
    world.settle()
    assert set(world.alive) == {"a", "s/b", "s/c", "d"}
