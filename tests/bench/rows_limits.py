"""Rows: what gRPC itself costs here, by version; and kaged on uvloop instead of asyncio's own loop.

The first guards the upper bound on grpcio (docs/decisions/0003-grpcio-bound.md), the second the choice of the loop
(docs/decisions/0004-uvloop.md). What is not in our environment is looked for in `.bench/` (`--rivals` puts it there).
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.bench import Bench, each
from tests.bench.kage import ROOT, kaged, measured

ECHO = ROOT / "tests" / "bench" / "echo.py"
UVLOOP = "import sys, uvloop; uvloop.install(); from kaged.cli import main; sys.exit(main())"


def grpcio(bench: Bench) -> None:
    """Echo, 64 callers: the best that a unary call could do."""
    newer = bench.cache / "grpcio"
    places: list[Path | None] = [None, newer] if newer.exists() else [None]
    told: list[list[dict[str, Any]]] = [[] for _ in places]
    for _ in each(bench):  # one after the other in each round, so that both see the same machine
        for runs, place in zip(told, places, strict=True):
            runs.append(_echo(bench, place))
    for runs in told:
        cpu = min(run["server_us"] for run in runs), min(run["client_us"] for run in runs)
        note = f"CPU of a call: server {cpu[0]:.0f} us, client {cpu[1]:.0f} us"
        name = f"grpcio {runs[0]['version']} alone: unary echo, 64 callers"
        bench.figure(name, "/s", [run["rate"] for run in runs], least=True, note=note)
    if len(places) == 1:
        bench.skip("a newer grpcio: unary echo", "not installed: `python -m tests.bench --rivals`")


def _echo(bench: Bench, place: Path | None) -> dict[str, Any]:
    env = {**os.environ, **({"PYTHONPATH": str(place)} if place else {})}
    socket = f"/tmp/kage-echo-{os.getpid()}.sock"
    server = subprocess.Popen(
        [sys.executable, str(ECHO), "serve", socket], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    server.stdout.readline()
    command = [sys.executable, str(ECHO), "call", socket, "64", str(bench.seconds)]
    run: dict[str, Any] = json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
    end, _ = server.communicate("\n")
    run["server_us"] = json.loads(end)["cpu_s"] / run["count"] * 1e6
    return run


def uvloop(bench: Bench) -> None:
    """The same daemon on either loop, run by run."""
    place = bench.cache / "uvloop"
    if importlib.util.find_spec("uvloop") is None and not place.exists():
        bench.skip("uvloop", "not installed: `python -m tests.bench --rivals`")
        return
    env = {"PYTHONPATH": str(place)}
    tasks: list[tuple[str, str, dict[str, Any]]] = [
        ("unary, 64 callers", "unary", {"callers": 64, "seconds": bench.seconds, "request_ids": False}),
        ("append stream, 64 callers", "append", {"callers": 64, "seconds": bench.seconds}),
        ("bulk", "bulk", {"events": int(60_000 * bench.seconds), "per": 1000, "in_flight": 8}),
    ]
    slow = {"KAGED_LOOP": "asyncio"}
    with (
        kaged(bench.new_folder(), env=slow) as plain,
        kaged(bench.new_folder(), env=env, program=("-c", UVLOOP)) as fast,
    ):
        for name, task, arguments in tasks:
            for loop, runs in _in_turns(bench, {"asyncio": plain, "uvloop": fast}, task, arguments).items():
                cpu = min(run["daemon_us"] for run in runs)
                rates = [run["rate"] for run in runs]
                bench.figure(f"{name}, {loop}", "ev/s", rates, least=True, note=f"daemon {cpu:.1f} us CPU an event")


def _in_turns(
    bench: Bench, daemons: dict[str, Any], task: str, arguments: dict[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    runs: dict[str, list[dict[str, Any]]] = {loop: [] for loop in daemons}
    for _ in each(bench):
        for loop, daemon in daemons.items():
            runs[loop].append(measured(daemon, task, **arguments))
    return runs
