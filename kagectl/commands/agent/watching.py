"""`watch`, `agent watch`: what an agent does as lines for people; without a name a table of all agents that stays.

`tell_story` is also what `run` and `logs` show of agents that an adapter listens to. It goes on over restarts of the
daemon by its cursor: no line is missing, none comes twice.
"""

import queue
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

import click

from kagectl import show
from kagectl.client.failures import ClientError, Unavailable
from kagectl.client.follow import follow as follow_journal
from kagectl.client.line import Line
from kagectl.client.methods.agents import GET_AGENT, STREAM_LOGS, WATCH_AGENTS
from kagectl.connect import dial
from kagectl.errors import INTERRUPTED, Ended
from kagectl.render import words
from kagectl.render.agents import AT_REST, live_table
from kagectl.render.paint import safe
from kagectl.render.story import Story
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import event_pb2, event_service_pb2, fact_pb2

_REDRAW_S: Final = 0.25
_MOST_ASKED: Final = 20  # calls for the last words of runs that failed before we came
_STEP_S: Final = 0.2
_PATIENCE_S: Final = 60.0
_WAITING: Final = 1000  # the reader waits when the screen is so many behind; the daemon joins changes meanwhile
_HOME: Final = "\x1b[H"
_TO_END_OF_LINE: Final = "\x1b[K"
_BELOW: Final = "\x1b[J"


def listens(agent: pb.Agent) -> bool:
    """Whether an adapter understands what it prints; otherwise its output is all that there is to show."""
    return agent.spec.adapter not in ("", "command")


def tell_story(
    client: Line,
    session: Session,
    agent: pb.Agent,
    *,
    follow: bool = True,
    tail: int | None = None,
    thinking: bool = False,
) -> None:
    """Print what an agent did and does, until it is at rest. `tail`: of what was before only the last lines."""
    plain = not listens(agent)
    less = "" if plain else ' AND NOT type = "output.chunk"'
    request = event_service_pb2.SubscribeEventsRequest(after_seq=0, filter=f'agent = "{agent.id}"{less}')
    story = Story(agent, paint=session.paint, width=show.width() or 100, thinking=thinking)
    before: deque[str] | None = None if tail is None or session.machine else deque(maxlen=tail)
    asked, caught_up, over = 0, False, agent.state in AT_REST  # its end may have been trimmed away
    for message in follow_journal(client, request):
        events = message.batch.events
        if session.machine:
            show.some_of_stream(session, events)
        for event in events:
            lines = story.tell(event)
            if not plain and _ended_badly(event) and (caught_up or asked < _MOST_ASKED):
                asked += 1
                lines += _last_words(client, agent, event.meta.fact.run_ended.run)
            if session.machine:
                continue
            if before is not None:
                before += lines
            elif lines:
                click.echo("\n".join(lines))
        if message.HasField("caught_up"):
            caught_up = True
            if before:
                click.echo("\n".join(before))
            before = None
        if caught_up and (story.at_rest or over or not follow):
            return


def _ended_badly(event: event_pb2.Event) -> bool:
    ended = event.meta.fact
    return ended.WhichOneof("kind") == "run_ended" and ended.run_ended.exit_code > 0


def _last_words(client: Line, agent: pb.Agent, run: str) -> Iterator[str]:
    """The end of what a run that failed wrote to its standard error: nearly always why."""
    asked = pb.StreamLogsRequest(agent=agent.id, run=run, channel=fact_pb2.OUTPUT_CHANNEL_STDERR, tail_lines=5)
    try:
        for answer in client.stream(STREAM_LOGS, asked):
            for line in answer.lines:
                yield " " * 10 + "err     " + safe(line.data.decode(errors="replace"))
    except ClientError:
        return  # it is gone with the daemon; `logs --stderr` has it later


@click.command(
    cls=Verb,
    examples="""
kagectl watch                               a table of all agents that stays up to date
kagectl watch fix                           what it says, does, asks and is told, as it happens
kagectl watch fix --tail 20                 of what was before only the last 20 lines
kagectl watch fix -o json                   its events, one a line

Goes on over restarts of the daemon. Ctrl-C ends the watching, not the agent.
""",
)
@click.argument("agent", shell_complete=names_of("agents"), required=False, default="")
@click.option("-n", "--tail", type=click.IntRange(min=0), default=None, help="Of what was before only so many lines.")
@click.option("--no-follow", "still", is_flag=True, help="Only what was so far.")
@click.option("--thinking", is_flag=True, help="Also what the model thinks, where it tells.")
@click.option("--filter", "filter_", metavar="TEXT", default="", help="In the table: only those that match.")
@click.pass_obj
def watch(session: Session, agent: str, tail: int | None, still: bool, thinking: bool, filter_: str) -> None:
    """What an agent does, told for people; without a name: all agents, live."""
    with dial(session) as client:
        try:
            if not agent:
                _table(client, session, filter_, once=still)
                return
            found = client.call(GET_AGENT, pb.GetAgentRequest(agent=agent)).agent
            tell_story(client, session, found, follow=not still, tail=tail, thinking=thinking)
        except KeyboardInterrupt:
            raise Ended(INTERRUPTED) from None


# --- the table ------------------------------------------------------------------------------------------------------


def _table(client: Line, session: Session, filter_: str, *, once: bool) -> None:
    """Draw all agents again when something changed and at least every second; a line a change when nobody looks."""
    arrived: queue.Queue[pb.WatchAgentsResponse | ClientError | None] = queue.Queue(_WAITING)
    threading.Thread(target=_read, args=(client, filter_, arrived), daemon=True).start()
    agents: dict[str, pb.Agent] = {}
    live, drawn_s, behind = sys.stdout.isatty() and not once and not session.machine, 0.0, True
    while True:
        try:
            message = arrived.get(timeout=_REDRAW_S)
        except queue.Empty:
            message = pb.WatchAgentsResponse()
        if isinstance(message, ClientError):
            raise message
        if message is None:  # another daemon tells all of them anew
            agents.clear()
            behind = True
        elif message.HasField("agent"):
            agents[message.agent.id] = message.agent
            if session.machine:
                show.one_of_stream(session, message.agent)
            elif not behind and not live:
                _row(session, message.agent)
        elif message.HasField("gone"):
            agents.pop(message.gone, None)
        elif message.HasField("caught_up_seq"):
            behind, drawn_s = False, 0.0
            if not live and not session.machine:
                click.echo(live_table(list(agents.values()), now_s=show.now_s(), paint=session.paint))
            if once:
                return
        if live and not behind and time.monotonic() - drawn_s >= (_REDRAW_S if arrived.empty() else 1.0):
            _draw(session, agents)
            drawn_s = time.monotonic()


def _row(session: Session, agent: pb.Agent) -> None:
    text = live_table([agent], now_s=show.now_s(), paint=session.paint).splitlines()[1]
    click.echo(f"{words.clock(time.time_ns() // 1000, parts='%H:%M:%S')}  {text}")


def _draw(session: Session, agents: dict[str, pb.Agent]) -> None:
    size = shutil.get_terminal_size()
    text = live_table(list(agents.values()), now_s=show.now_s(), paint=session.paint, width=size.columns)
    lines = text.splitlines()
    if len(lines) > size.lines - 1:
        lines[size.lines - 2 :] = [f"… {len(lines) - size.lines + 2} more: kagectl ps"]
    sys.stdout.write(_HOME + "".join(line + _TO_END_OF_LINE + "\n" for line in lines) + _BELOW)
    sys.stdout.flush()


def _read(client: Line, filter_: str, arrived: "queue.Queue[pb.WatchAgentsResponse | ClientError | None]") -> None:
    """Messages into the queue, over restarts of the daemon; None: from the beginning again. In a thread."""
    request = pb.WatchAgentsRequest(filter=filter_)
    gone_since: float | None = None
    while True:
        try:
            for message in client.stream(WATCH_AGENTS, request, again=gone_since is not None):
                if gone_since is not None:
                    arrived.put(None)
                    gone_since = None
                arrived.put(message)
        except ClientError as error:
            if not error.passing:
                arrived.put(error)
                return
        now = time.monotonic()
        gone_since = now if gone_since is None else gone_since
        if now - gone_since > _PATIENCE_S:
            arrived.put(Unavailable("the daemon went away and did not come back", hint="kagectl daemon status"))
            return
        time.sleep(_STEP_S)
