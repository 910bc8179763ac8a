"""Tells people: runs the hook, shows the desktop notice, posts to the webhook. Off the loop, bounded, never in the way.

Notices wait in a queue of their own and are told one after another; each way has a thread and a time limit. When more
wait than fit, the oldest is given up and counted in the log. A hook that takes too long is killed with all it started.
A daemon that stops does not wait for any of it. Not here: what is worth telling (`runtime/notices.py`).
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from kaged.domain.notice import Notice, Notifying, Reason

_MAX_WAITING: Final = 256
_TRIES_AFTER_S: Final = (1.0, 4.0)
_PASSED: Final = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XAUTHORITY")
_TITLES: Final[Mapping[Reason, str]] = {
    "approval": "asks before it acts",
    "question": "has a question",
    "paused": "is paused",
    "failed": "has failed",
    "finished": "has finished",
}
log = logging.getLogger("kaged.notify")


class LocalAnnouncer:
    """See the module. `how` is asked for each notice, so that a reload counts; `environment`: of the hook."""

    def __init__(self, how: Callable[[], Notifying], environment: Mapping[str, str], socket: str) -> None:
        self._how = how
        self._environment = {**environment, "KAGE_SOCKET": socket}
        self._waiting: deque[Notice] = deque()
        self._arrived = asyncio.Event()
        self._given_up = 0

    def wants(self, reason: Reason) -> bool:
        """Whether anybody is told of this."""
        how = self._how()
        return not how.silent and reason in how.reasons

    def post(self, notice: Notice) -> None:
        """Take it; it is told soon."""
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.popleft()
            self._given_up += 1
            if self._given_up & (self._given_up - 1) == 0:  # 1, 2, 4, 8 ...: a flood is not told by a flood
                log.warning("notices_given_up total=%s hint=%s", self._given_up, "the hook or the webhook is too slow")
        self._waiting.append(notice)
        self._arrived.set()

    async def serve(self) -> None:
        """Tell until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                notice, how = self._waiting.popleft(), self._how()
                ways = list[Callable[[], None]]()
                if how.command:
                    ways.append(lambda n=notice, h=how: self._hook(n, h))  # type: ignore[misc]  # mypy cannot infer it
                if how.desktop:
                    ways.append(lambda n=notice, h=how: self._desktop(n, h))  # type: ignore[misc]
                if how.webhook:
                    ways.append(lambda n=notice, h=how: _post(n, h))  # type: ignore[misc]
                await asyncio.gather(*(_in_thread(way) for way in ways))

    # --- in threads ------------------------------------------------------------------------------------------------

    def _hook(self, notice: Notice, how: Notifying) -> None:
        environment = {
            **self._environment,
            "KAGE_NOTIFY_REASON": notice.reason,
            "KAGE_NOTIFY_AGENT": notice.agent,
            "KAGE_NOTIFY_NAME": notice.name,
            "KAGE_NOTIFY_ID": notice.id,
            "KAGE_NOTIFY_TEXT": notice.text,
        }
        _run(["/bin/sh", "-c", how.command], environment, _told(notice).encode(), how.timeout_s, "hook")

    def _desktop(self, notice: Notice, how: Notifying) -> None:
        program = shutil.which("notify-send", path=self._environment.get("PATH"))
        if program is None:
            log.warning("notify_failed way=desktop hint=%s", "there is no notify-send; desktop = false says so")
            return
        title = f"{notice.name} {_TITLES[notice.reason]}" if notice.name else "Kage"
        urgency = "normal" if notice.reason == "finished" else "critical" if notice.reason == "failed" else "normal"
        words = [program, "--app-name=Kage", f"--urgency={urgency}", "--", title, notice.text]
        _run(words, self._environment, b"", how.timeout_s, "desktop")


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """What a hook needs of the daemon's environment to reach a person's desktop."""
    return {name: environ[name] for name in _PASSED if name in environ}


def _told(notice: Notice) -> str:
    at = datetime.fromtimestamp(notice.at_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps(
        {
            "reason": notice.reason, "text": notice.text, "time": at, "agent": notice.agent, "name": notice.name,
            "namespace": notice.namespace, "goal": notice.goal, "id": notice.id,
        },
        ensure_ascii=False,
    )  # fmt: skip


def _run(words: list[str], environment: Mapping[str, str], given: bytes, timeout_s: float, way: str) -> None:
    """Run it to its end, or kill it and what it started at its time limit. Never raises."""
    try:
        child = subprocess.Popen(
            words, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True, cwd="/",
        )  # fmt: skip
    except (OSError, ValueError) as error:
        log.warning("notify_failed way=%s error=%s", way, error)
        return
    try:
        _, said = child.communicate(given, timeout=timeout_s)
        if child.returncode:
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            log.warning("notify_failed way=%s exit_code=%s said=%s", way, child.returncode, "".join(last)[:200])
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)  # also what it left in the background with our pipe
        log.warning("notify_failed way=%s error=took longer than %g s", way, timeout_s)
    except OSError as error:  # it closed its input: it does not care for the JSON
        log.debug("notify_input way=%s error=%s", way, error)
    finally:
        child.wait()
        for pipe in (child.stdin, child.stderr):
            if pipe is not None:
                pipe.close()


def _post(notice: Notice, how: Notifying) -> None:
    """POST it, again a few times when nobody answers or the other side is in trouble. Never raises."""
    problem = ""
    for number in range(len(_TRIES_AFTER_S) + 1):
        if number:
            time.sleep(_TRIES_AFTER_S[number - 1])
        problem, again = _post_once(how, _told(notice).encode())
        if not problem:
            return
        if not again:
            break
    log.warning("notify_failed way=webhook error=%s", problem)


def _post_once(how: Notifying, body: bytes) -> tuple[str, bool]:
    """What went wrong, and whether another try may help. Redirects are not followed."""
    # 20 ms of a start with ssl, which only the first notice by a webhook needs.
    import http.client  # noqa: PLC0415
    from urllib.parse import urlsplit  # noqa: PLC0415

    parts = urlsplit(how.webhook)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    line = kind(parts.hostname or "", parts.port, timeout=min(how.timeout_s, 10.0))
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line.request("POST", path, body, {"Content-Type": "application/json", "User-Agent": "kaged"})
        status = line.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}", True
    finally:
        line.close()
    return ("", False) if 200 <= status < 300 else (f"HTTP {status}", status >= 500 or status == 429)


async def _in_thread(act: Callable[[], None]) -> None:
    """Like `asyncio.to_thread`, but a daemon that stops does not wait for the thread."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def work() -> None:
        try:
            act()
        except Exception:  # a bug in one way of telling must not end the daemon
            log.exception("notify_bug")
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon has stopped
                loop.call_soon_threadsafe(finish)

    threading.Thread(target=work, name="notify", daemon=True).start()
    await done
