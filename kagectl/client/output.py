"""An agent's output over daemon restarts: every line once, in order per stream.

`read_output` repeats a broken StreamLogs from the place where the last answer ended. Not here: what a line looks like
on a screen.
"""

import time
from collections.abc import Iterator

from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods.agents import STREAM_LOGS
from kaged.api.v1 import agent_service_pb2 as pb

_STEP_S = 0.2


def read_output(client: Line, request: pb.StreamLogsRequest, *, patience_s: float = 60.0) -> Iterator[list[pb.LogLine]]:
    """Lines or pieces as `request` says, as many together as came together.

    Ends where the daemon ends it: the agent has ended or is stopped, or all was read and `follow` is not set.
    """
    asked = pb.StreamLogsRequest()
    asked.CopyFrom(request)
    gone_since: float | None = None
    while True:
        try:
            for answer in client.stream(STREAM_LOGS, asked, again=gone_since is not None):
                gone_since = None
                asked.ClearField("tail_lines")
                asked.after_seq, asked.skip_lines = answer.after_seq, answer.skip_lines
                yield list(answer.lines)
            return
        except ClientError as error:
            now = time.monotonic()
            gone_since = now if gone_since is None else gone_since
            if not error.passing or not request.follow or now - gone_since > patience_s:
                raise
            wait_s = error.retry_after_s or _STEP_S
        time.sleep(min(max(wait_s, 0.05), 1.0))
