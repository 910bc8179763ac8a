"""Supervision trees as a drawing. Pure."""

from collections.abc import Iterator, Sequence

from kagectl.render import words
from kagectl.render.paint import PLAIN, STATE_COLOURS, Paint, safe
from kagectl.render.table import Cell, table
from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as pb


def tree_drawing(tree: pb.Tree, *, now_s: float, paint: Paint = PLAIN) -> str:
    """The tree with a line for each supervisor and child, in the order of starting."""
    reason = f" ({safe(tree.reason)})" if tree.reason else ""
    phase = paint(tree.phase, STATE_COLOURS.get(tree.phase, ""))
    head = f"{paint(safe(tree.name), 'bold')}  {phase}{reason}{_supervisor(tree.root)}"
    return "\n".join([head, *_below(tree.root, "", now_s, paint)])


def _below(node: pb.TreeNode, indent: str, now_s: float, paint: Paint) -> Iterator[str]:
    for index, child in enumerate(node.children):
        last = index == len(node.children) - 1
        yield f"{indent}{'└─ ' if last else '├─ '}{_line(child, now_s, paint)}"
        yield from _below(child, indent + ("   " if last else "│  "), now_s, paint)


def _line(node: pb.TreeNode, now_s: float, paint: Paint) -> str:
    parts = [safe(node.id), paint(node.phase, STATE_COLOURS.get(node.phase, ""))]
    if node.agent:
        parts.append(paint(node.agent[:13].rstrip("-"), "dim"))
    if node.restart not in (spec_pb2.RESTART_TYPE_UNSPECIFIED, spec_pb2.RESTART_TYPE_PERMANENT):
        parts.append(words.word(spec_pb2.RestartType, node.restart, "RESTART_TYPE_"))
    if node.significant:
        parts.append("significant")
    if node.restart_due.seconds:
        parts.append(f"starts again in {words.span(words.seconds_of(node.restart_due) - now_s)}")
    return "  ".join(parts) + _supervisor(node)


def _supervisor(node: pb.TreeNode) -> str:
    if node.kind == "agent":
        return ""
    strategy = words.word(pb.Strategy, node.strategy, "STRATEGY_")
    strategy = "one_for_one" if strategy == "unspecified" else strategy
    return f"  {strategy}  restarts {node.restarts_in_window}/{node.intensity}"


def tree_table(trees: Sequence[pb.Tree], *, paint: Paint = PLAIN) -> str:
    """One row a tree."""
    rows = [
        (
            Cell(safe(tree.name)),
            Cell(tree.phase, STATE_COLOURS.get(tree.phase, "")),
            Cell(str(sum(1 for _ in _agents(tree.root)))),
            Cell(safe(tree.reason)),
        )
        for tree in trees
    ]
    return table(("TREE", "PHASE", "AGENTS", "REASON"), rows, paint=paint, right=("AGENTS",))


def _agents(node: pb.TreeNode) -> Iterator[pb.TreeNode]:
    for child in node.children:
        if child.kind == "agent":
            yield child
        yield from _agents(child)


def changes(answer: pb.ApplyTreeResponse, *, would: bool, paint: Paint = PLAIN) -> str:
    """What an apply changed, or would change: a line for each path."""
    lines = [paint(f"+ {safe(path)}", "green") for path in answer.added]
    lines += [paint(f"~ {safe(path)}", "yellow") for path in answer.changed]
    lines += [paint(f"- {safe(path)}", "red") for path in answer.removed]
    kept = f"{len(answer.kept)} kept running" if answer.kept else ""
    if not lines:
        lines = ["nothing would change" if would else "nothing changed"]
    return "\n".join([*lines, kept]) if kept else "\n".join(lines)
