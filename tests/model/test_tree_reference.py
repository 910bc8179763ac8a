"""The machine against a small independent reference of OTP, and against itself across crashes.

`TreeWorld.take` writes the state down and reads it back after each single event, so every step of every run
here is a crash that must lose nothing.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kaged.domain.machines import tree as t
from tests.model.otp_reference import Reference
from tests.model.tree_world import TreeWorld
from tests.search import examples

HOWS = st.sampled_from(["abnormal", "abnormal", "normal", "shutdown"])


@st.composite
def supervisors(draw: st.DrawFn, /, name: str = "main", depth: int = 3, **treatment: Any) -> t.SupervisorSpec:
    auto: Any = draw(st.sampled_from(["never", "any_significant", "all_significant"]))
    children: list[t.NodeSpec] = []
    for child in "abcd"[: draw(st.integers(1, 4))]:
        restart: Any = draw(st.sampled_from(["permanent", "transient", "temporary"]))
        matters = auto != "never" and restart != "permanent" and draw(st.booleans())
        if depth > 1 and draw(st.integers(0, 2)) == 0:
            children.append(draw(supervisors(child, depth - 1, restart=restart, significant=matters)))
        else:
            children.append(t.ChildSpec(id=child, work=child, restart=restart, significant=matters))
    return t.SupervisorSpec(
        id=name,
        strategy=draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])),
        intensity=draw(st.integers(0, 4)),
        period_s=draw(st.sampled_from([1.0, 5.0])),
        auto_shutdown=auto,
        children=tuple(children),
        **treatment,
    )


class AgainstTheReference(RuleBasedStateMachine):
    """Everything is answered at once; both tell the same story, in order, and end up the same."""

    @initialize(spec=supervisors())
    def begin(self, spec: t.SupervisorSpec) -> None:
        self.world, self.reference = TreeWorld(spec), Reference(spec)
        self.start()

    def _same(self) -> None:
        self.world.settle()
        assert self.world.log == self.reference.log
        assert self._shown() == self.reference.shown()
        assert (self.world.state.phase == "running") is (self.reference.root is not None)

    def _shown(self) -> list[str]:
        def lines(path: str) -> list[str]:
            node = self.world.state.nodes[path]
            assert isinstance(node, t.Branch)
            found = []
            for name in node.order:
                below = f"{path}/{name}".lstrip("/")
                child = self.world.state.nodes[below]
                found.append(below + ("+" if child.phase == "running" else "-"))
                if isinstance(child, t.Branch) and child.phase == "running":
                    found += lines(below)
            return found

        return lines("") if self.world.state.phase == "running" else []

    def up(self) -> bool:
        return self.world.state.phase == "running"

    @precondition(lambda self: not self.up())
    @rule()
    def start(self) -> None:
        self.world.start()
        self.reference.start()
        self._same()

    @precondition(lambda self: self.up())
    @rule()
    def stop(self) -> None:
        self.world.take(t.StopTree(**self.world.stamp()))
        self.reference.stop()
        self._same()

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data(), more=st.booleans())
    def exit(self, data: st.DataObject, more: bool) -> None:
        first = data.draw(st.sampled_from(sorted(self.world.alive)))
        above = first.rpartition("/")[0]
        paths = [first]
        if more:
            siblings = sorted(p for p in self.world.alive if p.rpartition("/")[0] == above)
            paths = data.draw(st.lists(st.sampled_from(siblings), min_size=1, max_size=3, unique=True))
        deaths = [(path, data.draw(HOWS)) for path in paths]
        quiet = len(self.world.log)
        for path, how in deaths:
            self.world.die(path, how)
        # A child that had died before it was told to stop says nothing about stopping.
        said = [line for line in self.world.log[quiet:] if not line.startswith("stop")]
        self.world.log[quiet:] = said
        self.reference.exits(above, [(path.rpartition("/")[2], how) for path, how in deaths])
        self._same()

    @precondition(lambda self: self.up() and len(self.world.state.nodes) > 1)
    @rule(data=st.data(), wish=st.sampled_from([t.TerminateChild, t.RestartChild, t.DeleteChild]))
    def ask(self, data: st.DataObject, wish: Any) -> None:
        path = data.draw(st.sampled_from(sorted(p for p in self.world.state.nodes if p)))
        try:
            self.world.take(wish(path=path, **self.world.stamp()))
        except (t.ChildRunning, t.SupervisorNotRunning):
            return
        verb = {t.TerminateChild: "terminate", t.RestartChild: "restart", t.DeleteChild: "delete"}[wish]
        self.reference.ask(verb, path)
        self._same()

    @rule(data=st.data(), times=st.integers(1, 3))
    def fail_next(self, data: st.DataObject, times: int) -> None:
        leaves = sorted(p for p, node in self.world.state.nodes.items() if isinstance(node, t.Leaf))
        if leaves:
            path = data.draw(st.sampled_from(leaves))
            self.world.fails[path] = self.reference.fails[path] = times

    @rule(seconds=st.sampled_from([0.5, 1, 1.000001, 5]))
    def wait(self, seconds: float) -> None:
        self.world.now_us += int(seconds * 1_000_000)
        self.reference.now_us = self.world.now_us


AgainstTheReference.TestCase.settings = settings(max_examples=examples(70), stateful_step_count=20, deadline=None)
TestAgainstTheReference = AgainstTheReference.TestCase
