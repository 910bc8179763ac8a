"""`approval rules`: what was remembered with an answer, and taking it back."""

import click

from kagectl import show
from kagectl.client.methods import approvals as methods
from kagectl.commands.approval.asking import agents_of
from kagectl.connect import dial
from kagectl.render.approvals import rule_table, rule_words
from kagectl.session import Session
from kagectl.verb import Entry, LazyGroup, Verb, names_of
from kaged.api.v1 import approval_service_pb2 as pb

_HERE = "kagectl.commands.approval.rules"


@click.command(
    cls=LazyGroup,
    name="rules",
    invoke_without_command=True,
    no_args_is_help=False,
    sections={
        "Commands": {
            "list": Entry(f"{_HERE}:list_rules", "Those that hold; --agent: for one agent."),
            "remove": Entry(f"{_HERE}:remove_rules", "Take some back: such actions are asked about again."),
        }
    },
    examples="""
kagectl approval rules                      what is let through without asking
kagectl approval rules remove k3x9
""",
)
@click.pass_context
def rules(context: click.Context) -> None:
    """Rules that were remembered with an answer: approve --always. Others stand in policies (kagectl config show)."""
    if context.invoked_subcommand is None:
        _list(context.ensure_object(Session), "")


def _list(session: Session, agent: str) -> None:
    with dial(session) as client:
        request = pb.ListApprovalRulesRequest(agent=agent, page_size=1000)  # the daemon keeps no more
        found = list(client.call(methods.LIST_APPROVAL_RULES, request).rules)
        owners = (rule.owner for rule in found if rule.scope == pb.RULE_SCOPE_AGENT)
        names = {} if session.machine else {id_: each.name for id_, each in agents_of(client, owners).items()}
    show.many(session, found, lambda: rule_table(found, names=names, now_s=show.now_s(), paint=session.paint))


@click.command(cls=Verb, name="list", examples="kagectl approval rules list --agent fix")
@click.option("--agent", shell_complete=names_of("agents"), metavar="AGENT", default="", help="Only what holds for it.")
@click.pass_obj
def list_rules(session: Session, agent: str) -> None:
    """What is let through without asking, oldest first."""
    _list(session, agent)


@click.command(cls=Verb, name="remove", examples="kagectl approval rules remove k3x9 m2p7")
@click.argument("rules", nargs=-1, required=True)
@click.pass_obj
def remove_rules(session: Session, rules: tuple[str, ...]) -> None:
    """Take rules back. What they have let through stays done."""
    with dial(session) as client:
        gone = [
            client.call(methods.REMOVE_APPROVAL_RULE, pb.RemoveApprovalRuleRequest(rule=name)).rule for name in rules
        ]
    show.many(session, gone, lambda: "\n".join(f"removed: {rule_words(rule, now_s=show.now_s())}" for rule in gone))
