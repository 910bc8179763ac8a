"""One durable question: open, then approved, denied, expired or withdrawn; four different facts. Pure."""

from dataclasses import replace
from typing import Literal

from kaged.domain.errors import Precondition
from kaged.domain.events.approval import ApprovalAnswered, ApprovalRequested, ApprovalWithdrawn
from kaged.domain.frozen import frozen

ApprovalWord = Literal["open", "approved", "denied", "expired", "withdrawn"]


@frozen
class ApprovalState:
    """A question and what became of it. Times are microseconds since 1970 UTC; `deadline_us` 0: none."""

    id: str
    agent: str
    run: str
    key: str
    kind: str
    state: ApprovalWord = "open"
    title: str = ""
    tool: str = ""
    data_json: str = ""
    why: str = ""
    asked_us: int = 0
    deadline_us: int = 0
    answered_us: int = 0
    answered_by: int = 0
    note: str = ""
    rule: str = ""


class AlreadyAnswered(Precondition):
    """Somebody was first, or it is too late."""

    reason = "APPROVAL_ANSWERED"

    def __init__(self, approval: ApprovalState) -> None:
        super().__init__(
            f"approval {approval.id} is {approval.state} already",
            hint=f"kagectl approval show {approval.id}",
            approval=approval.id,
            state=approval.state,
            answered_by=approval.answered_by,
            answered_us=approval.answered_us,
        )


def decide_answer(
    state: ApprovalState, *, outcome: Literal["approved", "denied", "expired"], note: str
) -> ApprovalAnswered:
    """Answer an open question. Raises AlreadyAnswered."""
    if state.state != "open":
        raise AlreadyAnswered(state)
    return ApprovalAnswered(approval=state.id, outcome=outcome, run=state.run, note=note)


def asked(agent: str, event: ApprovalRequested, at_us: int) -> ApprovalState:
    """The state that a question begins with."""
    return ApprovalState(
        id=event.approval,
        agent=agent,
        run=event.run,
        key=event.key,
        kind=event.kind,
        title=event.title,
        tool=event.tool,
        data_json=event.data_json,
        why=event.why,
        rule=event.rule,
        asked_us=at_us,
        deadline_us=event.deadline_us,
    )


def settle(state: ApprovalState, event: ApprovalAnswered | ApprovalWithdrawn, at_us: int, actor: int) -> ApprovalState:
    """The state after its end."""
    if isinstance(event, ApprovalAnswered):
        return replace(state, state=event.outcome, note=event.note, answered_us=at_us, answered_by=actor)
    return replace(state, state="withdrawn", answered_us=at_us, answered_by=actor)
