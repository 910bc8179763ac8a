"""The least that gRPC in Python costs: an echo server and callers, with whichever grpcio is on the path.

`echo.py serve SOCKET`, `echo.py call SOCKET CALLERS SECONDS`. Imports nothing of Kage, so that a newer grpcio and
its protobuf can be tried without touching ours.
"""

# mypy: ignore-errors
import asyncio
import json
import sys
import time

import grpc


async def echo(request, context):
    return request


async def serve(socket):
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    before = time.process_time()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps({"cpu_s": time.process_time() - before}), flush=True)


async def call(socket, callers, seconds):
    count = 0
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        stub = channel.unary_unary("/bench.Echo/Echo")
        await stub(b"x" * 300)
        cpu, begun = time.process_time(), time.perf_counter()
        end = begun + seconds

        async def caller():
            nonlocal count
            while time.perf_counter() < end:
                await stub(b"x" * 300)
                count += 1

        await asyncio.gather(*(caller() for _ in range(callers)))
        took = time.perf_counter() - begun
    us = (time.process_time() - cpu) / count * 1e6
    print(json.dumps({"version": grpc.__version__, "rate": count / took, "client_us": us, "count": count}))


if sys.argv[1] == "serve":
    asyncio.run(serve(sys.argv[2]))
else:
    asyncio.run(call(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
