"""The machine that the figures are of: its words, its raw fdatasync, and who else was using it meanwhile."""

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench.figures import percentile

TICKS = os.sysconf("SC_CLK_TCK")
_PACKAGES = ("grpcio", "protobuf", "rocksdict", "uvloop")


def words(folder: Path) -> list[str]:
    """What to print above the table."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    packages = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    return [
        f"{model}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {packages}; files on {_file_system(folder)}",
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _file_system(folder: Path) -> str:
    best = ("", "?")
    for line in _lines("/proc/mounts"):
        _, place, kind, *_ = line.split()
        if str(folder).startswith(place.rstrip("/") + "/") and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1]


def loop_ns(seconds: float = 0.2) -> float:
    """Median time of one round of a fixed loop: shared hosts slow down without saying so, and this shows it."""
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun, total = time.thread_time_ns(), 0
        for number in range(20_000):
            total += number * number
        took.append((time.thread_time_ns() - begun) / 20_000)
    return percentile(took, 0.5)


@dataclass(frozen=True, slots=True)
class Sync:
    """Raw append of 300 bytes and fdatasync, in ms."""

    p50: float
    p99: float


def fdatasync(folder: Path, seconds: float = 0.25) -> Sync:
    """Measure it now, where the stores are."""
    path = folder / "fdatasync.probe"
    took: list[float] = []
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC, 0o600)
    try:
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            os.write(fd, b"x" * 300)
            os.fdatasync(fd)
            took.append((time.perf_counter() - start) * 1e3)
    finally:
        os.close(fd)
        path.unlink()
    return Sync(percentile(took, 0.5), percentile(took, 0.99))


class Foreign:
    """CPU that processes outside of this bench used, in cores: all of the machine's minus our own tree's."""

    def __init__(self) -> None:
        self._all, self._own, self._at = _machine_s(), _tree_s(), time.monotonic()

    def cores(self) -> float:
        """Since it was made or last asked."""
        used, own, now = _machine_s(), _tree_s(), time.monotonic()
        cores = (used - self._all - max(0.0, own - self._own)) / max(now - self._at, 0.01)
        self._all, self._own, self._at = used, own, now
        return max(0.0, cores)


def _machine_s() -> float:
    user, nice, system, _idle, _iowait, irq, soft, steal, *_ = map(int, _lines("/proc/stat")[0].split()[1:])
    return (user + nice + system + irq + soft + steal) / TICKS


def _tree_s() -> float:
    """CPU of this process, of its living descendants and of those it has waited for."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    parents: dict[int, list[tuple[int, float]]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            used = sum(map(int, fields[11:15])) / TICKS
            parents.setdefault(int(fields[1]), []).append((int(entry.name), used))
    waiting = [os.getpid()]
    while waiting:
        for pid, used in parents.get(waiting.pop(), ()):
            total += used
            waiting.append(pid)
    return total


def cpu_s(pid: int) -> float:
    """CPU time of one process, all its threads, in nanoseconds and not in the 10 ms of /proc/<pid>/stat."""
    return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) gives on Linux


def memory_mb(pid: int, field: str = "Rss") -> float:
    """`Rss` or `Pss` of one process in MB (10^6 bytes)."""
    for line in _lines(f"/proc/{pid}/smaps_rollup"):
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def folder_bytes(folder: Path) -> int:
    """Bytes on disk of all files."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
