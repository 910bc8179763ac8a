"""`kagectl doctor`: the whole installation, checked."""

import os

import click

from kagectl import show
from kagectl.doctor.examine import examine, failed
from kagectl.doctor.registry import CHECKS
from kagectl.doctor.report import report
from kagectl.doctor.scene import look
from kagectl.errors import Complaint, Ended
from kagectl.render.plain import Plain
from kagectl.session import Session
from kagectl.verb import Verb

_FAILED = 1


@click.command(
    cls=Verb,
    examples="""
kagectl doctor
kagectl doctor --check fsync --check path
kagectl doctor -o json | jq '.checks[] | select(.state == "fail")'
""",
)
@click.option("--check", "names", metavar="NAME", multiple=True, help="Only this one; may be said again.")
@click.option("--list", "listing", is_flag=True, help="Only tell which checks there are.")
@click.pass_obj
def doctor(session: Session, names: tuple[str, ...], listing: bool) -> None:
    """Check the installation and say what to do about each problem. Starts nothing, changes nothing.

    Exits with 0 when nothing failed (what is only worth a look does not count), with 1 otherwise.
    """
    known = {check.name: check for check in CHECKS}
    if unknown := [name for name in names if name not in known]:
        raise Complaint(f"there is no check {unknown[0]!r}", hint="kagectl doctor --list shows them")
    checks = [check for check in CHECKS if not names or check.name in names]
    if listing:
        if session.machine:
            _values(session, [{"name": check.name, "about": check.about} for check in checks])
        else:
            widest = max(len(check.name) for check in checks)
            click.echo("\n".join(f"{check.name.ljust(widest)}  {check.about}" for check in checks))
        return
    verdicts = examine(look(os.environ, session.socket), checks)
    if session.machine:
        rows: list[dict[str, Plain]] = [
            {
                "name": check.name,
                "state": verdict.state,
                "what": verdict.what,
                "fix": verdict.fix,
                "about": check.about,
            }
            for check, verdict in zip(checks, verdicts, strict=True)
        ]
        if session.output == "jsonl":
            _values(session, rows)
        else:
            show.values(session, {"ok": not failed(verdicts), "checks": list(rows)})
    else:
        click.echo(report(checks, verdicts, paint=session.paint))
    if failed(verdicts):
        raise Ended(_FAILED)


def _values(session: Session, rows: list[dict[str, Plain]]) -> None:
    if session.output == "jsonl":
        for row in rows:
            show.values(session, row)
    else:
        show.values(session, list(rows))
