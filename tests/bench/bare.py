"""What a long read could be at best here: the same rows through RocksDB's iterator and gRPC, and nothing else.

    python -m tests.bench.bare STATE_FOLDER SOCKET      until it is killed

No identity, no rationing, no bounds, no filter, one iterator for the whole read: a limit and not a product.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Any

import grpc

from kaged.api.v1 import event_service_pb2 as pb
from kaged.store.rows.keys import pack_seq
from kaged.store.rows.rocks import RocksStore
from kaged.store.wire.record import varint


class Events:
    """SubscribeEvents of a store that nobody writes."""

    def __init__(self, state: Path) -> None:
        self._rows = RocksStore(state / "db")._families["events"]

    async def subscribe(self, raw: bytes, context: object) -> AsyncIterator[bytes]:
        """All rows after a position, joined."""
        request = pb.SubscribeEventsRequest.FromString(raw)
        rows = iter(self._rows.values(from_key=pack_seq(request.after_seq + 1)))
        while frames := list(islice(rows, request.max_batch)):
            joined = b"".join(frames)
            yield b"\n" + varint(len(joined)) + joined


async def main(state: str, socket: str) -> None:
    """Serve."""
    method: Any = grpc.unary_stream_rpc_method_handler(Events(Path(state)).subscribe)
    server = grpc.aio.server(options=(("grpc.http2.bdp_probe", 0),))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("kaged.api.v1.EventService", {"SubscribeEvents": method}),)
    )
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
