"""A tree's state as canonical JSON, for snapshots: equal states give equal bytes, and nothing is lost.

Specs repeat themselves (a supervisor's spec holds those of all its children), so a node whose spec is the one
that the tree's spec has at its path, which is nearly always, stores none.
"""

import json
from collections.abc import Iterator

from kaged.domain.machines.tree.spec import (
    ChildSpec,
    NodeSpec,
    SupervisorSpec,
    spec_from_plain,
    spec_to_plain,
)
from kaged.domain.machines.tree.state import Branch, Leaf, Node, Note, Plan, TreeState, join

_LEAF = tuple(name for name in Leaf._fields if name != "spec")
_NOTE = Note._fields
_PLAN = tuple(name for name in Plan._fields if name != "target")


def state_to_json(state: TreeState) -> str:
    """Canonical JSON of everything that the tree has to remember."""
    known = dict(_specs(state.spec, "")) if state.spec is not None else {}
    plain = {
        "tree": state.tree,
        "spec": state.spec and spec_to_plain(state.spec),
        "nodes": {path: _node_to_plain(known.get(path), node) for path, node in state.nodes.items()},
        "ordinal": state.ordinal,
        "outcome": state.outcome,
    }
    if state.doomed:
        plain["doomed"] = True
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def state_from_json(text: str) -> TreeState:
    """The state that `state_to_json` wrote."""
    plain = json.loads(text)
    spec = spec_from_plain(plain["spec"]) if plain["spec"] else None
    assert spec is None or isinstance(spec, SupervisorSpec)
    known = dict(_specs(spec, "")) if spec is not None else {}
    nodes = {path: _node_from_plain(known.get(path), node) for path, node in plain["nodes"].items()}
    return TreeState(
        tree=plain["tree"],
        spec=spec,
        nodes=nodes,
        ordinal=plain["ordinal"],
        outcome=plain["outcome"],
        doomed=plain.get("doomed", False),
    )


def _node_to_plain(known: NodeSpec | None, node: Node) -> dict[str, object]:
    plain: dict[str, object] = {name: getattr(node, name) for name in _LEAF}
    if known != node.spec:
        plain["spec"] = spec_to_plain(node.spec)
    if isinstance(node, Branch):
        plain |= {
            "order": list(node.order),
            "window": list(node.window),
            "inbox": [{name: getattr(note, name) for name in _NOTE} for note in node.inbox],
            "plan": node.plan and _plan_to_plain(node.plan),
        }
    return plain


def _plan_to_plain(plan: Plan) -> dict[str, object]:
    plain: dict[str, object] = {name: getattr(plan, name) for name in _PLAN}
    return plain | {"target": plan.target and spec_to_plain(plan.target)}


def _specs(spec: NodeSpec, path: str) -> Iterator[tuple[str, NodeSpec]]:
    yield path, spec
    for child in spec.children if isinstance(spec, SupervisorSpec) else ():
        yield from _specs(child, join(path, child.id))


def _node_from_plain(known: NodeSpec | None, plain: dict) -> Node:  # type: ignore[type-arg]
    spec = spec_from_plain(plain.pop("spec")) if "spec" in plain else known
    if isinstance(spec, ChildSpec):
        return Leaf(spec=spec, **plain)
    assert spec is not None
    plan = plain.pop("plan")
    if plan is not None:
        target = plan.pop("target")
        aim = spec_from_plain(target) if target else None
        assert aim is None or isinstance(aim, SupervisorSpec)
        plan = Plan(**plan | {"stops": tuple(plan["stops"]), "starts": tuple(plan["starts"])}, target=aim)
    return Branch(
        spec=spec,
        order=tuple(plain.pop("order")),
        window=tuple(plain.pop("window")),
        inbox=tuple(Note(**note) for note in plain.pop("inbox")),
        plan=plan,
        **plain,
    )
