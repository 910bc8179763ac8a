"""Which agent has which place in a tree: specs with and without agents, and what an apply changes. Pure.

A leaf of a tree is an agent whose id is the leaf's `work`. The same spec at the same path keeps its agent; a changed
spec is a new agent, so the machine sees changed work and restarts the child.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kaged.domain.frozen import frozen
from kaged.domain.machines import tree as trees
from kaged.domain.spec import AgentSpec


@frozen
class LeafSpec:
    """A child of a tree as it was asked for: its place in the tree and in the request, and the agent it is to be."""

    path: str
    field: str
    spec: AgentSpec
    secrets: Mapping[str, str]


@frozen
class Difference:
    """What an apply changes, by path."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def places(tree: trees.TreeState) -> set[str]:
    """Agents that the tree has a place for: those in its nodes, and those whose supervisor is yet to start them."""
    if tree.over or tree.spec is None:
        return set()
    wanted = {node.spec.work for node in tree.nodes.values() if isinstance(node, trees.Leaf)}
    for path, work in _leaves(tree.spec):
        above = tree.nodes.get(path.rpartition("/")[0])
        if not isinstance(above, trees.Branch) or above.phase in ("stopped", "pending", "waiting"):
            wanted.add(work)
    return wanted


def leaf_name(tree: str, path: str) -> str:
    """The name of an agent that was given none."""
    return f"{tree}.{path.replace('/', '.')}"[:63].rstrip(".-")


def with_works(spec: trees.SupervisorSpec, works: Mapping[str, str], path: str = "") -> trees.SupervisorSpec:
    """The spec with the agents that are to do its work."""
    children: list[trees.NodeSpec] = []
    for child in spec.children:
        inner = f"{path}/{child.id}" if path else child.id
        if isinstance(child, trees.SupervisorSpec):
            children.append(with_works(child, works, inner))
        else:
            children.append(replace(child, work=works[inner]))
    return replace(spec, children=tuple(children))


def works(state: trees.TreeState | None) -> dict[str, str]:
    """The agents that a tree's spec names, by path; none of a tree that has ended: what comes then is all new."""
    if state is None or state.spec is None or state.over:
        return {}
    return dict(_leaves(state.spec))


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> Difference:
    """What changes from these agents to those."""
    return Difference(
        added=tuple(path for path in new if path not in old),
        changed=tuple(path for path in new if path in old and old[path] != new[path]),
        removed=tuple(path for path in old if path not in new),
        kept=tuple(path for path in new if old.get(path) == new[path]),
    )


def _leaves(spec: trees.SupervisorSpec, path: str = "") -> Iterator[tuple[str, str]]:
    for child in spec.children:
        inner = f"{path}/{child.id}" if path else child.id
        if isinstance(child, trees.SupervisorSpec):
            yield from _leaves(child, inner)
        else:
            yield inner, child.work
