"""The shape of kagectl's commands: lazy groups, and commands that all take the shared options.

A group knows the names and one-line helps of its commands as plain text and imports a command's module when
it is called, so `kagectl ps` does not pay for `kagectl tree`. The shared options (-o, --socket, --timeout,
--no-color) may stand anywhere: before the group, after it, after the command.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import click

from kagectl.quantities import duration_s
from kagectl.session import Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Entry(NamedTuple):
    """Where a command is (`module:attribute`) and what it is for."""

    where: str
    about: str


def names_of(kind: str) -> Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]:
    """A completion that asks the daemon for names: of `agents`, `approvals` or `trees`."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> "list[CompletionItem]":
        from kagectl.complete import names  # noqa: PLC0415 - 40 ms that only Tab pays

        return names(kind, context, begun)

    return complete


def _remember(context: click.Context, option: click.Parameter, value: object) -> None:
    if value is None or value is False:
        return
    session = context.find_object(Session)
    if session is None:
        return
    match option.name:
        case "output":
            session.output = str(value)
        case "socket":
            session.socket = str(value)
        case "timeout":
            session.timeout_s = duration_s(str(value), what="--timeout")
        case "no_color":
            session.colour = False
        case _:
            raise AssertionError(option.name)


def shared_options() -> list[click.Parameter]:
    """New option objects; every command and group has its own."""
    return [
        click.Option(
            ["-o", "--output"],
            type=click.Choice(["table", "json", "jsonl", "yaml"]),
            expose_value=False,
            callback=_remember,
            help="How to print.",
        ),
        click.Option(["--socket"], metavar="PATH", expose_value=False, callback=_remember, help="Socket of kaged."),
        click.Option(
            ["--timeout"],
            metavar="TIME",
            expose_value=False,
            callback=_remember,
            help="How long an answer may take, such as 30s; 0: for ever.",
        ),
        click.Option(["--no-color"], is_flag=True, expose_value=False, callback=_remember, help="Plain text."),
    ]


class Verb(click.Command):
    """A command: its own options first, then the shared ones; examples are shown as they are written."""

    def __init__(self, *arguments: object, examples: str = "", **settings: object) -> None:
        super().__init__(*arguments, **settings)  # type: ignore[arg-type]  # click's own many keywords
        self._own = len(self.params)
        self._examples = examples
        self.params += shared_options()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _option_section(ctx, formatter, "Options", [*self.params[: self._own], self.get_help_option(ctx)])
        _option_section(ctx, formatter, "Shared options", self.params[self._own :])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _examples(formatter, self._examples)
        super().format_epilog(ctx, formatter)


class LazyGroup(click.Group):
    """A group whose commands are loaded when they are called. `sections` orders them for --help."""

    def __init__(
        self,
        *arguments: object,
        sections: Mapping[str, Mapping[str, Entry]],
        examples: str = "",
        **settings: object,
    ) -> None:
        settings.setdefault("no_args_is_help", True)
        super().__init__(*arguments, **settings)  # type: ignore[arg-type]  # click's own many keywords
        self._sections = sections
        self._examples = examples
        self._entries = {name: entry for part in sections.values() for name, entry in part.items()}
        self.params += shared_options()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.where.partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, part in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.about) for name, entry in part.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _examples(formatter, self._examples)
        super().format_epilog(ctx, formatter)


def _option_section(
    context: click.Context, formatter: click.HelpFormatter, title: str, params: Sequence[click.Parameter | None]
) -> None:
    records = [record for param in params if param and (record := param.get_help_record(context))]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


def _examples(formatter: click.HelpFormatter, text: str) -> None:
    if not text:
        return
    formatter.write("\nExamples:\n")
    for line in text.strip("\n").splitlines():
        formatter.write(f"  {line}\n" if line else "\n")
