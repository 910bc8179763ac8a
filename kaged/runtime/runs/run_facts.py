"""Facts into a run's folder, and its records into facts. The same for a live run, an adopted one and a dead one.

Each function is safe to repeat. Not here: when to do it (`keeper.py`), what follows from it (the machines decide).
"""

import dataclasses
import logging
from typing import Final

from kaged.domain.events import facts
from kaged.domain.orders import Order, ResizeOrder, SignalOrder, StopOrder
from kaged.domain.run_records import (
    ExecFailed,
    Exited,
    ExitRecord,
    NotStarted,
    SealedRecord,
    TornRecord,
)
from kaged.ports import RunFolder
from kaged.runtime.runs.capture import Place

log = logging.getLogger("kaged.keeper")

FolderFact = facts.StopWanted | facts.Signalled | facts.Resized | facts.InputAccepted


def perform(folder: RunFolder, fact: FolderFact) -> None:
    """Carry out one recorded wish in a run's folder. Repeatable."""
    match fact:
        case facts.InputAccepted():
            if fact.data:
                folder.write_input(fact.offset, fact.data)
            if fact.eof:
                folder.close_input(fact.offset + fact.length)
        case _:
            folder.write_order(fact.offset, fact.order, order_of(fact))


def order_of(fact: facts.StopWanted | facts.Signalled | facts.Resized) -> Order:
    """The order that a fact stands for."""
    match fact:
        case facts.StopWanted():
            return StopOrder(signal=fact.signal, grace_s=fact.grace_s)
        case facts.Signalled():
            return SignalOrder(signal=fact.signal, whole_tree=fact.whole_tree)
        case facts.Resized():
            return ResizeOrder(rows=fact.rows, cols=fact.columns)


NOTHING: Final = "not_started"
_SIGKILL: Final = 9


def ended(
    run: str, record: ExitRecord | str | None, sealed: SealedRecord | None, place: Place, now_us: int, boot_id: str
) -> facts.RunEnded:
    """The end of a run from its records. No exit record means lost: never an invented status."""
    kind: facts.EndKind = "lost"
    code, signal, core, cpu_us, rss, errno = -1, 0, False, 0, 0, 0
    note, stopped_by, ended_us = "", "", now_us
    match record:
        case Exited():
            kind = "exited"
            code, signal, core = (-1 if record.code is None else record.code), record.signal or 0, record.core
            cpu_us, rss = record.utime_us + record.stime_us, record.maxrss_kb * 1024
            stopped_by, ended_us, boot_id = record.stopped_by or "", record.at.wall_us, record.at.boot_id
            if record.oom_kills:
                note = f"out of memory: the kernel killed {record.oom_kills} of its processes"
                stopped_by = stopped_by or ("memory" if record.signal == _SIGKILL else "")
        case ExecFailed():
            kind, errno, stopped_by = "exec_failed", record.errno, record.stopped_by or ""
            ended_us, boot_id = record.at.wall_us, record.at.boot_id
            what = "the working directory does not exist" if record.cwd_missing else record.strerror
            note = f"{record.stage}: {what}"
        case NotStarted():
            kind, note, ended_us, boot_id = "not_started", record.reason, record.at.wall_us, record.at.boot_id
        case str():
            kind = "not_started"
        case None:
            note = "its shim is gone and left no exit record"
    return facts.RunEnded(
        run=run,
        kind=kind,
        exit_code=code,
        signal=signal,
        core_dumped=core,
        how="abnormal",  # judged by the machine, which knows the spec and what was asked
        ended_us=min(ended_us, now_us),
        boot_id=boot_id,
        cpu_us=cpu_us,
        max_rss_bytes=rss,
        stdout_bytes=place.out_end,
        stderr_bytes=place.err_end,
        stopped_by=stopped_by,
        survivors=len(sealed.survivors) if sealed is not None else 0,
        errno=errno,
        note=note,
    )


def with_note(event: facts.RunEnded, note: str) -> facts.RunEnded:
    """The same end, with why."""
    return dataclasses.replace(event, note=note)


def read_sealed(folder: RunFolder) -> SealedRecord | None:
    """The final sizes, if they are there and whole; a torn record is logged and counts as none."""
    try:
        return folder.read_sealed()
    except TornRecord as error:
        log.error("record_torn folder=%s %s", folder.path, error)
        return None


def read_exit(folder: RunFolder) -> ExitRecord | None:
    """How it ended, in the same way."""
    try:
        return folder.read_exit()
    except TornRecord as error:
        log.error("record_torn folder=%s %s", folder.path, error)
        return None
