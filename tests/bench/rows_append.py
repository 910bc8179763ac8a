"""Rows: group commit in the store, unary appends, the pipelined stream, bulk."""

from pathlib import Path
from typing import Any

from tests.bench.bench import Bench, each
from tests.bench.kage import kaged, measured, work


def store(bench: Bench) -> None:
    """Group commit without a socket."""
    sync = bench.sync()
    runs = [_commit(bench, 256) for _ in each(bench)]
    bench.figure("store, 256 waiters", "ev/s", [run["rate"] for run in runs], goal=80_000, least=True, note=_cpu(runs))
    runs = [_commit(bench, 1) for _ in each(bench)]
    bench.figure("store, 1 waiter: p50", "ms", [run["p50"] for run in runs], goal=sync.p50 + 0.1, note=_raw(sync.p50))


def _commit(bench: Bench, waiters: int) -> dict[str, Any]:
    folder: Path = bench.new_folder()
    return work("group_commit", folder=str(folder), waiters=waiters, seconds=bench.seconds, most=200_000)


def unary(bench: Bench) -> None:
    """One AppendEvents for each event."""
    with kaged(bench.new_folder()) as daemon:
        sync = bench.sync()
        runs = [measured(daemon, "unary", callers=1, seconds=bench.seconds, request_ids=False) for _ in each(bench)]
        bench.figure(
            "unary AppendEvents, 1 caller: p50", "ms", [run["p50"] for run in runs], goal=sync.p50 + 0.7,
            note=_raw(sync.p50),
        )  # fmt: skip
        runs = [measured(daemon, "unary", callers=64, seconds=bench.seconds, request_ids=False) for _ in each(bench)]
        rates = [run["rate"] for run in runs]
        bench.figure("unary AppendEvents, 64 callers", "ev/s", rates, goal=7000, least=True, note=_cpu(runs))
        runs = [measured(daemon, "unary", callers=64, seconds=bench.seconds, request_ids=True) for _ in each(bench)]
        rates = [run["rate"] for run in runs]
        bench.figure("the same with request ids (stored for 24 h)", "ev/s", rates, least=True, note=_cpu(runs))


def stream(bench: Bench) -> None:
    """AsyncClient.append: concurrent calls share messages."""
    with kaged(bench.new_folder()) as daemon:
        sync = bench.sync()
        runs = [measured(daemon, "append", callers=1, seconds=bench.seconds) for _ in each(bench)]
        bench.figure(
            "append stream, 1 caller: p50", "ms", [run["p50"] for run in runs], goal=sync.p50 + 0.4, note=_raw(sync.p50)
        )
        sync = bench.sync()
        runs = [measured(daemon, "append", callers=64, seconds=bench.seconds) for _ in each(bench)]
        rates = [run["rate"] for run in runs]
        bench.figure("append stream, 64 callers", "ev/s", rates, goal=45_000, least=True, note=_cpu(runs))
        bench.figure(
            "append stream, 64 callers: p99", "ms", [run["p99"] for run in runs], goal=sync.p99 + 5, note=_raw(sync.p99)
        )
        runs = [measured(daemon, "append", callers=256, seconds=bench.seconds) for _ in each(bench)]
        rates = [run["rate"] for run in runs]
        bench.figure("append stream, 256 callers", "ev/s", rates, goal=70_000, least=True, note=_cpu(runs))


def bulk(bench: Bench) -> None:
    """1000 events a message, 8 messages in flight."""
    events = int(100_000 * bench.seconds)
    with kaged(bench.new_folder()) as daemon:
        runs = [measured(daemon, "bulk", events=events, per=1000, in_flight=8) for _ in each(bench)]
        rates = [run["rate"] for run in runs]
        bench.figure("bulk append, 1000 x 8 in flight", "ev/s", rates, goal=90_000, least=True, note=_cpu(runs))


def _cpu(runs: list[dict[str, Any]]) -> str:
    """The CPU of an event, which foreign load changes little: what a quiet core could do."""
    daemon = min(run["daemon_us"] for run in runs)
    return f"daemon {daemon:.1f} us CPU an event"


def _raw(value: float) -> str:
    return f"raw fdatasync {value:.2f} ms"
