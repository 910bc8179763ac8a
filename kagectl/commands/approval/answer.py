"""`approval approve|deny|answer`: one, several or all of an agent; yes for good; words for a question."""

from collections.abc import Callable, Sequence

import click

from kagectl import show
from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods import approvals as methods
from kagectl.commands.approval.asking import every
from kagectl.connect import dial
from kagectl.errors import Complaint, Ended, exit_code_of, told
from kagectl.quantities import duration_s
from kagectl.render.approvals import choices_of, ended_line, rule_words, state_cell
from kagectl.render.paint import safe
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import approval_service_pb2 as pb

_SCOPES = {"agent": pb.RULE_SCOPE_AGENT, "namespace": pb.RULE_SCOPE_NAMESPACE}
Answer = Callable[[Line, str], pb.AnswerApprovalRequest]


def _answer(session: Session, client: Line, approvals: Sequence[str], make: Answer) -> None:
    """Answer each; one that cannot be answered holds up no other."""
    code = 0
    answered: list[pb.Approval] = []
    for name in approvals:
        try:
            answer = client.call(methods.ANSWER_APPROVAL, make(client, name))
        except ClientError as error:
            click.echo(f"kagectl: {_refused(session, client, name, error)}", err=True)
            code = code or exit_code_of(error)
            continue
        answered.append(answer.approval)
        if not session.machine:
            click.echo(f"{answer.approval.id[:8]} {state_cell(answer.approval).text}")
            for rule in answer.rules:
                click.echo(f"  from now on: {rule_words(rule, now_s=show.now_s())}")
    if session.machine:
        show.many(session, answered, str)
    if code:
        raise Ended(code)


def _refused(session: Session, client: Line, name: str, error: ClientError) -> str:
    """The one line; of a question that somebody else answered: who it was, when, and how."""
    if error.reason != "APPROVAL_ANSWERED":
        return told(error)
    try:
        found = client.call(methods.GET_APPROVAL, pb.GetApprovalRequest(approval=name)).approval
    except ClientError:
        return told(error)
    return f"too late: {ended_line(found, now_s=show.now_s())}"


def _chosen(client: Line, approvals: tuple[str, ...], *, everything: bool, agent: str, what: str) -> Sequence[str]:
    if everything and approvals:
        raise Complaint("--all and ids exclude each other")
    if agent and not everything:
        raise Complaint("--agent goes with --all", hint=f"kagectl approval {what} --all --agent {agent}")
    if not everything:
        if not approvals:
            raise Complaint(
                f"nothing to {what}", hint="kagectl approval list shows what waits; --all --agent NAME: all of one"
            )
        return approvals
    if not agent:
        raise Complaint("--all needs --agent NAME", hint="look at them first: kagectl approval list")
    found = [each for each in reversed(list(every(client, agent=agent))) if each.kind != "question"]
    if not found:
        raise Complaint(f"{agent} asks nothing that is open", hint="kagectl approval list -a", exit_code=3)
    for each in found:
        show.note(f"{each.id[:8]} {safe(each.title)}")
    return [each.id for each in found]


@click.command(
    cls=Verb,
    examples="""
kagectl approval approve k3x9
kagectl approval approve k3x9 m2p7 --note 'only this once'
kagectl approval approve --all --agent fix
kagectl approval approve k3x9 --always                                 the same again needs nobody
kagectl approval approve k3x9 --always --command 'git commit *' --for namespace --until 2h
""",
)
@click.argument("approvals", shell_complete=names_of("approvals"), nargs=-1)
@click.option("--note", metavar="TEXT", default="", help="Words for the agent.")
@click.option("--all", "everything", is_flag=True, help="All that the agent of --agent asks.")
@click.option("--agent", shell_complete=names_of("agents"), metavar="AGENT", default="", help="Whose, with --all.")
@click.option("--always", is_flag=True, help="Also let the same through from now on, without asking.")
@click.option(
    "--for",
    "scope",
    type=click.Choice(list(_SCOPES)),
    default=None,
    help="For whom, with --always: this agent (default) or its namespace.",
)
@click.option(
    "--until", metavar="TIME", default=None, help="How long, with --always, such as 2h; default: until it is removed."
)
@click.option(
    "--command", "pattern", metavar="PATTERN", default="", help="With --always: commands such as 'git commit *'."
)
@click.option("--path", "path", metavar="PATTERN", default="", help="With --always: files such as 'src/**'.")
@click.pass_obj
def approve(
    session: Session,
    approvals: tuple[str, ...],
    note: str,
    everything: bool,
    agent: str,
    always: bool,
    scope: str | None,
    until: str | None,
    pattern: str,
    path: str,
) -> None:
    """Say yes. The second to answer is told who was first."""
    if not always and (scope or until or pattern or path):
        raise Complaint("--for, --until, --command and --path say what --always remembers", hint="add --always")
    remember = None
    if always:
        for_s = duration_s(until, what="--until") if until else 0.0
        remember = pb.Remember(scope=_SCOPES[scope or "agent"], for_s=for_s, command=pattern, path=path)

    def make(_client: Line, name: str) -> pb.AnswerApprovalRequest:
        return pb.AnswerApprovalRequest(approval=name, approve=True, note=note, remember=remember)

    with dial(session) as client:
        names = _chosen(client, approvals, everything=everything, agent=agent, what="approve")
        _answer(session, client, names, make)


@click.command(
    cls=Verb,
    examples="""
kagectl approval deny k3x9 --note 'use the test database'
kagectl approval deny --all --agent fix
""",
)
@click.argument("approvals", shell_complete=names_of("approvals"), nargs=-1)
@click.option("--note", metavar="TEXT", default="", help="Words for the agent.")
@click.option("--all", "everything", is_flag=True, help="All that the agent of --agent asks.")
@click.option("--agent", shell_complete=names_of("agents"), metavar="AGENT", default="", help="Whose, with --all.")
@click.pass_obj
def deny(session: Session, approvals: tuple[str, ...], note: str, everything: bool, agent: str) -> None:
    """Say no. The agent is told, with the note."""

    def make(_client: Line, name: str) -> pb.AnswerApprovalRequest:
        return pb.AnswerApprovalRequest(approval=name, approve=False, note=note)

    with dial(session) as client:
        names = _chosen(client, approvals, everything=everything, agent=agent, what="deny")
        _answer(session, client, names, make)


@click.command(
    cls=Verb,
    name="answer",
    examples="""
kagectl approval answer k3x9 'the one in tests/data'
kagectl approval answer k3x9 2              the second of its choices
""",
)
@click.argument("approval", shell_complete=names_of("approvals"))
@click.argument("words")
@click.pass_obj
def answer_question(session: Session, approval: str, words: str) -> None:
    """Answer a question that an agent asks a person, in words or by the number of a choice."""

    def make(client: Line, name: str) -> pb.AnswerApprovalRequest:
        found = client.call(methods.GET_APPROVAL, pb.GetApprovalRequest(approval=name)).approval
        if found.kind != "question":
            raise Complaint(
                f"{found.id} asks for leave, not for words", hint=f"kagectl approval approve {found.id} (or deny)"
            )
        choices = choices_of(found)
        said = words
        if words.isdecimal() and choices:
            if not 1 <= int(words) <= len(choices):
                raise Complaint(f"{found.id} has {len(choices)} choices", hint=f"kagectl approval show {found.id}")
            said = choices[int(words) - 1]
        return pb.AnswerApprovalRequest(approval=found.id, approve=True, note=said)

    with dial(session) as client:
        _answer(session, client, [approval], make)
