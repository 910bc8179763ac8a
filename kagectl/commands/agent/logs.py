"""`logs` and `agent logs`."""

import sys
from collections.abc import Sequence
from itertools import groupby

import click

from kagectl import show
from kagectl.client.methods.agents import GET_AGENT
from kagectl.client.output import read_output
from kagectl.commands.agent.watching import listens, tell_story
from kagectl.connect import dial
from kagectl.errors import INTERRUPTED, Complaint, Ended
from kagectl.render import words
from kagectl.render.paint import Paint
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import fact_pb2


@click.command(
    cls=Verb,
    examples="""
kagectl logs tests                          all of it, both streams
kagectl logs -f --tail 20 tests             the last 20 lines, and on as it comes
kagectl logs --stderr --timestamps tests
kagectl logs tests -o jsonl                 one object a line: run, channel, offset, time, data
""",
)
@click.argument("agent", shell_complete=names_of("agents"))
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until the agent has ended.")
@click.option("-n", "--tail", type=click.IntRange(min=0), default=None, help="Only the last so many lines.")
@click.option("--stdout", "only_out", is_flag=True, help="Only standard output.")
@click.option("--stderr", "only_err", is_flag=True, help="Only standard error.")
@click.option("--run", "run_id", metavar="ID", default="", help="Only this run (attempt) of it.")
@click.option("--from-offset", type=click.IntRange(min=0), default=0, help="From this byte; with --run and one stream.")
@click.option("-t", "--timestamps", is_flag=True, help="When the daemon saw each line, before it.")
@click.option(
    "--raw", is_flag=True, help="The bytes as they were written, also of agents whose adapter understands them."
)
@click.pass_obj
def logs(
    session: Session,
    agent: str,
    follow: bool,
    tail: int | None,
    only_out: bool,
    only_err: bool,
    run_id: str,
    from_offset: int,
    timestamps: bool,
    raw: bool,
) -> None:
    """Output of an agent: its standard output to standard output, its standard error to standard error.

    Of an agent whose adapter understands its output (Claude, Codex ...) it is told for people, as by `kagectl watch`;
    --raw, --stdout, --stderr, --timestamps, --run and -o give the bytes.
    """
    if only_out and only_err:
        raise Complaint("--stdout and --stderr exclude each other; leave both out to see both")
    if raw and timestamps:
        raise Complaint("--raw has no lines to put --timestamps before")
    channel = fact_pb2.OUTPUT_CHANNEL_UNSPECIFIED
    if only_out or only_err:
        channel = fact_pb2.OUTPUT_CHANNEL_STDOUT if only_out else fact_pb2.OUTPUT_CHANNEL_STDERR
    with dial(session) as client:
        found = client.call(GET_AGENT, pb.GetAgentRequest(agent=agent)).agent
        bytes_wanted = raw or timestamps or channel or run_id or from_offset or session.machine
        if listens(found) and not bytes_wanted:
            try:
                tell_story(client, session, found, follow=follow, tail=tail)
            except KeyboardInterrupt:
                still_there(found.name)
                raise Ended(INTERRUPTED) from None
            return
        request = pb.StreamLogsRequest(
            agent=found.id,
            run=run_id,
            channel=channel,
            from_offset=from_offset,
            tail_lines=tail,
            follow=follow,
            raw=raw,
        )
        gaps = Gaps(raw=raw)
        try:
            for lines in read_output(client, request):
                if session.machine:
                    show.some_of_stream(session, lines)
                else:
                    gaps.tell(lines)
                    write_lines(lines, timestamps=timestamps, raw=raw, paint=session.paint)
        except KeyboardInterrupt:
            if follow:
                still_there(found.name)
            raise Ended(INTERRUPTED) from None


def write_lines(lines: Sequence[pb.LogLine], *, timestamps: bool, raw: bool, paint: Paint) -> None:
    """Lines where they belong, all on their way when this returns."""
    for channel, group in groupby(lines, key=lambda line: line.channel):
        text = bytearray()
        for line in group:
            if timestamps:
                stamp = words.clock(round(words.seconds_of(line.time) * 1e6), parts="%H:%M:%S.%f")[:-3]
                text += paint(stamp, "dim").encode() + b" "
            text += line.data
            if not raw and not line.partial:
                text += b"\n"
        out = sys.stderr if channel == fact_pb2.OUTPUT_CHANNEL_STDERR else sys.stdout
        out.buffer.write(text)
        out.buffer.flush()


class Gaps:
    """Tells of output that was given up before it was recorded (`output.dropped`): seen as offsets that jump."""

    def __init__(self, *, raw: bool) -> None:
        self._raw = raw
        self._ends: dict[tuple[str, int], int] = {}

    def tell(self, lines: Sequence[pb.LogLine]) -> None:
        """Say, before they are written, where bytes are missing between these lines and those before them."""
        for line in lines:
            key = (line.run, line.channel)
            missing = line.offset - self._ends.get(key, line.offset)
            if missing > 0:
                name = words.word(fact_pb2.OutputChannel, line.channel, "OUTPUT_CHANNEL_")
                show.note(
                    f"kagectl: {words.size(missing)} of {name} before byte {line.offset} were given up: "
                    "too much output waited to be recorded (--max-backlog)"
                )
            self._ends[key] = line.offset + len(line.data) + (0 if self._raw or line.partial else 1)


def still_there(name: str) -> None:
    """Say that only the following has ended."""
    show.note(f"\nkagectl: stopped following; {name} goes on — kagectl agent stop {name} ends it")
