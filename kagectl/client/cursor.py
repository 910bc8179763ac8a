"""Where a subscription stands, so that it can go on after a broken line without a gap or a repeat.

Pure: `request` gives what to ask for next, `take` learns from a message. The store's id is remembered at
the first confirmation: a cursor is never used on another store.
"""

from kagectl.client.failures import ClientError
from kaged.api.v1 import event_service_pb2 as pb


class Cursor:
    """The position of one subscription. Before the first message it stands where the request says."""

    def __init__(self, request: pb.SubscribeEventsRequest) -> None:
        self._wanted = request
        self._store_id = ""
        self.seq: int | None = None

    def request(self) -> pb.SubscribeEventsRequest:
        """What to send: the first time as wanted, later from where we stand."""
        asked = pb.SubscribeEventsRequest()
        asked.CopyFrom(self._wanted)
        if self.seq is not None:
            asked.after_seq = self.seq
        return asked

    def take(self, message: pb.SubscribeEventsResponse) -> None:
        """Move on by one message. Raises ClientError when another store answers."""
        match message.WhichOneof("message"):
            case "batch":
                if message.batch.events:
                    self.seq = message.batch.events[-1].seq
            case "confirmed":
                if self._store_id and self._store_id != message.confirmed.store_id:
                    raise ClientError(
                        "another store answers at this socket now; the position does not fit it",
                        reason="STORE_CHANGED",
                        hint="subscribe again from the start you want",
                    )
                self._store_id = message.confirmed.store_id
                if self.seq is None:
                    self.seq = message.confirmed.after_seq
            case "caught_up":
                self._advance(message.caught_up.seq)
            case "checkpoint":
                self._advance(message.checkpoint.seq)
            case "heartbeat":
                self._advance(message.heartbeat.seq)
            case _:
                pass  # fell_behind holds nothing: its seq is where the daemon goes on, and we know ours

    def _advance(self, seq: int) -> None:
        if self.seq is None or seq > self.seq:
            self.seq = seq
