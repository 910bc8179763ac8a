"""OTP's rules for supervisors, one row each. `log` reads: init a supervisor, start, stop or fail a leaf."""

from typing import Any

import pytest

from kaged.domain.machines import tree as t
from tests.model.tree_world import TreeWorld


def leaf(name: str, restart: Any = "permanent", **more: Any) -> t.ChildSpec:
    return t.ChildSpec(id=name, work=name, restart=restart, **more)


def sup(name: str, *children: t.NodeSpec, **more: Any) -> t.SupervisorSpec:
    return t.SupervisorSpec(id=name, children=children, **{"intensity": 5, "period_s": 5.0} | more)


def running(*children: t.NodeSpec, **more: Any) -> TreeWorld:
    return TreeWorld(sup("main", *children, **more)).start()


def test_children_start_in_order_and_stop_in_reverse_order() -> None:
    world = running(leaf("a"), sup("s", leaf("b"), leaf("c")), leaf("d"))
    assert world.log == ["init ", "start a", "init s", "start s/b", "start s/c", "start d"]
    assert world.stop() == ["stop d", "stop s/c", "stop s/b", "stop a"]
    assert world.state.phase == "ended"


def test_a_child_starts_only_after_the_one_before_it_has_started() -> None:
    world = TreeWorld(sup("main", leaf("a"), leaf("b")))
    world.take(t.ApplySpec(spec=world.spec, **world.stamp()))
    assert t.outstanding(world.state) == (t.StartChild(path="a", ordinal=2, work="a"),)
    world.answer(t.outstanding(world.state)[0])
    assert t.outstanding(world.state) == (t.StartChild(path="b", ordinal=3, work="b"),)


def test_a_child_stops_only_after_the_one_behind_it_has_stopped() -> None:
    world = running(leaf("a", shutdown="brutal"), leaf("b", shutdown=100))
    world.take(t.StopTree(**world.stamp()))
    assert t.outstanding(world.state) == (t.StopChild(path="b", ordinal=3, shutdown=100),)
    world.answer(t.outstanding(world.state)[0])
    assert t.outstanding(world.state) == (t.StopChild(path="a", ordinal=2, shutdown="brutal"),)


@pytest.mark.parametrize(
    ("restart", "how", "again"),
    [
        ("permanent", "normal", True),
        ("permanent", "shutdown", True),
        ("permanent", "abnormal", True),
        ("transient", "normal", False),
        ("transient", "shutdown", False),
        ("transient", "abnormal", True),
        ("temporary", "normal", False),
        ("temporary", "shutdown", False),
        ("temporary", "abnormal", False),
    ],
)
def test_the_restart_type_and_the_exit_decide_about_a_restart(restart: str, how: str, again: bool) -> None:
    world = running(leaf("a", restart))
    assert world.exit("a", how) == (["start a"] if again else [])
    left = {"permanent": {"a": "running"}, "transient": {"a": "stopped"}, "temporary": {}}[restart]
    assert world.phases() == ({"a": "running"} if again else left)


@pytest.mark.parametrize(
    ("strategy", "log"),
    [
        ("one_for_one", ["start b"]),
        ("one_for_all", ["stop c", "stop a", "start a", "start b", "start c"]),
        ("rest_for_one", ["stop c", "start b", "start c"]),
    ],
)
def test_the_strategy_names_the_siblings_that_are_restarted(strategy: str, log: list[str]) -> None:
    assert running(leaf("a"), leaf("b"), leaf("c"), strategy=strategy).exit("b") == log


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_temporary_sibling_is_stopped_but_not_started_again_and_its_spec_is_gone(strategy: str) -> None:
    world = running(leaf("a"), leaf("b", "temporary"), strategy=strategy)
    assert world.exit("a") == ["stop b", "start a"]
    assert world.phases() == {"a": "running"}


def test_a_group_restart_brings_back_a_sibling_that_was_terminated_or_done() -> None:
    world = running(leaf("a"), leaf("b"), leaf("c", "transient"), strategy="one_for_all")
    world.ask(t.TerminateChild, "b")
    world.exit("c", "normal")
    assert world.exit("a") == ["start a", "start b", "start c"]


def test_an_exit_without_restart_does_not_touch_the_siblings() -> None:
    assert running(leaf("a", "transient"), leaf("b"), strategy="one_for_all").exit("a", "normal") == []


def test_too_many_restarts_end_all_children_in_reverse_and_then_the_tree() -> None:
    world = running(leaf("a"), leaf("b"), leaf("c"), intensity=1)
    assert world.exit("b") == ["start b"]
    assert world.exit("c") == ["stop b", "stop a"]
    assert (world.state.phase, world.state.outcome) == ("failed", "intensity")


def test_the_window_is_the_supervisors_and_not_the_childs() -> None:
    world = running(leaf("a"), leaf("b"), intensity=1)
    world.exit("a")
    world.exit("b")
    assert world.state.phase == "failed"


def test_restarts_that_lie_further_apart_than_the_period_never_add_up() -> None:
    world = running(leaf("a"), intensity=1, period_s=5)
    for _ in range(50):
        world.now_us += 5_000_001
        assert world.exit("a") == ["start a"]


@pytest.mark.parametrize(
    ("restart", "log", "phase"),
    [
        # A supervisor that gives up ends with reason shutdown, which is no reason to restart a transient one.
        ("permanent", ["init s", "start s/a"], "running"),
        ("transient", [], "stopped"),
        ("temporary", [], None),
    ],
)
def test_a_supervisor_that_gave_up_is_restarted_only_if_it_is_permanent(
    restart: str, log: list[str], phase: str | None
) -> None:
    world = running(sup("s", leaf("a"), intensity=0, restart=restart))
    assert world.exit("s/a") == log
    assert world.phases().get("s") == phase


def test_tries_multiply_across_levels() -> None:
    world = running(sup("s", leaf("a"), intensity=1), intensity=1)
    exits = 0
    while world.state.phase == "running":
        world.exit("s/a")
        exits += 1
    assert exits == 4  # (1 + 1) * (1 + 1)


def test_a_restarted_supervisor_starts_with_an_empty_window_and_all_its_children() -> None:
    world = running(sup("s", leaf("a"), leaf("t", "temporary"), intensity=1))
    world.exit("s/t")
    world.exit("s/a")
    assert world.exit("s/a") == ["init s", "start s/a", "start s/t"]
    assert world.exit("s/a") == ["start s/a"]


def test_a_failed_restart_counts_as_a_restart_and_is_tried_again() -> None:
    world = running(leaf("a"), leaf("b"), intensity=3)
    world.fails["a"] = 2
    assert world.exit("a") == ["fail a", "fail a", "start a"]
    world.fails["a"] = 1
    assert world.exit("a") == ["stop b"]  # 3 before, the 4th is too much: not even tried
    assert world.state.phase == "failed"


def test_each_try_is_an_effect_of_its_own_so_that_others_get_in_between() -> None:
    world = running(leaf("a"), leaf("b"))
    world.die("a")
    (first,) = t.outstanding(world.state)
    assert isinstance(first, t.StartChild)
    world.die("b")
    world.take(t.StartFailed(path="a", ordinal=first.ordinal, why="no", **world.stamp()))
    assert [effect.path for effect in t.outstanding(world.state)] == ["b"]  # before a is tried again


def test_a_failing_sibling_in_a_group_restart_is_retried_with_its_own_group() -> None:
    world = running(leaf("a"), leaf("b"), leaf("c"), strategy="rest_for_one")
    world.fails["b"] = 1
    assert world.exit("a") == ["stop c", "stop b", "start a", "fail b", "start b", "start c"]
    world = running(leaf("a"), leaf("b"), leaf("c"), strategy="one_for_all")
    world.fails["b"] = 1
    assert world.exit("a") == [
        *("stop c", "stop b", "start a", "fail b"),
        *("stop a", "start a", "start b", "start c"),
    ]


def test_a_first_start_that_fails_stops_what_had_started_and_fails_the_tree() -> None:
    world = TreeWorld(sup("main", leaf("a"), sup("s", leaf("b"), leaf("c")), leaf("d")))
    world.fails["s/c"] = 1
    world.start()
    assert world.log == ["init ", "start a", "init s", "start s/b", "fail s/c", "stop s/b", "stop a"]
    assert (world.state.phase, world.state.outcome) == ("failed", "start_failed")
    assert world.state.nodes[""].last == "asked to"


@pytest.mark.parametrize(
    ("auto", "exits", "ended"),
    [
        ("any_significant", [("a", "normal")], True),
        ("any_significant", [("a", "abnormal")], False),  # transient: restarted
        ("any_significant", [("t", "abnormal")], True),
        ("any_significant", [("x", "normal")], False),  # not significant
        ("all_significant", [("a", "normal")], False),
        ("all_significant", [("a", "normal"), ("t", "normal")], True),
        ("all_significant", [("t", "normal"), ("x", "normal")], False),
    ],
)
def test_significant_children_that_end_by_themselves_end_their_supervisor(
    auto: str, exits: list[tuple[str, str]], ended: bool
) -> None:
    world = running(
        leaf("a", "transient", significant=True),
        leaf("t", "temporary", significant=True),
        leaf("x", "transient"),
        leaf("z"),
        auto_shutdown=auto,
    )
    for path, how in exits:
        world.exit(path, how)
    assert (world.state.phase == "ended") is ended
    assert (world.state.outcome == "auto_shutdown") is ended


def test_a_significant_child_that_is_stopped_by_others_ends_nobody() -> None:
    world = running(
        leaf("a"), leaf("t", "temporary", significant=True), strategy="one_for_all", auto_shutdown="any_significant"
    )
    world.exit("a")
    assert world.phases() == {"a": "running"}
    world = running(leaf("a"), leaf("t", "transient", significant=True), auto_shutdown="all_significant")
    world.ask(t.TerminateChild, "t")
    assert world.phases() == {"a": "running", "t": "stopped"}


def test_terminate_keeps_the_spec_restart_starts_it_and_delete_forgets_it() -> None:
    world = running(leaf("a"), leaf("b", "temporary"))
    assert world.ask(t.TerminateChild, "a") == ["stop a"]
    assert world.ask(t.TerminateChild, "a") == []
    assert world.ask(t.RestartChild, "a") == ["start a"]
    world.ask(t.TerminateChild, "a")
    world.ask(t.DeleteChild, "a")
    world.ask(t.TerminateChild, "b")
    assert world.phases() == {}


@pytest.mark.parametrize("wish", [t.RestartChild, t.DeleteChild])
def test_restart_and_delete_want_a_child_that_does_not_run(wish: Any) -> None:
    world = running(leaf("a"))
    with pytest.raises(t.ChildRunning):
        world.ask(wish, "a")
    with pytest.raises(t.ChildNotFound):
        world.ask(wish, "nobody")
    with pytest.raises(t.ChildNotFound):
        world.ask(wish, "")


def test_a_child_of_a_stopped_supervisor_cannot_be_asked_for() -> None:
    world = running(sup("s", leaf("a")))
    world.ask(t.TerminateChild, "s")
    with pytest.raises(t.SupervisorNotRunning):
        world.ask(t.RestartChild, "s/a")
    assert world.ask(t.RestartChild, "s") == ["init s", "start s/a"]


def test_a_restart_by_hand_that_fails_is_not_tried_again() -> None:
    world = running(leaf("a"))
    world.ask(t.TerminateChild, "a")
    world.fails["a"] = 1
    assert world.ask(t.RestartChild, "a") == ["fail a"]
    assert world.phases() == {"a": "stopped"}


def test_a_deleted_child_comes_back_when_its_supervisor_is_restarted() -> None:
    world = running(sup("s", leaf("a"), leaf("b"), intensity=0))
    world.ask(t.TerminateChild, "s/a")
    world.ask(t.DeleteChild, "s/a")
    assert world.exit("s/b") == ["init s", "start s/a", "start s/b"]


def test_exits_during_a_group_restart_are_swallowed_if_it_covers_them_and_judged_afterwards_if_not() -> None:
    world = running(leaf("a"), leaf("b"), leaf("c"), strategy="rest_for_one")
    world.die("b")  # c is asked to stop
    world.die("c")  # covered: its stop is what was wanted
    world.die("a")  # not covered: judged when b and c are back
    world.log.clear()
    world.settle()
    assert world.log == ["start b", "start c", "stop c", "stop b", "start a", "start b", "start c"]
    assert len(world.branch("").window) == 2
