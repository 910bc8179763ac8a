"""Facts about questions that an agent asks before it acts. `machines/approval.py` says what they mean.

Fields marked "text" go into the event's body and may be redacted.
"""

from typing import ClassVar, Literal

from kaged.domain.frozen import frozen


@frozen
class ApprovalRequested:
    """The agent asks before it acts."""

    type_name: ClassVar[str] = "approval.requested"

    approval: str
    run: str
    key: str
    kind: Literal["action", "question"]
    deadline_us: int
    title: str  # text
    tool: str  # text
    data_json: str  # text
    why: str  # text
    rule: str = ""


@frozen
class ApprovalAnswered:
    """Somebody answered, or time did. The words for the agent follow as `input.accepted` in the same batch."""

    type_name: ClassVar[str] = "approval.answered"

    approval: str
    outcome: Literal["approved", "denied", "expired"]
    run: str
    note: str  # text


@frozen
class ApprovalWithdrawn:
    """The one who asked is gone."""

    type_name: ClassVar[str] = "approval.withdrawn"

    approval: str
    cause: Literal["run_ended", "agent"]
