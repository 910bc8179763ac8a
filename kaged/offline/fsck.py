"""`kaged fsck`: proves the store sound and the runs whole, and changes nothing. Exit code 0: no fault found.

    hashes, order, ids, indexes     store/upkeep/integrity.py
    runs, output, input, orders     store/upkeep/run_ledger.py
    states, restart counters        store/upkeep/state_check.py    the stored ones against the facts, folded again
    rows against processes          living.py

Beside a daemon it reads the store as it is at this moment, and looks at processes, too. The soak ends with it.
"""

import json
from collections.abc import Callable, Iterator
from typing import Final

from google.protobuf.message import DecodeError

from kaged.api.v1 import event_pb2
from kaged.config import Config
from kaged.domain.frozen import frozen
from kaged.offline.living import Orphan, find_orphans
from kaged.offline.opening import again_beside, check_folder, lock_unless_served, reading
from kaged.store.log.witness import Witness
from kaged.store.rows.keys import pack_seq, unpack_seq
from kaged.store.rows.rocks import RocksStore
from kaged.store.upkeep.integrity import Report, verify
from kaged.store.upkeep.run_ledger import Fault, LiveRun, RunLedger
from kaged.store.upkeep.state_check import check_states
from kaged.store.wire.record import payload

_PAGE: Final = 512
_PAGE_BYTES: Final = 8 << 20
_TOLD: Final = 1000  # problems; the figures count all


@frozen
class Checked:
    """All that was found. `noted`: how far events were acknowledged; `served`: a daemon runs beside this."""

    report: Report
    ledger: RunLedger
    faults: tuple[Fault, ...]
    orphans: tuple[Orphan, ...]
    noted: int
    served: bool

    @property
    def missing(self) -> int:
        """Events that were acknowledged and are not there."""
        return max(0, self.noted - self.report.to_seq)

    @property
    def good(self) -> bool:
        """Nothing was found."""
        return self.report.good and not self.faults and not self.orphans and not self.missing

    @property
    def only_derived(self) -> bool:
        """What was found is all derived: `kaged reindex` makes it again."""
        known = all(finding.kind == "index" for finding in self.report.findings)
        return known and not self.faults and not self.orphans and not self.missing

    def count(self, kind: str) -> int:
        """How many faults of a kind."""
        return sum(1 for fault in self.faults if fault.kind == kind)


def run_fsck(config: Config, say: Callable[[str], None], *, as_json: bool = False) -> int:
    """Check everything. 0: all is well; 1: something was found and named. Raises when there is no store."""
    check_folder(config)
    with lock_unless_served(config, "fsck") as served:
        checked = check(config, served=served)
    if as_json:
        say(json.dumps(_plain(checked)))
    else:
        _tell(checked, say)
    return 0 if checked.good else 1


def check(config: Config, *, served: bool) -> Checked:
    """Look at the store and, with or without a daemon, at processes. Whoever calls holds the lock or knows who does."""
    noted = Witness.peek(config.state_dir / "db")  # before the store is opened: what comes meanwhile is no loss
    report, ledger, faults = again_beside(lambda: _read(config, served=served), served=served)
    live = _Live(config, ledger, report.to_seq, served=served)
    orphans = find_orphans(config.runs_dir, live, served=served)
    return Checked(
        report=report,
        ledger=ledger,
        faults=tuple(faults),
        orphans=tuple(orphans),
        noted=noted,
        served=served,
    )


def _read(config: Config, *, served: bool) -> tuple[Report, RunLedger, list[Fault]]:
    ledger = RunLedger()
    with reading(config, served=served) as store:
        report = verify(store)
        faults = [fault for event in _events(store, 1, report.to_seq) for fault in ledger.feed(event)]
        check_states(store, report)
    return report, ledger, faults


class _Live:
    """Runs without an end, as of now: beside a daemon the journal grows while processes are looked at."""

    def __init__(self, config: Config, ledger: RunLedger, seq: int, *, served: bool) -> None:
        self._config = config
        self._ledger = ledger
        self._seq = seq
        self._served = served

    def __call__(self) -> dict[str, LiveRun]:
        if self._served:
            again_beside(self._go_on, served=True)
        return dict(self._ledger.live)

    def _go_on(self) -> None:
        with reading(self._config, served=True) as store:
            for event in _events(store, self._seq + 1, 1 << 62):
                for _ in self._ledger.feed(event):
                    pass  # named by the next fsck; this one tells of what it has verified
                self._seq = event.seq


def _events(store: RocksStore, seq: int, last: int) -> Iterator[event_pb2.Event]:
    """Events that can be read; `verify` names the others."""
    while seq <= last:
        rows = store.scan("events", pack_seq(seq), limit=min(_PAGE, last - seq + 1), max_bytes=_PAGE_BYTES)
        if not rows:
            return
        for _, value in rows:
            try:
                yield event_pb2.Event.FromString(payload(value))
            except (ValueError, DecodeError):
                continue
        seq = unpack_seq(rows[-1][0]) + 1


def _problems(checked: Checked) -> Iterator[tuple[int, str, str]]:
    for finding in checked.report.findings:
        yield finding.seq, finding.kind, finding.what
    for fault in checked.faults:
        yield fault.seq, fault.kind, fault.what
    if checked.missing:
        what = f"seq {checked.report.to_seq + 1} to {checked.noted} were acknowledged and are missing"
        yield checked.report.to_seq + 1, "lost", what
    for orphan in checked.orphans:
        yield 0, "orphan", str(orphan)


def _tell(checked: Checked, say: Callable[[str], None]) -> None:
    report, ledger = checked.report, checked.ledger
    for number, (seq, kind, what) in enumerate(_problems(checked)):
        if number == _TOLD:
            say("... and more")
            break
        say(f"seq {seq}: {kind}: {what}" if seq and not what.startswith("seq ") else f"{kind}: {what}")
    if checked.served:
        say(f"beside a running daemon, as of seq {report.to_seq:,}")
    say(
        f"{report.events:,} events, {ledger.agents:,} agents, {ledger.runs:,} runs, "
        f"{ledger.output_bytes:,} bytes of output; root {report.root.hex()}"
    )
    say(
        f"{len(ledger.live):,} runs without an end; lost {checked.count('lost') + checked.missing:,}, "
        f"duplicated {checked.count('duplicated'):,}, in disorder {checked.count('disorder'):,}, "
        f"orphans {len(checked.orphans):,}"
    )
    if checked.good:
        say("no fault found")
    elif checked.only_derived:
        say("only derived data is wrong: `kaged reindex` makes it again")


def _plain(checked: Checked) -> dict[str, object]:
    report, ledger = checked.report, checked.ledger
    problems = [{"seq": seq, "kind": kind, "what": what} for seq, kind, what in _problems(checked)]
    return {
        "good": checked.good,
        "only_derived": checked.only_derived and not checked.good,
        "beside_daemon": checked.served,
        "to_seq": report.to_seq,
        "events": report.events,
        "agents": ledger.agents,
        "runs": ledger.runs,
        "runs_without_end": len(ledger.live),
        "output_bytes": ledger.output_bytes,
        "damaged": len(report.findings),
        "lost": checked.count("lost") + checked.missing,
        "duplicated": checked.count("duplicated"),
        "disorder": checked.count("disorder"),
        "orphans": len(checked.orphans),
        "root": report.root.hex(),
        "problems": problems[:_TOLD],
    }
