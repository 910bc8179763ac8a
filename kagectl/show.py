"""Printing answers in the format that was asked for. The only place that writes results to standard output."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence

import click
from google.protobuf.message import Message

from kagectl.render import plain
from kagectl.render.plain import Plain
from kagectl.session import Session


def now_s() -> float:
    """Seconds since 1970 UTC, for ages on the screen."""
    return time.time()


def width() -> int | None:
    """Columns of the screen; None when nobody looks, so nothing is cut."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def values(session: Session, data: Plain) -> None:
    """One plain value as JSON or YAML."""
    match session.output:
        case "yaml":
            click.echo(plain.as_yaml(data))
        case "jsonl":
            click.echo(plain.as_json(data, indent=None))
        case _:
            click.echo(plain.as_json(data))


def one(session: Session, message: Message, text: Callable[[], str]) -> None:
    """One message, or its text for people."""
    if session.machine:
        values(session, plain.plain(message))
    else:
        click.echo(text())


def many(session: Session, messages: Sequence[Message], text: Callable[[], str], *, sparse: bool = False) -> None:
    """Some messages: a list in JSON and YAML, a line each in JSONL, or their text for people."""
    if session.output == "jsonl":
        for message in messages:
            click.echo(plain.as_json(plain.plain(message, sparse=sparse), indent=None))
    elif session.machine:
        values(session, [plain.plain(message, sparse=sparse) for message in messages])
    elif shown := text():
        click.echo(shown)


def one_of_stream(session: Session, message: Message) -> None:
    """A message of an endless answer: JSONL and JSON print a line each, YAML a document each."""
    some_of_stream(session, (message,))


def some_of_stream(session: Session, messages: Sequence[Message]) -> None:
    """Messages of an endless answer that came together, written together."""
    if session.output == "yaml":
        texts = ["---\n" + plain.as_yaml(plain.plain(message, sparse=True)) for message in messages]
    else:
        texts = [plain.as_json(plain.plain(message, sparse=True), indent=None) for message in messages]
    if texts:
        click.echo("\n".join(texts))


def note(text: str) -> None:
    """A remark for the person, on standard error."""
    click.echo(text, err=True)
