"""`approval list|show|watch`: what waits for an answer, in full, and as it comes."""

import click

from kagectl import show
from kagectl.client.failures import ClientError
from kagectl.client.follow import follow
from kagectl.client.line import Line
from kagectl.client.methods import approvals as methods
from kagectl.client.methods.agents import GET_AGENT
from kagectl.commands.approval.asking import agents_of, every
from kagectl.connect import dial
from kagectl.errors import INTERRUPTED, Ended
from kagectl.render.approvals import approval_page, approval_table, ended_line
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import agent_service_pb2, event_pb2, event_service_pb2
from kaged.api.v1 import approval_service_pb2 as pb


@click.command(
    cls=Verb,
    name="list",
    examples="""
kagectl approval list --agent fix
kagectl approval list -a                    also what was answered, expired and withdrawn
""",
)
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that were answered.")
@click.option("--agent", shell_complete=names_of("agents"), metavar="AGENT", default="", help="Only of this agent.")
@click.pass_obj
def list_approvals(session: Session, everything: bool, agent: str) -> None:
    """Questions that wait for an answer, newest first."""
    with dial(session) as client:
        found = list(every(client, agent=agent, answered=everything))
        agents = {} if session.machine else agents_of(client, (approval.agent for approval in found))
    names = {id_: each.name for id_, each in agents.items()}
    show.many(
        session,
        found,
        lambda: approval_table(found, names=names, now_s=show.now_s(), paint=session.paint, width=show.width()),
    )


@click.command(cls=Verb, name="show", examples="kagectl approval show k3x9")
@click.argument("approval", shell_complete=names_of("approvals"))
@click.pass_obj
def show_approval(session: Session, approval: str) -> None:
    """Everything about one question: what would be done, with its diff or command, who asks, and why."""
    with dial(session) as client:
        found = client.call(methods.GET_APPROVAL, pb.GetApprovalRequest(approval=approval)).approval
        text = "" if session.machine else _page(client, session, found)
    show.one(session, found, lambda: text)


def _page(client: Line, session: Session, found: pb.Approval) -> str:
    agent = agents_of(client, [found.agent]).get(found.agent)
    return approval_page(found, agent=agent, now_s=show.now_s(), paint=session.paint)


@click.command(
    cls=Verb,
    name="watch",
    examples="""
kagectl approval watch                      what is open, then each as it is asked, and what became of it
kagectl approval watch --agent fix
kagectl approval watch -o json              the events, one a line
""",
)
@click.option("--agent", shell_complete=names_of("agents"), metavar="AGENT", default="", help="Only of this agent.")
@click.pass_obj
def watch_approvals(session: Session, agent: str) -> None:
    """Questions as they come, over restarts of the daemon. Ctrl-C ends it."""
    with dial(session) as client:
        told: set[str] = set()
        where = 'type = "approval.*"'
        if agent:
            found = client.call(GET_AGENT, agent_service_pb2.GetAgentRequest(agent=agent)).agent
            where += f' AND agent = "{found.id}"'
        request = event_service_pb2.SubscribeEventsRequest(now=True, filter=where)
        try:
            for message in follow(client, request):
                if message.HasField("confirmed") and not session.machine and not told:
                    for approval in reversed(list(every(client, agent=agent))):
                        told.add(approval.id)
                        click.echo(_page(client, session, approval) + "\n")
                for event in message.batch.events:
                    if session.machine:
                        show.one_of_stream(session, event)
                    elif text := _told(client, session, event, told):
                        click.echo(text)
        except KeyboardInterrupt:
            raise Ended(INTERRUPTED) from None


def _told(client: Line, session: Session, event: event_pb2.Event, told: set[str]) -> str:
    fact = event.meta.fact
    kind = fact.WhichOneof("kind")
    name = str(getattr(fact, kind).approval) if kind and kind.startswith("approval_") else ""
    if not name or (kind == "approval_requested" and name in told):
        return ""
    told.add(name)
    try:
        found = client.call(methods.GET_APPROVAL, pb.GetApprovalRequest(approval=name)).approval
    except ClientError:
        return ""
    if kind == "approval_requested":
        return _page(client, session, found) + "\n"
    return ended_line(found, now_s=show.now_s(), paint=session.paint) + "\n"
