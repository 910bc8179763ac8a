"""A second opinion: OTP's supervisor in a hundred lines, written apart from the machine.

It does everything at once, recursively, with real mutable objects, as if starting and stopping took no time:
nothing of phases, plans, events or crashes. What it shares with the machine is the spec.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Literal

from kaged.domain.machines.tree import ChildSpec, NodeSpec, SupervisorSpec

Alive = Literal["alive"]


class GaveUp(Exception):
    """A supervisor has ended by itself."""


@dataclass
class Sup:
    spec: SupervisorSpec
    path: str
    order: list[str] = field(default_factory=list)
    specs: dict[str, NodeSpec] = field(default_factory=dict)
    kids: dict[str, "Sup | Alive | None"] = field(default_factory=dict)
    restarts: list[int] = field(default_factory=list)


class Reference:
    def __init__(self, spec: SupervisorSpec) -> None:
        self.spec, self.root, self.now_us = spec, None, 0
        self.fails: Counter[str] = Counter()
        self.log: list[str] = []

    root: Sup | None

    def start(self) -> None:
        self.root = self._sup(self.spec, "")

    def stop(self) -> None:
        if self.root is not None:
            self._stop_all(self.root)
        self.root = None

    def exits(self, path: str, deaths: list[tuple[str, str]]) -> None:
        """Leaves below one supervisor end, in this order, before it has seen the first."""
        sup = self.at(path)
        mail = deque(deaths)
        dead = {name for name, _ in deaths}
        self._mail(sup, mail, dead)

    def _mail(self, sup: Sup, mail: deque[tuple[str, str]], dead: set[str]) -> None:
        try:
            while mail:
                name, how = mail.popleft()
                if how == "retry":
                    if sup.kids.get(name, 0) is None and name in dead:
                        self._restart(sup, name, mail, dead)
                elif name in dead and name in sup.kids:
                    self._judge(sup, name, how, mail, dead)
        except GaveUp:
            self._stop_all(sup, dead)
            if sup.path == "":
                self.root = None
                return
            above, _, name = sup.path.rpartition("/")
            parent = self.at(above)
            parent.kids[name] = "alive"  # only to be judged as an exit
            self._mail(parent, deque([(name, "shutdown")]), {name})

    def _judge(self, sup: Sup, name: str, how: str, mail: deque[tuple[str, str]], dead: set[str]) -> None:
        spec = sup.specs[name]
        if spec.restart == "permanent" or (spec.restart == "transient" and how == "abnormal"):
            self._restart(sup, name, mail, dead)
            return
        dead.discard(name)
        self._forget(sup, name)
        others = [n for n in sup.order if sup.specs[n].significant and sup.kids[n] is not None]
        auto = sup.spec.auto_shutdown
        if spec.significant and (auto == "any_significant" or (auto == "all_significant" and not others)):
            raise GaveUp

    def _restart(self, sup: Sup, name: str, mail: deque[tuple[str, str]], dead: set[str]) -> None:
        dead.discard(name)
        sup.kids[name] = None
        since = self.now_us - int(sup.spec.period_s * 1_000_000)
        sup.restarts = [at for at in sup.restarts if at >= since] + [self.now_us]
        if len(sup.restarts) > sup.spec.intensity:
            raise GaveUp
        first = 0 if sup.spec.strategy == "one_for_all" else sup.order.index(name)
        group = [name] if sup.spec.strategy == "one_for_one" else sup.order[first:]
        for other in reversed(group):
            if other != name:
                self._stop(sup, other, dead)
        for again in [n for n in group if n in sup.kids]:
            if not self._start(sup, again):
                dead.add(again)
                mail.append((again, "retry"))
                return

    # --- starting and stopping

    def _sup(self, spec: SupervisorSpec, path: str) -> Sup | None:
        self.log.append(f"init {path}")
        sup = Sup(spec, path)
        for child in spec.children:
            sup.order.append(child.id)
            sup.specs[child.id], sup.kids[child.id] = child, None
        for name in list(sup.order):
            if not self._start(sup, name):
                self._stop_all(sup)
                return None
        return sup

    def _start(self, sup: Sup, name: str) -> bool:
        path, spec = f"{sup.path}/{name}".lstrip("/"), sup.specs[name]
        if not isinstance(spec, ChildSpec):
            sup.kids[name] = self._sup(spec, path)
            return sup.kids[name] is not None
        failed = self.fails[path] > 0
        self.fails[path] -= failed
        self.log.append(f"{'fail' if failed else 'start'} {path}")
        sup.kids[name] = None if failed else "alive"
        return not failed

    def _stop(self, sup: Sup, name: str, dead: set[str]) -> None:
        kid = sup.kids[name]
        if isinstance(kid, Sup):
            self._stop_all(kid)
        elif kid is not None and name not in dead:
            self.log.append(f"stop {sup.path}/{name}".replace(" /", " "))
        dead.discard(name)
        self._forget(sup, name)

    def _stop_all(self, sup: Sup, dead: set[str] | None = None) -> None:
        for name in reversed(list(sup.order)):
            self._stop(sup, name, set() if dead is None else dead)

    def _forget(self, sup: Sup, name: str) -> None:
        sup.kids[name] = None
        if sup.specs[name].restart == "temporary":
            self.delete(sup, name)

    def delete(self, sup: Sup, name: str) -> None:
        sup.order.remove(name)
        del sup.kids[name], sup.specs[name]

    # --- requests and looking

    def ask(self, verb: str, path: str) -> None:
        above, _, name = path.rpartition("/")
        sup = self.at(above)
        if verb == "terminate":
            self._stop(sup, name, set())
        elif verb == "restart" and sup.kids[name] is None:
            self._start(sup, name)
        elif verb == "delete" and sup.kids[name] is None:
            self.delete(sup, name)

    def at(self, path: str) -> Sup:
        here = self.root
        for name in path.split("/") if path else ():
            assert here is not None
            below = here.kids[name]
            assert isinstance(below, Sup)
            here = below
        assert here is not None
        return here

    def shown(self) -> list[str]:
        return [] if self.root is None else self._shown(self.root)

    def _shown(self, sup: Sup) -> list[str]:
        lines = []
        for name in sup.order:
            kid = sup.kids[name]
            lines.append(f"{sup.path}/{name}".lstrip("/") + ("-" if kid is None else "+"))
            lines += self._shown(kid) if isinstance(kid, Sup) else []
        return lines
