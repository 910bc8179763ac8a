"""The options that `run` and `agent spawn` share, as a decorator, and the spec they make."""

import os
from collections.abc import Callable
from typing import TypeVar

import click

from kagectl.agent_kinds import KINDS
from kagectl.errors import Complaint
from kagectl.guards import OPTIONS as GUARD_OPTIONS
from kagectl.loops import CRITERIA
from kagectl.specfile import agent_file
from kagectl.specs import CAPTURES, FULL_POLICIES, RESTARTS, STDINS, SpecOptions, read_document, spec_of
from kagectl.verb import Verb
from kagectl.workspaces import OPTIONS as WORKSPACE_OPTIONS
from kaged.api.v1 import spec_pb2 as pb

F = TypeVar("F", bound=Callable[..., object])

_OPTIONS: tuple[Callable[[F], F], ...] = (
    click.option("--name", metavar="NAME", default=None, help="A name; made up when not given."),
    click.option("-f", "--file", metavar="FILE", default=None, help="Spec in TOML or JSON; options go on top."),
    click.option("-C", "--cwd", metavar="DIR", default=None, help="Where it runs; default: here."),
    click.option("-e", "--env", multiple=True, metavar="K[=V]", help="A variable; without =V: as it is here."),
    click.option("--env-file", multiple=True, metavar="FILE", help="K=V lines."),
    click.option("--secret", multiple=True, metavar="K[=V]", help="Like --env, but never shown or recorded."),
    click.option(
        "--inherit/--no-inherit",
        default=True,
        help="PATH HOME LANG USER SHELL TERM from here (default) or from the daemon.",
    ),
    click.option("-l", "--label", multiple=True, metavar="K=V", help="A word to find it by."),
    click.option(
        "--agent",
        type=click.Choice(list(KINDS)),
        default=None,
        help="A known kind of agent; the command is its own, and words after -- are further arguments.",
    ),
    click.option(
        "--adapter", metavar="NAME", default=None, help="How to talk to it: command, jsonl, claude-code, codex, acp."
    ),
    click.option("--goal", metavar="TEXT", default=None, help="What it is to achieve."),
    click.option(
        "--until",
        multiple=True,
        metavar="CHECK",
        help=f"The goal is reached when this holds; checked after each turn. {CRITERIA}.",
    ),
    click.option("--any", "until_any", is_flag=True, help="One --until is enough."),
    click.option("--max-iterations", type=click.IntRange(min=1), default=None, help="Turns; then it is paused."),
    click.option("--max-cost", metavar="MONEY", default=None, help="Such as 5usd; then it is paused."),
    click.option("--max-tokens", metavar="COUNT", default=None, help="Such as 200k; then it is paused."),
    click.option("--max-time", metavar="TIME", default=None, help="At work, such as 2h; then it is paused."),
    click.option(
        "--abort",
        multiple=True,
        metavar="RULE",
        help="Give up: errors: N, repeats: N, no-progress: N (turns in a row), output: PATTERN, never.",
    ),
    click.option("--check-timeout", metavar="TIME", default=None, help="For each check; default 10m."),
    click.option("--checkpoint-every", type=click.IntRange(min=1), default=None, metavar="N", help="Turns."),
    click.option("--namespace", metavar="NAME", default=None, help="The group that it belongs to."),
    click.option(
        "--priority", type=click.IntRange(-1000, 1000), default=None, help="Larger goes first when agents queue."
    ),
    click.option("--after", multiple=True, metavar="AGENT", help="Starts when this one has succeeded."),
    *WORKSPACE_OPTIONS,
    *GUARD_OPTIONS,
    click.option("--restart", type=click.Choice(list(RESTARTS)), default=None, help="When to start it again."),
    click.option("--max-restarts", type=click.IntRange(min=0), default=None, help="Within the window."),
    click.option("--restart-window", metavar="TIME", default=None, help="The window, such as 60s."),
    click.option("--backoff", metavar="MIN..MAX", default=None, help="Waits before restarts, or off."),
    click.option("--stop-signal", metavar="NAME", default=None, help="Asks it to stop; default TERM."),
    click.option("--grace", metavar="TIME", default=None, help="Between asking and killing."),
    click.option(
        "--success-exit-code",
        type=click.IntRange(0, 255),
        multiple=True,
        metavar="N",
        help="Counts as success besides 0.",
    ),
    click.option("--wall-time", metavar="TIME", default=None, help="Limit of one run."),
    click.option("--idle", metavar="TIME", default=None, help="Limit of silence."),
    click.option("--max-output", metavar="SIZE", default=None, help="Limit of output of one run."),
    click.option("--max-backlog", metavar="SIZE", default=None, help="Limit of output that waits to be recorded."),
    click.option("--on-full", type=click.Choice(list(FULL_POLICIES)), default=None, help="What happens then."),
    click.option("--memory", metavar="SIZE", default=None, help="Limit of its process tree."),
    click.option("--cpus", type=click.FloatRange(min=0), default=None, help="Limit; 1.5 is one and a half."),
    click.option("--pids", type=click.IntRange(min=1), default=None, help="Limit of its processes."),
    click.option("--stdin", type=click.Choice(list(STDINS)), default=None, help="Its standard input."),
    click.option("--capture", type=click.Choice(list(CAPTURES)), default=None, help="How output is caught."),
    click.option("--merge-stderr", is_flag=True, help="Standard error into standard output."),
    click.argument("command", nargs=-1, type=click.UNPROCESSED),
)


# Behind the first word these would go to a command of that name, and hardly ever are its own.
_OF_GOALS = frozenset({"--until", "--max-iterations", "--max-cost", "--max-tokens", "--approve"})


class SpecVerb(Verb):
    """A command that takes a spec. Its first word is the goal when it is a sentence and no `--` stands before it; one
    word that could be either is refused."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        left = super().parse_args(ctx, args)
        words: tuple[str, ...] = ctx.params.get("command", ())
        at = len(given) - len(words)
        if not words or (at and given[at - 1] == "--"):
            return left
        if " " not in words[0].strip():
            if words[1:2] and (words[1] in _OF_GOALS or (words[1] == "--agent" and {*words[2:3]} & {*KINDS})):
                hint = f"for a goal of one word: --goal {words[0]}; for a command: -- {words[0]}"
                raise Complaint(f"is {words[0]!r} a goal or a command? {words[1]} stands behind it", hint=hint)
            return left
        ctx.params.clear()  # what has a value already would keep it
        return super().parse_args(ctx, [*given[:at], "--goal", words[0], *words[1:]])


def spec_options(function: F) -> F:
    """Add the options; the function takes them as keywords and passes them to `spec_from`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def spec_from(options: SpecOptions) -> pb.AgentSpec:
    """The spec that the options (and a spec file) ask for. Raises Complaint."""
    base = agent_file(read_document(options.file)) if options.file else pb.AgentSpec()
    return spec_of(options, base=base, env=os.environ, here=os.getcwd())
