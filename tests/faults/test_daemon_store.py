"""A damaged store, or one of another version, at a real daemon's start: refused in one line, nothing is deleted."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaged.store.derived.views import LIVE
from kaged.store.log.witness import FILE_NAME
from kaged.store.rows.keys import AGENT_STATE, state_row
from kaged.store.rows.rocks import RocksStore
from tests.e2e.daemon_kit import Kaged
from tests.faults.test_store_crash import biggest_table, files, flip, manifest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a daemon that was killed: tables, and a log."""
    folder = tmp_path_factory.mktemp("killed")
    with Kaged(folder) as kaged:
        kaged.wait(kaged.spawn("seq", "20000"))
        kaged.stop()  # what it has goes to tables
        kaged.start()
        for _ in range(3):
            kaged.wait(kaged.spawn("true"))
        kaged.kill()
    return folder / "state"


@pytest.fixture
def kaged(tmp_path: Path, killed: Path) -> Iterator[Kaged]:
    """A copy of it, not started."""
    shutil.copytree(killed, tmp_path / "state", ignore=shutil.ignore_patterns("runs"))  # there may be a FIFO in it
    kaged = Kaged(tmp_path)
    try:
        yield kaged
    finally:
        kaged.__exit__(None, None, None)


def refusal(kaged: Kaged) -> str:
    """The words of a start that was refused, which is the last line."""
    kaged.launch()
    assert kaged.exit_code() == 74
    assert not kaged.socket.exists()
    assert "Traceback" not in kaged.words()
    return kaged.words().splitlines()[-1]


def database(kaged: Kaged) -> Path:
    return kaged.state / "db"


def log(folder: Path) -> Path:
    return max(folder.glob("*.log"), key=lambda file: file.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "CURRENT").unlink(),
        lambda folder: flip(manifest(folder), manifest(folder).stat().st_size // 2),
        lambda folder: manifest(folder).unlink(),
        lambda folder: os.truncate(biggest_table(folder), biggest_table(folder).stat().st_size - 1),
        lambda folder: biggest_table(folder).unlink(),
    ],
    ids=["current gone", "manifest flipped", "manifest gone", "table cut", "table gone"],
)
def test_a_damaged_store_is_refused_with_what_to_do_and_left_as_it_is(
    kaged: Kaged, damage: Callable[[Path], object]
) -> None:
    damage(database(kaged))
    before = files(database(kaged))
    for _ in range(2):
        words = refusal(kaged)
        assert words.startswith("kaged: the store ")
        assert "nothing was changed; copy the folder away" in words
        assert files(database(kaged)) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(log(folder), log(folder).stat().st_size - 100),
        lambda folder: flip(log(folder), log(folder).stat().st_size // 2),
        lambda folder: log(folder).unlink(),
        lambda folder: os.truncate(manifest(folder), manifest(folder).stat().st_size // 2),
        lambda folder: os.truncate(manifest(folder), 0),
    ],
    ids=["log cut", "log flipped", "log gone", "manifest cut", "manifest empty"],
)
def test_a_store_that_lost_acknowledged_events_is_refused_with_how_many(
    kaged: Kaged, damage: Callable[[Path], object]
) -> None:
    damage(database(kaged))
    noted = (database(kaged) / FILE_NAME).read_bytes()
    words = ""
    for _ in range(2):
        words = refusal(kaged)
        assert "Restore a backup" in words or "restore a backup" in words
        assert (database(kaged) / FILE_NAME).read_bytes() == noted
    if "were acknowledged" in words:
        assert f"{int.from_bytes(noted[:8], 'big')} were acknowledged" in words


def test_a_store_of_another_version_is_refused_with_the_version_and_left_as_it_is(kaged: Kaged) -> None:
    store = RocksStore(database(kaged))
    batch = store.batch()
    batch.put("meta", b"format", b"kage-store-9")
    store.write(batch)
    store.sync()
    store.close()
    held = {file.name for file in database(kaged).glob("*.sst")}
    words = refusal(kaged)
    assert "kage-store-9" in words
    assert "use the release that wrote it" in words
    assert held <= {file.name for file in database(kaged).glob("*.sst")}


def test_an_error_in_recovery_is_told_in_one_line(kaged: Kaged) -> None:
    """The store opens and its events are whole; what recovery folds from is not."""
    store = RocksStore(database(kaged))
    batch = store.batch()
    batch.put("states", LIVE + b"agent", b"")
    batch.put("states", state_row(AGENT_STATE, "agent", 1), b"nonsense")
    store.write(batch)
    store.sync()
    store.close()
    words = refusal(kaged)
    assert words.startswith("kaged: ")
    assert "reindex" in words
