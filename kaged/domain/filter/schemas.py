"""The rows that Kage lists and streams, as filters see them.

Adding a field is compatible; renaming or removing one breaks saved filters and is not done. Event filters
name only what the head and the meta of an event hold: bodies can be redacted and are not read for a filter.
"""

from kaged.domain.filter.schema import Field, schema

AGENT_STATES = (
    "pending",
    "starting",
    "running",
    "waiting",
    "paused",
    "stopping",
    "succeeded",
    "failed",
    "cancelled",
    "stopped",
)

EVENTS = schema(
    "event",
    Field(name="seq", kind="integer"),
    Field(name="revision", kind="integer"),
    Field(name="recorded", kind="time"),
    Field(name="occurred", kind="time"),
    Field(name="stream", kind="text"),
    Field(name="type", kind="text"),
    Field(name="agent", kind="text"),
    Field(name="run", kind="text"),
    Field(name="actor", kind="text"),
    Field(name="id", kind="text"),
    Field(name="correlation", kind="text"),
    Field(name="causation", kind="text"),
    Field(name="tags", kind="map"),
)

AGENTS = schema(
    "agent",
    Field(name="id", kind="text"),
    Field(name="name", kind="text"),
    Field(name="state", kind="enum", values=AGENT_STATES, wire_prefix="AGENT_STATE_"),
    Field(name="labels", kind="map"),
    Field(name="adapter", kind="text"),
    Field(name="supervisor", kind="text"),
    Field(name="created", kind="time"),
    Field(name="updated", kind="time"),
)
