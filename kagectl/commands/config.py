"""`config show` and `config check`: the policies of guardrails, as their files say them. Needs no daemon.

What is read is read by the kaged of this release (`kaged config`), so that there is one meaning of a file.
"""

import json
import os
import subprocess
from typing import Any

import click

from kagectl import show as showing
from kagectl.errors import UNAVAILABLE, USAGE, Complaint
from kagectl.render.table import Cell, table
from kagectl.service.program import own_kaged
from kagectl.session import Session
from kagectl.verb import Entry, LazyGroup, Verb

_HOME = "kagectl.commands.config"
_ASK_S = 30.0


@click.command(
    cls=LazyGroup,
    name="config",
    sections={
        "Commands": {
            "show": Entry(f"{_HOME}:show", "What holds in a folder; --origin: and who says so."),
            "check": Entry(f"{_HOME}:check", "Whether the files are right."),
        }
    },
    examples="""
kagectl config show --origin
kagectl config check
""",
)
def config() -> None:
    """Policies of guardrails: your own file, the repository's, the environment (docs/guardrails.md)."""


_folder = click.option(
    "-C", "--folder", metavar="DIR", type=click.Path(exists=True, file_okay=False), default=".", help="Whose policies."
)
_namespace = click.option("--namespace", metavar="NAME", default="default", help="For agents of this namespace.")


@click.command(
    cls=Verb,
    examples="""
kagectl config show                         what differs from the defaults
kagectl config show --all --origin          every key, and the file and line that says it
kagectl config show -C ~/src/app --namespace web
kagectl config show -o json | jq '.keys[] | select(.key == "guard.approve")'
""",
)
@_folder
@_namespace
@click.option("--origin", is_flag=True, help="Which file and line each value comes from; every key.")
@click.option("-a", "--all", "everything", is_flag=True, help="Also what nobody has set.")
@click.pass_obj
def show(session: Session, folder: str, namespace: str, origin: bool, everything: bool) -> None:
    """What holds for agents that work in a folder."""
    told = _ask("show", folder, namespace)
    _refuse(told)
    if session.machine:
        showing.values(session, told)
        return
    keys = [each for each in told["keys"] if everything or origin or each["origins"] != ["default"]]
    if not keys:
        click.echo("nothing is set: the defaults hold — kagectl config show --all lists them")
        return
    rows: list[list[Cell | str]] = []
    for each in keys:
        values = _lines(each["value"])
        origins = each["origins"] if origin else []
        for number in range(max(len(values), len(origins), 1)):
            row: list[Cell | str] = [each["key"] if not number else ""]
            row.append(values[number] if number < len(values) else "")
            if origin:
                said = origins[number] if number < len(origins) else ""
                row.append(Cell(said, "dim" if said == "default" else ""))
            rows.append(row)
    headers = ["KEY", "VALUE", "ORIGIN"] if origin else ["KEY", "VALUE"]
    click.echo(table(headers, rows, paint=session.paint))


@click.command(
    cls=Verb,
    examples="""
kagectl config check                        of the folder that you are in
kagectl config check -C ~/src/app && git commit
""",
)
@_folder
@_namespace
@click.pass_obj
def check(session: Session, folder: str, namespace: str) -> None:
    """Whether all policy files can be used. Ends with 2 and names file, line and key when one cannot."""
    told = _ask("check", folder, namespace)
    if session.machine:
        showing.values(session, {name: value for name, value in told.items() if name != "keys"})
        if "wrong" in told:
            raise Complaint(told["wrong"]["message"], hint=told["wrong"]["hint"], exit_code=USAGE)
        return
    _refuse(told)
    for file in told["files"]:
        click.echo(f"{'ok' if file['exists'] else 'not there':<10}  {file['path']}")


def _ask(verb: str, folder: str, namespace: str) -> Any:
    command = [*own_kaged(), "config", verb, "--folder", os.path.abspath(folder), "--namespace", namespace]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=False)
        return json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Complaint(f"kaged config: {error}", exit_code=UNAVAILABLE) from None
    except ValueError:
        said = done.stderr.strip().splitlines()
        raise Complaint(f"kaged config: {said[-1] if said else 'no answer'}", exit_code=UNAVAILABLE) from None


def _refuse(told: Any) -> None:
    if "wrong" in told:
        raise Complaint(told["wrong"]["message"], hint=told["wrong"]["hint"], exit_code=USAGE)


def _lines(value: object) -> list[str]:
    if not isinstance(value, list):
        return ["true" if value is True else "false" if value is False else str(value)]
    lines: list[str] = []
    for item in value:
        if isinstance(item, dict):
            words = [f"{name} {item[name]!r}" for name in ("tool", "path", "command") if name in item]
            lines.append(f"{item['verdict']} {', '.join(words) or 'everything'}")
        else:
            lines.append(str(item))
    return lines
