"""`daemon status`, `stats`, `reload`."""

import click

from kagectl import show
from kagectl.client.methods import daemon as methods
from kagectl.connect import dial
from kagectl.errors import INTERRUPTED, Ended
from kagectl.render.daemon import phase_word, stats_page, status_page
from kagectl.session import Session
from kagectl.verb import Verb
from kaged.api.v1 import daemon_service_pb2 as pb


@click.command(
    cls=Verb,
    examples="""
kagectl daemon status
kagectl daemon status --watch
kagectl daemon status -o json | jq .head_seq
""",
)
@click.option("-w", "--watch", is_flag=True, help="Again whenever it changes; Ctrl-C ends it.")
@click.pass_obj
def status(session: Session, watch: bool) -> None:
    """How the daemon is. Answers also while it recovers. Exits with 4 when there is none."""
    with dial(session) as client:
        if not watch:
            found = client.call(methods.GET_STATUS, pb.GetStatusRequest()).status
            show.one(session, found, lambda: status_page(found, now_s=show.now_s(), paint=session.paint))
            return
        try:
            for message in client.stream(methods.WATCH_STATUS, pb.WatchStatusRequest()):
                now = message.status
                if session.machine:
                    show.one_of_stream(session, now)
                else:
                    running = now.agents.get("running", 0)
                    click.echo(f"{phase_word(now):<10}  seq {now.head_seq}  {running} running  {now.detail}".rstrip())
        except KeyboardInterrupt:
            raise Ended(INTERRUPTED) from None


@click.command(cls=Verb, examples="kagectl daemon stats -o json")
@click.pass_obj
def stats(session: Session) -> None:
    """Counters and measured figures since the daemon's start."""
    with dial(session) as client:
        found = client.call(methods.GET_STATS, pb.GetStatsRequest())
    show.one(session, found, lambda: stats_page(found, now_s=show.now_s(), paint=session.paint))


@click.command(cls=Verb, examples="kagectl daemon reload")
@click.pass_obj
def reload(session: Session) -> None:
    """Read the configuration again."""
    with dial(session) as client:
        found = client.call(methods.RELOAD, pb.ReloadRequest())

    def text() -> str:
        lines = [f"taken over: {', '.join(found.applied) or 'nothing changed'}"]
        if found.needs_restart:
            lines.append(f"needs a restart: {', '.join(found.needs_restart)}")
        return "\n".join(lines)

    show.one(session, found, text)
