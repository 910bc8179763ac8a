"""`ps`, `agent list`, `agent show`."""

from collections.abc import Iterator

import click

from kagectl import show
from kagectl.client.line import Line
from kagectl.client.methods.agents import GET_AGENT, LIST_AGENTS, WATCH_AGENTS
from kagectl.connect import dial
from kagectl.render.agents import ENDED, agent_page, agent_table
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import agent_service_pb2 as pb

_EXAMPLES = """
kagectl ps                                 what runs
kagectl ps -a                              also what has ended
kagectl ps --wide                          with CPU, memory and folders
kagectl ps -q | xargs -n1 kagectl agent stop
kagectl ps --filter 'labels.team = core' -o json
"""


def _list(
    session: Session, *, everything: bool, wide: bool, quiet: bool, filter_: str, last: int, full_ids: bool
) -> None:
    request = pb.ListAgentsRequest(page_size=last or 1000, filter=filter_, show_ended=everything)
    with dial(session) as client:
        agents = []
        for agent in _pages(client, request):
            agents.append(agent)
            if last and len(agents) == last:
                break
    if quiet:
        for agent in agents:
            click.echo(agent.id)
        return
    paint = session.paint
    show.many(
        session,
        agents,
        lambda: agent_table(
            agents,
            now_s=show.now_s(),
            wide=wide,
            full_ids=full_ids,
            paint=paint,
            width=None if wide else show.width(),
        ),
    )


def _pages(client: Line, request: pb.ListAgentsRequest) -> Iterator[pb.Agent]:
    while True:
        page = client.call(LIST_AGENTS, request)
        yield from page.agents
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


_OPTIONS: list[click.Parameter] = [
    click.Option(["-a", "--all", "everything"], is_flag=True, help="Also those that have ended."),
    click.Option(["-w", "--wide"], is_flag=True, help="More columns."),
    click.Option(["-q", "--quiet"], is_flag=True, help="Ids only."),
    click.Option(["--filter", "filter_"], metavar="TEXT", default="", help="Only those that match."),
    click.Option(["-n", "--last"], type=click.IntRange(min=1), default=None, help="Only the newest so many."),
    click.Option(["--full-ids"], is_flag=True, help="Ids uncut."),
]


@click.pass_obj
def _list_verb(
    session: Session,
    everything: bool,
    wide: bool,
    quiet: bool,
    filter_: str,
    last: int | None,
    full_ids: bool,
) -> None:
    _list(
        session,
        everything=everything,
        wide=wide,
        quiet=quiet,
        filter_=filter_,
        last=last or 0,
        full_ids=full_ids,
    )


ps = Verb(
    "ps",
    callback=_list_verb,
    params=list(_OPTIONS),
    help="Agents that have not ended, newest first.",
    examples=_EXAMPLES,
)
list_agents = Verb(
    "list",
    callback=_list_verb,
    params=list(_OPTIONS),
    help="Agents that have not ended, newest first.",
    examples=_EXAMPLES.replace("kagectl ps", "kagectl agent list"),
)


@click.command(
    cls=Verb,
    name="show",
    examples="""
kagectl agent show tests
kagectl agent show tests --at 4711          as it was at that seq
kagectl agent show tests --watch            again whenever it changes
kagectl agent show tests -o json | jq .outcome
""",
)
@click.argument("agent", shell_complete=names_of("agents"))
@click.option("--at", "at_seq", type=click.IntRange(min=1), default=None, help="As of this seq of the journal.")
@click.option("--watch", is_flag=True, help="Again whenever it changes, until it has ended.")
@click.pass_obj
def show_agent(session: Session, agent: str, at_seq: int | None, watch: bool) -> None:
    """Everything about one agent."""
    with dial(session) as client:
        found = client.call(GET_AGENT, pb.GetAgentRequest(agent=agent, at_seq=at_seq or 0)).agent
        if not watch or found.state in ENDED:
            show.one(session, found, lambda: agent_page(found, now_s=show.now_s(), paint=session.paint))
            return
        wanted = pb.WatchAgentsRequest(filter=f'id = "{found.id}"')
        for message in client.stream(WATCH_AGENTS, wanted):
            if message.HasField("gone"):
                return
            if not message.HasField("agent"):
                continue
            if session.machine:
                show.one_of_stream(session, message.agent)
            else:
                click.echo(agent_page(message.agent, now_s=show.now_s(), paint=session.paint) + "\n")
            if message.agent.state in ENDED:
                return
