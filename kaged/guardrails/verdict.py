"""What a rule says of an action: allow, ask a person, deny. The strictest wins.

`allow` of the rule `default` is what is left when no rule had anything to say; every other verdict is an event.
"""

from collections.abc import Iterable
from typing import Final, Literal

from kaged.domain.frozen import frozen

VerdictWord = Literal["allow", "ask", "deny"]

RANK: Final = {"allow": 0, "ask": 1, "deny": 2}
DEFAULT_RULE: Final = "default"


@frozen
class Verdict:
    """`rule` is a stable name, such as `workspace` or `commands.force-push`; `why` is one sentence for a person."""

    verdict: VerdictWord = "allow"
    rule: str = DEFAULT_RULE
    why: str = ""

    @property
    def plain(self) -> bool:
        """Nobody had anything to say."""
        return self.verdict == "allow" and self.rule == DEFAULT_RULE


PASS: Final = Verdict()


def stricter(one: VerdictWord, other: VerdictWord) -> VerdictWord:
    """The one that lets less through."""
    return one if RANK[one] >= RANK[other] else other


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that lets least through; of equals the first that a rule gave."""
    best = PASS
    for verdict in verdicts:
        rank, least = RANK[verdict.verdict], RANK[best.verdict]
        if rank > least or (rank == least and best.plain and not verdict.plain):
            best = verdict
    return best
