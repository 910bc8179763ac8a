"""`agent spawn` and `run`: start an agent; `run` also follows it to its end and exits as it did."""

import sys
import threading

import click

from kagectl import show
from kagectl.attach import Terminal, feed_stdin
from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods.agents import GET_AGENT, REMOVE_AGENT, SPAWN_AGENT, STOP_AGENT
from kagectl.client.output import read_output
from kagectl.commands.agent.logs import still_there, write_lines
from kagectl.commands.agent.spec_options import SpecVerb, spec_from, spec_options
from kagectl.commands.agent.waiting import tell_pauses, wait_for
from kagectl.commands.agent.watching import listens, tell_story
from kagectl.connect import dial
from kagectl.errors import AGENT_FAILED, INTERRUPTED, Complaint, Ended
from kagectl.render.agents import agent_page, ending
from kagectl.render.paint import safe
from kagectl.render.workspaces import removed, work_waits
from kagectl.session import Session
from kagectl.specs import SpecOptions
from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import spec_pb2

_COMMAND_LINE = {"allow_interspersed_args": False}  # what follows the program's name is the program's


@click.command(
    cls=SpecVerb,
    context_settings=_COMMAND_LINE,
    examples="""
kagectl agent spawn --name tests -- make test
kagectl agent spawn --restart on-failure --backoff 1s..60s -- ./worker
kagectl agent spawn --secret API_KEY --wall-time 30m --memory 2GiB -- claude -p 'fix the tests'
kagectl agent spawn -f worker.toml
""",
)
@click.option("--dry-run", is_flag=True, help="Check everything, start nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print the id only.")
@spec_options
@click.pass_obj
def spawn(session: Session, /, dry_run: bool, quiet: bool, **options: object) -> None:
    """Start an agent and return at once. Everything after -- is its command."""
    spec = spec_from(SpecOptions(**options))  # type: ignore[arg-type]  # click gives what the options declare
    with dial(session) as client:
        request = pb.SpawnAgentRequest(spec=spec, validate_only=dry_run)
        agent = client.call(SPAWN_AGENT, request).agent
    if quiet:
        click.echo(agent.id)
    elif dry_run and not session.machine:
        click.echo("would start:\n" + agent_page(agent, now_s=show.now_s(), paint=session.paint))
    else:
        show.one(session, agent, lambda: f"{agent.name} {agent.id}")


@click.command(
    cls=SpecVerb,
    context_settings=_COMMAND_LINE,
    examples="""
kagectl run -- make test                    its output here, its exit code as ours
kagectl run --rm -i -- sort < names         what comes in here goes there
kagectl run -t -- bash                      in a terminal; Ctrl-P Ctrl-Q leaves it running
kagectl run 'make the tests pass' --agent claude --until tests --max-iterations 20 --max-cost 5usd
kagectl run -d --name fix -- claude -p 'fix the tests'

Ctrl-C stops following, not the agent; --stop-on-interrupt makes it stop the agent too.
""",
)
@click.option("-d", "--detach", is_flag=True, help="Return at once and print the id.")
@click.option("--rm", "remove", is_flag=True, help="Take it out of the lists when it has ended.")
@click.option("-i", "--interactive", is_flag=True, help="Pass our standard input on to it.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal; implies -i when this is one.")
@click.option("--stop-on-interrupt", is_flag=True, help="Ctrl-C stops the agent too.")
@click.option("--raw", is_flag=True, help="The agent's bytes, also where an adapter understands them.")
@spec_options
@click.pass_obj
def run(
    session: Session,
    /,
    detach: bool,
    remove: bool,
    interactive: bool,
    tty: bool,
    stop_on_interrupt: bool,
    raw: bool,
    **options: object,
) -> None:
    """Start an agent, follow its output, exit with its exit code (128 + n after signal n)."""
    if detach and (remove or interactive):
        raise Complaint("-d leaves the agent alone: it goes with neither --rm nor -i")
    spec = spec_from(SpecOptions(**options))  # type: ignore[arg-type]  # click gives what the options declare
    terminal = Terminal() if tty and sys.stdin.isatty() and not detach else None
    interactive = interactive or terminal is not None
    if tty:
        spec.capture = spec_pb2.CAPTURE_MODE_TERMINAL
        spec.stdin = spec.stdin or spec_pb2.STDIN_MODE_PIPE  # what a person types comes by SendInput
        if terminal is not None:
            spec.terminal.CopyFrom(terminal.size())
    elif interactive:
        spec.stdin = spec_pb2.STDIN_MODE_PIPE
    with dial(session) as client:
        agent = client.call(SPAWN_AGENT, pb.SpawnAgentRequest(spec=spec)).agent
        if detach:
            show.one(session, agent, lambda: agent.id)
            return
        try:
            told_of = listens(agent) and not (raw or tty or session.machine)
            _follow(client, session, agent, interactive=interactive, terminal=terminal, story=told_of)
            ended = wait_for(client, agent.id, timeout_s=None)
        except KeyboardInterrupt:
            if terminal is not None and terminal.left:
                still_there(agent.name)
                raise Ended(0) from None
            _interrupted(client, agent, stop=stop_on_interrupt)
            raise Ended(INTERRUPTED) from None
        if remove:
            gone = client.call(REMOVE_AGENT, pb.RemoveAgentRequest(agent=ended.id)).workspace
            if told := removed(gone):
                show.note(told)
    if session.machine:
        show.one(session, ended, str)
    elif not remove and (told := work_waits(ended)):
        show.note(told)
    code = exit_code(ended)
    if code:
        if ended.outcome.reason != "exit":
            show.note(f"kagectl: {safe(ended.name)}: {safe(ended.outcome.detail or ending(ended) or 'stopped')}")
        raise Ended(code)


def exit_code(agent: pb.Agent) -> int:
    """What a shell would show for this end; success by the spec's own codes is 0."""
    outcome = agent.outcome
    if agent.state == pb.AGENT_STATE_SUCCEEDED:
        return 0
    if outcome.signal:
        return int(128 + outcome.signal)
    if outcome.reason == "exec_failed":
        return 127
    return int(outcome.exit_code) if outcome.exit_code > 0 else AGENT_FAILED


def _follow(
    client: Line, session: Session, agent: pb.Agent, *, interactive: bool, terminal: Terminal | None, story: bool
) -> None:
    done = threading.Event()
    if agent.HasField("progress") and not story:
        threading.Thread(target=tell_pauses, args=(client, agent.id, done), daemon=True).start()
    if interactive:
        feeder = threading.Thread(target=feed_stdin, args=(client, agent.id, done, terminal), daemon=True)
        feeder.start()
    request = pb.StreamLogsRequest(agent=agent.id, follow=True, raw=True)
    try:
        if terminal is not None:
            terminal.enter(client, agent.id)
        if story:
            tell_story(client, session, agent)
            return
        for pieces in read_output(client, request):
            if session.machine:
                show.some_of_stream(session, pieces)
            else:
                write_lines(pieces, timestamps=False, raw=True, paint=session.paint)
    finally:
        done.set()
        if terminal is not None:
            terminal.leave()


def _interrupted(client: Line, agent: pb.Agent, *, stop: bool) -> None:
    if not stop:
        now = _state_now(client, agent)
        if now is None or now.state not in (pb.AGENT_STATE_SUCCEEDED, pb.AGENT_STATE_FAILED):
            still_there(agent.name)
        return
    show.note(f"\nkagectl: stopping {agent.name}")
    try:
        client.call(STOP_AGENT, pb.StopAgentRequest(agent=agent.id, note="Ctrl-C"))
        wait_for(client, agent.id, timeout_s=None)
    except KeyboardInterrupt:
        still_there(agent.name)


def _state_now(client: Line, agent: pb.Agent) -> pb.Agent | None:
    try:
        return client.call(GET_AGENT, pb.GetAgentRequest(agent=agent.id), timeout_s=2).agent
    except ClientError:
        return None
