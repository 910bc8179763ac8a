"""`kaged reindex`: everything derived, made again from the events while no daemon runs."""

import sys
from collections.abc import Callable

from kaged.config import Config
from kaged.executors.daemon_lock import DaemonLock
from kaged.offline.opening import check_folder, check_format
from kaged.store.derived.rebuild import reindex
from kaged.store.derived.states_rebuild import StateRebuilder
from kaged.store.rows.rocks import RocksStore


def run_reindex(config: Config, say: Callable[[str], None]) -> int:
    """Make everything derived again from the events. Raises when a daemon runs or an event is damaged."""
    check_folder(config)
    with DaemonLock(config.lock_file, note="reindex"):
        store = RocksStore(config.state_dir / "db")
        try:
            check_format(store, config)

            def progress(seq: int, head: int) -> None:
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r{seq:,} of {head:,} events")

            count = reindex(store, (StateRebuilder(store),), progress=progress, restart=True)
            store.flush()
        finally:
            store.close()
    say(f"rebuilt the indexes and states of {count:,} events")
    return 0
