"""Approvals as a table and as a page. Pure."""

import json
from collections.abc import Mapping, Sequence

from kagectl.render import words
from kagectl.render.paint import PLAIN, STATE_COLOURS, Paint, safe
from kagectl.render.table import Cell, facts, table
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


def approval_page(approval: pb.Approval, *, now_s: float, paint: Paint = PLAIN) -> str:
    """Everything about one question, its arguments in full."""
    page = facts(
        [
            ("id", approval.id),
            ("state", state_cell(approval)),
            ("agent", approval.agent),
            ("kind", safe(approval.kind)),
            ("title", safe(approval.title)),
            ("tool", safe(approval.tool)),
            ("why", safe(approval.why)),
            ("rule", safe(approval.rule)),
            ("asked", f"{words.ago(approval.create_time, now_s)} ago" if approval.create_time.seconds else ""),
            ("expires in", _left(approval, now_s).replace("-", "")),
            ("answered", f"{words.ago(approval.answer_time, now_s)} ago" if approval.answer_time.seconds else ""),
            ("note", safe(approval.note)),
        ],
        paint=paint,
    )
    return f"{page}\n{paint('data', 'bold')}\n{_data(approval.data_json)}" if approval.data_json else page


def _data(text: str) -> str:
    try:
        pretty = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        pretty = text
    return "\n".join("  " + safe(line) for line in pretty.splitlines())
