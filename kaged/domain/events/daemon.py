"""Facts about the daemon itself, and what an operator had it do."""

from typing import ClassVar, Literal, TypeAlias

from kaged.domain.frozen import frozen


@frozen
class DaemonStarted:
    """A daemon began to serve this store."""

    type_name: ClassVar[str] = "daemon.started"

    version: str
    pid: int
    boot_id: str
    adopted: int
    settled: int
    after_clean_stop: bool


@frozen
class DaemonStopped:
    """A daemon stopped in order."""

    type_name: ClassVar[str] = "daemon.stopped"

    agents: Literal["keep", "stop"]
    reason: str


@frozen
class Redacted:
    """Bodies were taken out of stored events, `first_seq` to `last_seq`; their hashes stay."""

    type_name: ClassVar[str] = "event.redacted"

    first_seq: int
    last_seq: int
    bodies: int
    reason: Literal["requested", "retention"]


@frozen
class RequestNoted:
    """A request with an id changed nothing: remembered, so that a repeat does not act on what came after."""

    type_name: ClassVar[str] = "daemon.request_noted"

    method: str


@frozen
class Reloaded:
    """The configuration was read again: keys that were taken over, keys that need a restart."""

    type_name: ClassVar[str] = "daemon.reloaded"

    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


@frozen
class DaemonStopWanted:
    """Somebody asked the daemon to stop; so many agents go on, so many are to be stopped."""

    type_name: ClassVar[str] = "daemon.stop_wanted"

    agents: Literal["keep", "stop"]
    timeout_s: float
    agents_kept: int
    agents_stopping: int


DaemonEvent: TypeAlias = DaemonStarted | DaemonStopped | Redacted | RequestNoted | Reloaded | DaemonStopWanted
