"""`event append`: one event of the caller's own."""

import json
import sys
import time

import click

from kagectl import show
from kagectl.client.frames import frame_event
from kagectl.client.ids import uuid7_bytes
from kagectl.client.methods.events import APPEND_EVENTS
from kagectl.connect import dial
from kagectl.errors import Complaint
from kagectl.quantities import pair
from kagectl.session import Session
from kagectl.verb import Verb
from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb


@click.command(
    cls=Verb,
    examples="""
kagectl event append notes/build build.finished --data '{"ok": true}'
kagectl event append notes/build build.log --content-type text/plain < build.log
kagectl event append locks/deploy lock.taken --expect absent      only when the stream is empty
kagectl event append notes/build build.noted --expect 7           only after exactly 7 events

Types of the daemon's own families (agent., run., output., …) are refused.
""",
)
@click.argument("stream")
@click.argument("type_", metavar="TYPE")
@click.option("-d", "--data", metavar="TEXT", default=None, help="The payload; default: standard input.")
@click.option("--content-type", default=None, help="Media type; default: JSON when it is, else text.")
@click.option("--schema", default="", help="Name of its schema.")
@click.option("--tag", "tags", metavar="K=V", multiple=True, help="A word to find it by.")
@click.option("--correlation", default="", help="The job that this belongs to.")
@click.option("--expect", metavar="N|absent|exists", default=None, help="What must hold of the stream.")
@click.pass_obj
def append(
    session: Session,
    stream: str,
    type_: str,
    data: str | None,
    content_type: str | None,
    schema: str,
    tags: tuple[str, ...],
    correlation: str,
    expect: str | None,
) -> None:
    """Add an event to the journal. Prints its seq and revision once it is on disk."""
    if data is None and sys.stdin.isatty():
        raise Complaint("the payload is missing", hint="--data TEXT, or pipe it in")
    payload = sys.stdin.buffer.read() if data is None else data.encode()
    event = frame_event(
        event_id=uuid7_bytes(),
        occurred_us=time.time_ns() // 1000,
        stream=stream,
        event_type=type_,
        data=payload,
        content_type=content_type or _media_type(payload),
        schema=schema,
        tags=dict(pair(tag, what="--tag") for tag in tags),
        correlation=correlation,
    )
    request = pb.AppendEventsRequest(events=[event_pb2.NewEvent.FromString(event)])
    if expect is not None:
        request.checks.append(_check(stream, expect))
    with dial(session) as client:
        appended = client.call(APPEND_EVENTS, request).appended[0]
    show.one(session, appended, lambda: f"seq {appended.seq} revision {appended.revision}")


def _media_type(payload: bytes) -> str:
    try:
        json.loads(payload)
    except ValueError:
        pass
    else:
        return "application/json"
    try:
        payload.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain"


def _check(stream: str, expect: str) -> pb.Check:
    if expect == "absent":
        return pb.Check(stream=stream, absent=True)
    if expect == "exists":
        return pb.Check(stream=stream, exists=True)
    if expect.isdigit():
        return pb.Check(stream=stream, revision=int(expect))
    raise Complaint(f"--expect takes a revision, absent or exists, not {expect!r}")
