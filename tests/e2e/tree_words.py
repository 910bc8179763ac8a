"""What the tests of trees say often: specs, verbs, and where a tree stands. Not here: what to check."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from collections.abc import Iterator

from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as pb
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually

PERMANENT, TRANSIENT, TEMPORARY = (
    spec_pb2.RESTART_TYPE_PERMANENT,
    spec_pb2.RESTART_TYPE_TRANSIENT,
    spec_pb2.RESTART_TYPE_TEMPORARY,
)
ALL, REST = pb.STRATEGY_ONE_FOR_ALL, pb.STRATEGY_REST_FOR_ONE
AT_ONCE = spec_pb2.RestartPolicy(backoff_off=True)
SLEEP = ("sleep", "1000")


def child(name: str, *command: str, agent: dict[str, object] | None = None, **treatment: object) -> pb.ChildSpec:
    """A leaf that sleeps, or runs a command."""
    words = {"restart": AT_ONCE, "working_directory": "/", **(agent or {})}
    spec = spec_pb2.AgentSpec(command=command or SLEEP, **words)  # type: ignore[arg-type]  # checked by protobuf
    return pb.ChildSpec(id=name, agent=spec, **treatment)  # type: ignore[arg-type]


def supervisor(*children: pb.ChildSpec, **rules: object) -> pb.SupervisorSpec:
    """A supervisor that allows many restarts."""
    rules.setdefault("intensity", 100)
    return pb.SupervisorSpec(children=children, **rules)  # type: ignore[arg-type]


def inner(name: str, spec: pb.SupervisorSpec, **treatment: object) -> pb.ChildSpec:
    """A supervisor as a child."""
    return pb.ChildSpec(id=name, supervisor=spec, **treatment)  # type: ignore[arg-type]


def apply(kaged: Kaged, name: str, spec: pb.SupervisorSpec, **request: object) -> pb.ApplyTreeResponse:
    """Apply a tree."""
    asked = pb.ApplyTreeRequest(tree=name, spec=spec, **request)  # type: ignore[arg-type]
    return kaged.trees.ApplyTree(asked, timeout=DEADLINE_S)


def tree(kaged: Kaged, name: str) -> pb.Tree:
    """A tree now."""
    return kaged.trees.GetTree(pb.GetTreeRequest(tree=name), timeout=DEADLINE_S).tree


def nodes(top: pb.TreeNode) -> Iterator[pb.TreeNode]:
    """A node and all below it."""
    yield top
    for below in top.children:
        yield from nodes(below)


def node(kaged: Kaged, name: str, path: str) -> pb.TreeNode:
    """One node of a tree now."""
    return next(found for found in nodes(tree(kaged, name).root) if found.path == path)


def phase(kaged: Kaged, name: str, wanted: str) -> pb.Tree:
    """The tree once it is in that phase."""

    def look() -> pb.Tree | None:
        found = tree(kaged, name)
        return found if found.phase == wanted else None

    return eventually(look, f"tree {name} to be {wanted}")


def up(kaged: Kaged, name: str) -> dict[str, int]:
    """Pids by path, once every child of the tree runs."""

    def look() -> dict[str, int] | None:
        found = tree(kaged, name)
        leaves = [below for below in nodes(found.root) if below.kind == "agent"]
        if found.phase != "running" or any(below.phase != "running" for below in leaves):
            return None
        return {below.path: kaged.agent(below.agent).run.pid for below in leaves}

    return eventually(look, f"all of tree {name} to run")


def story(kaged: Kaged, name: str, after: int = 0) -> list[tuple[str, str]]:
    """What happened in a tree, in order: (what, path)."""
    return [
        (event.meta.type.removeprefix("supervisor."), event.meta.fact.supervisor.path)
        for event in kaged.read("", stream=f"trees/{name}")
        if event.seq > after
    ]


def paths(told: list[tuple[str, str]], kind: str) -> list[str]:
    """Paths that something happened to, in order."""
    return [path for what, path in told if what == kind and path]


def verb(kaged: Kaged, word: str, name: str, path: str, **request: object) -> pb.Tree:
    """One of the verbs on a child."""
    kind = getattr(pb, f"{word}Request")
    return getattr(kaged.trees, word)(kind(tree=name, path=path, **request), timeout=DEADLINE_S).tree


def stop(kaged: Kaged, name: str) -> None:
    """Stop a tree and wait for its end."""
    kaged.trees.StopTree(pb.StopTreeRequest(tree=name), timeout=DEADLINE_S)
    phase(kaged, name, "ended")


def changed(kaged: Kaged, name: str, before: dict[str, int]) -> set[str]:
    """Paths whose process is another one than before, once all run again."""
    after = up(kaged, name)
    return {path for path in after if after[path] != before.get(path)}
