"""An agent's output over daemon restarts: every byte once, in order per stream.

`read_output` repeats a broken StreamLogs from the start of what was asked for and drops what it had already
given out, by the offset of each piece. What counts as seen is kept per run and stream, because that is what
order is promised for. Not here: what a line looks like on a screen.
"""

import time
from collections.abc import Iterator

from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods.agents import STREAM_LOGS
from kaged.api.v1 import agent_service_pb2 as pb

_STEP_S = 0.2


class Seen:
    """What was given out: the end of the last piece of each run and stream. Pure."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, int], int] = {}
        self._first_seq: int | None = None

    def fresh(self, line: pb.LogLine, *, again: bool) -> bool:
        """Whether `line` is new; trims the part of a piece that is not. `again`: this is a repeated read."""
        key = (line.run, line.channel)
        end = line.offset + len(line.data)
        known = self._ends.get(key)
        if again and known is None and self._first_seq is not None and line.seq < self._first_seq:
            return False  # from before the tail that was asked for
        if known is not None:
            if end <= known:
                return False
            if line.offset < known:
                line.data = line.data[known - line.offset :]
                line.offset = known
        if self._first_seq is None:
            self._first_seq = line.seq
        self._ends[key] = end
        return True

    def __bool__(self) -> bool:
        return bool(self._ends)


def read_output(client: Line, request: pb.StreamLogsRequest, *, patience_s: float = 60.0) -> Iterator[list[pb.LogLine]]:
    """Lines or pieces as `request` says, as many together as came together.

    Ends where the daemon ends it: the agent has ended, or all was read and `follow` is not set.
    """
    seen = Seen()
    asked = pb.StreamLogsRequest()
    asked.CopyFrom(request)
    again = False
    gone_since: float | None = None
    while True:
        try:
            for answer in client.stream(STREAM_LOGS, asked, again=gone_since is not None):
                gone_since = None
                yield [line for line in answer.lines if seen.fresh(line, again=again)]
            return
        except ClientError as error:
            now = time.monotonic()
            gone_since = now if gone_since is None else gone_since
            if not error.passing or not request.follow or now - gone_since > patience_s:
                raise
            wait_s = error.retry_after_s or _STEP_S
        time.sleep(min(max(wait_s, 0.05), 1.0))
        if seen:
            again = True
            asked.ClearField("tail_lines")
