"""Anything may happen in any order: late answers, exits in mid-restart, new specs, crashes, doubled effects.

There is no story to compare with here, only what must always hold (`TreeWorld._check` after every command) and
what must hold in the end: everything comes to rest, nothing lives that should not, nothing wanted is missing.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kaged.domain.machines import tree as t
from tests.model.tree_world import TreeWorld
from tests.search import examples

TREATMENT: dict[str, Any] = {"restart": st.sampled_from(["permanent", "permanent", "transient", "temporary"])}
BACKOFFS = st.sampled_from([None, None, t.Backoff(base_s=0.5, max_s=4, healthy_after_s=3)])


@st.composite
def supervisors(draw: st.DrawFn, /, name: str = "main", depth: int = 3) -> t.SupervisorSpec:
    children: list[t.NodeSpec] = []
    auto: Any = draw(st.sampled_from(["never", "never", "any_significant", "all_significant"]))
    for child in draw(st.permutations("abcd"))[: draw(st.integers(0, 4))]:
        restart: Any = draw(TREATMENT["restart"])
        how: dict[str, Any] = {
            "restart": restart,
            "backoff": draw(BACKOFFS),
            "significant": auto != "never" and restart != "permanent" and draw(st.booleans()),
        }
        if depth > 1 and draw(st.integers(0, 2)) == 0:
            children.append(replace(draw(supervisors(child, depth - 1)), **how))
        else:
            children.append(t.ChildSpec(id=child, work=draw(st.sampled_from("xy")), **how))
    return t.SupervisorSpec(
        id=name,
        strategy=draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])),
        intensity=draw(st.sampled_from([0, 2, 8])),
        period_s=5.0,
        auto_shutdown=auto,
        children=tuple(children),
    )


class Interleaved(RuleBasedStateMachine):
    @initialize(spec=supervisors())
    def begin(self, spec: t.SupervisorSpec) -> None:
        assert t.validate(spec) == ()
        self.world = TreeWorld(spec)
        self.world.take(t.ApplySpec(spec=spec, **self.world.stamp()))

    @rule(data=st.data(), fails=st.integers(0, 5))
    def answer_one(self, data: st.DataObject, fails: int) -> None:
        effects = t.outstanding(self.world.state)
        if effects:
            effect = data.draw(st.sampled_from(effects))
            if isinstance(effect, t.StartChild) and fails == 0:
                self.world.fails[effect.path] = 1
            self.world.answer(effect)

    @rule()
    def answer_all_but_timers(self) -> None:
        self.world.settle_but_wait()

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data(), how=st.sampled_from(["normal", "abnormal", "shutdown"]))
    def exit(self, data: st.DataObject, how: Any) -> None:
        self.world.die(data.draw(st.sampled_from(sorted(self.world.alive))), how)

    @rule(data=st.data())
    def a_start_is_heard_of_only_after_its_exit(self, data: st.DataObject) -> None:
        starts = [e for e in t.outstanding(self.world.state) if isinstance(e, t.StartChild)]
        if starts:
            start = data.draw(st.sampled_from(starts))
            stamp = self.world.stamp()
            self.world.take(t.ChildExited(path=start.path, ordinal=start.ordinal, how="normal", **stamp))
            assert self.world.take(t.ChildStarted(path=start.path, ordinal=start.ordinal, **stamp)) == ()

    @rule(data=st.data(), wish=st.sampled_from([t.TerminateChild, t.RestartChild, t.DeleteChild]))
    def ask(self, data: st.DataObject, wish: Any) -> None:
        paths = sorted(p for p in self.world.state.nodes if p) or ["nobody"]
        with suppress(t.ChildRunning, t.ChildRestarting, t.ChildNotFound, t.SupervisorNotRunning):
            self.world.take(wish(path=data.draw(st.sampled_from(paths)), **self.world.stamp()))

    @rule(spec=supervisors())
    def apply(self, spec: t.SupervisorSpec) -> None:
        with suppress(t.TreeStopping):
            self.world.take(t.ApplySpec(spec=spec, **self.world.stamp()))
            self.world.spec = spec

    @rule(often=st.integers(0, 9))
    def stop(self, often: int) -> None:
        if often == 0:
            self.world.take(t.StopTree(**self.world.stamp()))

    @rule(seconds=st.floats(0.1, 6), jitter=st.floats(0, 1, exclude_max=True))
    def wait(self, seconds: float, jitter: float) -> None:
        self.world.now_us += int(seconds * 1_000_000)
        self.world.jitter = jitter

    @rule()
    def crash_and_hear_everything_again(self) -> None:
        """The daemon forgets all but its state; what it hears twice changes nothing."""
        self.world.state = t.state_from_json(t.state_to_json(self.world.state))
        for path, ordinal in self.world.alive.items():
            assert self.world.take(t.ChildStarted(path=path, ordinal=ordinal, **self.world.stamp())) == ()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.settle()
        running = {p for p, n in world.state.nodes.items() if n.phase == "running" and isinstance(n, t.Leaf)}
        assert running == set(world.alive)
        assert all(node.phase in ("running", "stopped") for node in world.state.nodes.values())
        assert not any(isinstance(n, t.Branch) and (n.plan or n.inbox) for n in world.state.nodes.values())
        self._follows_the_spec("", world.spec)
        if world.state.phase == "running":
            # What is asked for once more, with other work, runs, whatever happened before.
            world.spec = renewed(world.spec)
            world.apply(world.spec)
            world.settle()
            self._follows_the_spec("", world.spec, all_run=True)
        world.stop()
        assert world.alive == {}
        assert world.state.phase in ("ended", "failed")

    def _follows_the_spec(self, path: str, spec: t.SupervisorSpec, *, all_run: bool = False) -> None:
        node = self.world.state.nodes[path]
        assert isinstance(node, t.Branch)
        if node.phase != "running":
            return
        assert node.spec == spec
        ids = [child.id for child in spec.children]
        assert [name for name in ids if name in node.order] == list(node.order)
        for child in spec.children:
            below = f"{path}/{child.id}".lstrip("/")
            if isinstance(child, t.SupervisorSpec) and below in self.world.state.nodes:
                self._follows_the_spec(below, child, all_run=all_run)
            elif all_run and isinstance(child, t.ChildSpec):
                assert self.world.state.nodes[below].phase == "running"


def renewed(spec: t.SupervisorSpec) -> t.SupervisorSpec:
    children = tuple(
        renewed(child) if isinstance(child, t.SupervisorSpec) else replace(child, work=child.work + "'")
        for child in spec.children
    )
    return replace(spec, children=children)


Interleaved.TestCase.settings = settings(max_examples=examples(100), stateful_step_count=30, deadline=None)
TestInterleaved = Interleaved.TestCase
