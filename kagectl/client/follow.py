"""Following the journal over daemon restarts, for blocking programs.

`follow(client, request)` yields every message of a subscription; when the daemon goes away it comes back to
the position after the last message seen, so nothing is lost and nothing repeated. It gives up after
`patience_s` without a daemon; 0 means never.
"""

import time
from collections.abc import Iterator

from kagectl.client.cursor import Cursor
from kagectl.client.failures import ClientError, Unavailable
from kagectl.client.line import Line
from kagectl.client.methods.events import SUBSCRIBE_EVENTS
from kaged.api.v1 import event_service_pb2 as pb

_STEP_S = 0.2


def follow(
    client: Line, request: pb.SubscribeEventsRequest, *, patience_s: float = 60.0
) -> Iterator[pb.SubscribeEventsResponse]:
    """Messages from where `request` says, without end. Raises ClientError when it cannot go on."""
    cursor = Cursor(request)
    gone_since: float | None = None
    while True:
        try:
            for message in client.stream(SUBSCRIBE_EVENTS, cursor.request(), again=gone_since is not None):
                gone_since = None
                cursor.take(message)
                yield message
        except ClientError as error:
            if not error.passing:
                raise
        # Broken, or ended in order by a daemon that stops: the cursor knows where to go on.
        now = time.monotonic()
        gone_since = now if gone_since is None else gone_since
        if patience_s and now - gone_since > patience_s:
            raise Unavailable("the daemon went away and did not come back", hint="kagectl daemon status")
        time.sleep(_STEP_S)
