"""The daemon's own log: facts, not prose. What a user needs is an event, not a log line.

To standard error, for people or as JSON; under systemd to its journal, where each `key=value` of a line is a field of
its own: `journalctl --user -u kaged KAGE_RUN=z6bqwi2r.1`, `... KAGE_EVENT=reload_refused -p err`.
"""

import errno
import json
import logging
import os
import re
import socket
import sys
from collections.abc import Mapping
from typing import Final

JOURNAL: Final = "/run/systemd/journal/socket"
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_EVENT: Final = re.compile(r"[a-z][a-z0-9_]{0,60}(?= |$)")
_FIELD: Final = re.compile(r"(?:^| )([a-z][a-z0-9_]{0,40})=(\S+)")
_CLIP: Final = 64 << 10  # characters, if the whole does not fit into a datagram
_CLIP_FIELD: Final = 1 << 10


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"), "level": record.levelname.lower()}
        entry |= {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class JournalHandler(logging.Handler):
    """Sends records to journald as they are, fields and all. Never waits: what it has no room for is counted, and
    the next line that gets through tells how many were lost. Without a journald, lines go to standard error."""

    def __init__(self, path: str = JOURNAL) -> None:
        super().__init__()
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One datagram."""
        text = self.format(record)
        fields = journal_fields(record, text)
        if self._lost:
            fields["KAGE_LINES_LOST"] = str(self._lost)
        try:
            try:
                self._socket.sendto(journal_entry(fields), self._path)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                fields["MESSAGE"] = text[:_CLIP]
                self._socket.sendto(journal_entry(fields), self._path)
        except BlockingIOError:
            self._lost += 1
        except OSError:
            print(text, file=sys.stderr)  # noqa: T201  journald is being restarted, say
        else:
            self._lost = 0

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
        super().close()


def journal_fields(record: logging.LogRecord, text: str) -> dict[str, str]:
    """What journald is told of a record: `event key=value ...` becomes KAGE_EVENT and a KAGE_ field for each key."""
    message = record.getMessage()
    event = _EVENT.match(message)
    fields = {f"KAGE_{key.upper()}": value[:_CLIP_FIELD] for key, value in _FIELD.findall(message)}
    if event is not None:
        fields["KAGE_EVENT"] = event.group()
    priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
    return fields | {
        "MESSAGE": text,
        "PRIORITY": str(priority),
        "SYSLOG_IDENTIFIER": "kaged",
        "KAGE_LOGGER": record.name,
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
    }


def journal_entry(fields: Mapping[str, str]) -> bytes:
    """The native protocol: `KEY=value` lines; a value with line feeds goes with its size in front."""
    parts = []
    for key, value in fields.items():
        raw = value.encode("utf-8", "backslashreplace")
        if b"\n" in raw:
            parts.append(key.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n")
        else:
            parts.append(key.encode() + b"=" + raw + b"\n")
    return b"".join(parts)


def under_journal(environ: Mapping[str, str], fd: int = 2) -> bool:
    """Whether standard error is journald's; the variable alone may be inherited from a terminal's service."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def set_up(level: str, form: str, *, under_journal: bool) -> None:
    """Log to the journal when it is there and wanted, else to standard error: plain for people, JSON when asked."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(_Json())
    elif form == "journal" or (form == "auto" and under_journal):
        if os.path.exists(JOURNAL):
            handler = JournalHandler()
        handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
