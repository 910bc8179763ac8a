"""Supervision trees between messages and the domain. The machine's own validation gives the rest of the refusals."""

import re
from collections.abc import Container
from typing import Final

from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as pb
from kaged.domain.errors import Invalid
from kaged.domain.machines import tree as trees
from kaged.domain.machines.tree.spec import Shutdown
from kaged.domain.spec import Violation
from kaged.rpc import convert
from kaged.runtime.trees.tree_places import LeafSpec
from kaged.store.wire import wire_spec

_STRATEGIES: Final = {
    pb.STRATEGY_UNSPECIFIED: "one_for_one",
    pb.STRATEGY_ONE_FOR_ONE: "one_for_one",
    pb.STRATEGY_ONE_FOR_ALL: "one_for_all",
    pb.STRATEGY_REST_FOR_ONE: "rest_for_one",
}
_STRATEGY_NUMBERS: Final = {word: number for number, word in _STRATEGIES.items()}
_AUTO: Final = {
    pb.AUTO_SHUTDOWN_UNSPECIFIED: "never",
    pb.AUTO_SHUTDOWN_NEVER: "never",
    pb.AUTO_SHUTDOWN_ANY_SIGNIFICANT: "any_significant",
    pb.AUTO_SHUTDOWN_ALL_SIGNIFICANT: "all_significant",
}
_AUTO_NUMBERS: Final = {word: number for number, word in _AUTO.items()}
_CHILD: Final = re.compile(r"children\[(\d+)\]")
_DEPTH: Final = 16
_BYTES: Final = 2 << 20
_LEAVES: Final = 2000  # a tree is applied in one commit


def spec_in(tree: str, message: pb.SupervisorSpec) -> tuple[trees.SupervisorSpec, list[LeafSpec]]:
    """A tree's spec and its leaves, in order. Raises Invalid with everything that is wrong."""
    if message.ByteSize() > _BYTES:
        raise Invalid(("spec", f"has {message.ByteSize()} bytes; at most {_BYTES}"), hint="make several trees")
    reading = _Reading()
    spec = reading.supervisor(tree, message, "", "spec", pb.ChildSpec(), depth=0)
    if reading.wrong:
        raise Invalid(*reading.wrong)
    return spec, reading.leaves


class _Reading:
    """One spec being read; collects its leaves and what is wrong."""

    def __init__(self) -> None:
        self.leaves: list[LeafSpec] = []
        self.wrong: list[Violation] = []

    def supervisor(
        self, name: str, message: pb.SupervisorSpec, path: str, field: str, child: pb.ChildSpec, *, depth: int
    ) -> trees.SupervisorSpec:
        if depth > _DEPTH:
            raise Invalid(("spec", f"is nested more than {_DEPTH} deep"))
        self._known(f"{field}.strategy", message.strategy, _STRATEGIES)
        self._known(f"{field}.auto_shutdown", message.auto_shutdown, _AUTO)
        children: list[trees.NodeSpec] = []
        for index, inner in enumerate(message.children):
            here = f"{path}/{inner.id}" if path else inner.id
            at = f"{field}.children[{index}]"
            self._known(f"{at}.restart", inner.restart, spec_pb2.RestartType.values())
            match inner.WhichOneof("child"):
                case "supervisor":
                    below = self.supervisor(
                        inner.id, inner.supervisor, here, f"{at}.supervisor", inner, depth=depth + 1
                    )
                    children.append(below)
                case "agent":
                    self._leaf(inner, here, f"{at}.agent", children)
                case _:
                    self.wrong.append((at, f"give `agent` or `supervisor` (child {here})"))
        return trees.SupervisorSpec(
            id=name,
            strategy=_STRATEGIES.get(message.strategy, "one_for_one"),  # type: ignore[arg-type]  # the table's words
            intensity=message.intensity if message.HasField("intensity") else 1,
            period_s=message.period_s or 5,
            auto_shutdown=_AUTO.get(message.auto_shutdown, "never"),  # type: ignore[arg-type]
            children=tuple(children),
            restart=wire_spec.restart_word(child.restart, "permanent"),
            shutdown=_shutdown(child, default="infinity"),
            significant=child.significant,
        )

    def _leaf(self, message: pb.ChildSpec, path: str, field: str, children: list[trees.NodeSpec]) -> None:
        if len(self.leaves) >= _LEAVES:
            raise Invalid(("spec", f"has more than {_LEAVES} agents"), hint="make several trees")
        try:
            agent, secrets = convert.spec_in(message.agent, field)
        except Invalid as error:
            self.wrong += [(where, f"{what} (child {path})") for where, what in error.violations]
            return
        self.leaves.append(LeafSpec(path=path, field=field, spec=agent, secrets=secrets))
        children.append(
            trees.ChildSpec(
                id=message.id,
                restart=wire_spec.restart_word(message.restart, "permanent"),
                shutdown=_shutdown(message, default=5000),
                significant=message.significant,
                backoff=agent.restart.backoff,
                work="",
            )
        )

    def _known(self, field: str, value: int, values: Container[int]) -> None:
        if value not in values:
            self.wrong.append((field, f"{value} is not known"))


_OF_SUPERVISOR: Final = frozenset(("strategy", "intensity", "period_s", "auto_shutdown", "children"))
_FIELDS: Final = {
    "shutdown": "shutdown_ms",
    "backoff.base_s": "agent.restart.backoff_initial_s",
    "backoff.max_s": "agent.restart.backoff_max_s",
    "backoff.healthy_after_s": "agent.restart.healthy_after_s",
}


def in_request(error: trees.SpecInvalid, spec: trees.SupervisorSpec) -> trees.SpecInvalid:
    """The same refusal with the names of the request's fields, and the child's path for people."""
    told = (_field_in_request(field, what, spec) for field, what in error.violations)
    return trees.SpecInvalid(*told, hint=error.hint, **error.facts)


def _field_in_request(field: str, what: str, spec: trees.SupervisorSpec) -> Violation:
    """`children[0].children[2].shutdown` as `spec.children[0].supervisor.children[2].shutdown_ms`."""
    names, here, path = field.split(".") if field else [], spec, list[str]()
    told = "spec"
    while names and (found := _CHILD.fullmatch(names[0])):
        names.pop(0)
        child = here.children[int(found[1])]
        told += f"{'.supervisor' if path else ''}.children[{found[1]}]"
        path.append(child.id)
        if not isinstance(child, trees.SupervisorSpec):
            break
        here = child
    rest = ".".join(names)
    if not path:
        return ("tree" if rest == "id" else f"{told}.{rest}" if rest else told), what
    if rest in _OF_SUPERVISOR:
        rest = f"supervisor.{rest}"
    rest = _FIELDS.get(rest, rest)
    return f"{told}.{rest}" if rest else told, f"{what} (child {'/'.join(path)})"


def _shutdown(message: pb.ChildSpec, *, default: Shutdown) -> Shutdown:
    match message.WhichOneof("shutdown"):
        case "brutal" if message.brutal:
            return "brutal"
        case "infinity" if message.infinity:
            return "infinity"
        case "shutdown_ms":
            return message.shutdown_ms
        case _:
            return default


def tree_out(state: trees.TreeState, as_of_seq: int) -> pb.Tree:
    """A tree as a message."""
    message = pb.Tree(name=state.tree, phase=state.phase, reason=state.outcome, as_of_seq=as_of_seq)
    if "" in state.nodes:
        message.root.CopyFrom(_node(state, "", state.tree))
    return message


def _node(state: trees.TreeState, path: str, name: str) -> pb.TreeNode:
    node = state.nodes[path]
    message = pb.TreeNode(
        id=name,
        path=path,
        phase="waiting" if node.phase == "pending" else node.phase,
        restart=wire_spec.RESTART_TYPES[node.spec.restart],
        significant=node.spec.significant,
    )
    if node.wake_at_us:
        message.restart_due.CopyFrom(convert.timestamp(node.wake_at_us))
    if isinstance(node, trees.Leaf):
        message.kind = "agent"
        message.agent = node.spec.work
        return message
    message.kind = "supervisor"
    message.strategy = _STRATEGY_NUMBERS[node.spec.strategy]
    message.intensity = node.spec.intensity
    message.restarts_in_window = len(node.window)
    for child in node.order:
        inner = f"{path}/{child}" if path else child
        if inner in state.nodes:
            message.children.append(_node(state, inner, child))
    return message


def spec_out(spec: trees.SupervisorSpec, agents: "dict[str, spec_pb2.AgentSpec]") -> pb.SupervisorSpec:
    """A spec as a message; `agents` by id."""
    message = pb.SupervisorSpec(
        strategy=_STRATEGY_NUMBERS[spec.strategy],
        intensity=spec.intensity,
        period_s=spec.period_s,
        auto_shutdown=_AUTO_NUMBERS[spec.auto_shutdown],
    )
    for child in spec.children:
        inner = pb.ChildSpec(id=child.id, restart=wire_spec.RESTART_TYPES[child.restart], significant=child.significant)
        if child.shutdown == "brutal":
            inner.brutal = True
        elif child.shutdown == "infinity":
            inner.infinity = True
        elif isinstance(child.shutdown, int):
            inner.shutdown_ms = child.shutdown
        if isinstance(child, trees.SupervisorSpec):
            inner.supervisor.CopyFrom(spec_out(child, agents))
        elif child.work in agents:
            inner.agent.CopyFrom(agents[child.work])
        message.children.append(inner)
    return message
