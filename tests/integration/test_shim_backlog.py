"""Output that nobody records yet does not grow for ever: the shim holds its agent, stops it, or gives up the oldest."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.domain.run_records import Backlog, Exited, StopOrder
from kaged.executors.punch import Puncher
from tests.fakes.runs import Run, Runs, alive, eventually, python

pytestmark = pytest.mark.integration
LIMIT = 256 << 10
# Numbered lines of 64 bytes: any piece of the output tells where it is from.
COUNT = """if True:
    import sys
    for n in range({lines}):
        sys.stdout.write(f"{{n:063d}}\\n")"""


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with Runs(tmp_path) as it:
        yield it


def counting(lines: int) -> list[str]:
    return python(COUNT.format(lines=lines))


def expected(start: int, end: int) -> bytes:
    """The bytes of a counting agent from one offset to another."""
    first = start // 64
    text = b"".join(b"%063d\n" % n for n in range(first, -(-end // 64)))
    return text[start - first * 64 : end - first * 64]


def said(run: Run, number: int) -> Backlog:
    def look() -> Backlog | None:
        found = run.folder.read_backlog()
        return found if found is not None and found.number >= number else None

    return eventually(look, f"word {number} about the backlog")


def read_all(run: Run, *, at: int = 0) -> bytes:
    """What a daemon does: read, tell how far, ring."""
    parts = []
    while True:
        data = run.folder.read_spool("out", at, 1 << 20)
        if data:
            parts.append(data)
            at += len(data)
            run.folder.note_consumed(at, 0)
            run.folder.ring()
        elif (sealed := run.folder.read_sealed()) is not None and at == sealed.out_size:
            return b"".join(parts)
        else:
            time.sleep(0.002)  # between two looks at a condition


def test_an_agent_with_too_much_waiting_blocks_until_a_daemon_reads_and_loses_nothing(runs: Runs) -> None:
    run = runs.start(counting(50_000), spool_bytes=LIMIT)
    held = said(run, 1)
    assert (held.why, held.limit, held.waiting) == ("spool_bytes", LIMIT, LIMIT)
    assert run.folder.spool_size("out") == LIMIT
    assert alive(run.agent_pid())
    assert read_all(run) == expected(0, 50_000 * 64)
    found = run.exit()
    assert isinstance(found, Exited)
    assert (found.code, found.stopped_by) == (0, None)
    run.sealed()


def test_a_held_agent_sleeps_and_so_does_its_shim(runs: Runs) -> None:
    run = runs.start(counting(50_000), spool_bytes=LIMIT)
    said(run, 1)
    before = cpu_ticks(run.shim_pid())
    time.sleep(2)  # this is what is measured
    assert cpu_ticks(run.shim_pid()) - before <= 2


def test_the_shim_says_once_that_it_held_an_agent_and_once_that_it_is_over(runs: Runs) -> None:
    run = runs.start(["sh", "-c", f"head -c {LIMIT + 5} /dev/zero; exec sleep 60"], spool_bytes=LIMIT)
    assert said(run, 1).number == 1
    run.folder.note_consumed(LIMIT, 0)
    run.folder.ring()
    eventually(lambda: run.folder.spool_size("out") == LIMIT + 5)
    over = said(run, 2)
    assert over.number == 2
    assert over.held_us >= 1_000_000
    assert over.since_us > 0


def test_an_agent_whose_policy_is_stop_is_stopped_and_may_say_some_last_words(runs: Runs) -> None:
    code = """if True:
        import signal, sys, os
        def bye(*_):
            os.write(1, b"bye" * 1000); os._exit(7)
        signal.signal(signal.SIGTERM, bye)
        while True: os.write(1, b"x" * 4096)"""
    run = runs.start(python(code), spool_bytes=LIMIT, on_full="stop")
    found = run.exit()
    assert isinstance(found, Exited)
    assert (found.code, found.stopped_by) == (7, "spool_bytes")
    assert run.output().endswith(b"bye" * 1000)
    run.sealed()


def test_an_agent_that_is_stopped_for_its_output_and_goes_on_writing_is_ended(runs: Runs) -> None:
    code = "import signal, os\nsignal.signal(15, signal.SIG_IGN)\nwhile True: os.write(1, b'x' * 4096)"
    run = runs.start(python(code), spool_bytes=LIMIT, on_full="stop", grace_s=0.5)
    found = run.exit()
    assert isinstance(found, Exited)
    assert (found.signal, found.stopped_by) == (9, "spool_bytes")
    assert run.sealed().out_size <= LIMIT + (2 << 20)


@pytest.mark.parametrize("capture", ["pipe", "file"])
def test_the_oldest_output_is_given_up_up_to_the_end_of_a_line_and_the_newest_is_there(
    runs: Runs, capture: str
) -> None:
    lines = 40_000
    code = COUNT.format(lines=lines) + "\n    sys.stdout.flush()\n    import time; time.sleep(60)"
    run = runs.start(python(code), spool_bytes=LIMIT, on_full="drop_oldest", capture=capture)
    eventually(lambda: run.folder.spool_size("out") == lines * 64)
    gone = eventually(
        lambda: (found := run.folder.read_backlog()) and found.out_given_up >= lines * 64 - LIMIT and found
    ).out_given_up
    assert gone % 64 == 0
    assert run.folder.read_spool("out", gone, 1 << 24) == expected(gone, lines * 64)
    spool = os.stat(run.folder.path / "out.log")
    assert spool.st_blocks * 512 <= LIMIT + (128 << 10)


def test_what_a_reader_sees_of_given_up_bytes_is_covered_by_what_was_said_before(runs: Runs) -> None:
    """Read while the shim gives up: each byte is either right, or was said to be gone by the time it was read."""
    run = runs.start(counting(300_000), spool_bytes=LIMIT, on_full="drop_oldest")
    at = seen = 0
    while not ((sealed := run.folder.read_sealed()) is not None and at == sealed.out_size):
        data = run.folder.read_spool("out", at, 1 << 20)
        backlog = run.folder.read_backlog()
        if backlog is not None and backlog.out_given_up > at:
            at = backlog.out_given_up
            continue
        assert data == expected(at, at + len(data))
        at += len(data)
        seen += len(data)
        run.folder.note_consumed(at, 0)
    assert seen
    run.sealed()


def test_all_runs_together_have_a_limit_too(runs: Runs) -> None:
    first = runs.start(["sh", "-c", "head -c 3000000 /dev/zero; exec sleep 60"], max_spool_bytes=4 << 20)
    eventually(lambda: first.folder.spool_size("out") == 3_000_000)
    second = runs.start(["sh", "-c", "head -c 9000000 /dev/zero"], max_spool_bytes=4 << 20)
    assert said(second, 1).why == "max_spool_bytes"
    assert second.folder.spool_size("out") <= 3 << 20
    assert Puncher().punch(first.folder.path, "out", 0, 3_000_000) > 0
    first.folder.note_consumed(3_000_000, 0)
    at = 0
    while second.folder.read_sealed() is None:
        at += len(second.folder.read_spool("out", at, 1 << 20))
        second.folder.note_consumed(at, 0)
        second.folder.ring()
    assert second.sealed().out_size == 9_000_000


def test_a_program_that_writes_the_file_itself_is_frozen_and_thawed(runs: Runs) -> None:
    code = "import os, time\nwhile True:\n    os.write(1, b'x' * 4096); time.sleep(0.001)"
    run = runs.start(python(code), spool_bytes=LIMIT, capture="file")
    said(run, 1)
    size = run.folder.spool_size("out")
    time.sleep(0.2)  # nothing may happen meanwhile
    assert run.folder.spool_size("out") == size
    run.folder.note_consumed(size, 0)
    run.folder.ring()
    eventually(lambda: run.folder.spool_size("out") > size)


def test_a_held_agent_can_be_stopped(runs: Runs) -> None:
    run = runs.start(counting(50_000), spool_bytes=LIMIT)
    said(run, 1)
    run.order(StopOrder(signal=15, grace_s=5))
    found = run.exit()
    assert isinstance(found, Exited)
    assert (found.signal, found.stopped_by) == (15, "request")
    sealed = run.sealed()
    assert run.output() == expected(0, sealed.out_size)


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("policy", ["pause", "stop"])
def test_a_disk_that_is_nearly_full_holds_agents_while_there_is_room_to_record_in(runs: Runs, policy: str) -> None:
    disk = os.statvfs(runs.root)
    more_than_there_is = disk.f_blocks * disk.f_frsize
    run = runs.start(counting(100_000), keep_free_bytes=more_than_there_is, on_full=policy)
    held = said(run, 1)
    assert (held.why, held.limit) == ("keep_free_bytes", more_than_there_is)
    assert run.folder.spool_size("out") <= 2 << 20
    assert alive(run.agent_pid())
