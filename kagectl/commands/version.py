"""`kagectl version`: both ends."""

import click

from kagectl import show
from kagectl.client.failures import ClientError
from kagectl.client.methods.daemon import GET_STATUS
from kagectl.connect import dial
from kagectl.errors import told
from kagectl.session import Session
from kagectl.verb import Verb
from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.version import __version__


@click.command(cls=Verb, examples="kagectl version -o json")
@click.option("--client", "client_only", is_flag=True, help="Only of this program; asks nobody.")
@click.pass_obj
def version(session: Session, client_only: bool) -> None:
    """Releases of kagectl and of the kaged that answers. Works, and exits with 0, when none does."""
    daemon = why = ""
    revision = 0
    if not client_only:
        try:
            with dial(session) as client:
                status = client.call(GET_STATUS, pb.GetStatusRequest()).status
            daemon, revision = status.version, status.api_revision
        except ClientError as error:
            why = told(error)
    if session.machine:
        show.values(
            session,
            {"client": __version__, "daemon": daemon or None, "api_revision": revision or None},
        )
        return
    click.echo(f"kagectl {__version__}")
    if daemon:
        click.echo(f"kaged   {daemon} (API revision {revision})")
    elif why:
        click.echo(f"kaged   - ({why})")
