"""What people are told when an agent needs them: the notice, and how it is told. Pure values.

Not here: the table that says how (`notify_table.py`).
"""

from typing import Final, Literal, get_args

from kaged.domain.frozen import frozen

Reason = Literal["approval", "question", "paused", "failed", "finished"]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


@frozen
class Notice:
    """One reason to look. `id`: of the approval, else empty; `agent` empty: about several. `at_us`: since 1970."""

    reason: Reason
    text: str
    at_us: int
    agent: str = ""
    name: str = ""
    namespace: str = ""
    goal: str = ""
    id: str = ""


@frozen
class Notifying:
    """How notices are told: a line for /bin/sh, the desktop, a POST. `timeout_s`: for each of these."""

    command: str = ""
    desktop: bool = False
    webhook: str = ""
    reasons: tuple[Reason, ...] = REASONS
    timeout_s: float = 30.0

    @property
    def silent(self) -> bool:
        """Whether nothing is told in any way."""
        return not (self.command or self.desktop or self.webhook)
