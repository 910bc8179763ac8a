"""Scenarios on our own machine, told in the same words as kage_tree.erl tells them."""

from typing import Any

from kaged.domain.errors import Refusal
from kaged.domain.machines import tree as t

HOW: dict[str, Any] = {"normal": "normal", "shutdown": "shutdown", "crash": "abnormal"}
NOW: Any = {"at_us": 0, "jitter": 0.0}


def spec_of(tree: list[Any]) -> t.NodeSpec:
    if tree[0] == "work":
        _, name, restart, significant, _ = tree
        return t.ChildSpec(id=name, work=name, restart=restart, significant=significant)
    _, name, strategy, intensity, auto, restart, significant, children = tree
    return t.SupervisorSpec(
        id=name,
        strategy=strategy,
        intensity=intensity,
        period_s=100_000.0,
        auto_shutdown=auto,
        restart=restart,
        significant=significant,
        children=tuple(map(spec_of, children)),
    )


class Ours:
    """One tree, played step by step with everything answered at once."""

    def __init__(self, tree: list[Any]) -> None:
        spec = spec_of(tree)
        assert isinstance(spec, t.SupervisorSpec)
        self._tree, self._spec = tree, spec
        self._state = t.initial(spec.id)
        self._fails: dict[str, int] = {}
        self._happened: list[str] = []

    def play(self, step: list[Any]) -> str:
        """Do one step. Returns the line that kage_tree.erl would print."""
        self._happened = []
        reply = self._do(step)
        self._answer_all()
        if reply == "ok" and step[0] == "restart" and self._happened and self._state.nodes[step[1]].phase == "stopped":
            reply = "failed"
        if step[0] == "start" and self.dead():
            reply = "failed"
        return f"{reply}|{','.join(self._happened)}|{','.join(self._shown('')) if not self.dead() else 'dead'}"

    def _do(self, step: list[Any]) -> str:
        match step:
            case ["start"]:
                self._fails = dict(_fails(self._tree, "")) | self._fails
                self._take(t.ApplySpec(spec=self._spec, **NOW))
            case ["stop"]:
                self._take(t.StopTree(**NOW))
            case ["fails", path, n]:
                self._fails[path] = n
            case ["exit", path, how]:
                node = self._state.nodes.get(path)
                if node is None or node.phase != "running":
                    return "nobody"
                self._exit(path, how)
            case ["burst", _, deaths]:
                for path, how in deaths:
                    self._exit(path, how)
                # One that died before it could be told to stop has nothing to say about stopping.
                self._happened = [line for line in self._happened if not line.startswith("stop ")]
            case [verb, path]:
                return self._ask(verb, path)
        return "ok"

    def _ask(self, verb: str, path: str) -> str:
        parent = self._state.nodes.get(path.rpartition("/")[0])
        if parent is None or parent.phase != "running":
            return "noproc"
        wish: Any = {"terminate": t.TerminateChild, "restart": t.RestartChild, "delete": t.DeleteChild}[verb]
        try:
            self._take(wish(path=path, **NOW))
        except t.ChildNotFound:
            return "not_found"
        except t.ChildRunning:
            return "running"
        except Refusal as refusal:
            return refusal.reason
        return "ok"

    def _exit(self, path: str, how: str) -> None:
        node = self._state.nodes[path]
        self._take(t.ChildExited(path=path, ordinal=node.ordinal, how=HOW[how], **NOW))

    def _answer_all(self) -> None:
        while under_way := t.outstanding(self._state):
            (effect,) = under_way  # one supervisor at a time is at work, and does one thing at a time
            match effect:
                case t.StartChild(path=path, ordinal=ordinal) if self._fails.get(path, 0) > 0:
                    self._fails[path] -= 1
                    self._take(t.StartFailed(path=path, ordinal=ordinal, why="asked to", **NOW))
                case t.StartChild(path=path, ordinal=ordinal):
                    self._take(t.ChildStarted(path=path, ordinal=ordinal, **NOW))
                case t.StopChild(path=path, ordinal=ordinal):
                    self._take(t.ChildExited(path=path, ordinal=ordinal, how="shutdown", **NOW))
                case t.ArmTimer():
                    raise AssertionError("without a back-off there is nothing to wait for")

    def _take(self, command: t.Command) -> None:
        for event in t.decide(self._state, command):
            leaf = isinstance(self._state.nodes.get(event.path), t.Leaf)
            self._state = t.apply(self._state, event)
            said = {
                ("supervisor.child_start_wanted", False): "init",
                ("supervisor.child_started", True): "start",
                ("supervisor.child_start_failed", True): "fail",
                ("supervisor.child_stopped", True): "stop",
            }.get((event.type_name, leaf))
            if said is not None and getattr(event, "how", "") != "gone":
                self._happened.append(f"{said} {event.path}")

    # --- looking

    def dead(self) -> bool:
        return self._state.phase in ("new", "ended", "failed")

    def leaves(self) -> list[str]:
        return [path for path, node in self._state.nodes.items() if isinstance(node, t.Leaf)]

    def running_leaves(self) -> list[str]:
        return [path for path in self.leaves() if self._state.nodes[path].phase == "running"]

    def everyone(self) -> list[str]:
        return [path for path in self._state.nodes if path]

    def stopped(self) -> list[str]:
        return [path for path in self.everyone() if self._state.nodes[path].phase == "stopped"]

    def _shown(self, path: str) -> list[str]:
        node, lines = self._state.nodes[path], []
        assert isinstance(node, t.Branch)
        for name in node.order:
            below = f"{path}/{name}" if path else name
            child = self._state.nodes[below]
            lines.append(below + {"running": "+", "stopped": "-"}.get(child.phase, "~"))
            if isinstance(child, t.Branch) and child.phase == "running":
                lines += self._shown(below)
        return lines


def _fails(tree: list[Any], path: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for child in tree[7]:
        below = f"{path}/{child[1]}" if path else child[1]
        found += _fails(child, below) if child[0] == "sup" else [(below, child[4])]
    return found
