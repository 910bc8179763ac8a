"""How one class of facts maps to its message and its body, both ways.

Most facts are flat: each field has the name of a field of the fact's message, or of the body's text. The few that are
not say how here. Which classes there are: `codec.py`.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final

from kaged.api.v1 import event_pb2, fact_pb2, spec_pb2
from kaged.domain.events import facts
from kaged.domain.events import goal as goal_facts
from kaged.domain.events.every import DomainEvent
from kaged.store.wire import wire_spec

_CHANNELS: Final = {"out": fact_pb2.OUTPUT_CHANNEL_STDOUT, "err": fact_pb2.OUTPUT_CHANNEL_STDERR}
_CHANNEL_WORDS: Final = {number: word for word, number in _CHANNELS.items()}


class Flat:
    """How one class maps to its fact message and its body."""

    def __init__(self, kind: type, member: str, text: Callable[[event_pb2.Body, Any], None] | None = None) -> None:
        self.kind = kind
        self.member = member
        self.text = text
        message = fact_pb2.Fact.DESCRIPTOR.fields_by_name[member].message_type
        assert message is not None
        known = set(message.fields_by_name)
        names = [item.name for item in fields(kind)]
        self.facts = [name for name in names if name in known]
        self.texts = [name for name in names if name not in known]
        lists = {field.name for field in message.fields if field.is_repeated and field.message_type is None}
        self.lists = [name for name in self.facts if name in lists]

    def fact(self, event: object) -> fact_pb2.Fact:
        """The fact's message, without text."""
        fact = fact_pb2.Fact()
        message = getattr(fact, self.member)
        message.SetInParent()
        for name in self.facts:
            value = getattr(event, name)
            if name == "channel":
                value = _CHANNELS[value]
            elif name == "masks":
                message.masks.extend([fact_pb2.Mask(offset=m.offset, length=m.length, rule=m.rule) for m in value])
                continue
            elif isinstance(value, tuple):
                getattr(message, name).extend(value)
                continue
            if value:
                setattr(message, name, value)
        if isinstance(event, facts.OutputChunk):
            message.length = len(event.data)
        return fact

    def decode(self, message: event_pb2.Event) -> DomainEvent:
        """The fact in an event of this class."""
        fact = getattr(message.meta.fact, self.member)
        values: dict[str, Any] = {name: getattr(fact, name) for name in self.facts}
        if "channel" in values:
            values["channel"] = _CHANNEL_WORDS.get(values["channel"], "out")
        if "masks" in values:
            values["masks"] = tuple(facts.Mask(offset=m.offset, length=m.length, rule=m.rule) for m in values["masks"])
        for name in self.lists:
            values[name] = tuple(values[name])
        for name in self.texts:
            values[name] = _read_text(message, name)
        event: DomainEvent = self.kind(**values)
        return event


def _read_text(message: event_pb2.Event, name: str) -> object:
    body = message.body
    match body.WhichOneof("content"):
        case "note" if name == "note":
            return body.note
        case "output" | "input" if name == "data":
            return body.output or body.input
        case "signal" if name in ("text", "data_json", "tool"):
            return getattr(body.signal, name)
        case "question" if name in ("title", "tool", "data_json", "why"):
            return getattr(body.question, name)
        case _:
            pass
    if name == "type":
        return message.meta.type
    return b"" if name == "data" else ""


def note(body: event_pb2.Body, event: Any) -> None:
    """A note, if there is one."""
    if event.note:
        body.note = event.note


def output(body: event_pb2.Body, event: Any) -> None:
    """Bytes of output."""
    body.output = event.data


def input_data(body: event_pb2.Body, event: Any) -> None:
    """Bytes for standard input."""
    body.input = event.data


def signal(body: event_pb2.Body, event: Any) -> None:
    """What was heard."""
    body.signal.CopyFrom(spec_pb2.SignalText(text=event.text, data_json=event.data_json, tool=event.tool))


def question(body: event_pb2.Body, event: Any) -> None:
    """What was asked."""
    body.question.CopyFrom(
        spec_pb2.QuestionText(title=event.title, tool=event.tool, data_json=event.data_json, why=event.why)
    )


class SpawnedFlat(Flat):
    """The spec is cut in two: what decisions depend on is a fact, the text of it is in the body."""

    def fact(self, event: object) -> fact_pb2.Fact:
        assert isinstance(event, facts.Spawned)
        spawned = fact_pb2.AgentSpawned(
            number=event.number,
            spec=wire_spec.to_wire(event.spec, text=False),
            supervisor=event.supervisor,
            queued=event.queued,
        )
        return fact_pb2.Fact(agent_spawned=spawned)

    def decode(self, message: event_pb2.Event) -> DomainEvent:
        fact = message.meta.fact.agent_spawned
        spec = wire_spec.from_wire(fact.spec, message.body.agent)
        return facts.Spawned(number=fact.number, spec=spec, supervisor=fact.supervisor, queued=fact.queued)


class JudgedFlat(Flat):
    """The checks of a judgement are a list of facts."""

    def fact(self, event: object) -> fact_pb2.Fact:
        assert isinstance(event, goal_facts.Judged)
        fact = super().fact(replace(event, checks=()))
        fact.goal_judged.checks.extend(
            fact_pb2.CheckResult(
                passed=each.passed, exit_code=each.exit_code, took_us=each.took_us, timed_out=each.timed_out
            )
            for each in event.checks
        )
        return fact

    def decode(self, message: event_pb2.Event) -> DomainEvent:
        event = super().decode(message)
        assert isinstance(event, goal_facts.Judged)
        checks = tuple(
            goal_facts.CheckResult(
                passed=each.passed, exit_code=each.exit_code, took_us=each.took_us, timed_out=each.timed_out
            )
            for each in message.meta.fact.goal_judged.checks
        )
        return replace(event, checks=checks)


def agent_text(body: event_pb2.Body, event: Any) -> None:
    """The text of a spec."""
    body.agent.CopyFrom(wire_spec.text_of(event.spec))
