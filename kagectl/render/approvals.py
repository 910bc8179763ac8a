"""Approvals as a table and as a page. Pure."""

import json
from collections.abc import Mapping, Sequence

from kagectl.render import words
from kagectl.render.changes import changes_in, loaded, painted
from kagectl.render.gist import command_in
from kagectl.render.paint import PLAIN, STATE_COLOURS, Paint, safe
from kagectl.render.table import Cell, facts, table
from kaged.api.v1 import agent_service_pb2 as agent_pb
from kaged.api.v1 import approval_service_pb2 as pb


def state_cell(approval: pb.Approval) -> Cell:
    """Where it stands."""
    state = words.word(pb.ApprovalState, approval.state, "APPROVAL_STATE_")
    return Cell(state, STATE_COLOURS.get(state, ""))


def approval_table(
    approvals: Sequence[pb.Approval],
    *,
    names: Mapping[str, str],
    now_s: float,
    paint: Paint = PLAIN,
    width: int | None = None,
) -> str:
    """One row each. `names`: agents' names by id; an id without one is shown cut."""
    ids = words.shortened(approval.id for approval in approvals)
    rows = [
        (
            Cell(ids[approval.id]),
            state_cell(approval),
            Cell(safe(names.get(approval.agent, approval.agent[:8]))),
            Cell(words.ago(approval.create_time, now_s)),
            Cell(_left(approval, now_s)),
            Cell(safe(approval.tool) or "-"),
            Cell(safe(approval.title)),
        )
        for approval in approvals
    ]
    return table(("ID", "STATE", "AGENT", "AGE", "LEFT", "TOOL", "TITLE"), rows, paint=paint, width=width)


def _left(approval: pb.Approval, now_s: float) -> str:
    if approval.state != pb.APPROVAL_STATE_OPEN or not approval.expire_time.seconds:
        return "-"
    return words.span(words.seconds_of(approval.expire_time) - now_s)


_MADE_UP = ("command", "file_path", "path", "content", "old_string", "new_string", "edits", "changes", "choices")
_ACTORS = {0: "", 1: "kaged", 2: "the owner"}


def approval_page(
    approval: pb.Approval, *, now_s: float, agent: agent_pb.Agent | None = None, paint: Paint = PLAIN
) -> str:
    """Everything about one question: who asks and why, then what would be done, then how it is answered."""
    open_ = approval.state == pb.APPROVAL_STATE_OPEN
    waited = words.ago(approval.create_time, now_s)
    page = facts(
        [
            ("id", approval.id),
            ("state", state_cell(approval)),
            ("agent", f"{safe(agent.name)} ({approval.agent})" if agent is not None else approval.agent),
            ("goal", safe(agent.spec.goal.splitlines()[0]) if agent is not None and agent.spec.goal else ""),
            ("kind", safe(approval.kind)),
            ("title", safe(approval.title)),
            ("tool", safe(approval.tool)),
            ("why", safe(approval.why)),
            ("rule", safe(approval.rule)),
            (
                "waits" if open_ else "asked",
                (waited if open_ else f"{waited} ago") if approval.create_time.seconds else "",
            ),
            ("expires in", _left(approval, now_s).replace("-", "")),
            ("answered", _answered(approval, now_s)),
            ("note", safe(approval.note)),
        ],
        paint=paint,
    )
    parts = [page, *_action(approval, paint)]
    if open_:
        verbs = (
            "answer {} 'TEXT'" if approval.kind == "question" else "approve {} · kagectl approval deny {} --note 'WHY'"
        )
        parts.append(paint("kagectl approval " + verbs.replace("{}", approval.id[:8]), "dim"))
    return "\n".join(parts)


def _answered(approval: pb.Approval, now_s: float) -> str:
    if not approval.answer_time.seconds:
        return ""
    by = _ACTORS.get(approval.answered_by, f"agent {approval.answered_by - 15}")
    by = "" if approval.state in (pb.APPROVAL_STATE_EXPIRED, pb.APPROVAL_STATE_WITHDRAWN) else by
    return f"{words.ago(approval.answer_time, now_s)} ago" + (f" by {by}" if by else "")


def ended_line(approval: pb.Approval, *, now_s: float, paint: Paint = PLAIN) -> str:
    """What became of a question, on one line; each end reads differently."""
    cell = state_cell(approval)
    how = {
        pb.APPROVAL_STATE_EXPIRED: "nobody answered in time",
        pb.APPROVAL_STATE_WITHDRAWN: "the agent does not ask any more",
    }.get(approval.state, safe(approval.note))
    said = f"{approval.id[:8]} {paint(cell.text, cell.colour)}: {safe(approval.title)}"
    when = _answered(approval, now_s)
    return said + (f", {when}" if when else "") + (f" ({how})" if how else "")


def _action(approval: pb.Approval, paint: Paint) -> list[str]:
    """What would be done: diffs in colour, the command, choices; what is left of the arguments as JSON."""
    data = loaded(approval.data_json)
    if not data:
        return [paint("data", "bold"), _data(approval.data_json)] if approval.data_json else []
    parts: list[str] = []
    for change in changes_in(data):
        parts += painted(change, paint=paint)
    command = command_in(data)
    if command:
        parts += [
            "  " + paint("$ " if not index else "  ", "dim") + safe(line)
            for index, line in enumerate(command.splitlines())
        ]
    parts += [f"  {number}. {safe(choice)}" for number, choice in enumerate(choices_of(approval), 1)]
    head = [paint("action" if approval.kind != "question" else "choices", "bold"), *parts] if parts else []
    rest = {name: value for name, value in data.items() if not parts or name not in _MADE_UP}
    if rest:
        head += [paint("data", "bold"), _data(json.dumps(rest))]
    return head


def choices_of(approval: pb.Approval) -> list[str]:
    """What a person may choose from, in its order."""
    given = loaded(approval.data_json).get("choices")
    return [str(each) for each in given] if isinstance(given, list) else []


def _data(text: str) -> str:
    try:
        pretty = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        pretty = text
    return "\n".join("  " + safe(line) for line in pretty.splitlines())


def rule_table(
    rules: Sequence[pb.ApprovalRule], *, names: Mapping[str, str], now_s: float, paint: Paint = PLAIN
) -> str:
    """One row each. `names`: agents' names by id."""
    rows = [
        (
            Cell(rule.id),
            Cell(rule.verdict, "green"),
            Cell(_for_whom(rule, names)),
            Cell(words.ago(rule.create_time, now_s)),
            Cell(words.span(words.seconds_of(rule.expire_time) - now_s) if rule.expire_time.seconds else "-"),
            Cell(_what(rule)),
        )
        for rule in rules
    ]
    return table(("ID", "VERDICT", "FOR", "AGE", "LEFT", "WHAT"), rows, paint=paint)


def rule_words(rule: pb.ApprovalRule, *, now_s: float) -> str:
    """A rule in words: `allow command 'make test' for this agent (k3x9pq2m)`."""
    whom = "this agent" if rule.scope == pb.RULE_SCOPE_AGENT else f"namespace {safe(rule.owner)}"
    left = f", for {words.span(words.seconds_of(rule.expire_time) - now_s)}" if rule.expire_time.seconds else ""
    return f"{rule.verdict} {_what(rule)} for {whom}{left} ({rule.id})"


def _for_whom(rule: pb.ApprovalRule, names: Mapping[str, str]) -> str:
    if rule.scope == pb.RULE_SCOPE_AGENT:
        return f"agent {safe(names.get(rule.owner, rule.owner[:8]))}"
    return f"namespace {safe(rule.owner)}"


def _what(rule: pb.ApprovalRule) -> str:
    parts = [f"{name} {safe(value)!r}" for name in ("tool", "path", "command") if (value := getattr(rule, name))]
    return ", ".join(parts) or "everything"
