"""A world for the supervision tree: the children that a runtime would run, with every move checked.

`take` gives a command to the machine and checks what must hold after every one: the events fold to the state
that the decision saw; the state survives being written down and read back at each single event, with the same
things outstanding; `effects` names all that is newly outstanding; no second child starts while the first lives.
"""

from collections import Counter
from typing import Any

from kaged.domain.machines import tree as t


class TreeWorld:
    """One tree, its living leaves, and the clock. Nothing is answered unless the test says so."""

    def __init__(self, spec: t.SupervisorSpec) -> None:
        self.spec = spec
        self.state = t.initial(spec.id)
        self.now_us = 0
        self.jitter = 0.5
        self.alive: dict[str, int] = {}
        self.log: list[str] = []
        self.events: Counter[str] = Counter()
        self.fails: Counter[str] = Counter()

    # --- talking to the machine

    def take(self, command: t.Command) -> tuple[t.Event, ...]:
        before, state = set(t.outstanding(self.state)), self.state
        events, after = t.step(self.state, command)
        for event in events:
            self._tell(state, event)
            state = t.apply(state, event)
            text = t.state_to_json(state)
            again = t.state_from_json(text)
            assert again == state
            assert t.state_to_json(again) == text
            assert t.outstanding(again) == t.outstanding(state)
            self.events[event.type_name] += 1
        assert state == after
        assert t.decide(self.state, command) == events
        assert set(t.outstanding(after)) - before <= set(t.effects(after, events))
        self.state = after
        self._check()
        return events

    def _tell(self, state: t.TreeState, event: t.Event) -> None:
        leaf = isinstance(state.nodes.get(event.path), t.Leaf)
        said = {
            ("supervisor.child_start_wanted", False): "init",
            ("supervisor.child_started", True): "start",
            ("supervisor.child_start_failed", True): "fail",
            ("supervisor.child_stopped", True): "stop",
        }.get((event.type_name, leaf))
        if said is not None and getattr(event, "how", "") != "gone":
            self.log.append(f"{said} {event.path}")

    def _check(self) -> None:
        for path, node in self.state.nodes.items():
            above = self.state.nodes[path.rpartition("/")[0]] if path else None
            assert above is None or isinstance(above, t.Branch)
            if above is not None:
                assert path.rpartition("/")[2] in above.order
                notes = [n for n in above.inbox if n.child == path.rpartition("/")[2]]
                deaths = [n for n in notes if n.kind in ("exit", "start_failed", "due")]
                assert len(notes) <= 4
                if above.phase in ("starting", "running"):
                    assert len(deaths) == (node.phase == "pending"), path
                if node.phase in ("running", "starting", "stopping"):
                    assert above.phase in ("running", "starting", "stopping"), path
            if isinstance(node, t.Branch):
                assert (node.plan is None) or node.phase in ("running", "starting", "stopping")
                assert len(set(node.order)) == len(node.order)
                assert len(node.window) <= node.spec.intensity + 1 or node.spec.period_s > 0
                if node.phase in ("stopped", "waiting", "pending"):
                    assert not node.inbox
                    assert not any(self._up(below) for below in self.under(path))

    def _up(self, path: str) -> bool:
        return self.state.nodes[path].phase in ("running", "starting", "stopping")

    def under(self, path: str) -> list[str]:
        return [p for p in self.state.nodes if p and (path == "" or p.startswith(f"{path}/"))]

    # --- being the runtime

    def answer(self, effect: t.Effect) -> None:
        """Do what one effect asks, at once."""
        match effect:
            case t.StartChild(path=path, ordinal=ordinal) if self.fails[path] > 0:
                self.fails[path] -= 1
                self.take(t.StartFailed(path=path, ordinal=ordinal, why="asked to", **self.stamp()))
            case t.StartChild(path=path, ordinal=ordinal):
                assert path not in self.alive, f"{path} was started twice"
                self.alive[path] = ordinal
                self.take(t.ChildStarted(path=path, ordinal=ordinal, **self.stamp()))
            case t.StopChild(path=path, ordinal=ordinal):
                self.alive.pop(path, None)
                self.take(t.ChildExited(path=path, ordinal=ordinal, how="shutdown", **self.stamp()))
            case t.ArmTimer(path=path, at_us=at_us):
                self.now_us = max(self.now_us, at_us)
                self.take(t.TimerDue(path=path, **self.stamp()))

    def settle(self) -> None:
        """Answer everything, timers last, until nothing is under way."""
        for _ in range(10_000):
            effects = sorted(t.outstanding(self.state), key=lambda e: (isinstance(e, t.ArmTimer), e.path))
            if not effects:
                return
            self.answer(effects[0])
        raise AssertionError("never comes to rest")

    def settle_but_wait(self) -> None:
        """Answer everything but timers."""
        while effects := [e for e in t.outstanding(self.state) if not isinstance(e, t.ArmTimer)]:
            self.answer(effects[0])

    def stamp(self) -> dict[str, Any]:
        return {"at_us": self.now_us, "jitter": self.jitter}

    # --- short ways to say things

    def start(self) -> "TreeWorld":
        self.apply(self.spec)
        return self

    def apply(self, spec: t.SupervisorSpec) -> None:
        self.take(t.ApplySpec(spec=spec, **self.stamp()))
        self.settle_but_wait()

    def die(self, path: str, how: Any = "abnormal") -> None:
        """A running leaf ends by itself; nothing is answered yet."""
        ordinal = self.alive.pop(path)
        self.take(t.ChildExited(path=path, ordinal=ordinal, how=how, **self.stamp()))

    def exit(self, path: str, how: Any = "abnormal") -> list[str]:
        """A running leaf ends by itself, and everything but timers is answered. Returns what happened."""
        self.log.clear()
        self.die(path, how)
        self.settle_but_wait()
        return list(self.log)

    def ask(self, wish: Any, path: str) -> list[str]:
        """Terminate, restart or delete a child. Returns what happened."""
        self.log.clear()
        self.take(wish(path=path, **self.stamp()))
        self.settle_but_wait()
        return list(self.log)

    def stop(self) -> list[str]:
        self.log.clear()
        self.take(t.StopTree(**self.stamp()))
        self.settle_but_wait()
        return list(self.log)

    def branch(self, path: str) -> t.Branch:
        node = self.state.nodes[path]
        assert isinstance(node, t.Branch)
        return node

    def phases(self) -> dict[str, str]:
        return {path: node.phase for path, node in self.state.nodes.items() if path}
