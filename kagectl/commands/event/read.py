"""`event list`, `watch`, `show`: reading the journal."""

import time
import uuid
from collections.abc import Iterable, Sequence
from itertools import islice

import click
from google.protobuf.timestamp_pb2 import Timestamp

from kagectl import show
from kagectl.client.follow import follow as follow_journal
from kagectl.client.methods import events as methods
from kagectl.commands.event.filter import filter_options, filter_text
from kagectl.connect import dial
from kagectl.errors import INTERRUPTED, Complaint, Ended
from kagectl.quantities import instant_us
from kagectl.render.events import event_line
from kagectl.render.plain import plain
from kagectl.session import Session
from kagectl.verb import Verb
from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb


def _instant(text: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(instant_us(text, now_us=time.time_ns() // 1000))
    return stamp


def _print(session: Session, events: Sequence[event_pb2.Event], *, day: bool) -> None:
    if session.machine:
        show.some_of_stream(session, events)
    elif events:
        paint, width = session.paint, show.width()
        click.echo("\n".join(event_line(event, paint=paint, width=width, day=day) for event in events))


@click.command(
    cls=Verb,
    name="list",
    examples="""
kagectl event list                          the last 50
kagectl event list --since 10m --type run   runs of the last ten minutes
kagectl event list --after 4711 -n 100 -o jsonl
kagectl event list --stream 'notes/*' --reverse
""",
)
@click.option("-n", "--limit", type=click.IntRange(min=0), default=None, help="So many; 0: all.")
@click.option("--after", type=click.IntRange(min=0), default=None, metavar="SEQ", help="After this seq.")
@click.option("--since", metavar="TIME", default=None, help="From a time on, or 10m ago.")
@click.option("--until", metavar="TIME", default=None, help="Up to a time, or 10m ago.")
@click.option("--from-start", is_flag=True, help="From the first that is kept.")
@click.option("--reverse", is_flag=True, help="Newest first.")
@click.option("--head-only", is_flag=True, help="Without bodies.")
@filter_options
@click.pass_obj
def list_events(
    session: Session,
    limit: int | None,
    after: int | None,
    since: str | None,
    until: str | None,
    from_start: bool,
    reverse: bool,
    head_only: bool,
    filter_: str,
    types: tuple[str, ...],
    streams: tuple[str, ...],
    agents: tuple[str, ...],
) -> None:
    """Events in order: the last 50, or a range."""
    anchored = from_start or after is not None or since is not None
    if limit is None:
        limit = 0 if anchored else 50
    backwards = reverse or not anchored
    with dial(session) as client:
        request = pb.ReadEventsRequest(
            from_seq=0 if after is None else after + 1,
            from_time=_instant(since) if since else None,
            to_time=_instant(until) if until else None,
            direction=pb.DIRECTION_BACKWARDS if backwards else pb.DIRECTION_FORWARDS,
            filter=filter_text(client, filter_, types, streams, agents),
            limit=limit,
            head_only=head_only,
        )
        found: Iterable[event_pb2.Event] = (
            event for batch in client.stream(methods.READ_EVENTS, request) for event in batch.events
        )
        if backwards and not reverse:
            found = sorted(found, key=lambda event: event.seq)
        if session.output in ("json", "yaml"):
            show.many(session, list(found), str, sparse=True)
            return
        found = iter(found)
        while some := list(islice(found, 256)):
            _print(session, some, day=True)


@click.command(
    cls=Verb,
    examples="""
kagectl event watch                         from now on
kagectl event watch --since 10m             first those of the last ten minutes
kagectl event watch --from-start --no-follow -o jsonl > journal.jsonl
kagectl event watch --agent tests --type output

A line: seq, time, type, stream, summary. Survives restarts of the daemon without a gap or a repeat.
""",
)
@click.option("--after", type=click.IntRange(min=0), default=None, metavar="SEQ", help="After this seq.")
@click.option("--since", metavar="TIME", default=None, help="From a time on, or 10m ago.")
@click.option("--from-start", is_flag=True, help="From the first that is kept.")
@click.option("--follow/--no-follow", default=True, help="Go on with what happens, or end there.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=None, help="End after so many.")
@click.option("--head-only", is_flag=True, help="Without bodies.")
@filter_options
@click.pass_obj
def watch(
    session: Session,
    after: int | None,
    since: str | None,
    from_start: bool,
    follow: bool,
    limit: int | None,
    head_only: bool,
    filter_: str,
    types: tuple[str, ...],
    streams: tuple[str, ...],
    agents: tuple[str, ...],
) -> None:
    """Follow the journal, one event a line. Ctrl-C ends it."""
    if sum((after is not None, since is not None, from_start)) > 1:
        raise Complaint("--after, --since and --from-start exclude each other")
    printed = 0
    with dial(session) as client:
        request = pb.SubscribeEventsRequest(
            filter=filter_text(client, filter_, types, streams, agents), head_only=head_only
        )
        if from_start or after is not None:
            request.after_seq = after or 0
        elif since is not None:
            request.from_time.CopyFrom(_instant(since))
        else:
            request.now = True
        try:
            for message in follow_journal(client, request):
                events = message.batch.events[: None if limit is None else limit - printed]
                _print(session, events, day=False)
                printed += len(events)
                if printed == limit:
                    return
                if message.HasField("caught_up") and not follow:
                    return
                if message.HasField("fell_behind") and not session.machine:
                    show.note("kagectl: reading faster than we print; catching up from the journal")
        except KeyboardInterrupt:
            raise Ended(INTERRUPTED) from None


@click.command(
    cls=Verb,
    name="show",
    examples="""
kagectl event show 4711
kagectl event show 0198c5d0-5c1e-7a77-b0a4-3d1f0e4a9a10 -o json
""",
)
@click.argument("event", metavar="SEQ|ID")
@click.pass_obj
def show_event(session: Session, event: str) -> None:
    """Everything about one event, by its seq or its id."""
    if event.isdigit():
        request = pb.GetEventRequest(seq=int(event))
    else:
        try:
            request = pb.GetEventRequest(id=uuid.UUID(event).bytes)
        except ValueError:
            raise Complaint(f"an event is named by its seq (4711) or its id (a UUID), not {event!r}") from None
    with dial(session) as client:
        found = client.call(methods.GET_EVENT, request).event
    if session.output == "table":
        session.output = "yaml"
    show.values(session, plain(found, sparse=True))
