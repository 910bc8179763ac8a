"""`kaged fsck` and `kaged reindex` as a user runs them."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from kaged.store.rows.keys import pack_seq
from kaged.store.rows.rocks import RocksStore
from tests.e2e.daemon_kit import Kaged

pytestmark = pytest.mark.e2e


def kaged_verb(verb: str, state: Path) -> "subprocess.CompletedProcess[str]":
    """Run one verb."""
    command = [sys.executable, "-m", "kaged", verb, "--state-dir", str(state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file of a store with its hash, without RocksDB's own log of messages."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("LOG")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_fsck_after_a_kill_finds_no_fault_and_changes_no_file(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        kaged.wait(kaged.spawn("sh", "-c", "echo hi; exit 3"))
        assert kaged_verb("fsck", kaged.state).returncode == 75, "a daemon has it"
        kaged.kill()
        before = fingerprint(kaged.state / "db")
        checked = kaged_verb("fsck", kaged.state)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "1 runs, 3 bytes of output" in checked.stdout
        assert "no fault found" in checked.stdout
        assert fingerprint(kaged.state / "db") == before


def test_fsck_names_a_changed_byte_and_a_missing_index_that_reindex_mends(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        kaged.wait(kaged.spawn("sh", "-c", "echo hi"))
        kaged.stop()
        store = RocksStore(kaged.state / "db")
        stored = store.get("events", pack_seq(2))
        assert stored is not None
        changed = stored[:-1] + bytes((stored[-1] ^ 1,))
        for value in (changed, stored):
            batch = store.batch()
            batch.put("events", pack_seq(2), value)
            store.write(batch)
            if value is changed:
                store.close()
                checked = kaged_verb("fsck", kaged.state)
                assert checked.returncode == 1
                assert "seq 2:" in checked.stdout
                store = RocksStore(kaged.state / "db")
        store.close()
        assert kaged_verb("fsck", kaged.state).returncode == 0
        assert "rebuilt" in kaged_verb("reindex", kaged.state).stdout


def test_a_folder_without_a_store_is_said_to_be_one(tmp_path: Path) -> None:
    done = kaged_verb("fsck", tmp_path)
    assert done.returncode == 74
    assert "holds no store" in done.stderr
    assert list(tmp_path.iterdir()) == []
