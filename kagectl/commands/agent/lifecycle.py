"""`agent wait`, `stop`, `signal`, `restart`, `remove`: what ends an agent or waits for its end.

Several agents may be named. Each is tried; the first thing that did not work gives the exit code.
"""

from collections.abc import Callable
from typing import cast

import click

from kagectl import show
from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods import agents as methods
from kagectl.commands.agent.waiting import wait_for
from kagectl.connect import dial
from kagectl.errors import AGENT_FAILED, Complaint, Ended, exit_code_of, told
from kagectl.quantities import duration_s
from kagectl.render.agents import ENDED, ended_badly, state_cell
from kagectl.render.workspaces import removed
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import agent_service_pb2 as pb

_NAMES = {name.removeprefix("AGENT_STATE_").lower(): name for name, number in pb.AgentState.items() if number}


def each_agent(session: Session, names: tuple[str, ...], act: Callable[[Line, str], pb.Agent], done: str) -> None:
    """Do it to each; `done` says what became of one. Raises Ended with the code of the first that did not work."""
    agents: list[pb.Agent] = []
    code = 0
    with dial(session) as client:
        for name in names:
            try:
                agent = act(client, name)
            except ClientError as error:
                click.echo(f"kagectl: {told(error)}", err=True)
                code = code or exit_code_of(error)
                continue
            agents.append(agent)
            if not session.machine:
                click.echo(f"{agent.name} {done.format(state=state_cell(agent).text)}")
    if session.machine:
        show.many(session, agents, lambda: "")
    if code:
        raise Ended(code)


@click.command(
    cls=Verb,
    examples="""
kagectl agent wait tests                    exits with 0 when it succeeded, 1 when not
kagectl agent wait tests --for running --timeout 10s
""",
)
@click.argument("agents", shell_complete=names_of("agents"), nargs=-1, required=True)
@click.option(
    "--for", "states", type=click.Choice(list(_NAMES)), multiple=True, help="For this state; may be repeated."
)
@click.pass_obj
def wait(session: Session, agents: tuple[str, ...], states: tuple[str, ...]) -> None:
    """Wait until agents have ended (a child of a tree: or is stopped), or for another state.

    Waits for ever unless --timeout says otherwise.
    """
    wanted = [cast("pb.AgentState", pb.AgentState.Value(_NAMES[state])) for state in states]
    failed = False

    def act(client: Line, name: str) -> pb.Agent:
        nonlocal failed
        agent = wait_for(client, name, timeout_s=session.timeout_s, states=wanted)
        failed = failed or (ended_badly(agent) and agent.state not in wanted)
        return agent

    each_agent(session, agents, act, "{state}")
    if failed:
        raise Ended(AGENT_FAILED)


@click.command(
    cls=Verb,
    examples="""
kagectl agent stop tests                    ask, wait, then kill the whole process tree
kagectl agent stop tests --grace 0 -w       kill at once and wait until it is gone
""",
)
@click.argument("agents", shell_complete=names_of("agents"), nargs=-1, required=True)
@click.option("--grace", metavar="TIME", default=None, help="Between asking and killing; default: the spec's.")
@click.option("--signal", "signal_", metavar="NAME", default="", help="Signal to ask with, such as INT.")
@click.option("--note", metavar="TEXT", default="", help="Why, for the record.")
@click.option("-w", "--wait", "wait_", is_flag=True, help="Return when it is gone.")
@click.pass_obj
def stop(session: Session, agents: tuple[str, ...], grace: str | None, signal_: str, note: str, wait_: bool) -> None:
    """End agents and everything they started. Final: they are not started again."""
    grace_s = None if grace is None else duration_s(grace, what="--grace")

    def act(client: Line, name: str) -> pb.Agent:
        request = pb.StopAgentRequest(agent=name, signal=signal_, note=note, grace_s=grace_s)
        agent = client.call(methods.STOP_AGENT, request).agent
        if not wait_:
            return agent
        return wait_for(client, agent.id, timeout_s=session.timeout_s)

    each_agent(session, agents, act, "{state}")


@click.command(cls=Verb, name="signal", examples="kagectl agent signal USR1 tests")
@click.argument("signal_", metavar="SIGNAL")
@click.argument("agents", shell_complete=names_of("agents"), nargs=-1, required=True)
@click.option("--tree", "whole_tree", is_flag=True, help="To every process of it, not only the first.")
@click.pass_obj
def send_signal(session: Session, signal_: str, agents: tuple[str, ...], whole_tree: bool) -> None:
    """Send a signal (a name such as USR1, or a number)."""

    def act(client: Line, name: str) -> pb.Agent:
        request = pb.SignalAgentRequest(agent=name, signal=signal_, whole_tree=whole_tree)
        return client.call(methods.SIGNAL_AGENT, request).agent

    each_agent(session, agents, act, "signalled")


@click.command(cls=Verb, examples="kagectl agent restart tests")
@click.argument("agents", shell_complete=names_of("agents"), nargs=-1, required=True)
@click.option("--grace", metavar="TIME", default=None, help="Between asking and killing; default: the spec's.")
@click.pass_obj
def restart(session: Session, agents: tuple[str, ...], grace: str | None) -> None:
    """Stop the run and start a new one; also starts an agent that has ended."""
    grace_s = None if grace is None else duration_s(grace, what="--grace")

    def act(client: Line, name: str) -> pb.Agent:
        request = pb.RestartAgentRequest(agent=name, grace_s=grace_s)
        return client.call(methods.RESTART_AGENT, request).agent

    each_agent(session, agents, act, "{state}")


@click.command(
    cls=Verb,
    examples="""
kagectl agent remove tests
kagectl agent remove --ended                all that have ended
""",
)
@click.argument("agents", shell_complete=names_of("agents"), nargs=-1)
@click.option("--ended", is_flag=True, help="All that have ended.")
@click.option("--force", is_flag=True, help="Stop it first when it has not ended.")
@click.option("--keep-workspace", is_flag=True, help="Leave its worktree or copy where it is.")
@click.pass_obj
def remove(session: Session, agents: tuple[str, ...], ended: bool, force: bool, keep_workspace: bool) -> None:
    """Take ended agents out of the lists, and their workspaces away. Their history stays in the journal.

    What a workspace has and no branch has is kept in a snapshot first, which is named; also with --force.
    """
    if bool(agents) == ended:
        raise Complaint("name the agents, or --ended for all that have ended")
    if ended:
        agents = tuple(_all_ended(session))

    def act(client: Line, name: str) -> pb.Agent:
        if force:
            agent = client.call(methods.GET_AGENT, pb.GetAgentRequest(agent=name)).agent
            if agent.state not in ENDED:
                client.call(methods.STOP_AGENT, pb.StopAgentRequest(agent=agent.id))
                wait_for(client, agent.id, timeout_s=session.timeout_s)
        request = pb.RemoveAgentRequest(agent=name, keep_workspace=keep_workspace)
        answer = client.call(methods.REMOVE_AGENT, request)
        if told := removed(answer.workspace):
            show.note(told)
        return answer.agent

    each_agent(session, agents, act, "removed")


def _all_ended(session: Session) -> list[str]:
    request = pb.ListAgentsRequest(page_size=1000, show_ended=True)
    found: list[str] = []
    with dial(session) as client:
        while True:
            page = client.call(methods.LIST_AGENTS, request)
            found += [agent.id for agent in page.agents if agent.state in ENDED]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token
