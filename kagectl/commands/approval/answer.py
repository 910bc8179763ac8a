"""`approval list|show|approve|deny`."""

import click

from kagectl import show
from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods import approvals as methods
from kagectl.client.methods.agents import GET_AGENT
from kagectl.connect import dial
from kagectl.errors import Ended, exit_code_of, told
from kagectl.render.approvals import approval_page, approval_table, state_cell
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import agent_service_pb2
from kaged.api.v1 import approval_service_pb2 as pb


@click.command(cls=Verb, name="list", examples="kagectl approval list --agent fix")
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that were answered.")
@click.option("--agent", metavar="AGENT", default="", help="Only of this agent.")
@click.pass_obj
def list_approvals(session: Session, everything: bool, agent: str) -> None:
    """Questions that wait for an answer, newest first."""
    request = pb.ListApprovalsRequest(page_size=1000, agent=agent, show_answered=everything)
    found: list[pb.Approval] = []
    with dial(session) as client:
        while True:
            page = client.call(methods.LIST_APPROVALS, request)
            found += page.approvals
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        names = {} if session.machine else _names(client, {approval.agent for approval in found})
    show.many(
        session,
        found,
        lambda: approval_table(found, names=names, now_s=show.now_s(), paint=session.paint, width=show.width()),
    )


def _names(client: Line, ids: set[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for agent in ids:
        try:
            names[agent] = client.call(GET_AGENT, agent_service_pb2.GetAgentRequest(agent=agent)).agent.name
        except ClientError:
            continue  # it is gone; its id says enough
    return names


@click.command(cls=Verb, name="show", examples="kagectl approval show 0198c5d0")
@click.argument("approval", shell_complete=names_of("approvals"))
@click.pass_obj
def show_approval(session: Session, approval: str) -> None:
    """Everything about one question: what would be done, with which arguments, and why."""
    with dial(session) as client:
        found = client.call(methods.GET_APPROVAL, pb.GetApprovalRequest(approval=approval)).approval
    show.one(session, found, lambda: approval_page(found, now_s=show.now_s(), paint=session.paint))


def _answer(session: Session, approvals: tuple[str, ...], *, yes: bool, note: str) -> None:
    code = 0
    answered: list[pb.Approval] = []
    with dial(session) as client:
        for name in approvals:
            request = pb.AnswerApprovalRequest(approval=name, approve=yes, note=note)
            try:
                found = client.call(methods.ANSWER_APPROVAL, request).approval
            except ClientError as error:
                click.echo(f"kagectl: {told(error)}", err=True)
                code = code or exit_code_of(error)
                continue
            answered.append(found)
            if not session.machine:
                click.echo(f"{found.id[:8]} {state_cell(found).text}")
    if session.machine:
        show.many(session, answered, str)
    if code:
        raise Ended(code)


@click.command(cls=Verb, examples="kagectl approval approve 0198c5d0")
@click.argument("approvals", shell_complete=names_of("approvals"), nargs=-1, required=True)
@click.option("--note", metavar="TEXT", default="", help="Words for the agent.")
@click.pass_obj
def approve(session: Session, approvals: tuple[str, ...], note: str) -> None:
    """Say yes. The second to answer is told who was first."""
    _answer(session, approvals, yes=True, note=note)


@click.command(cls=Verb, examples="kagectl approval deny 0198c5d0 --note 'use the test database'")
@click.argument("approvals", shell_complete=names_of("approvals"), nargs=-1, required=True)
@click.option("--note", metavar="TEXT", default="", help="Words for the agent.")
@click.pass_obj
def deny(session: Session, approvals: tuple[str, ...], note: str) -> None:
    """Say no. The agent is told, with the note."""
    _answer(session, approvals, yes=False, note=note)
