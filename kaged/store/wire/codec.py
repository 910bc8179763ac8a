"""The daemon's own facts between the domain and stored bytes. Registered types live here and nowhere else.

A type that is not registered decodes to None: a newer release wrote it, readers still get its bytes. Not here: how one
class maps to its message (`flat.py`, `tree_facts.py`).
"""

from typing import Final

from kaged.api.v1 import event_pb2, fact_pb2
from kaged.domain.events import facts
from kaged.domain.events import goal as goal_facts
from kaged.domain.events import guardrail as guardrail_facts
from kaged.domain.events import rule as rule_facts
from kaged.domain.events import tree as tree_facts
from kaged.domain.events import workspace as workspace_facts
from kaged.domain.events.every import DomainEvent
from kaged.domain.frozen import frozen
from kaged.store.wire.door import engine_entry
from kaged.store.wire.entry import Entry
from kaged.store.wire.flat import (
    Flat,
    JudgedFlat,
    SpawnedFlat,
    agent_text,
    input_data,
    note,
    output,
    question,
    signal,
)
from kaged.store.wire.tree_facts import decode_tree, encode_tree

_SIGNAL_PREFIX: Final = "signal."
_TREE_PREFIX: Final = "supervisor."


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
        return decode_tree(name, meta.fact.supervisor)
    flat = _BY_NAME.get(name)
    if flat is None or not meta.HasField("fact"):
        return None
    return flat.decode(message)


# --- flat facts ----------------------------------------------------------------------------------------------

_FLATS: Final = (
    SpawnedFlat(facts.Spawned, "agent_spawned", agent_text),
    Flat(facts.StopWanted, "agent_stop_wanted", note),
    Flat(facts.RestartScheduled, "agent_restart_scheduled"),
    Flat(facts.Signalled, "agent_signalled"),
    Flat(facts.Resized, "agent_resized"),
    Flat(facts.Ended, "agent_ended", note),
    Flat(facts.Stopped, "agent_stopped"),
    Flat(facts.Removed, "agent_removed"),
    Flat(facts.RunWanted, "run_wanted"),
    Flat(facts.RunStarted, "run_started"),
    Flat(facts.RunExecuted, "run_executed"),
    Flat(facts.RunEnded, "run_ended", note),
    Flat(facts.RunRead, "run_read"),
    Flat(facts.RunSetAside, "run_set_aside"),
    Flat(facts.OutputChunk, "output_chunk", output),
    Flat(facts.OutputTruncated, "output_truncated"),
    Flat(facts.OutputDropped, "output_dropped"),
    Flat(facts.OutputHeld, "output_held"),
    Flat(facts.OutputReleased, "output_released"),
    Flat(facts.InputAccepted, "input_accepted", input_data),
    Flat(facts.SignalHeard, "signal", signal),
    Flat(facts.ApprovalRequested, "approval_requested", question),
    Flat(facts.ApprovalAnswered, "approval_answered", note),
    Flat(facts.ApprovalWithdrawn, "approval_withdrawn"),
    Flat(guardrail_facts.GuardrailJudged, "guardrail_judged", question),
    Flat(rule_facts.RuleAdded, "guardrail_rule_added"),
    Flat(rule_facts.RuleRemoved, "guardrail_rule_removed"),
    JudgedFlat(goal_facts.Judged, "goal_judged", note),
    Flat(goal_facts.PauseWanted, "goal_pause_wanted", note),
    Flat(goal_facts.Paused, "goal_paused"),
    Flat(goal_facts.Resumed, "goal_resumed", note),
    Flat(workspace_facts.WorkspaceWanted, "workspace_wanted"),
    Flat(workspace_facts.WorkspaceMade, "workspace_made", note),
    Flat(workspace_facts.WorkspaceFailed, "workspace_failed", note),
    Flat(workspace_facts.WorkspaceSnapshotted, "workspace_snapshotted", note),
    Flat(workspace_facts.WorkspaceMerged, "workspace_merged"),
    Flat(workspace_facts.WorkspaceRemoved, "workspace_removed", note),
    Flat(workspace_facts.WorkspaceRestored, "workspace_restored"),
    Flat(workspace_facts.WorkspaceOverlapped, "workspace_overlapped", note),
    Flat(facts.DaemonStarted, "daemon_started"),
    Flat(facts.DaemonStopped, "daemon_stopped"),
    Flat(facts.Redacted, "event_redacted"),
    Flat(facts.RequestNoted, "daemon_request_noted"),
    Flat(facts.Reloaded, "daemon_reloaded"),
    Flat(facts.DaemonStopWanted, "daemon_stop_wanted"),
)
_BY_KIND: Final[dict[type, Flat]] = {flat.kind: flat for flat in _FLATS}
_BY_NAME: Final[dict[str, Flat]] = {str(vars(flat.kind)["type_name"]): flat for flat in _FLATS}


def _fact(event: DomainEvent) -> fact_pb2.Fact:
    if isinstance(event, tree_facts.TreeEvent):
        return fact_pb2.Fact(supervisor=encode_tree(event))
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
