"""What guardrails decided: the fact. An agent's state keeps the last rule that it broke, nothing else.

A verdict `ask` about an act that has not happened is no fact of its own: `approval.requested` names the rule.
"""

from typing import ClassVar, Literal

from kaged.domain.frozen import frozen


@frozen
class GuardrailJudged:
    """A rule answered for a person, or found that an agent did what it should not have. `after`: it has happened.

    `key` is the agent's own for its question, `call` the id of a tool call, where they are known. `data_json` is empty
    when the call's own signal holds it.
    """

    type_name: ClassVar[str] = "guardrail.judged"

    run: str
    key: str
    call: str
    verdict: Literal["allow", "ask", "deny"]
    rule: str
    after: bool
    title: str  # text
    tool: str  # text
    data_json: str  # text
    why: str  # text
