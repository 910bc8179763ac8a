"""kagectl: argv to exit code. Errors become one line here and nowhere else."""

import os
import sys
from collections.abc import Sequence

import click

from kagectl.client.failures import ClientError
from kagectl.errors import INTERRUPTED, PIPE_CLOSED, UNAVAILABLE, USAGE, Complaint, Ended, exit_code_of, told
from kagectl.session import Session
from kagectl.verb import Entry, LazyGroup

_COMMANDS = "kagectl.commands"

_SECTIONS = {
    "Every day": {
        "run": Entry(f"{_COMMANDS}.agent.spawn:run", "Start an agent, follow its output, exit with its code."),
        "ps": Entry(f"{_COMMANDS}.agent.listing:ps", "Agents that run; -a: all."),
        "watch": Entry(f"{_COMMANDS}.agent.watching:watch", "What an agent does, told for people; no name: all, live."),
        "logs": Entry(f"{_COMMANDS}.agent.logs:logs", "Output of an agent; -f: and on as it comes."),
    },
    "Things": {
        "agent": Entry(f"{_COMMANDS}.agent.group:agent", "Spawn, watch, stop and talk to agents."),
        "approval": Entry(f"{_COMMANDS}.approval.group:approval", "Questions that agents ask before they act."),
        "event": Entry(f"{_COMMANDS}.event.group:event", "The journal: everything that ever happened."),
        "tree": Entry(f"{_COMMANDS}.tree.group:tree", "Supervision trees."),
        "daemon": Entry(f"{_COMMANDS}.daemon.group:daemon", "kaged itself."),
        "config": Entry(f"{_COMMANDS}.config:config", "Policies: what agents may do of themselves."),
    },
    "This program": {
        "doctor": Entry(f"{_COMMANDS}.doctor:doctor", "Check the installation; a fix for each problem."),
        "fsck": Entry(f"{_COMMANDS}.daemon.offline:fsck", "Check the whole store while no daemon runs."),
        "reindex": Entry(f"{_COMMANDS}.daemon.offline:reindex", "Make what is derived from the events again."),
        "version": Entry(f"{_COMMANDS}.version:version", "Releases of kagectl and kaged."),
        "completion": Entry(f"{_COMMANDS}.completion:completion", "Completion for bash, zsh or fish."),
    },
}


@click.command(
    cls=LazyGroup,
    name="kagectl",
    sections=_SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples="""
kagectl run -- make test          run it under kaged, see its output, get its exit code
kagectl run -d --name fix -- claude -p 'fix the tests'
kagectl ps                        what runs
kagectl logs -f fix               its output, live
kagectl watch fix                 what it says, does and asks, live
kagectl agent stop fix            end it and everything it started

Exit codes: 0 done · 1 the agent failed · 2 wrong usage · 3 not found · 4 no daemon, or it cannot answer ·
5 refused · 130 interrupted. `run` exits with the agent's own code; 128 + n after signal n.
""",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Talk to kaged, the service that owns your coding agents.

    An agent is named by its id, the start of its id, or its name.
    """
    context.ensure_object(Session)


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what `arguments` (default: the process's own) ask for; the exit code."""
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        if "_KAGECTL_COMPLETE" in os.environ:
            cli.main(args=words, prog_name="kagectl", obj=Session())  # the shell asks for completions
        # Not cli.main otherwise: it would turn a broken pipe into exit code 1, "the agent failed".
        with cli.make_context("kagectl", words, obj=Session()) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except Ended as end:
        return end.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return PIPE_CLOSED
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except (ClientError, Complaint, click.ClickException) as error:
        if os.environ.get("KAGE_DEBUG"):
            sys.excepthook(*sys.exc_info())  # `traceback` would cost every start 4 ms
        return _complain(error)
    except click.exceptions.Exit as end:
        return end.exit_code
    except OSError as error:  # of our own files and terminal: the daemon's socket has its own words
        click.echo(f"kagectl: {error}", err=True)
        return UNAVAILABLE
    except Exception as error:  # noqa: BLE001 - the last line: no traceback ever reaches a person
        if os.environ.get("KAGE_DEBUG"):
            sys.excepthook(*sys.exc_info())  # `traceback` would cost every start 4 ms
        kind = type(error).__name__
        click.echo(f"kagectl: {kind}: {error} — this is a bug; KAGE_DEBUG=1 shows where", err=True)
        return 70
    return 0


def _complain(error: ClientError | Complaint | click.ClickException) -> int:
    match error:
        case ClientError():
            click.echo(f"kagectl: {told(error)}", err=True)
            return exit_code_of(error)
        case Complaint():
            line = f"{error.message} — {error.hint}" if error.hint else error.message
            click.echo(f"kagectl: {line}", err=True)
            return error.exit_code
        case click.UsageError() if type(error).__name__ == "NoArgsIsHelpError":  # click 8.1 has no such class
            error.show()
            return USAGE
        case click.UsageError() if error.ctx is not None:
            path = error.ctx.command_path
            click.echo(f"kagectl: {error.format_message()} — {path} --help tells more", err=True)
            return USAGE
        case _:
            click.echo(f"kagectl: {error.format_message()}", err=True)
            return USAGE


def main() -> None:
    """The console script."""
    code = run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
    # Skips the tear-down of gRPC's threads and of the interpreter: 10 ms that nobody needs.
    os._exit(code)


if __name__ == "__main__":
    main()
