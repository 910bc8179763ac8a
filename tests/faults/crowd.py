"""A process with many subscriptions that it does not read: `python -m tests.faults.crowd SOCKET TOKEN HOW_MANY`.

Prints `held N` once each has been confirmed or refused, and the reasons of the refused; then it waits to be killed.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return"
# (generated stubs are untyped)

import asyncio
import sys
from collections import Counter
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from kaged.api.v1 import event_service_pb2, event_service_pb2_grpc

_CHANNELS = 10


async def crowd(socket: str, token: str, count: int) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"unix:{socket}", options=options) for _ in range(_CHANNELS)]
    stubs = [event_service_pb2_grpc.EventServiceStub(channel) for channel in channels]
    request = event_service_pb2.SubscribeEventsRequest(after_seq=0)
    metadata = (("authorization", f"Bearer {token}"),)
    calls = [stubs[number % _CHANNELS].SubscribeEvents(request, metadata=metadata) for number in range(count)]
    found = Counter(await asyncio.gather(*map(_confirmed, calls)))
    print("held", found.pop("", 0), *(f"{reason} {times}" for reason, times in found.items()), flush=True)
    await asyncio.sleep(3600)


async def _confirmed(call: Any) -> str:
    """Read the first message and no more; the reason of a refusal."""
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        trailing: Any = error.trailing_metadata()
        info = error_details_pb2.ErrorInfo()
        for packed in status_pb2.Status.FromString(trailing["grpc-status-details-bin"]).details:
            packed.Unpack(info)
        return str(info.reason)
    return ""


if __name__ == "__main__":
    asyncio.run(crowd(sys.argv[1], sys.argv[2], int(sys.argv[3])))
