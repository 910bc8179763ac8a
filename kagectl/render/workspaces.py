"""Workspaces for people: what is new in one, where it went, what was kept. Pure."""

from collections.abc import Iterable, Sequence

from kagectl.render import words
from kagectl.render.paint import PLAIN, Paint, safe
from kagectl.render.table import Cell, table
from kaged.api.v1 import agent_service_pb2 as agents
from kaged.api.v1 import workspace_service_pb2 as pb

_LETTERS = {"added": "A", "modified": "M", "deleted": "D", "renamed": "R", "type": "T"}
_COLOURS = {"added": "green", "deleted": "red"}
_MOST_PATHS = 20


def place_pairs(place: agents.AgentWorkspace) -> list[tuple[str, Cell | str]]:
    """The topic `workspace` of an agent's page."""
    if not place.kind:
        return []
    base = safe(place.base) or place.base_commit[:12]
    return [
        ("kind", safe(place.kind) + ("" if place.phase == "made" else f" ({safe(place.phase)})")),
        ("path", safe(place.path)),
        ("repository", safe(place.repository)),
        ("branch", f"{safe(place.branch)} from {base}" if place.branch else ""),
        ("snapshot", f"{safe(place.snapshot)} in {safe(place.snapshot_repository)}" if place.snapshot else ""),
        ("merged into", safe(place.merged_into)),
    ]


def stat(found: pb.GetWorkspaceDiffResponse, *, paint: Paint = PLAIN) -> str:
    """The files that differ and their counts, with what else there is to know."""
    lines = [_file(item, paint) for item in found.files]
    added = sum(item.added for item in found.files if item.added > 0)
    removed = sum(item.removed for item in found.files if item.removed > 0)
    against = safe(found.base) or found.base_commit[:12]
    if not found.files:
        lines.append(f"nothing differs from {against}")
    else:
        lines.append(
            f"{_count(len(found.files), 'file')} against {against}: +{added} -{removed}; "
            f"{_count(found.commits, 'commit')}, {_count(found.uncommitted, 'file')} without one"
        )
    return "\n".join((*lines, *remarks(found, paint=paint)))


def remarks(found: pb.GetWorkspaceDiffResponse, *, paint: Paint = PLAIN) -> list[str]:
    """What the patch alone does not tell."""
    lines: list[str] = []
    for item in found.overlaps:
        other = next((name for agent, name in zip(item.agents, item.names, strict=True) if agent != found.agent), "?")
        lines.append(paint(f"{safe(other)} changes the same: {_some(item.paths)}", "yellow"))
    if found.left_out:
        lines.append(
            paint(f"not compared, because they are repositories of their own: {_some(found.left_out)}", "yellow")
        )
    if found.truncated:
        lines.append(
            paint(f"the patch is cut; all of it: git -C {safe(found.path)} diff {found.base_commit[:12]}", "yellow")
        )
    return lines


def _file(item: pb.FileChange, paint: Paint) -> str:
    letter = paint(_LETTERS.get(item.status, "?"), _COLOURS.get(item.status, ""))
    name = f"{safe(item.old_path)} -> {safe(item.path)}" if item.old_path else safe(item.path)
    counts = "binary" if item.added < 0 else f"+{item.added} -{item.removed}"
    return f"{letter} {name}  {counts}"


def patch(found: pb.GetWorkspaceDiffResponse, *, paint: Paint) -> str:
    """The patch in colours. For a screen only: what cannot be shown is replaced."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    lines = found.patch.decode("utf-8", "replace").rstrip("\n").split("\n")
    return "\n".join(paint(safe(line), colours.get(line[:1], "")) for line in lines) if found.patch else ""


def merged(answer: pb.MergeWorkspaceResponse, name: str) -> str:
    """What a merge did."""
    into, at = safe(answer.into), answer.commit[:12]
    match answer.kind:
        case "nothing":
            text = f"{into} has all of the work of {safe(name)} already"
        case "fast_forward":
            text = f"{into} moved forward to {at}: the work of {safe(name)}"
        case "squash":
            text = f"{into} has the work of {safe(name)} in one commit, {at}"
        case _:
            text = f"{into} has the work of {safe(name)}: merge commit {at}"
    if answer.uncommitted:
        text += f"; {_count(answer.uncommitted, 'file')} had no commit and got one"
    if answer.left_out:
        text += f"\nnot merged, because they are repositories of their own: {_some(answer.left_out)}"
    return text


def removed(place: agents.RemovedWorkspace) -> str:
    """What became of the workspace of a removed agent; empty: nothing to tell."""
    lines: list[str] = []
    if place.snapshot:
        lines.append(f"what was not merged is kept: {safe(place.snapshot)} in {safe(place.repository)}")
    if place.kept_branch:
        lines.append(f"branch {safe(place.kept_branch)} stays")
    if place.note:
        lines.append(safe(place.note.replace("\n", " · ")))
    return "\n".join(f"  {line}" for line in lines)


def work_waits(agent: agents.Agent) -> str:
    """Where the work of an agent that has ended is, in a line; empty: in the folder itself."""
    place, name = agent.workspace, safe(agent.name)
    if place.phase != "made" or place.kind == "here":
        return ""
    where = f"on branch {safe(place.branch)}" if place.branch else f"in {safe(place.path)}"
    further = f"kagectl agent diff {name}" + (f" · kagectl agent merge {name}" if place.branch else "")
    return f"kagectl: the work of {name} is {where}: {further}"


def overlap(item: pb.Overlap) -> str:
    """Two agents and the files that both have changed."""
    return f"{safe(' and '.join(item.names))}: {_some(item.paths)}"


def _some(paths: Iterable[str]) -> str:
    items = [safe(path) for path in paths]
    more = f" and {len(items) - _MOST_PATHS} more" if len(items) > _MOST_PATHS else ""
    return ", ".join(items[:_MOST_PATHS]) + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def checkpoints(
    found: Sequence[pb.WorkspaceSnapshot], now_s: float, *, paint: Paint = PLAIN, width: int | None = None
) -> str:
    """A row for each snapshot."""
    if not found:
        return "no checkpoints yet: kagectl agent snapshot takes one"
    rows = [
        (
            str(each.number),
            str(each.turn or "-"),
            words.span(max(0.0, now_s - words.seconds_of(each.create_time))),
            str(each.seq or "-"),
            each.commit[:12],
            safe(each.native_session) or "-",
            safe(each.note),
        )
        for each in found
    ]
    headers = ("NUMBER", "TURN", "AGE", "SEQ", "COMMIT", "SESSION", "WHY")
    return table(headers, rows, paint=paint, width=width, right=("NUMBER", "TURN", "SEQ"))


def restored(done: pb.RestoreWorkspaceResponse, agent: str) -> str:
    """What was put back, and how to have it undone."""
    when = f" (after turn {done.turn})" if done.turn else ""
    kept = done.kept.rpartition("/")[2]
    return (
        f"{_count(done.files, 'file')} are those of checkpoint {done.number}{when} again\n"
        f"what was there is checkpoint {safe(kept)}: kagectl agent restore {safe(agent)} --checkpoint {safe(kept)}"
    )
