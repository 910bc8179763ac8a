"""`python -m tests.bench`: every figure of issue 2's table in one run, beside the machine's own limits and rivals.

    --quick        one short run each, no big store: is it in the right order of magnitude?
    --full         10 M events instead of 2 M (builds that store once: some minutes, 2 GB in .bench/)
    --only NAME    groups whose name contains NAME; may be repeated
    --write        put the result into docs/benchmarks.md
    --rivals       install the rivals into .bench/rivals first (PyPI; Redis comes from your system's packages)

Exit code 0 however fast it is: this is not a test. Deliberately not here: comparing with earlier runs.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

from tests.bench import machine, rivals, rows_agents, rows_append, rows_idle, rows_limits, rows_read
from tests.bench.bench import Bench, Group
from tests.bench.figures import table
from tests.bench.kage import ROOT

GROUPS: dict[str, Group] = {
    "store": rows_append.store,
    "unary": rows_append.unary,
    "stream": rows_append.stream,
    "bulk": rows_append.bulk,
    "catch-up": rows_read.catch_up,
    "live": rows_read.live,
    "beside": rows_read.beside,
    "slow-disk": rows_read.slow_disk,
    "output": rows_agents.output,
    "spawn": rows_agents.spawn,
    "idle": rows_idle.idle,
    "ready": rows_idle.ready,
    "adopts": rows_idle.adopts,
    "small-reads": rows_idle.small_reads,
    "disk": rows_idle.disk,
    "ps": rows_idle.ps,
    "grpcio": rows_limits.grpcio,
    "uvloop": rows_limits.uvloop,
    "rivals-log": rivals.logs,
    "rivals-spawn": rivals.supervisors,
}
DOCUMENT = ROOT / "docs" / "benchmarks.md"
START, END = "<!-- figures: written by `make bench` with --write -->", "<!-- end of figures -->"


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Kage.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", action="append", metavar="NAME", help=", ".join(GROUPS))
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--rivals", action="store_true")
    options = parser.parse_args()
    bench = Bench(
        runs=1 if options.quick else 3,
        seconds=0.4 if options.quick else 1.0,
        big=200_000 if options.quick else 10_000_000 if options.full else 2_000_000,
    )
    try:
        if options.rivals:
            rivals.install(bench)
        head = machine.words(bench.folder)
        print("\n".join(head))
        begun = time.monotonic()
        for name, group in GROUPS.items():
            if not options.only or any(part in name for part in options.only):
                try:
                    group(bench)
                except Exception as error:  # one broken row must not hide the others
                    bench.skip(name, f"FAILED: {type(error).__name__}: {error}")
        bench.sync()
        report = _report(bench, head, time.monotonic() - begun)
    finally:
        bench.close()
    print("\n" + report)
    if options.write:
        _write(report)
    return 0


def _report(bench: Bench, head: list[str], seconds: float) -> str:
    p50 = median(sync.p50 for sync in bench.syncs)
    p99 = median(sync.p99 for sync in bench.syncs)
    load = sorted(bench.load) or [0.0]
    lines = [
        *head,
        f"raw append + fdatasync of 300 bytes: p50 {p50:.2f} ms, p99 {p99:.2f} ms ({len(bench.syncs)} probes)",
        f"a round of a fixed loop: {min(bench.loops_ns):.0f} to {max(bench.loops_ns):.0f} ns (45 at full speed)",
        f"other work on the machine meanwhile: {median(load):.2f} cores (median), {load[-1]:.2f} (most)",
        f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}; {bench.runs} runs each; took {seconds:.0f} s",
    ]
    return "\n".join(f"- {line}" for line in lines) + "\n\n" + table(bench.lines) + "\n"


def _write(report: str) -> None:
    text = DOCUMENT.read_text("utf-8") if DOCUMENT.exists() else f"# Benchmarks\n\n{START}\n{END}\n"
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    Path(DOCUMENT).write_text(f"{before}{START}\n\n{report}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
