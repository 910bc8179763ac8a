"""The daemon's own facts between the domain and stored bytes. Registered types live here and nowhere else.

Most facts are flat: each field has the name of a field of the fact's message, or of the body's text. A type that
is not registered decodes to None: a newer release wrote it, readers still get its bytes.
"""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final

from kaged.api.v1 import event_pb2, fact_pb2, spec_pb2
from kaged.domain.events import facts
from kaged.domain.events import goal as goal_facts
from kaged.domain.events import guardrail as guardrail_facts
from kaged.domain.events import rule as rule_facts
from kaged.domain.events import tree as tree_facts
from kaged.domain.events import workspace as workspace_facts
from kaged.domain.frozen import frozen
from kaged.domain.plain import from_json, to_plain
from kaged.store.wire import wire_spec
from kaged.store.wire.door import engine_entry
from kaged.store.wire.entry import Entry

DomainEvent = (
    facts.AgentEvent
    | facts.CaptureEvent
    | facts.DaemonEvent
    | guardrail_facts.GuardrailJudged
    | rule_facts.RuleEvent
    | tree_facts.Event
)

_CHANNELS: Final = {"out": fact_pb2.OUTPUT_CHANNEL_STDOUT, "err": fact_pb2.OUTPUT_CHANNEL_STDERR}
_CHANNEL_WORDS: Final = {number: word for word, number in _CHANNELS.items()}
_SIGNAL_PREFIX: Final = "signal."
_TREE_PREFIX: Final = "supervisor."
_TREE_COMMON: Final = ("tree", "path", "at_us")


@frozen
class Draft:
    """A fact and where it belongs."""

    stream: str
    event: DomainEvent
    agent: str = ""
    run: str = ""


def encode(draft: Draft, *, event_id: bytes, now_us: int, mark: event_pb2.RequestMark | None = None) -> Entry:
    """A fact as an entry without a position."""
    event = draft.event
    meta = event_pb2.Meta(
        id=event_id,
        stream=draft.stream,
        type=event.type if isinstance(event, facts.SignalHeard) else event.type_name,
        occurred_us=now_us,
        agent=draft.agent,
        run=draft.run,
        fact=_fact(event),
    )
    if mark is not None:
        meta.request.CopyFrom(mark)
    return engine_entry(meta, _body(event))


def decode(message: event_pb2.Event) -> DomainEvent | None:
    """The fact in a stored event, or None when it is not one of ours. Redacted text reads as empty."""
    meta = message.meta
    name = meta.type
    if name.startswith(_SIGNAL_PREFIX):
        name = "signal"
    if name.startswith(_TREE_PREFIX):
        return _decode_tree(name, meta.fact.supervisor)
    flat = _BY_NAME.get(name)
    if flat is None or not meta.HasField("fact"):
        return None
    return flat.decode(message)


# --- flat facts ----------------------------------------------------------------------------------------------


class _Flat:
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


def _note(body: event_pb2.Body, event: Any) -> None:
    if event.note:
        body.note = event.note


def _output(body: event_pb2.Body, event: Any) -> None:
    body.output = event.data


def _input(body: event_pb2.Body, event: Any) -> None:
    body.input = event.data


def _signal(body: event_pb2.Body, event: Any) -> None:
    body.signal.CopyFrom(spec_pb2.SignalText(text=event.text, data_json=event.data_json, tool=event.tool))


def _question(body: event_pb2.Body, event: Any) -> None:
    body.question.CopyFrom(
        spec_pb2.QuestionText(title=event.title, tool=event.tool, data_json=event.data_json, why=event.why)
    )


class _SpawnedFlat(_Flat):
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


class _JudgedFlat(_Flat):
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


def _agent_text(body: event_pb2.Body, event: Any) -> None:
    body.agent.CopyFrom(wire_spec.text_of(event.spec))


_FLATS: Final = (
    _SpawnedFlat(facts.Spawned, "agent_spawned", _agent_text),
    _Flat(facts.StopWanted, "agent_stop_wanted", _note),
    _Flat(facts.RestartScheduled, "agent_restart_scheduled"),
    _Flat(facts.Signalled, "agent_signalled"),
    _Flat(facts.Resized, "agent_resized"),
    _Flat(facts.Ended, "agent_ended", _note),
    _Flat(facts.Stopped, "agent_stopped"),
    _Flat(facts.Removed, "agent_removed"),
    _Flat(facts.RunWanted, "run_wanted"),
    _Flat(facts.RunStarted, "run_started"),
    _Flat(facts.RunExecuted, "run_executed"),
    _Flat(facts.RunEnded, "run_ended", _note),
    _Flat(facts.RunRead, "run_read"),
    _Flat(facts.RunSetAside, "run_set_aside"),
    _Flat(facts.OutputChunk, "output_chunk", _output),
    _Flat(facts.OutputTruncated, "output_truncated"),
    _Flat(facts.OutputDropped, "output_dropped"),
    _Flat(facts.OutputHeld, "output_held"),
    _Flat(facts.OutputReleased, "output_released"),
    _Flat(facts.InputAccepted, "input_accepted", _input),
    _Flat(facts.SignalHeard, "signal", _signal),
    _Flat(facts.ApprovalRequested, "approval_requested", _question),
    _Flat(facts.ApprovalAnswered, "approval_answered", _note),
    _Flat(facts.ApprovalWithdrawn, "approval_withdrawn"),
    _Flat(guardrail_facts.GuardrailJudged, "guardrail_judged", _question),
    _Flat(rule_facts.RuleAdded, "guardrail_rule_added"),
    _Flat(rule_facts.RuleRemoved, "guardrail_rule_removed"),
    _JudgedFlat(goal_facts.Judged, "goal_judged", _note),
    _Flat(goal_facts.PauseWanted, "goal_pause_wanted", _note),
    _Flat(goal_facts.Paused, "goal_paused"),
    _Flat(goal_facts.Resumed, "goal_resumed", _note),
    _Flat(workspace_facts.WorkspaceWanted, "workspace_wanted"),
    _Flat(workspace_facts.WorkspaceMade, "workspace_made", _note),
    _Flat(workspace_facts.WorkspaceFailed, "workspace_failed", _note),
    _Flat(workspace_facts.WorkspaceSnapshotted, "workspace_snapshotted", _note),
    _Flat(workspace_facts.WorkspaceMerged, "workspace_merged"),
    _Flat(workspace_facts.WorkspaceRemoved, "workspace_removed", _note),
    _Flat(workspace_facts.WorkspaceOverlapped, "workspace_overlapped", _note),
    _Flat(facts.DaemonStarted, "daemon_started"),
    _Flat(facts.DaemonStopped, "daemon_stopped"),
    _Flat(facts.Redacted, "event_redacted"),
    _Flat(facts.RequestNoted, "daemon_request_noted"),
    _Flat(facts.Reloaded, "daemon_reloaded"),
    _Flat(facts.DaemonStopWanted, "daemon_stop_wanted"),
)
_BY_KIND: Final[dict[type, _Flat]] = {flat.kind: flat for flat in _FLATS}
_BY_NAME: Final[dict[str, _Flat]] = {str(vars(flat.kind)["type_name"]): flat for flat in _FLATS}


def _fact(event: DomainEvent) -> fact_pb2.Fact:
    if isinstance(event, tree_facts.TreeEvent):
        return fact_pb2.Fact(supervisor=_encode_tree(event))
    return _BY_KIND[type(event)].fact(event)


def _body(event: DomainEvent) -> event_pb2.Body | None:
    if isinstance(event, tree_facts.TreeEvent):
        return None
    text = _BY_KIND[type(event)].text
    if text is None:
        return None
    body = event_pb2.Body()
    text(body, event)
    return body


# --- facts of trees: the same shape for all, the rest as JSON ------------------------------------------------

_TREE_KINDS: Final[dict[str, type[tree_facts.TreeEvent]]] = {
    kind.type_name: kind for kind in tree_facts.TreeEvent.__subclasses__()
}


def _encode_tree(event: tree_facts.TreeEvent) -> fact_pb2.SupervisorFact:
    plain = to_plain(event)
    assert isinstance(plain, dict)
    rest = {name: value for name, value in plain.items() if name not in _TREE_COMMON}
    data = to_json_text(rest) if rest else ""
    return fact_pb2.SupervisorFact(tree=event.tree, path=event.path, at_us=event.at_us, data_json=data)


def _decode_tree(name: str, fact: fact_pb2.SupervisorFact) -> DomainEvent | None:
    kind = _TREE_KINDS.get(name)
    if kind is None:
        return None
    common = to_json_text({"tree": fact.tree, "path": fact.path, "at_us": fact.at_us})
    joined = common[:-1] + ("," + fact.data_json[1:] if fact.data_json else "}")
    event: DomainEvent = from_json(kind, joined.encode())  # type: ignore[assignment]  # subclasses of TreeEvent are Event
    return event


def to_json_text(value: object) -> str:
    """Canonical JSON of a plain value."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
