"""Verbs that open the store themselves, while no daemon runs: `kaged reindex`. Lock first, as the daemon does."""

import sys
from collections.abc import Callable

from kaged.config import Config
from kaged.executors.daemon_lock import DaemonLock
from kaged.store.journal import FORMAT
from kaged.store.keyvalue import StoreTooNew
from kaged.store.rebuild import reindex
from kaged.store.rocks import RocksStore
from kaged.store.states_rebuild import StateRebuilder


def run_reindex(config: Config, say: Callable[[str], None]) -> int:
    """Make everything derived again from the events. Raises when a daemon runs or an event is damaged."""
    with DaemonLock(config.lock_file):
        store = RocksStore(config.state_dir / "db")
        try:
            if store.get("meta", b"format") != FORMAT:
                raise StoreTooNew(f"{config.state_dir} holds no store of this release", hint="check --state-dir")

            def progress(seq: int, head: int) -> None:
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r{seq:,} of {head:,} events")

            count = reindex(store, (StateRebuilder(store),), progress=progress, restart=True)
            store.flush()
        finally:
            store.close()
    say(f"rebuilt the indexes and states of {count:,} events")
    return 0
