"""The rivals' clients, run in their own environment: prints rates as JSON. Imports nothing of Kage.

`rival_client.py redis|nats ADDRESS SECONDS`, `rival_client.py supervisord|circus ADDRESS FOLDER`
"""
# mypy: ignore-errors
# (it runs where neither our types nor our stubs are)

import asyncio
import contextlib
import json
import os
import sys
import time

clock = time.perf_counter
BODY = (b'{"step":1,"file":"src/module/file.py","ms":12,"text":"' + b"read write test build " * 20)[:298] + b'"}'


def percentile(values, share):
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


class Redis:
    async def open(self, address):
        import redis.asyncio

        self.line = redis.asyncio.Redis(unix_socket_path=address, max_connections=300)
        await self.line.delete("S")

    async def publish(self):
        await self.line.xadd("S", {b"d": BODY})

    async def publish_many(self, count):
        pipe = self.line.pipeline(transaction=False)
        for _ in range(count):
            pipe.xadd("S", {b"d": BODY})
        await pipe.execute()

    async def read(self, limit):
        last, seen = b"0", 0
        while seen < limit:
            found = await self.line.xread({"S": last}, count=512)
            if not found:
                break
            rows = found[0][1] if isinstance(found, list) else next(iter(found.values()))[0]
            seen += len(rows)
            last = rows[-1][0]
        return seen

    async def close(self):
        await self.line.aclose()


class Nats:
    async def open(self, address):
        import nats

        self.line = await nats.connect(address)
        self.stream = self.line.jetstream()
        with contextlib.suppress(Exception):
            await self.stream.delete_stream("S")
        await self.stream.add_stream(name="S", subjects=["S.*"], storage="file")

    async def publish(self):
        await self.stream.publish("S.a", BODY)

    async def publish_many(self, count):
        await asyncio.gather(*(self.stream.publish("S.a", BODY) for _ in range(count)))

    async def read(self, limit):
        done = asyncio.get_running_loop().create_future()
        seen = 0

        async def take(_):
            nonlocal seen
            seen += 1
            if seen == limit and not done.done():
                done.set_result(None)

        inbox = await self.stream.subscribe("S.a", cb=take, ordered_consumer=True)
        await done
        await inbox.unsubscribe()
        return seen

    async def close(self):
        await self.line.close()


async def loop_of(count, seconds, once):
    took = []
    end = clock() + seconds

    async def caller():
        while (begun := clock()) < end:
            await once()
            took.append(clock() - begun)

    begun = clock()
    await asyncio.gather(*(caller() for _ in range(count)))
    return took, clock() - begun


async def log_rates(kind, address, seconds):
    rival = Redis() if kind == "redis" else Nats()
    await rival.open(address)
    for _ in range(20):
        await rival.publish()
    rates = {}
    took, spent = await loop_of(1, seconds, rival.publish)
    rates["1 caller: p50"] = percentile(took, 0.5) * 1e3
    took, spent = await loop_of(64, seconds, rival.publish)
    rates["64 callers"] = len(took) / spent
    rates["64 callers: p99"] = percentile(took, 0.99) * 1e3
    took, spent = await loop_of(8, seconds, lambda: rival.publish_many(100))
    rates["100 x 8 in flight"] = len(took) * 100 / spent
    stored = len(took) * 100
    begun = clock()
    seen = await rival.read(stored)
    rates["catch-up read"] = seen / (clock() - begun)
    await rival.close()
    return rates


def wait_for_bytes(path):
    deadline = clock() + 20
    while clock() < deadline:
        try:
            if os.stat(path).st_size:
                return
        except FileNotFoundError:
            pass
        time.sleep(0.0005)
    raise TimeoutError(path)


def supervisord_rates(address, folder):
    from xmlrpc.client import ServerProxy

    from supervisor.xmlrpc import SupervisorTransport

    server = ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, "unix://" + address))
    took = []
    for number in range(20):
        begun = clock()
        server.supervisor.startProcess(f"quick:{number:03d}", False)
        wait_for_bytes(f"{folder}/quick-{number:03d}.out")
        took.append(clock() - begun)
    return {"p50": percentile(took, 0.5) * 1e3}


def circus_rates(address, folder):
    from circus.client import CircusClient

    client = CircusClient(endpoint=address, timeout=20)
    took = []
    for number in range(20):
        path = f"{folder}/quick-{number:03d}.out"
        properties = {"name": f"q{number}", "cmd": f"/bin/sh -c 'echo here > {path}'", "start": True}
        wanted = {"command": "add", "properties": {**properties, "options": {"respawn": False}}}
        begun = clock()
        while client.call(wanted)["status"] != "ok":  # it refuses while it still works on the one before
            time.sleep(0.05)
            begun = clock()
        wait_for_bytes(path)
        took.append(clock() - begun)
    return {"p50": percentile(took, 0.5) * 1e3}


def main():
    kind, address, rest = sys.argv[1:]
    if kind == "supervisord":
        rates = supervisord_rates(address, rest)
    elif kind == "circus":
        rates = circus_rates(address, rest)
    else:
        rates = asyncio.run(log_rates(kind, address, float(rest)))
    print(json.dumps(rates))


main()
