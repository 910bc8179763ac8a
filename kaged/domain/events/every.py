"""Every fact that the daemon can record: what `store/wire/codec.py` writes and reads."""

from typing import TypeAlias

from kaged.domain.events import facts
from kaged.domain.events import guardrail as guardrail_facts
from kaged.domain.events import rule as rule_facts
from kaged.domain.events import tree as tree_facts

DomainEvent: TypeAlias = (
    facts.AgentEvent
    | facts.CaptureEvent
    | facts.DaemonEvent
    | guardrail_facts.GuardrailJudged
    | rule_facts.RuleEvent
    | tree_facts.Event
)
