"""Rows: catching up, live delivery, and appends beside readers."""

import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.bench.bench import Bench, each
from tests.bench.kage import ROOT, Bare, Kaged, Worker, kaged, measured

NODE = ROOT / "tests" / "clients" / "node"


def catch_up(bench: Bench) -> None:
    """One subscriber from the beginning of a long journal."""
    with kaged(bench.big_store()) as daemon, contextlib.closing(Bare(bench.big_store())) as bare:
        count = min(bench.big, int(600_000 * bench.seconds))
        told: dict[str, list[dict[str, Any]]] = {"kaged": [], "bare": []}
        for n in each(bench):  # in turns: both see the same machine
            for name, server in (("kaged", daemon), ("bare", bare)):
                after = n * count % (bench.big - count + 1)
                told[name].append(measured(server, "catch_up", after=after, count=count, batch=512))
        rates, limits = ([run["rate"] for run in told[name]] for name in ("kaged", "bare"))
        note = f"{count:,} of {bench.big:,} events each; CPU an event: {_cpu(told['kaged'])}"
        bench.figure("catch-up, Python client that parses", "ev/s", rates, goal=1e6, least=True, note=note)
        note = f"the same client and rows, no kaged between: what is possible here; CPU an event: {_cpu(told['bare'])}"
        bench.figure("catch-up from RocksDB and gRPC alone", "ev/s", limits, least=True, note=note)
        node, program = shutil.which("node"), NODE / "catchup.js"
        if node is None or not program.exists() or not (NODE / "node_modules").exists():
            bench.skip("catch-up, Node client that decodes", "needs node and `npm ci` in tests/clients/node")
            return
        rates = [_node(daemon, node, program) for _ in each(bench)]
        note = f"ReadEvents of all {bench.big:,}"
        bench.figure("catch-up, Node client that decodes", "ev/s", rates, goal=0.8e6, least=True, note=note)


def _cpu(runs: list[dict[str, Any]]) -> str:
    """The cheapest run of each side: other work on the machine only adds."""
    server, client = (min(run[side] for run in runs) for side in ("daemon_us", "client_us"))
    return f"server {server:.2f} us, client {client:.2f} us"


def _node(daemon: Kaged, node: str, program: Path) -> float:
    command = [node, str(program), daemon.socket, str(daemon.address.token_file)]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=300).stdout)
    rate: float = answer["events"] / answer["seconds"]
    return rate


def live(bench: Bench) -> None:
    """From before the send to the subscriber's hand: more than the goals ask for (they begin at the ack)."""
    for rate, subscribers, p50, p99 in ((2000, 1, 1, 3), (2000, 100, 10, 30), (50_000, 10, 2, 8)):
        with kaged(bench.new_folder()) as daemon:
            sync = bench.sync()
            runs = [
                measured(daemon, "live", rate=rate, subscribers=subscribers, seconds=bench.seconds,
                         per=1 if rate < 5000 else 50)
                for _ in each(bench)
            ]  # fmt: skip
        name = f"live, {rate // 1000}k ev/s, {subscribers} subscriber{'s' if subscribers > 1 else ''}"
        note = f"the acks alone: {min(run['ack_p50'] for run in runs):.1f} ms; CPU an event: {_cpu(runs)}"
        bench.figure(f"{name}: p50", "ms", [run["p50"] for run in runs], goal=p50, note=note)
        allowance = max(0.0, sync.p99 - 0.3)
        note = f"goal {p99} + {allowance:.1f} (raw fdatasync p99 - 0.3)"
        bench.figure(f"{name}: p99", "ms", [run["p99"] for run in runs], goal=p99 + allowance, note=note)


def beside(bench: Bench) -> None:
    """What readers cost those who append."""
    with kaged(bench.big_store()) as daemon:
        sync = bench.sync()
        place = {"socket": daemon.socket, "token": str(daemon.address.token_file)}
        alone = [measured(daemon, "paced", rate=200, seconds=bench.seconds)["p99"] for _ in each(bench)]
        bench.figure("append p99, nobody reads", "ms", alone)
        before = daemon.rss_mb()
        reader = Worker("stuck", after=0, **place)
        reader.go()
        time.sleep(0.3)
        runs = [measured(daemon, "paced", rate=200, seconds=bench.seconds)["p99"] for _ in each(bench)]
        grown = daemon.rss_mb() - before
        reader.end()
        least = sorted(alone)[len(alone) // 2]
        bench.figure("append p99 beside a stuck reader", "ms", runs, goal=max(least * 1.1, sync.p99 * 1.1))
        bench.figure("memory of a stuck reader", "MB", [max(0.0, grown)], goal=2)
        readers = [Worker("catch_up", after=0, count=bench.big, batch=256, parse=False, forever=True, **place)
                   for _ in range(10)]  # fmt: skip
        for worker in readers:
            worker.go()
        runs = [measured(daemon, "paced", rate=200, seconds=bench.seconds) for _ in each(bench)]
        for worker in readers:
            worker.end()
        bench.figure("append p50 beside 10 catch-up readers", "ms", [run["p50"] for run in runs])
        bench.figure(
            "append p99 beside 10 catch-up readers", "ms", [run["p99"] for run in runs], goal=sync.p99 + 5,
            note=f"raw fdatasync p99 {sync.p99:.2f} ms",
        )  # fmt: skip


SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static void nap(void) { struct timespec t = {0, 5000000}; nanosleep(&t, 0); }
int fdatasync(int fd) { static int (*r)(int); if (!r) r = dlsym(RTLD_NEXT, "fdatasync"); nap(); return r(fd); }
int fsync(int fd) { static int (*r)(int); if (!r) r = dlsym(RTLD_NEXT, "fsync"); nap(); return r(fd); }
"""


def slow_disk(bench: Bench) -> None:
    """A disk whose fsync takes 5 ms must not slow what does not write."""
    name = "unrelated RPC p99 while fsync takes 5 ms"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        bench.skip(name, "needs a C compiler")
        return
    folder = bench.new_folder()
    (folder / "slow.c").write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "slow.so", folder / "slow.c", "-ldl"], check=True)
    with kaged(folder / "state", env={"LD_PRELOAD": str(folder / "slow.so")}) as daemon:
        runs, alone = [], []
        for _ in each(bench):  # in turns: both see the same machine
            runs.append(measured(daemon, "unrelated", seconds=bench.seconds, callers=64, rate=200))
            alone.append(measured(daemon, "unrelated", seconds=bench.seconds, callers=0, rate=200)["p99"])
    rates = sorted(run["appended"] / bench.seconds for run in runs)
    note = f"beside {rates[len(rates) // 2]:,.0f} appends/s"
    bench.figure(name, "ms", [run["p99"] for run in runs], goal=2, note=note)
    bench.figure("the same RPC p99 while nobody appends", "ms", alone, note="what gRPC and the machine take")
