"""Rules that a person added with an answer: facts. What holds is folded from them (`runtime/rule_book.py`)."""

from typing import ClassVar, Literal

from kaged.domain.frozen import frozen


@frozen
class RuleAdded:
    """More of the same is let through. `owner`: an agent's id or a namespace's name. `expires_us` 0: never."""

    type_name: ClassVar[str] = "guardrail.rule_added"

    rule: str
    verdict: Literal["allow"]
    tool: str
    path: str
    command: str
    scope: Literal["agent", "namespace"]
    owner: str
    expires_us: int
    approval: str


@frozen
class RuleRemoved:
    """It is not let through any more."""

    type_name: ClassVar[str] = "guardrail.rule_removed"

    rule: str


RuleEvent = RuleAdded | RuleRemoved
