"""Under a service manager: what kaged says to it, and when. Says nothing when there is none.

    (start) -> EXTEND_TIMEOUT while recovery makes progress -> READY -> WATCHDOG while commits reach the disk
            -> RELOADING, READY again ... -> STOPPING

Words go through sdnotify, which sends Latin-1 and swallows errors: texts are ASCII, one line, and READY goes alone.
Only the daemon speaks (NotifyAccess=main); no child is told of the socket. Deliberately not here: what the answers
of the manager mean for agents (`daemon.py`), starting anything in it (`executors/systemd.py`).
"""

import asyncio
import contextlib
import faulthandler
import os
import resource
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, Protocol

import sdnotify

from kaged.domain.errors import KageError

_EXTEND_EVERY_S: Final = 5.0
_EXTEND_BY_S: Final = 20.0  # more than twice the interval: one late turn of the loop is no reason to be killed
_PROGRESS_CPU_S: Final = 0.01
_MAX_STATUS: Final = 300
_ORDER: Final = ("running", "waiting", "starting", "pending", "stopping")


class Notifier(Protocol):
    """What carries the words: sdnotify's, or a test's list."""

    def notify(self, state: str) -> None:
        """Send one datagram."""


class ServiceManager:
    """The manager that started us, if any."""

    def __init__(self, environ: Mapping[str, str] | None = None, notifier: Notifier | None = None) -> None:
        environ = os.environ if environ is None else environ
        self.there: Final = bool(environ.get("NOTIFY_SOCKET"))
        self.watchdog_s: Final = watchdog_interval_s(environ, os.getpid())
        self._notifier: Notifier = notifier or sdnotify.SystemdNotifier()
        self._status = ""
        self._ready = False
        self._reloading = False
        if self.watchdog_s:
            faulthandler.enable()  # the watchdog ends us by SIGABRT: the log then says where each thread stood

    def ready(self) -> None:
        """Recovery is done, the doors are open."""
        self._ready = True
        self._notifier.notify("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        line = " ".join(text.encode("ascii", "replace").decode("ascii").split())[:_MAX_STATUS]
        if line != self._status:
            self._status = line
            self._notifier.notify("STATUS=" + line)

    @contextlib.contextmanager
    def reloading(self, monotonic_s: float) -> Iterator[None]:
        """Between these two `systemctl reload` waits (Type=notify-reload), however the reload goes."""
        if not self._ready or self._reloading:  # READY before recovery is done would be a lie
            yield
            return
        self._reloading = True
        self._notifier.notify(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic_s * 1e6)}")
        try:
            yield
        finally:
            self._reloading = False
            if self._ready:
                self._notifier.notify("READY=1")

    def stopping(self, within_s: float) -> None:
        """On the way out; final. `within_s`: how long it may take."""
        self._ready = False
        self._notifier.notify("STOPPING=1")
        self.extend(within_s)

    def extend(self, seconds: float) -> None:
        """Still at it: do not give up on us before so long from now."""
        self._notifier.notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def alive(self) -> None:
        """The watchdog's sign of life: only after a commit and a turn of the loop."""
        self._notifier.notify("WATCHDOG=1")


def watchdog_interval_s(environ: Mapping[str, str], pid: int) -> float:
    """How often the manager wants to hear from this process; 0: it does not watch."""
    try:
        if int(environ.get("WATCHDOG_PID") or pid) != pid:
            return 0.0
        return max(0, int(environ.get("WATCHDOG_USEC") or 0)) / 1e6
    except ValueError:
        return 0.0


async def keep_watch(manager: ServiceManager, prove: Callable[[], Awaitable[None]]) -> None:
    """Ping as long as the loop turns (this runs on it) and `prove` returns: something new has reached the disk.

    A disk that hangs, a writer that died and a loop that is blocked all end the pings, and so this process.
    Returns when nobody watches, or when the journal has failed: then the daemon is about to end by itself.
    """
    while manager.watchdog_s:
        try:
            await prove()
        except KageError:
            return
        manager.alive()
        await asyncio.sleep(manager.watchdog_s / 2)


async def keep_extending(
    manager: ServiceManager,
    words: Callable[[], str],
    *,
    every_s: float = _EXTEND_EVERY_S,
    work: Callable[[], tuple[float, int]] | None = None,
) -> None:
    """Until cancelled: ask for more time as long as work is done, and say what is being done, and for how long.

    Work is CPU time and blocks of the disk, of the whole process: reading a long journal may take as long as it needs,
    a disk that does not answer may not.
    """
    work = work or _work_done
    waited_s, (cpu_s, blocks) = 0.0, work()
    manager.extend(_EXTEND_BY_S)
    while True:
        await asyncio.sleep(every_s)
        waited_s += every_s
        (cpu_before_s, before), (cpu_s, blocks) = (cpu_s, blocks), work()
        moved = cpu_s - cpu_before_s > _PROGRESS_CPU_S or blocks != before
        if moved:
            manager.extend(_EXTEND_BY_S)
        manager.status(f"recovering: {words()}, for {waited_s:.0f} s{'' if moved else ', no progress'}")


def _work_done() -> tuple[float, int]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_inblock + usage.ru_oublock


def headline(states: Mapping[str, int], *, questions: int, failed: int) -> str:
    """All agents in one line: `3 agents: 2 running, 1 waiting; 1 open question; 3 failed since the start`."""
    total = sum(states.values())
    known = [f"{states[word]} {word}" for word in _ORDER if states.get(word)]
    known += [f"{count} {word}" for word, count in sorted(states.items()) if word not in _ORDER and count]
    parts = [f"{total} agent{'s' * (total != 1)}: {', '.join(known)}" if total else "no agents"]
    if questions:
        parts.append(f"{questions} open question{'s' * (questions != 1)}")
    if failed:
        parts.append(f"{failed} failed since the start")
    return "; ".join(parts)
