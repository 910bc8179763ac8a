"""Kills, torn logs, damaged files and full disks: what was acknowledged is there, or the store says that it is not."""

import asyncio
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaged.store.log.journal import Journal, StoreReadOnly
from kaged.store.log.merkle import root_of
from kaged.store.log.opening import create_store
from kaged.store.log.waits import StoreStalled
from kaged.store.log.witness import FILE_NAME, Witness
from kaged.store.rows.keyvalue import StoreBusy, StoreCorrupt
from kaged.store.rows.rocks import RocksStore
from kaged.store.wire.door import leaf_of, reread
from tests.fakes.journals import START_US, Clock, OpenJournal, door, frames_of, new_event

pytestmark = pytest.mark.faults

ROUNDS = 32
TIME_BOX_S = 60.0


def check_whole(store: RocksStore) -> int:
    """No gap, whole appends only, root as recomputed; returns the head."""
    frames = frames_of(store)
    entries = [reread(framed) for framed in frames]
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    revisions: Counter[str] = Counter()
    appends: Counter[str] = Counter()
    sizes: dict[str, int] = {}
    for entry in entries:
        revisions[entry.stream] += 1
        assert entry.revision == revisions[entry.stream]
        tags = dict(tag.split("=") for tag in entry.shape.tags)
        if "append" in tags:
            appends[tags["append"]] += 1
            sizes[tags["append"]] = int(tags["size"])
    assert dict(appends) == sizes, "half an append"
    journal = Journal(store, clock_us=Clock())
    assert journal.durable_seq == len(entries)
    assert journal.root() == root_of([leaf_of(framed) for framed in frames])
    return len(entries)


def test_a_killed_journal_keeps_what_it_acknowledged_and_nothing_half(tmp_path: Path) -> None:
    folder, chance, acknowledged = tmp_path / "store", random.Random(7), 0
    deadline = time.monotonic() + TIME_BOX_S
    for done in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.appender", str(folder), str(done)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        first = child.stdout.readline()  # it is at work
        time.sleep(chance.random() ** 2 * 0.3)  # the kill comes anywhere, not on a condition
        child.send_signal(signal.SIGKILL)
        lines = [first, *child.stdout.read().splitlines(keepends=True)]
        child.stdout.close()
        child.wait()
        for line in lines:
            if line.endswith(b"\n"):
                seq, count = map(int, line.split())
                acknowledged = max(acknowledged, seq + count - 1)
        if done % 4 == 3 or time.monotonic() > deadline:
            store = RocksStore(folder)
            head = check_whole(store)
            Witness(folder).confront(head)
            store.close()
            assert head >= acknowledged > 0
            shutil.rmtree(folder)  # small again, so that reading all of it stays quick
            acknowledged = 0
            if time.monotonic() > deadline:
                pytest.skip(f"time box: {done + 1} of {ROUNDS} rounds were good")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a store as a kill would leave them: several tables, and 20 commits in the log."""
    folder = tmp_path_factory.mktemp("live")
    store = RocksStore(folder / "open")
    witness = Witness(folder / "open")
    opened = OpenJournal(store)
    opened.journal._writer._witness = witness.note
    for first in range(1, 1500, 500):
        opened.append(*(new_event(number) for number in range(first, first + 500)))
        store.flush()
    for number in range(1501, 1521):
        tags = [("append", str(number)), ("size", "3")]
        opened.append(*(new_event(number * 10 + at, tags=tags, data=b"y" * 40) for at in range(3)))
    shutil.copytree(folder / "open", folder / "killed")
    opened.close()
    store.close()
    witness.close()
    return folder / "killed"


HEAD = 1560


def edges() -> set[int]:
    return {1500 + 3 * at for at in range(21)}


@pytest.fixture
def copy(live: Path, tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "store"
    shutil.copytree(live, target)
    yield target
    shutil.rmtree(target, ignore_errors=True)


def the_log(folder: Path) -> Path:
    return max(folder.glob("*.log"), key=lambda file: (file.stat().st_size > 0, file.name))


def test_a_torn_log_opens_at_the_edge_of_an_append_and_the_lost_end_is_named(live: Path, tmp_path: Path) -> None:
    size = the_log(live).stat().st_size
    heads = set()
    for cut in sorted({*range(1, 40), *random.Random(3).sample(range(1, min(4096, size)), 60)}):
        folder = tmp_path / str(cut)
        shutil.copytree(live, folder)
        os.truncate(the_log(folder), size - cut)
        store = RocksStore(folder)
        head = check_whole(store)
        store.close()
        assert head in edges() - {HEAD}
        heads.add(head)
        with pytest.raises(StoreCorrupt, match=f"acknowledged, the store ends at {head}") as named:
            Witness(folder).confront(head)
        assert named.value.facts["acknowledged"] == str(HEAD)
        shutil.rmtree(folder)
    assert len(heads) > 5


def test_a_flipped_bit_in_the_log_never_makes_a_gap_and_the_lost_end_is_named(live: Path, tmp_path: Path) -> None:
    size = the_log(live).stat().st_size
    for at in random.Random(4).sample(range(size), 40):
        folder = tmp_path / str(at)
        shutil.copytree(live, folder)
        flip(the_log(folder), at)
        store = RocksStore(folder)
        head = check_whole(store)
        store.close()
        assert head in edges()
        if head < HEAD:
            with pytest.raises(StoreCorrupt):
                Witness(folder).confront(head)
        shutil.rmtree(folder)


def test_an_undamaged_store_agrees_with_its_witness_and_a_spoilt_note_claims_nothing(copy: Path) -> None:
    store = RocksStore(copy)
    assert check_whole(store) == HEAD
    store.close()
    witness = Witness(copy)
    assert witness.seq() == HEAD
    witness.confront(HEAD)
    witness.confront(HEAD + 5)  # after a power cut the note may be behind
    (copy / FILE_NAME).write_bytes(b"\xff" * 16)
    witness.confront(0)
    witness.close()


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def files(folder: Path) -> dict[str, str]:
    """Hashes of all files but RocksDB's own diary, which it begins anew at each start."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if not file.name.startswith("LOG")
    }


def manifest(folder: Path) -> Path:
    return next(folder.glob("MANIFEST-*"))


def biggest_table(folder: Path) -> Path:
    return max(folder.glob("*.sst"), key=lambda file: file.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "CURRENT").unlink(),
        lambda folder: (folder / "CURRENT").write_bytes(b""),
        lambda folder: (folder / "CURRENT").write_bytes(b"MANIFEST-999999\n"),
        lambda folder: (folder / "CURRENT").write_bytes(b"nonsense"),
        lambda folder: manifest(folder).unlink(),
        lambda folder: flip(manifest(folder), manifest(folder).stat().st_size // 2),
        lambda folder: biggest_table(folder).unlink(),
        lambda folder: os.truncate(biggest_table(folder), biggest_table(folder).stat().st_size - 1),
        lambda folder: biggest_table(folder).write_bytes(b""),
    ],
    ids=[
        *("current gone", "current empty", "current of another", "current nonsense", "manifest gone"),
        *("manifest flipped", "table gone", "table cut", "table empty"),
    ],
)
def test_a_damaged_store_is_refused_twice_with_a_hint_and_left_as_it_is(
    copy: Path, damage: Callable[[Path], object]
) -> None:
    damage(copy)
    before = files(copy)
    for _ in range(2):
        with pytest.raises(StoreCorrupt) as refused:
            RocksStore(copy)
        assert "nothing was changed" in refused.value.hint
        assert files(copy) == before


def test_a_manifest_that_lost_its_end_is_refused_or_the_loss_is_named(live: Path, tmp_path: Path) -> None:
    # RocksDB cannot tell it from a power cut during a write of the manifest, and opens. The witness can.
    size = manifest(live).stat().st_size
    for keep in sorted({size - 1, size // 2, *random.Random(5).sample(range(size), 25)}):
        folder = tmp_path / str(keep)
        shutil.copytree(live, folder)
        os.truncate(manifest(folder), keep)
        try:
            store = RocksStore(folder)
        except StoreCorrupt:
            continue
        try:
            empty = store.get("meta", b"format") is None
            head = 0 if empty else Journal(store, clock_us=Clock()).durable_seq
        except StoreCorrupt:
            continue
        finally:
            store.close()
        if head < HEAD:
            with pytest.raises(StoreCorrupt):
                Witness(folder).confront(head)
        shutil.rmtree(folder)


def test_a_store_that_was_never_finished_is_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "MANIFEST-000001").write_bytes(b"")
    (folder / "LOCK").write_bytes(b"")
    store = RocksStore(folder)
    assert create_store(store, "id")
    store.close()


def test_a_flipped_bit_in_a_table_is_an_error_and_never_an_early_end(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "store")
    batch = store.batch()
    rows = [(at.to_bytes(8, "big"), random.Random(at).randbytes(100)) for at in range(5000)]
    batch.put_all("events", rows)
    store.write(batch)
    store.flush()
    store.close()
    table = biggest_table(tmp_path / "store")
    flip(table, table.stat().st_size // 2)
    store = RocksStore(tmp_path / "store")
    reads: tuple[Callable[[], object], ...] = (
        lambda: store.values("events", b"", 9999),
        lambda: store.scan("events", b"", limit=9999),
        lambda: store.scan("events", b"\xff" * 8, limit=9999, reverse=True),
        lambda: store.get_many("events", [key for key, _ in rows]),
    )
    for read in reads:
        with pytest.raises(StoreCorrupt):
            read()
    store.close()


def test_a_second_owner_is_refused_while_the_first_lives_and_welcome_after(tmp_path: Path) -> None:
    first = RocksStore(tmp_path / "store")
    for _ in range(2):
        with pytest.raises(StoreBusy) as refused:
            RocksStore(tmp_path / "store")
        assert refused.value.hint
    first.scan("events", b"", limit=5)
    first.close()
    RocksStore(tmp_path / "store").close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], capture_output=True)
    if mount.returncode:
        pytest.skip(f"NOT TESTED: a full disk needs the right to mount: {mount.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named_and_what_was_acknowledged_is_there_when_there_is_room_again(small_disk: Path) -> None:
    folder = small_disk / "store"

    async def fill() -> int:
        store = RocksStore(folder)
        create_store(store, "id")
        journal = Journal(store, clock_us=Clock())
        journal.start()
        number = 0
        try:
            while number < 10_000:
                raws = [new_event(number + at, data=random.Random(number).randbytes(20_000)) for at in range(1, 21)]
                await journal.recorded(journal.accept(door().admit(raws, START_US), 2))
                number += 20
        except StoreStalled:
            with pytest.raises(StoreReadOnly) as refused:
                journal.accept(door().admit([new_event(1)], START_US), 2)
            assert "space" in refused.value.hint
        finally:
            await journal.stop()
            store.close()
        return number

    acknowledged = asyncio.run(fill())
    assert 0 < acknowledged < 10_000
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    store = RocksStore(folder)
    assert check_whole(store) >= acknowledged
    store.close()
