"""Verbs that open the store themselves: `kaged fsck` and `kaged reindex`. Lock first, as the daemon does."""

import sys
from collections.abc import Callable, Iterator

from google.protobuf.message import DecodeError

from kaged.api.v1 import event_pb2
from kaged.config import Config
from kaged.domain.errors import NotFound
from kaged.executors.daemon_lock import DaemonLock
from kaged.store.derived.rebuild import reindex
from kaged.store.derived.states_rebuild import StateRebuilder
from kaged.store.log.opening import FORMAT
from kaged.store.log.witness import Witness
from kaged.store.rows.keys import pack_seq
from kaged.store.rows.keyvalue import StoreTooNew
from kaged.store.rows.rocks import RocksStore
from kaged.store.upkeep.integrity import verify
from kaged.store.upkeep.run_ledger import RunLedger
from kaged.store.wire.record import payload


class NoStore(NotFound):
    """The folder has no store."""

    reason = "NO_STORE"


def run_fsck(config: Config, say: Callable[[str], None]) -> int:
    """Check hashes, order, identities, indexes and runs. 0: all is well; 1: something was found and named."""
    _check_folder(config)
    with DaemonLock(config.lock_file):
        store = RocksStore(config.state_dir / "db", read_only=True)
        try:
            _check_format(store, config)
            report = verify(store)
            ledger = RunLedger()
            wrong = [problem for event in _events(store, report.to_seq) for problem in ledger.feed(event)]
            noted = Witness(config.state_dir / "db").seq()
        finally:
            store.close()
    for finding in report.findings:
        say(f"seq {finding.seq}: {finding.kind}: {finding.what}")
    for seq, what in wrong:
        say(f"seq {seq}: run: {what}")
    if noted > report.to_seq:
        say(f"seq {report.to_seq + 1} to {noted} were acknowledged and are missing")
    say(
        f"{report.events:,} events, {ledger.runs:,} runs, {ledger.output_bytes:,} bytes of output; "
        f"root {report.root.hex()}"
    )
    if not report.findings and not wrong and noted <= report.to_seq:
        say("no fault found")
        return 0
    if all(finding.kind == "index" for finding in report.findings) and not wrong and noted <= report.to_seq:
        say("only derived data is wrong: `kaged reindex` makes it again")
    return 1


def _events(store: RocksStore, head: int) -> Iterator[event_pb2.Event]:
    seq = 1
    while seq <= head:
        values = store.values("events", pack_seq(seq), 512)
        if not values:
            return
        for value in values:
            try:
                event = event_pb2.Event.FromString(payload(value))
            except (ValueError, DecodeError):
                seq += 1  # `verify` has named it
                continue
            yield event
            seq = event.seq + 1


def _check_folder(config: Config) -> None:
    if not (config.state_dir / "db").is_dir():
        raise NoStore(f"{config.state_dir} holds no store", hint="say which with --state-dir")


def _check_format(store: RocksStore, config: Config) -> None:
    if store.get("meta", b"format") != FORMAT:
        raise StoreTooNew(f"{config.state_dir} holds no store of this release", hint="check --state-dir")


def run_reindex(config: Config, say: Callable[[str], None]) -> int:
    """Make everything derived again from the events. Raises when a daemon runs or an event is damaged."""
    _check_folder(config)
    with DaemonLock(config.lock_file):
        store = RocksStore(config.state_dir / "db")
        try:
            _check_format(store, config)

            def progress(seq: int, head: int) -> None:
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r{seq:,} of {head:,} events")

            count = reindex(store, (StateRebuilder(store),), progress=progress, restart=True)
            store.flush()
        finally:
            store.close()
    say(f"rebuilt the indexes and states of {count:,} events")
    return 0
