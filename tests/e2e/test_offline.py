"""`kaged fsck` and `kaged reindex` as a user runs them."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kaged.api.v1 import agent_service_pb2, spec_pb2
from kaged.executors.daemon_lock import DaemonLock
from kaged.store.rows.keys import AGENT_STATE, pack_seq, state_prefix
from kaged.store.rows.rocks import RocksStore
from tests.e2e.daemon_kit import DEADLINE_S, Kaged

pytestmark = pytest.mark.e2e


def kaged_verb(verb: str, state: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    """Run one verb."""
    command = [sys.executable, "-m", "kaged", verb, "--state-dir", str(state), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file of a store with its hash, without RocksDB's own log of messages."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("LOG")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_fsck_after_a_kill_finds_no_fault_and_changes_no_file(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        kaged.wait(kaged.spawn("sh", "-c", "echo hi; exit 3"))
        assert kaged_verb("reindex", kaged.state).returncode == 75, "a daemon has it"
        kaged.kill()
        before = fingerprint(kaged.state / "db")
        checked = kaged_verb("fsck", kaged.state)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "1 runs, 3 bytes of output" in checked.stdout
        assert "no fault found" in checked.stdout
        assert fingerprint(kaged.state / "db") == before


def report(state: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and findings of fsck for programs."""
    done = kaged_verb("fsck", state, "--json")
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_fsck_beside_a_daemon_at_work_finds_no_fault_and_disturbs_nobody(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        living = kaged.spawn("sh", "-c", "while :; do echo tick; sleep 0.01; done")
        kaged.wait(kaged.spawn("sh", "-c", "echo hi"))
        code, found = report(kaged.state)
        assert (code, found["problems"]) == (0, [])
        assert (found["beside_daemon"], found["agents"], found["runs"], found["runs_without_end"]) == (True, 2, 2, 1)
        assert found["lost"] == found["duplicated"] == found["disorder"] == found["orphans"] == 0
        kaged.end(living)
        assert kaged.process is not None
        assert kaged.process.poll() is None


def test_fsck_finds_a_process_that_no_run_explains(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        ended = kaged.wait(kaged.spawn("true")).run.id
        environment = {"KAGE_TOKEN_FILE": str(kaged.state / "runs" / ended / "token"), "PATH": "/usr/bin:/bin"}
        with subprocess.Popen(["sleep", "1000"], env=environment) as stray:
            try:
                code, found = report(kaged.state)
            finally:
                stray.kill()
        assert (code, found["orphans"]) == (1, 1)
        assert ended in found["problems"][0]["what"]
        assert str(stray.pid) in found["problems"][0]["what"]
        assert report(kaged.state)[0] == 0


def test_fsck_finds_a_run_without_a_process_while_its_daemon_does_not_see_it(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        agent = kaged.spawn("sleep", "1000")
        kaged.wait_state(agent, 3)
        run = kaged.agent(agent).run.id
        assert kaged.process is not None
        kaged.process.send_signal(signal.SIGSTOP)
        for pid in kaged.carriers():
            os.kill(pid, signal.SIGKILL)
        code, found = report(kaged.state)
        kaged.process.send_signal(signal.SIGCONT)
        assert (code, found["orphans"]) == (1, 1), found
        assert f"run {run} has no end, and no process" in found["problems"][0]["what"]
        kaged.wait(agent)
        assert report(kaged.state)[0] == 0, "it was settled: lost, with an end"


def test_fsck_compares_stored_states_with_the_facts_and_reindex_mends_them(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        agent = kaged.wait(kaged.spawn("sh", "-c", "exit 3")).id
        kaged.stop()
        store = RocksStore(kaged.state / "db")
        prefix = state_prefix(AGENT_STATE, agent)
        (key, value), *_ = store.scan("states", prefix, prefix=prefix, limit=1)
        batch = store.batch()
        batch.put("states", key, value.replace(b'"failed"', b'"succeeded"'))
        store.write(batch)
        store.close()
        code, found = report(kaged.state)
        assert (code, found["only_derived"], found["damaged"]) == (1, True, 1), found
        assert agent in found["problems"][0]["what"]
        assert kaged_verb("reindex", kaged.state).returncode == 0
        assert report(kaged.state)[0] == 0


def test_fsck_of_what_was_started_again_and_again_agrees_with_its_counters(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        restart = spec_pb2.RestartPolicy(
            type=spec_pb2.RESTART_TYPE_TRANSIENT, intensity=3, period_s=60, backoff_initial_s=0.01, backoff_max_s=0.02
        )
        agent = kaged.wait(kaged.spawn("false", restart=restart)).id
        kaged.restart()
        kaged.agents.RestartAgent(agent_service_pb2.RestartAgentRequest(agent=agent), timeout=DEADLINE_S)
        kaged.wait(agent)
        kaged.kill()
        code, found = report(kaged.state)
        assert (code, found["problems"]) == (0, [])
        assert found["runs"] >= 4


def test_a_second_fsck_waits_for_nobody_and_says_who_is_there(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        kaged.stop()
        with DaemonLock(kaged.state / "lock", note="fsck"):
            done = kaged_verb("fsck", kaged.state)
        assert done.returncode == 75
        assert f"pid {os.getpid()} fsck" in done.stderr


def test_kagectl_fsck_has_all_forms_and_the_exit_code(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        kaged.wait(kaged.spawn("true"))
        for form in ("table", "json", "yaml", "jsonl"):
            command = [sys.executable, "-m", "kagectl", "fsck", "--state-dir", str(kaged.state), "-o", form]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            assert ("no fault found" in done.stdout) == (form == "table")
        assert json.loads(done.stdout)["good"] is True
        command[5] = str(tmp_path / "nowhere")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 74
        assert "holds no store" in done.stderr


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
