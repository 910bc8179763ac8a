"""The shim: the small process that is an agent's parent, so that the agent outlives the daemon.

Started as `python -I -S shim.py <run folder> <gate fd>` from a lone copy of this file: nothing of Kage and
almost nothing of the standard library is imported. One shim serves one run; the files in the run folder are
its whole interface (docs/shim-protocol.md), so a compiled twin or an older shim can stand in for it.

    lock held -> meta.json -> gate -> agent.json -> exit.json -> sealed.json -> gone
                               |          |
                               |          `-> exit.json (exec_failed) -> sealed.json -> gone
                               `-> exit.json (not_started) -> sealed.json -> gone

Promises: the raw wait status of the agent is recorded, never a guess; every byte the agent wrote to a
captured stream is in the spool before `sealed.json` says so; a stop ends the whole tree or names what
survived; limits hold without a daemon. After the agent exists nothing here gives up: a full disk means
waiting, not losing. Idle, it sleeps in one poll() without a timer, unless a limit needs one.

Deliberately not here: restart policy, parsing of output, cgroups (the launcher puts the shim into one), any
socket. Linux-only facilities (subreaper, death signal, /proc) sit in small functions that answer "no"
elsewhere. `os`, `signal`, `json`, `ctypes` and `contextlib` are not imported, only their C halves: the
Python halves cost 1.5 MB of private memory in every shim (measured, docs/shim-protocol.md).
"""
# ruff: noqa: SIM105, PLC0415  (contextlib is one of the modules that cost; imports in functions are paid by few)

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import errno
import fcntl
import posix
import select
import sys
import time

try:
    from _json import encode_basestring_ascii as quote
    from _json import make_scanner
except ImportError:  # another Python implementation
    from json.encoder import encode_basestring_ascii as quote
    from json.scanner import make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

PROTOCOL = 1
VERSION = "2"

SPOOL_CHUNK = 128 * 1024  # measured: larger buys no speed, and the buffer is resident memory once used
PIPE_BYTES = 256 * 1024  # not 1 MiB: a user may pin 64 MiB of pipes, then every new pipe shrinks to 8 KiB
ROUND_CHUNKS = 8  # chunks of one stream before the other streams and control get their turn
LINE_LIMIT = 64 * 1024
BLOCK = 4096
LOCK_WAIT_S = 2.0  # a liveness probe may hold the lock for microseconds; another shim holds it for good
KILL_LIMIT_S = 10.0  # after this a process that SIGKILL did not end is reported as a survivor
DISK_RETRY_S = 0.25
HELD_LOOK_S = 1.0  # a held agent is let on by the bell; this is for a daemon that came back, and for other runs' room
HELD_SAID_S, HELD_OVER_S = 1.0, 5.0  # a hold shorter than the first is no news; a pause shorter than the second no end
DISK_STEP = 1 << 20
LAST_WORDS_BYTES = 1 << 20  # of an agent that is stopped because its spool is full
SPOOL_GIVE_UP_S = 60.0  # only for errors that are not "full", and only after every process is gone

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SIGINT, SIGKILL, SIGTERM = 2, 9, 15
SIGSTOP, SIGCONT, SIGCHLD = int(signal.SIGSTOP), int(signal.SIGCONT), int(signal.SIGCHLD)
KEPT_SIGNALS = frozenset({4, 5, 6, 7, 8, 9, 10, 11, 12}) - {int(signal.SIGUSR1), int(signal.SIGUSR2)}
LINUX = sys.platform == "linux"
FULL = (errno.ENOSPC, errno.EDQUOT)


# --- JSON, without the json package -------------------------------------------------------------------------


class _ScannerSettings:
    strict = False
    object_hook = object_pairs_hook = array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012  (the pure-Python scanner asks for it)


def loads(text: str) -> Any:
    """The value at the start of `text`. Raises ValueError on anything that is not JSON."""
    try:
        return make_scanner(_ScannerSettings)(text.strip(), 0)[0]  # type: ignore[arg-type]
    except (StopIteration, SystemError):  # SystemError: the C scanner looks for json.decoder's error class
        raise ValueError("not JSON") from None


def dumps(value: object) -> str:
    """JSON of dicts, lists, strings, whole numbers, booleans and None: all that records hold."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        return "{" + ", ".join(quote(str(key)) + ": " + dumps(item) for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(dumps(item) for item in value) + "]"
    raise TypeError(type(value).__name__)


def encode(text: str) -> bytes:
    """Bytes that are not UTF-8 travel through JSON as lone surrogates."""
    return text.encode("utf-8", "surrogateescape")


# --- the system, in small functions that say "no" where a facility is missing -------------------------------


def log(text: str) -> None:
    """One line to shim.log (our stderr): for people; nothing depends on it, so a full disk may eat it."""
    try:
        posix.write(2, encode(text + "\n"))
    except OSError:
        pass


def wall_us() -> int:
    return time.time_ns() // 1000


def boottime_ns() -> int:
    """Time since boot, suspend included where the system can tell."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def read_file(path: str, limit: int = 1 << 20) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        parts = []
        while limit > 0 and (part := posix.read(fd, min(limit, 65536))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        posix.close(fd)


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def said(program: str, *words: str) -> bytes:
    """What a program of the system prints; empty when it cannot be asked. For macOS, which has no /proc to read."""
    try:
        read, write = posix.pipe()
    except OSError:
        return b""
    try:
        try:
            pid = posix.posix_spawn(program, (program, *words), {}, file_actions=((posix.POSIX_SPAWN_DUP2, write, 1),))
        finally:
            posix.close(write)
        parts = []
        while part := posix.read(read, 65536):
            parts.append(part)
        posix.waitpid(pid, 0)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        posix.close(read)


def boot_id() -> str:
    """Names this boot; asked once, because a shim does not outlive it."""
    global _boot
    if _boot is None:
        try:
            _boot = read_file("/proc/sys/kernel/random/boot_id").decode().strip()
        except OSError:
            darwin = sys.platform == "darwin"  # as kaged/machine/macos.py has it: the two are compared
            _boot = said("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid").decode().strip() if darwin else ""
    return _boot


_boot: str | None = None


def stat_fields(pid: int | str) -> list[bytes]:
    """Fields of /proc/<pid>/stat from the third (state) on; empty: no such process."""
    try:
        return read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError:
        return []


def start_ticks(pid: int) -> int:
    fields = stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 else 0


def prctl(option: int, value: int) -> bool:
    """True when the kernel took it. Through the C half of ctypes: the package itself costs 0.4 MB."""
    if not LINUX:
        return False
    try:
        import _ctypes  # absent in interpreters built without libffi

        call: Any = _ctypes
        return bool(call.call_function(call.dlsym(call.dlopen(None, 0), "prctl"), (option, value, 0, 0, 0)) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def process_ids() -> list[int]:
    try:
        return [int(name) for name in posix.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def children_of(pid: int) -> list[int]:
    """Children of all threads of `pid`. Reliable for stopped processes, which is when it matters."""
    found: list[int] = []
    try:
        tasks = posix.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            found += [int(child) for child in read_file(f"/proc/{pid}/task/{task}/children").split()]
        except OSError:
            continue  # the thread ended
    return found


def table() -> dict[int, tuple[int, bytes]]:
    """Parent and state of every process: from /proc, else from ps."""
    found = {}
    for pid in process_ids():
        if fields := stat_fields(pid):
            found[pid] = int(fields[1]), fields[0]
    if not found:
        for line in said("/bin/ps", "-axo", "pid=,ppid=,stat=").splitlines():
            try:
                number, parent, state = line.split()
                found[int(number)] = int(parent), state[:1]
            except ValueError:
                continue
    return found


def descendants() -> list[int]:
    """All live processes below this one. With the subreaper set nothing can leave this set by forking."""
    me = posix.getpid()
    below: Callable[[int], list[int]] = children_of
    state: Callable[[int], bytes] = lambda pid: b"".join(stat_fields(pid)[:1])  # noqa: E731
    if not exists(f"/proc/{me}/task/{me}/children"):  # a kernel without CONFIG_PROC_CHILDREN, or no Linux
        known = table()
        children: dict[int, list[int]] = {}
        for pid, (parent, _) in known.items():
            children.setdefault(parent, []).append(pid)
        below = lambda pid: children.get(pid, [])  # noqa: E731
        state = lambda pid: known[pid][1] if pid in known else b""  # noqa: E731
    found: list[int] = []
    seen = {me}
    todo = list(below(me))
    while todo:
        pid = todo.pop()
        if pid not in seen:
            seen.add(pid)
            if state(pid) not in (b"", b"Z", b"X"):
                found.append(pid)
            todo += below(pid)
    return found


def carries(pid: int, mark: bytes) -> bool:
    try:
        return mark in read_file(f"/proc/{pid}/environ", 1 << 22).split(b"\0")
    except OSError:
        return False


def marked(mark: bytes) -> list[int]:
    """Processes anywhere on the machine whose environment carries this run's id."""
    me = posix.getpid()
    return [pid for pid in process_ids() if pid != me and carries(pid, mark)]


def send(pid: int, number: int, still_ours: Callable[[], bool] | None = None) -> bool:
    """Signal one process. The pidfd is opened before the check, so a reused pid is never hit."""
    try:
        fd = posix.pidfd_open(pid, 0) if hasattr(posix, "pidfd_open") else -1
    except OSError as error:
        if error.errno == errno.ESRCH:
            return False
        fd = -1  # a kernel or a sandbox without pidfds
    try:
        if still_ours is not None and not still_ours():
            return False
        if fd >= 0:
            signal.pidfd_send_signal(fd, number)
        else:
            posix.kill(pid, number)
        return True
    except OSError:
        return False
    finally:
        if fd >= 0:
            posix.close(fd)


def lock_is_held(path: str) -> bool | None:
    """Does any process hold a lock on this file? None: cannot be told. Two pure queries; no lock is ever
    taken, so a daemon that wants the lock can never be refused because a shim was looking at that moment.

    fcntl's F_GETLK sees byte-range locks everywhere, and flocks too on BSD, macOS and NFS; /proc/locks lists
    the flocks of Linux. The daemon takes both kinds (kaged/executors/daemon_lock.py): either query is enough.
    """
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        held = _range_lock_is_held(fd)
        if held or not LINUX:
            return held
        where = posix.fstat(fd)
    finally:
        posix.close(fd)
    try:
        table = read_file("/proc/locks", 1 << 24).decode("ascii", "replace").splitlines()
    except OSError:
        return held
    inode = f":{where.st_ino}"
    device = f"{posix.major(where.st_dev):02x}:{posix.minor(where.st_dev):02x}"
    for line in table:
        # "12: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF"; "12: -> FLOCK ..." only waits for the lock
        words = line.split()
        if len(words) < 6 or words[1] == "->" or not words[5].endswith(inode):
            continue
        # btrfs and overlayfs show another device number here than stat does (stat's major is then 0)
        if words[5] == device + inode or posix.major(where.st_dev) == 0:
            return True
    return False


def _range_lock_is_held(fd: int) -> bool | None:
    if sys.maxsize < 1 << 32:
        return None  # struct flock differs between 32-bit systems
    kind = fcntl.F_WRLCK.to_bytes(2, sys.byteorder)
    if LINUX:  # short type, short whence, pad, off_t start, off_t len, pid_t pid, pad
        query, at = kind + bytes(30), 0
    elif sys.platform == "darwin":  # off_t start, off_t len, pid_t pid, short type, short whence
        query, at = bytes(20) + kind + bytes(2), 20
    else:
        return None
    try:
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, query)
    except OSError:
        return None
    return int.from_bytes(answer[at : at + 2], sys.byteorder) != fcntl.F_UNLCK


# --- the parts of a run -------------------------------------------------------------------------------------


class BadSpecError(Exception):
    """spec.json cannot be used; nothing is started."""


class Spec:
    """What the daemon wants run. Unknown keys are ignored, so that a newer daemon can talk to this shim."""

    def __init__(self, text: str) -> None:
        try:
            raw = loads(text)
            if raw["protocol"] != PROTOCOL:
                raise BadSpecError(f"protocol {raw['protocol']!r}, this shim speaks {PROTOCOL}")
            self.run_id = str(raw["run_id"])
            self.argv = [encode(word) for word in raw["argv"]]
            self.env = {encode(name): encode(value) for name, value in raw["env"].items()}
            self.cwd = encode(raw["cwd"])
            self.stdin = str(raw.get("stdin", "null"))
            self.capture = str(raw.get("capture", "pipe"))
            self.merge_stderr = bool(raw.get("merge_stderr", False))
            pty = raw.get("pty") or {}
            self.rows, self.cols = int(pty.get("rows", 24)), int(pty.get("cols", 80))
            self.daemon_lock = str(raw.get("daemon_lock") or "")
            self.unsupervised_max_s = float(raw.get("unsupervised_max_s") or 0)
            self.wall_s = float(raw.get("wall_s") or 0)
            self.stop_signal = int(raw.get("stop_signal") or SIGTERM)
            self.grace_s = float(raw.get("grace_s", 10))
            self.linger_s = float(raw.get("linger_s", 2))
            self.spool_bytes = int(raw.get("spool_bytes") or 0)
            self.max_spool_bytes = int(raw.get("max_spool_bytes") or 0)
            self.keep_free_bytes = int(raw.get("keep_free_bytes") or 0)
            self.on_full = str(raw.get("on_full") or "pause")
        except BadSpecError:
            raise
        except Exception as error:
            raise BadSpecError(f"{type(error).__name__}: {error}") from None
        if not self.argv or self.stdin not in ("null", "pipe") or self.capture not in ("pipe", "file", "pty"):
            raise BadSpecError("argv, stdin or capture")
        if any(b"\0" in word for word in (*self.argv, *self.env, *self.env.values(), self.cwd)):
            raise BadSpecError("a NUL byte in argv, env or cwd")
        self.mark = encode("KAGE_RUN_ID=" + self.run_id)
        self.env[b"KAGE_RUN_ID"] = encode(self.run_id)


class Control:
    """ctl.log as orders. Pure: any chunking gives the same orders; garbage is skipped, n only grows."""

    def __init__(self) -> None:
        self.offset = 0
        self.done = 0
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        self.offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            self._rest = b"?"  # garbage without an end: keep its place, not its bytes
        orders = []
        for line in lines:
            try:
                order = loads(line.decode())
                number = order["n"]
                if isinstance(number, int) and number > self.done:
                    self.done = number
                    orders.append(order)
            except Exception:  # whatever it is, it is not an order, and the agent must not pay for it
                if line.strip(b"\0 \r"):
                    log(f"ctl.log: a line of {len(line)} bytes is not an order")
        return orders


class Backlog:
    """Captured output that no daemon has recorded yet, of this run and of all of them, against what may wait.

    `floors` are the first bytes that are neither recorded (the daemon says so in `consumed`) nor given up.
    """

    def __init__(self, spec: Spec) -> None:
        self.limit = spec.spool_bytes
        self.total = spec.max_spool_bytes
        self.keep_free = spec.keep_free_bytes  # of the disk, or a daemon that comes back finds no room to record in
        self.policy = spec.on_full
        self.spools: dict[str, int] = {}
        self.floors = {"out": 0, "err": 0}
        self.given_up = {"out": 0, "err": 0}
        self.full = ""  # the limit that is reached
        self.looked_at = self.disk_looked_at = 0  # bytes in our spools when all runs and the disk were last looked at
        self.number = 0  # of what was said; odd: that the agent is held
        self.since: float | None = None  # held since
        self.free_since = self.say_at = 0.0
        self.since_us = self.held_us = 0
        self.why = ""

    def sizes(self) -> dict[str, int]:
        return {name: posix.fstat(spool).st_size for name, spool in self.spools.items()}

    def waiting(self, sizes: dict[str, int]) -> int:
        return sum(max(0, sizes[name] - self.floors[name]) for name in sizes)

    def learn(self) -> None:
        for name, end in zip(self.floors, consumed("consumed"), strict=False):
            self.floors[name] = max(self.floors[name], end)

    def room(self) -> int:
        """How many bytes may be captured now, at most SPOOL_CHUNK; 0: `full` says why."""
        if not self.limit and not self.total and not self.keep_free:
            self.full = ""
            return SPOOL_CHUNK
        sizes = self.sizes()
        waiting = self.waiting(sizes)
        room = SPOOL_CHUNK
        if self.full or (self.limit and waiting + SPOOL_CHUNK > self.limit):
            self.learn()
            waiting = self.waiting(sizes)
        if self.limit:
            room = min(room, self.limit - waiting)
            # once held, not let on for a few bytes
            if room <= 0 or (self.full == "spool_bytes" and waiting > self.limit - self.limit // 4):
                self.full = "spool_bytes"
                return 0
        size = sum(sizes.values())
        step = min(max(self.total // 256, 1 << 20), 16 << 20)
        if self.total and (self.full or size - self.looked_at >= step):
            if waiting_everywhere() >= self.total:
                self.full = "max_spool_bytes"
                return 0
            self.looked_at = size
        if self.keep_free and (self.full or size - self.disk_looked_at >= DISK_STEP):
            if free_bytes() < self.keep_free:
                self.full = "keep_free_bytes"
                return 0
            self.disk_looked_at = size
        self.full = ""
        return room

    def give_up(self) -> bool:
        """Let go of the oldest output that waits, a quarter of what may, up to the end of a line. False: it cannot
        be done here. What goes is said first: a daemon that reads zeros finds out before it believes them."""
        self.learn()
        sizes = self.sizes()
        name = max(sizes, key=lambda name: sizes[name] - self.floors[name])
        start, size, spool = self.floors[name], sizes[name], self.spools[name]
        if start >= size or not punch(spool, size + BLOCK - size % BLOCK, BLOCK):  # beyond its end: only a question
            return False
        end = min(size, start + max((self.limit or self.total or size - start) // 4, BLOCK))
        fd = posix.open(name + ".log", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            line = posix.pread(fd, LINE_LIMIT, end).find(b"\n")
        finally:
            posix.close(fd)
        end = min(size, end + line + 1)
        before, self.given_up[name] = self.given_up[name], end
        try:
            self.write()
        except OSError as error:
            self.given_up[name] = before
            log(f"backlog.json: {error.strerror}; nothing is given up")
            return False
        self.floors[name] = end
        start -= start % BLOCK
        punch(spool, start, end - end % BLOCK - start)
        return True

    def write(self) -> None:
        self.why = self.full or self.why
        record: dict[str, object] = {"number": self.number, "why": self.why, "since_us": self.since_us}
        record["held_us"] = self.held_us
        record["waiting"] = self.waiting(self.sizes())
        limits = {"max_spool_bytes": self.total, "keep_free_bytes": self.keep_free}
        record["limit"] = limits.get(self.why, self.limit)
        record["out_given_up"], record["err_given_up"] = self.given_up["out"], self.given_up["err"]
        write_record("backlog.json", record | moment())

    def note(self, held: bool, now: float) -> None:
        """Keep account of holding the agent, and say so when it lasts."""
        if held and self.since is None:
            self.since = now
            if self.number % 2 == 0 and now - self.free_since > HELD_OVER_S:
                self.since_us, self.held_us = wall_us(), 0
        elif not held and self.since is not None:
            self.held_us += int((now - self.since) * 1e6)
            self.since, self.free_since = None, now
        if (due := self.due()) is not None and now >= due:
            self.number += 1
            try:
                self.write()
            except OSError:  # a full disk
                self.number -= 1
                self.say_at = now + HELD_LOOK_S

    def due(self) -> float | None:
        """When there is something to say."""
        if self.number % 2:
            return None if self.since is not None else max(self.say_at, self.free_since + HELD_OVER_S)
        return None if self.since is None else max(self.say_at, self.since + HELD_SAID_S - self.held_us / 1e6)


def consumed(path: str) -> list[int]:
    """How far a daemon has recorded a run's two spools, in bytes; empty: not known."""
    try:
        return [int(word) for word in read_file(path, 64).split()][:2]
    except (OSError, ValueError):
        return []


def waiting_everywhere() -> int:
    """Captured bytes of all runs that are not recorded yet, nor given up."""
    found = 0
    try:
        runs = posix.listdir("..")
    except OSError:
        return 0
    for run in runs:
        done = consumed(f"../{run}/consumed") or [0, 0]
        for name, end in zip(("out", "err"), done, strict=False):
            try:
                spool = posix.stat(f"../{run}/{name}.log")
            except OSError:
                continue  # its run is over
            found += max(0, min(spool.st_size - end, spool.st_blocks * 512))
    return found


def free_bytes() -> int:
    """Room on the disk of the run folder, as far as we may use it."""
    disk = posix.statvfs(".")
    return disk.f_bavail * disk.f_frsize


def punch(fd: int, start: int, length: int) -> bool:
    """Give back the blocks of a range of a file, both in whole blocks. False: it cannot be done here."""
    if length <= 0:
        return True
    try:
        if not LINUX:  # macOS: F_PUNCHHOLE of {flags, reserved, offset, length}
            fcntl.fcntl(fd, 99, b"".join(number.to_bytes(8, sys.byteorder) for number in (0, start, length)))
            return True
        import _ctypes

        call: Any = _ctypes
        wide = type("wide", (call._SimpleCData,), {"_type_": "q"})
        libc = call.dlopen(None, 0)
        try:
            fallocate = call.dlsym(libc, "fallocate64")
        except OSError:
            fallocate = call.dlsym(libc, "fallocate")
        # 3: keep the size, make a hole
        return bool(call.call_function(fallocate, (fd, 3, wide(start), wide(length))) == 0)
    except (ImportError, OSError, AttributeError):
        return False


class Pump:
    """One captured stream: source (pipe or pty master) -> append-only spool. Drops no byte it has read."""

    buffer = bytearray(0)  # one for all streams: it is empty between two calls

    def __init__(self, source: int, spool: int, room: Callable[[], int]) -> None:
        self.source = source
        self.spool = spool
        self.room = room
        self.pending = b""
        self.retry_at = 0.0
        self.error = 0
        posix.set_blocking(source, False)

    def wants_read(self) -> bool:
        return self.source >= 0 and not self.pending

    def step(self, now: float) -> bool:
        """Move what is there, a bounded amount. True: there may be more."""
        if self.pending and (now < self.retry_at or not self._store(self.pending, now)):
            return False
        if self.source < 0:
            return False
        for _ in range(ROUND_CHUNKS):
            room = self.room()
            if room <= 0:
                return False
            try:
                size = posix.readv(self.source, [memoryview(self.buffer)[:room]])
            except BlockingIOError:
                return False
            except OSError:  # EIO: the last holder of the terminal closed it
                size = 0
            if size == 0:
                self.close()
                return False
            if not self._store(memoryview(self.buffer)[:size], now):
                return False
        return True

    def _store(self, data: bytes | memoryview, now: float) -> bool:
        """All `data` is in the spool, or the rest is pending (disk full: the pipe then stops the agent)."""
        done = 0
        try:
            while done < len(data):
                done += posix.write(self.spool, data[done:])
        except OSError as error:
            self.pending = bytes(data[done:])
            self.retry_at = now + DISK_RETRY_S
            if self.error != error.errno:
                self.error = error.errno or errno.EIO
                log(f"spool: {posix.strerror(self.error)}; the agent waits")
            return False
        self.pending = b""
        self.error = 0
        return True

    def close(self) -> None:
        if self.source >= 0:
            posix.close(self.source)
            self.source = -1


class Shim:
    """One run, from the gate to the sealed record."""

    def __init__(self, spec: Spec, folder: int) -> None:
        self.spec = spec
        self.folder = folder
        self.control = Control()
        self.backlog = Backlog(spec)
        self.frozen = False  # held by SIGSTOP, because its output does not come by us
        self.pumps: list[Pump] = []
        self.spools: dict[str, int] = {}
        self.records: list[tuple[str, dict[str, object], bool]] = []  # still to be written, in this order
        self.records_retry_at = 0.0
        self.agent = 0
        self.exec_status = -1  # read end of the pipe that closes when exec has worked
        self.exec_failure: dict[str, object] | None = None
        self.reaped = False  # the direct child
        self.childless = False
        self.feed = -1  # where stdin goes: pipe write end or pty master
        self.feed_is_tty = False
        self.slave = -1
        self.inputs = -1
        self.in_consumed = 0
        self.feed_blocked = False
        self.rung = self.input_due = True  # what was written before we came counts like what rings later
        self.stopped_by: str | None = None
        self.kill_at: float | None = None
        self.kill_until: float | None = None
        self.kill_rounds = 0
        self.survivors: list[int] = []
        self.given_up = False
        self.childless_at = 0.0
        self.wall_at: float | None = None
        self.probe_s = min(60.0, max(1.0, spec.unsupervised_max_s / 10))
        self.probe_at: float | None = None
        self.free_since: float | None = None

    # -- before the agent: any failure here means "nothing was started" --

    def spawn(self) -> None:
        spec = self.spec
        null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        self.bell = open_bell()
        wake_r, wake_w = posix.pipe()
        posix.set_blocking(wake_r, False)
        posix.set_blocking(wake_w, False)
        self.wake = wake_r
        signal.signal(SIGCHLD, lambda *_: None)  # the wake-up fd does the work; a handler must exist
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        self.spools["out"] = open_spool("out.log")
        self.spools["err"] = open_spool("err.log")
        stdin, sources, theirs = null, [], [null]
        if spec.capture == "pty":
            master, self.slave = posix.openpty()
            for fd in (master, self.slave):
                posix.set_inheritable(fd, False)
            resize(master, spec.rows, spec.cols)
            stdout = stderr = self.slave
            sources.append((master, self.spools["out"]))
            if spec.stdin == "pipe":
                stdin, self.feed, self.feed_is_tty = self.slave, master, True
        elif spec.capture == "file":
            stdout, stderr = self.spools["out"], self.spools["out" if spec.merge_stderr else "err"]
        else:
            source, stdout = wide_pipe()
            sources.append((source, self.spools["out"]))
            stderr = stdout
            theirs.append(stdout)
            if not spec.merge_stderr:
                source, stderr = wide_pipe()
                sources.append((source, self.spools["err"]))
                theirs.append(stderr)
        if spec.stdin == "pipe":
            self.inputs = posix.open("in.log", posix.O_RDONLY | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
            if not self.feed_is_tty:
                stdin, self.feed = posix.pipe()
                theirs.append(stdin)
                posix.set_blocking(self.feed, False)
        if sources:
            Pump.buffer = bytearray(SPOOL_CHUNK)
        self.backlog.spools = self.spools
        self.pumps = [Pump(source, spool, self.backlog.room) for source, spool in sources]
        self.exec_status, report = posix.pipe()
        posix.set_blocking(self.exec_status, False)
        parent = posix.getpid()
        self.agent = posix.fork()
        if self.agent == 0:
            become_agent(spec, parent, report, (stdin, stdout, stderr), spec.capture == "pty")
        posix.close(report)
        for fd in theirs:
            posix.close(fd)
        now = time.monotonic()
        if spec.wall_s > 0:
            self.wall_at = now + spec.wall_s
        if spec.unsupervised_max_s > 0 and spec.daemon_lock:
            self.probe_at = now + self.probe_s
        spec.env = {}  # secrets do not stay in our memory

    # -- the loop --

    def run(self) -> None:
        """Turn until the run is sealed. A surprise costs a pause, never the agent its parent."""
        while True:
            try:
                if self.turn():
                    return
            except Exception as error:
                log(f"{type(error).__name__}: {error}")
                time.sleep(DISK_RETRY_S)

    def turn(self) -> bool:
        """Everything there is to do now, then a sleep. True: the run is sealed."""
        now = time.monotonic()
        self.settle_exec()
        if self.rung and self.exec_status < 0:
            self.obey()
            self.rung = False
        more = False
        for pump in self.pumps:
            more = pump.step(now) or more
        more = self.mind_backlog(now) or more
        if self.input_due:
            self.input_due = self.push_input()
        self.reap(now)
        self.enforce(now)
        self.write_records(now)
        if (self.childless or self.given_up) and self.drained(now):
            return True
        self.wait(0.0 if more or self.input_due else None)
        return False

    def wait(self, timeout_s: float | None) -> None:
        """Sleep until a file descriptor or the next deadline needs us."""
        poll = select.poll()
        poll.register(self.bell, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        now = time.monotonic()
        # Once nobody is left to end, the end of a grace wakes nobody: what is waited for then is room on the disk.
        kill_at = None if self.childless else self.kill_at
        due = [kill_at, self.wall_at, self.probe_at, self.backlog.due()]
        held = self.backlog.full != ""
        if held or (not self.pumps and (self.backlog.limit or self.backlog.total or self.backlog.keep_free)):
            due.append(now + HELD_LOOK_S)
        if self.records:
            due.append(self.records_retry_at)
        for pump in self.pumps:
            if pump.pending:
                due.append(pump.retry_at)
            elif pump.source >= 0 and not held:
                poll.register(pump.source, select.POLLIN)
        if self.exec_status >= 0:
            poll.register(self.exec_status, select.POLLIN)
        if self.feed >= 0 and self.feed_blocked:
            reads = self.feed_is_tty and self.pumps[0].wants_read() and not held
            events = select.POLLOUT | (select.POLLIN if reads else 0)
            poll.register(self.feed, events)
        if timeout_s is None and (left := [moment - now for moment in due if moment is not None]):
            timeout_s = max(0.001, min(left))
        ready = {fd for fd, _ in poll.poll(None if timeout_s is None else timeout_s * 1000)}
        if self.bell in ready:
            self.rung = self.input_due = True
        if self.feed in ready:
            self.input_due = True
        for fd in ready & {self.bell, self.wake}:
            try:
                while len(posix.read(fd, 512)) == 512:
                    pass
            except OSError:
                pass

    def mind_backlog(self, now: float) -> bool:
        """More output waits than may: hold the agent, stop it, or give up the oldest. True: there is room again."""
        backlog = self.backlog
        if self.reaped and self.frozen:
            self.frozen = False
        if not self.pumps and not self.reaped:
            backlog.room()  # with `capture: file` nothing else asks
        if backlog.full and backlog.policy == "drop_oldest" and backlog.give_up():
            backlog.full = ""
            return True
        to_stop = (
            backlog.full not in ("", "keep_free_bytes") and backlog.policy == "stop"
        )  # a full disk is not its doing
        if to_stop and not self.stopped_by and not self.reaped:
            self.stop(backlog.full, self.spec.stop_signal, self.spec.grace_s)
            backlog.limit, backlog.total = backlog.waiting(backlog.sizes()) + LAST_WORDS_BYTES, 0
            backlog.full = ""
            return True
        held = backlog.full != "" and not self.reaped
        backlog.note(held, now)
        if not self.pumps and held != self.frozen and self.kill_at is None and not self.reaped:
            self.frozen = held
            self.signal_group(SIGSTOP if held else SIGCONT)
        return False

    def settle_exec(self) -> None:
        """Learn what became of exec: end of file = it worked, bytes = why not."""
        if self.exec_status < 0:
            return
        try:
            report = posix.read(self.exec_status, 64)
        except BlockingIOError:
            return
        posix.close(self.exec_status)
        self.exec_status = -1
        if report:
            stage, number = report.decode().split()
            self.exec_failure = exec_failure(stage, int(number))
        elif (ticks := start_ticks(self.agent)) or not LINUX:
            found = {"pid": self.agent, "start_ticks": ticks, "session": self.agent}
            self.record("agent.json", found | moment())

    def push_input(self) -> bool:
        """in.log -> stdin. The place in the file is all the state there is: a repeated write of the daemon at
        the same offset changes nothing, and what a full pipe did not take is simply read again."""
        self.feed_blocked = False
        if self.feed < 0:
            return False
        try:
            limit: int | None = int(read_file("in.eof", 32).strip() or b"-1")
        except OSError:
            limit = None
        except ValueError:
            limit = -1
        # in.eof is looked at before the data: all that was written before it is then visible to the read
        chunk = posix.pread(self.inputs, 65536, self.in_consumed)
        if not chunk:
            if limit is not None and self.in_consumed >= limit:
                self.end_input()
            return False
        try:
            self.in_consumed += posix.write(self.feed, chunk)
        except BlockingIOError:
            self.feed_blocked = True
            return False
        except OSError:  # EPIPE: nobody will ever read the rest
            self.end_input(hang_up=True)
            return False
        return True

    def end_input(self, *, hang_up: bool = False) -> None:
        if self.feed_is_tty:
            if not hang_up:  # ^D: twice when it would only end the unfinished line
                last = posix.pread(self.inputs, 1, self.in_consumed - 1) if self.in_consumed else b"\n"
                try:
                    posix.write(self.feed, b"\x04" if last == b"\n" else b"\x04\x04")
                except OSError:
                    pass
        else:
            posix.close(self.feed)
        self.feed = -1

    def obey(self) -> None:
        """New lines of ctl.log, each once."""
        try:
            fd = posix.open("ctl.log", posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            return
        try:
            while data := posix.pread(fd, 65536, self.control.offset):
                for order in self.control.feed(data):
                    try:
                        self.apply(order)
                    except Exception as error:  # a bad order must not cost the agent its parent
                        log(f"ctl.log: order {self.control.done}: {type(error).__name__} {error}")
        finally:
            posix.close(fd)

    def apply(self, order: dict[str, Any]) -> None:
        op = order.get("op")
        if op == "signal":
            number = int(order["signal"])
            if order.get("whole_tree"):
                for pid in descendants():
                    send(pid, number)
            else:
                self.signal_group(number)
        elif op == "stop":
            number = int(order.get("signal") or self.spec.stop_signal)
            self.stop("request", number, float(order.get("grace_s", self.spec.grace_s)))
        elif op == "resize":
            if self.spec.capture == "pty" and self.pumps[0].source >= 0:
                resize(self.pumps[0].source, int(order["rows"]), int(order["cols"]))
        else:
            log(f"ctl.log: unknown order {op!r}")

    def signal_group(self, number: int) -> None:
        """To the agent's process group, only while it is not reaped: the id cannot be anyone else's."""
        if self.reaped:
            return
        try:
            posix.killpg(self.agent, number)
        except OSError as error:
            log(f"signal {number}: {error.strerror}")

    def stop(self, reason: str, number: int, grace_s: float) -> None:
        """Ask, and set the moment from which we do not ask. A second stop can only shorten the grace."""
        if not self.reaped:
            self.stopped_by = self.stopped_by or reason
            if self.exec_status >= 0:
                grace_s = 0  # exec itself hangs (a dead network disk): no group to ask yet
            else:
                self.signal_group(number)
                self.signal_group(SIGCONT)  # a paused agent could not hear
        else:
            grace_s = 0  # its main process is gone: nobody is left to ask
        self.end_by(time.monotonic() + max(0.0, grace_s))

    def end_by(self, moment: float) -> None:
        if self.kill_until is None:
            self.kill_at = moment if self.kill_at is None else min(self.kill_at, moment)

    def reap(self, now: float) -> None:
        """Collect the agent and, as the subreaper, everything it left behind."""
        if LINUX and self.exec_status >= 0 and not self.reaped:
            # A program that came and went: once it is collected, nothing tells its start time any more.
            try:
                if posix.waitid(posix.P_PID, self.agent, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT):
                    self.settle_exec()
            except ChildProcessError:
                pass
        while not self.childless:
            try:
                pid, status, usage = posix.wait4(-1, posix.WNOHANG)
            except ChildProcessError:
                self.childless = True
                self.childless_at = now
                return
            if pid == 0:
                return
            if pid == self.agent and not self.reaped:
                self.settle_exec()  # the pipe is closed by now, so this knows
                self.reaped = True
                self.on_exit(status, usage)
                self.end_by(now + max(0.0, self.spec.linger_s))

    def on_exit(self, status: int, usage: Any) -> None:
        if self.slave >= 0:
            posix.close(self.slave)
            self.slave = -1
        self.wall_at = self.probe_at = None
        # ru_maxrss is in bytes on macOS, kilobytes elsewhere
        maxrss_kb = usage.ru_maxrss // 1024 if sys.platform == "darwin" else usage.ru_maxrss
        found: dict[str, object] = {"kind": "exited"}
        if self.exec_failure is not None:
            found = {"kind": "exec_failed", **self.exec_failure}
        else:
            found["status"] = status
            found["code"] = posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else None
            found["signal"] = posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else None
            found["core"] = bool(posix.WCOREDUMP(status))
        found["run_id"] = self.spec.run_id
        found["stopped_by"] = self.stopped_by
        found["utime_us"] = int(usage.ru_utime * 1e6)
        found["stime_us"] = int(usage.ru_stime * 1e6)
        found["maxrss_kb"] = maxrss_kb
        found["oom_kills"] = oom_kills(self.spec.run_id)
        self.record("exit.json", found | moment(), durable=True)

    def enforce(self, now: float) -> None:
        """Deadlines: the run's wall time, the dead man's switch, the end of a grace."""
        if self.wall_at is not None and now >= self.wall_at:
            self.wall_at = None
            self.stop("wall_time", self.spec.stop_signal, self.spec.grace_s)
        if self.probe_at is not None and now >= self.probe_at:
            self.probe_at = now + self.probe_s
            if lock_is_held(self.spec.daemon_lock) is not False:
                self.free_since = None  # "cannot tell" is never "dead"
            elif self.free_since is None:
                self.free_since = now
            elif now - self.free_since >= self.spec.unsupervised_max_s:
                self.probe_at = None
                self.stop("unsupervised", self.spec.stop_signal, self.spec.grace_s)
        if self.kill_at is not None and now >= self.kill_at and not self.childless:
            self.kill_tree(now)

    def kill_tree(self, now: float) -> None:
        """One round of ending everything. Rounds repeat until nothing is left or the limit is over.

        The first round stops all before it kills any, so a tree that forks cannot outrun the walk. The scan
        of environments comes last: it reaches what a foreign parent (a server, a queue) started for us.
        """
        if self.kill_until is None:
            self.kill_until = now + KILL_LIMIT_S
            seen: set[int] = set()
            for _ in range(16):
                fresh = [pid for pid in descendants() if pid not in seen]
                if not fresh:
                    break
                for pid in fresh:
                    send(pid, SIGSTOP)
                seen.update(fresh)
        self.kill_rounds += 1
        for pid in descendants():
            send(pid, SIGKILL)
        if not self.reaped:
            send(self.agent, SIGKILL)  # also where there is no /proc to walk
            self.signal_group(SIGKILL)
        if now >= self.kill_until:
            self.given_up = True
            self.kill_at = None
            return
        self.kill_at = now + min(0.05, 0.002 * self.kill_rounds)

    def sweep_marked(self) -> None:
        """After a kill: end, or name, whoever still carries the run's id."""
        limit = time.monotonic() + 1.0
        while found := marked(self.spec.mark):
            for pid in found:
                send(pid, SIGKILL, lambda pid=pid: carries(pid, self.spec.mark))  # type: ignore[misc]
            if time.monotonic() >= limit:
                break
            time.sleep(0.005)
        self.survivors = sorted({*found, *descendants()})

    def drained(self, now: float) -> bool:
        """Nobody of the tree is left to write. Take what the pipes still hold, then seal."""
        self.backlog.limit = self.backlog.total = self.backlog.keep_free = 0
        for pump in self.pumps:
            for _ in range(16):  # a full pipe is one step; a stranger who holds it and writes on may not hold us
                if not pump.step(now):
                    break
        stuck = [pump for pump in self.pumps if pump.pending]
        if stuck and not all(pump.error not in FULL and now - self.childless_at > SPOOL_GIVE_UP_S for pump in stuck):
            return False
        if self.records:
            return False  # exit.json first
        if self.kill_until is not None:
            self.sweep_marked()
        self.seal(sum(len(pump.pending) for pump in stuck))
        return True

    def seal(self, unwritten: int) -> None:
        """The spools reach the disk before the record that vouches for their size."""
        durable = True
        for spool in self.spools.values():
            try:
                posix.fsync(spool)
            except OSError as error:
                durable = False
                log(f"fsync of a spool: {error.strerror}")
        record = sealed_record(
            self.spec.run_id,
            how="no_children" if self.kill_until is None else "killed",
            out_size=posix.fstat(self.spools["out"]).st_size,
            err_size=posix.fstat(self.spools["err"]).st_size,
            in_consumed=self.in_consumed,
            ctl_done=self.control.done,
            survivors=self.survivors,
            durable=durable,
            unwritten=unwritten,
        )
        self.record("sealed.json", record, durable=True)
        while self.records:
            self.write_records(time.monotonic())
            if self.records:
                time.sleep(DISK_RETRY_S)

    # -- records --

    def record(self, name: str, value: dict[str, object], *, durable: bool = False) -> None:
        self.records.append((name, value, durable))
        self.write_records(time.monotonic())

    def write_records(self, now: float) -> None:
        """Oldest first; a full disk keeps them in memory (and us alive) until there is room.

        Once somebody has deleted the run's folder there is no place for them, and nobody who could ask.
        """
        while self.records and now >= self.records_retry_at:
            name, value, durable = self.records[0]
            try:
                write_record(name, value, self.folder if durable else -1)
            except OSError as error:
                self.records_retry_at = now + DISK_RETRY_S
                log(f"{name}: {error.strerror}")
                if not folder_is_gone():
                    return
            del self.records[0]
            self.records_retry_at = 0.0


def oom_kills(run_id: str) -> int:
    """How many processes the kernel ended in this run's cgroup for want of memory; 0 where it has none of its own."""
    files = []
    try:
        for line in read_file("/proc/self/cgroup", 1 << 16).decode("utf-8", "surrogateescape").splitlines():
            _, controllers, path = line.split(":", 2)
            if not path.endswith("/kage-" + run_id + ".scope"):
                continue
            if not controllers:
                files += ["/sys/fs/cgroup" + top + path + "/memory.events" for top in ("", "/unified")]
            elif "memory" in controllers.split(","):
                files.append("/sys/fs/cgroup/memory" + path + "/memory.oom_control")
    except (OSError, ValueError):
        pass
    for name in files:
        try:
            for line in read_file(name, 1 << 12).decode("ascii").splitlines():
                if line.startswith("oom_kill "):
                    return int(line[9:])
        except (OSError, ValueError):
            pass
    return 0


def moment() -> dict[str, object]:
    return {"wall_us": wall_us(), "boottime_ns": boottime_ns(), "boot_id": boot_id()}


def exec_failure(stage: str, number: int) -> dict[str, object]:
    words = posix.strerror(number)
    return {"stage": stage, "errno": number, "strerror": words, "cwd_missing": stage == "cwd"}


def sealed_record(
    run_id: str,
    *,
    how: str = "no_children",
    out_size: int = 0,
    err_size: int = 0,
    in_consumed: int = 0,
    ctl_done: int = 0,
    survivors: list[int] | tuple[()] = (),
    durable: bool = True,
    unwritten: int = 0,
) -> dict[str, object]:
    return moment() | {
        "run_id": run_id,
        "how": how,
        "out_size": out_size,
        "err_size": err_size,
        "in_consumed": in_consumed,
        "ctl_done": ctl_done,
        "survivors": survivors,
        "durable": durable,
        "unwritten": unwritten,
    }


def write_record(name: str, value: dict[str, object], folder: int = -1) -> None:
    """A whole record or none: tmp, rename. With `folder` (its fd) also safe against a power cut."""
    data = encode(dumps(value) + "\n")
    fd = posix.open(name + ".tmp", posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600)
    try:
        done = 0
        while done < len(data):
            done += posix.write(fd, data[done:])
        if folder >= 0:
            posix.fsync(fd)
    finally:
        posix.close(fd)
    posix.rename(name + ".tmp", name)
    if folder >= 0:
        posix.fsync(folder)


def folder_is_gone() -> bool:
    """Whether the run's folder, in which we stand, was deleted. Then nothing can be written into it ever again."""
    try:
        posix.getcwd()
    except FileNotFoundError:
        return True
    except OSError:  # a disk that is ill is not a folder that is gone
        pass
    return False


def open_spool(name: str) -> int:
    return posix.open(name, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC, 0o600)


def open_bell() -> int:
    try:
        posix.mkfifo("bell", 0o600)
    except FileExistsError:
        pass
    return posix.open("bell", posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC)


def wide_pipe() -> tuple[int, int]:
    read, write = posix.pipe()
    try:
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (OSError, AttributeError):
        pass  # the default size works too
    return read, write


def resize(terminal: int, rows: int, cols: int) -> None:
    import termios  # only runs with a terminal pay for it (0.1 MB)

    size = b"".join(number.to_bytes(2, sys.byteorder) for number in (rows, cols, 0, 0))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def become_agent(spec: Spec, parent: int, report: int, stdio: tuple[int, int, int], terminal: bool) -> NoReturn:
    """In the forked child: turn into the agent, or tell the shim which step failed and why."""
    stage = "setup"
    try:
        posix.setsid()
        prctl(PR_SET_PDEATHSIG, SIGKILL)
        if posix.getppid() != parent:  # the shim died before the line above could see it
            posix._exit(127)
        signal.set_wakeup_fd(-1)
        for number in range(1, signal.NSIG):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                pass  # KILL, STOP and the C library's own
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if terminal:
            import termios  # see resize()

            fcntl.ioctl(stdio[1], termios.TIOCSCTTY, 0)
        for target, fd in enumerate(stdio):
            posix.dup2(fd, target)
        stage = "cwd"
        posix.chdir(spec.cwd)
        stage = "exec"
        failure = OSError(errno.ENOENT, "")
        for path in candidates(spec.argv[0], spec.env.get(b"PATH", b"/usr/local/bin:/usr/bin:/bin")):
            try:
                posix.execve(path, spec.argv, spec.env)
            except OSError as error:
                # like a shell: keep looking past what is absent, but remember what was there and refused
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    failure = error
                    if error.errno != errno.EACCES:
                        break
        raise failure
    except BaseException as error:
        number = getattr(error, "errno", None) or errno.EINVAL
        posix.write(report, f"{stage} {number}".encode())
    posix._exit(127)


def candidates(name: bytes, path: bytes) -> list[bytes]:
    return [name] if b"/" in name else [(folder or b".") + b"/" + name for folder in path.split(b":")]


# --- the start ----------------------------------------------------------------------------------------------


def take_lock() -> bool:
    """The lock is the liveness of this run: held from here to our death, inherited by nobody."""
    fd = posix.open("lock", posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
    limit = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= limit:
                return False
            time.sleep(0.005)


def ignore_signals() -> None:
    """Only ctl.log gives orders. Signals that report a fault of our own keep their action."""
    for number in range(1, signal.NSIG):
        if number not in KEPT_SIGNALS:
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
    signal.signal(SIGCHLD, signal.SIG_DFL)


def not_started(run_id: str, reason: str, folder: int) -> None:
    found = {"kind": "not_started", "run_id": run_id, "reason": reason}
    write_record("exit.json", found | moment(), folder)
    write_record("sealed.json", sealed_record(run_id), folder)


def pass_gate(gate: int) -> bool:
    """Wait for the daemon's word. One byte: go. End of file: it died or changed its mind."""
    try:
        posix.write(gate, b"r")  # a launcher that waits on a socket learns at once that meta.json is there
    except OSError:
        pass  # a plain pipe
    try:
        return posix.read(gate, 1) != b""
    except OSError:  # a reset socket
        return False
    finally:
        posix.close(gate)


def main(argv: list[str]) -> int:
    """Exit codes: 0 the run has its records; 81 another shim has the lock; 82 this folder was used before;
    1 (an exception on stderr) nothing could be started or recorded."""
    ignore_signals()
    gate = int(argv[2])
    posix.set_inheritable(gate, False)
    posix.chdir(argv[1])
    try:
        spec, problem = Spec(read_file("spec.json", 1 << 26).decode("utf-8", "surrogatepass")), ""
    except (BadSpecError, UnicodeDecodeError) as error:
        spec, problem = None, str(error)
    if not take_lock():
        return 81
    if exists("meta.json") or exists("exit.json"):
        return 82  # a run id starts at most once
    folder = posix.open(".", posix.O_RDONLY | posix.O_CLOEXEC)
    if spec is None:
        not_started("", "bad spec: " + problem, folder)
        return 0
    if exists("cancel"):
        not_started(spec.run_id, "cancelled", folder)
        return 0
    subreaper = prctl(PR_SET_CHILD_SUBREAPER, 1)
    me = posix.getpid()
    meta = {"protocol": PROTOCOL, "shim": VERSION, "run_id": spec.run_id, "pid": me, "boot_id": boot_id()}
    meta["start_ticks"] = start_ticks(me)
    meta["python"] = sys.version.split()[0]
    meta["subreaper"] = subreaper
    write_record("meta.json", meta)
    if not pass_gate(gate):
        not_started(spec.run_id, "the gate was closed", folder)
        return 0
    if exists("cancel"):
        not_started(spec.run_id, "cancelled", folder)
        return 0
    shim = Shim(spec, folder)
    try:
        shim.spawn()
    except OSError as error:  # no process, descriptor or terminal left on this machine
        found: dict[str, object] = {"kind": "exec_failed", "run_id": spec.run_id, "stopped_by": None}
        found |= exec_failure("fork", error.errno or errno.EAGAIN)
        write_record("exit.json", found | moment(), folder)
        write_record("sealed.json", sealed_record(spec.run_id), folder)
        return 0
    shim.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
