"""How a verb gets at the store: lock first, as the daemon does, or beside the daemon that has the lock."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from kaged.config import Config
from kaged.domain.errors import AlreadyExists, NotFound
from kaged.executors.daemon_lock import DaemonLock
from kaged.store.log.opening import FORMAT
from kaged.store.rows.keyvalue import StoreCorrupt, StoreTooNew
from kaged.store.rows.rocks import RocksStore

_TRIES: Final = 4  # a daemon that just replaced a file is met in the middle: the next moment is as good
T = TypeVar("T")


class NoStore(NotFound):
    """The folder has no store."""

    reason = "NO_STORE"


def check_folder(config: Config) -> None:
    """Return when there is a store. Raises NoStore; makes nothing."""
    if not (config.state_dir / "db").is_dir():
        raise NoStore(f"{config.state_dir} holds no store", hint="say which with --state-dir")


def check_format(store: RocksStore, config: Config) -> None:
    """Return when the store is one of ours. Raises StoreTooNew."""
    if store.get("meta", b"format") != FORMAT:
        raise StoreTooNew(f"{config.state_dir} holds no store of this release", hint="check --state-dir")


@contextlib.contextmanager
def lock_unless_served(config: Config, verb: str) -> Iterator[bool]:
    """Hold the lock; yields whether a daemon has it instead. Raises AlreadyExists when another such verb has it."""
    try:
        lock = DaemonLock(config.lock_file, note=verb)
    except AlreadyExists as error:
        if " " in error.facts["pid"]:  # fsck or reindex: neither is there for long
            raise
        yield True
        return
    with lock:
        yield False


@contextlib.contextmanager
def reading(config: Config, *, served: bool) -> Iterator[RocksStore]:
    """The store, to be read only. `served`: as it is at this moment, beside the daemon that writes it."""
    path = config.state_dir / "db"
    store = RocksStore(path, beside=True) if served else RocksStore(path, read_only=True)
    with contextlib.closing(store):
        check_format(store, config)
        yield store


def again_beside(work: Callable[[], T], *, served: bool) -> T:
    """Do some reading; beside a daemon once more when a file went away meanwhile. Raises what the last try raised."""
    for _ in range(_TRIES - 1 if served else 0):
        with contextlib.suppress(StoreCorrupt):
            return work()
    return work()
