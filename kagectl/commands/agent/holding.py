"""`agent pause` and `agent resume`: hold an agent that works towards a goal, and let it go on."""

import click

from kagectl import loops
from kagectl.client.line import Line
from kagectl.client.methods import agents as methods
from kagectl.commands.agent.lifecycle import each_agent
from kagectl.connect import dial
from kagectl.render.agents import state_cell
from kagectl.session import Session
from kagectl.show import one
from kagectl.verb import Verb, names_of
from kaged.api.v1 import agent_service_pb2 as pb


@click.command(
    cls=Verb,
    examples="""
kagectl agent pause fix                     at the end of the turn that is under way
kagectl agent pause fix --now               interrupt that turn
""",
)
@click.argument("agents", shell_complete=names_of("agents"), nargs=-1, required=True)
@click.option("--now", is_flag=True, help="Interrupt the turn instead of waiting for its end.")
@click.option("--note", metavar="TEXT", default="", help="Why, for the record.")
@click.pass_obj
def pause(session: Session, agents: tuple[str, ...], now: bool, note: str) -> None:
    """Hold agents that work towards a goal. Nothing is lost: resume lets them go on."""

    def act(client: Line, name: str) -> pb.Agent:
        return client.call(methods.PAUSE_AGENT, pb.PauseAgentRequest(agent=name, now=now, note=note)).agent

    each_agent(session, agents, act, "{state}")


@click.command(
    cls=Verb,
    examples="""
kagectl agent resume fix                              one that was paused by hand
kagectl agent resume fix --add-iterations 5           one whose turns are used up
kagectl agent resume fix --add-cost 2usd --guidance 'use the fixture in tests/data instead'
""",
)
@click.argument("agent", shell_complete=names_of("agents"))
@click.option("--guidance", metavar="TEXT", default="", help="Words for the agent: its next prompt, same session.")
@click.option("--add-iterations", type=click.IntRange(min=1), default=None, help="More turns.")
@click.option("--add-cost", metavar="MONEY", default=None, help="More money, such as 2usd.")
@click.option("--add-tokens", metavar="COUNT", default=None, help="More tokens, such as 100k.")
@click.option("--add-time", metavar="TIME", default=None, help="More time at work, such as 1h.")
@click.pass_obj
def resume(
    session: Session,
    agent: str,
    guidance: str,
    add_iterations: int | None,
    add_cost: str | None,
    add_tokens: str | None,
    add_time: str | None,
) -> None:
    """Let a paused agent go on, in the session that it was in."""
    request = pb.ResumeAgentRequest(agent=agent, guidance=guidance)
    loops.limits(
        request.add, iterations=add_iterations, tokens_text=add_tokens, cost=add_cost, time=add_time, option="add"
    )
    with dial(session) as client:
        found = client.call(methods.RESUME_AGENT, request).agent
    one(session, found, lambda: f"{found.name} {state_cell(found).text}")
