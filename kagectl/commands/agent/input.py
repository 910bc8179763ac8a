"""`agent send` and `agent resize`: towards the agent."""

import sys

import click

from kagectl import show
from kagectl.client.methods.agents import RESIZE_TERMINAL, SEND_INPUT
from kagectl.connect import dial
from kagectl.errors import Complaint
from kagectl.session import Session
from kagectl.verb import Verb, names_of
from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import spec_pb2

CHUNK_BYTES = 256 * 1024  # a request holds at most 1 MiB


@click.command(
    cls=Verb,
    examples="""
kagectl agent send tests yes                writes "yes" and a line end
kagectl agent send tests -n 'a'             without the line end
kagectl agent send tests --file answers.txt --eof
echo go | kagectl agent send tests          what comes in here goes there
kagectl agent send tests --eof              closes its standard input
kagectl agent send fix --message 'use the test database'
""",
)
@click.argument("agent", shell_complete=names_of("agents"))
@click.argument("text", nargs=-1)
@click.option("--file", "path", metavar="FILE", help="The bytes of this file; -: standard input.")
@click.option("-n", "--no-newline", is_flag=True, help="No line end after the text.")
@click.option("--eof", is_flag=True, help="Close its standard input after it.")
@click.option("-m", "--message", metavar="TEXT", default="", help="Words to it, in the form that its adapter speaks.")
@click.pass_obj
def send(
    session: Session, agent: str, text: tuple[str, ...], path: str | None, no_newline: bool, eof: bool, message: str
) -> None:
    """Write to the standard input of an agent that was spawned with --stdin pipe (or a terminal)."""
    if bool(text) + bool(message) + bool(path) > 1:
        raise Complaint("give one of a text, --message and --file")
    if message:
        with dial(session) as client:
            answer = client.call(SEND_INPUT, pb.SendInputRequest(agent=agent, message=message, eof=eof))
        if session.machine:
            show.one(session, answer, str)
        return
    if text:
        data = " ".join(text).encode() + (b"" if no_newline else b"\n")
    elif path and path != "-":
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise Complaint(f"cannot read {path}: {error.strerror}") from None
    elif path == "-" or not eof or not sys.stdin.isatty():
        data = b"" if eof and path is None else sys.stdin.buffer.read()
    else:
        data = b""
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)] or [b""]
    with dial(session) as client:
        for index, piece in enumerate(pieces):
            last = index == len(pieces) - 1
            answer = client.call(SEND_INPUT, pb.SendInputRequest(agent=agent, data=piece, eof=eof and last))
    if session.machine:
        show.one(session, answer, str)


@click.command(cls=Verb, examples="kagectl agent resize shell 40x120")
@click.argument("agent", shell_complete=names_of("agents"))
@click.argument("size", metavar="ROWSxCOLUMNS")
@click.pass_obj
def resize(session: Session, agent: str, size: str) -> None:
    """Give the terminal of an agent another size."""
    rows, separator, columns = size.lower().partition("x")
    if not separator or not rows.isdigit() or not columns.isdigit():
        raise Complaint(f"a size looks like 24x80 (rows x columns), not {size!r}")
    wanted = spec_pb2.TerminalSize(rows=int(rows), columns=int(columns))
    with dial(session) as client:
        client.call(RESIZE_TERMINAL, pb.ResizeTerminalRequest(agent=agent, size=wanted))
