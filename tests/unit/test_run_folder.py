"""The daemon's half of the run folder: what is written can be repeated, what is read is whole or refused."""

import contextlib
import fcntl
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaged.domain.errors import AlreadyExists, Precondition, Unavailable
from kaged.domain.run_records import (
    ExecFailed,
    Exited,
    NotStarted,
    ResizeOrder,
    RunSpec,
    SignalOrder,
    StopOrder,
    TornRecord,
    order_line,
)
from kaged.executors.daemon_lock import DaemonLock
from kaged.executors.run_folder import InputGap, Liveness, RunFolder, empty_trash, list_runs
from kaged.shim import shim

SPEC = RunSpec(run_id="r", agent_id="a", argv=("true",), env={"SECRET": "s"}, cwd="/")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "r")
    made.create(SPEC)
    return made


def test_a_new_folder_is_private_and_has_its_inputs(folder: RunFolder) -> None:
    assert folder.path.stat().st_mode & 0o777 == 0o700
    modes = {entry.name: entry.stat().st_mode for entry in os.scandir(folder.path)}
    assert sorted(modes) == ["bell", "ctl.log", "in.log", "spec.json"]
    assert {mode & 0o777 for mode in modes.values()} == {0o600}
    assert stat.S_ISFIFO(modes["bell"])


def test_a_run_id_is_used_once(folder: RunFolder) -> None:
    with pytest.raises(AlreadyExists):
        folder.create(SPEC)


def test_a_fresh_folder_knows_nothing(folder: RunFolder) -> None:
    assert folder.read_meta() is folder.read_agent() is folder.read_exit() is folder.read_sealed() is None
    assert folder.is_alive() is Liveness.MISSING
    assert folder.spool_size("out") == 0
    assert folder.read_spool("err", 0, 100) == b""


def test_the_lock_tells_held_from_free_from_missing(folder: RunFolder) -> None:
    fd = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert folder.is_alive() is Liveness.HELD
    fcntl.flock(fd, fcntl.LOCK_UN)
    assert folder.is_alive() is Liveness.FREE
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # asking has left nothing behind
    os.close(fd)


def test_a_lock_that_cannot_be_asked_is_not_an_answer(folder: RunFolder) -> None:
    (folder.path / "lock").mkdir()
    with pytest.raises(Unavailable):
        folder.is_alive()


def test_only_the_first_cancel_counts(folder: RunFolder) -> None:
    assert [folder.cancel(), folder.cancel(), folder.cancel()] == [True, False, False]
    assert RunFolder(folder.path.parent / "gone").cancel() is False


def test_writing_beyond_the_end_is_refused(folder: RunFolder) -> None:
    folder.write_input(0, b"abc")
    with pytest.raises(InputGap) as caught:
        folder.write_input(4, b"x")
    assert (caught.value.offset, caught.value.size) == (4, 3)
    assert (folder.path / "in.log").read_bytes() == b"abc"


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8),
    crashes=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 40)), max_size=5),
)
def test_redoing_input_after_any_crash_gives_the_intended_bytes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], crashes: list[tuple[int, int]]
) -> None:
    """A crash leaves any prefix of one write; the next daemon repeats all intents from the first."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "r")
    folder.create(SPEC)
    offsets = [sum(map(len, pieces[:n])) for n in range(len(pieces))]
    for last, torn in crashes:
        for offset, piece in list(zip(offsets, pieces, strict=True))[:last]:
            folder.write_input(offset, piece)
        if last < len(pieces) and folder.path.joinpath("in.log").stat().st_size <= offsets[last]:
            folder.write_input(offsets[last], pieces[last][:torn])
    for offset, piece in zip(offsets, pieces, strict=True):
        assert folder.write_input(offset, piece) == offset + len(piece)
    assert (folder.path / "in.log").read_bytes() == b"".join(pieces)


def test_ringing_wakes_who_listens_and_bothers_nobody_else(folder: RunFolder) -> None:
    folder.ring()
    fd = os.open(folder.path / "bell", os.O_RDWR | os.O_NONBLOCK)
    for _ in range(70_000):  # more than the pipe holds
        folder.ring()
    assert os.read(fd, 1) == b"!"
    os.close(fd)


def test_the_end_of_input_names_the_size(folder: RunFolder) -> None:
    folder.close_input(17)
    folder.close_input(17)
    assert int((folder.path / "in.eof").read_text()) == 17


def test_a_spool_is_read_from_any_offset(folder: RunFolder) -> None:
    (folder.path / "out.log").write_bytes(bytes(range(256)))
    assert folder.spool_size("out") == 256
    assert folder.read_spool("out", 250, 100) == bytes(range(250, 256))
    assert folder.read_spool("out", 3, 2) == b"\3\4"
    assert folder.read_spool("out", 300, 2) == b""


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b'"x"', b'{"kind":"exited"}', b'{"kind":"odd"}', b"\xff"]
)
def test_a_torn_record_is_an_error_and_never_a_value(folder: RunFolder, damage: bytes) -> None:
    for name, read in (
        ("meta.json", folder.read_meta),
        ("agent.json", folder.read_agent),
        ("exit.json", folder.read_exit),
        ("sealed.json", folder.read_sealed),
        ("backlog.json", folder.read_backlog),
    ):
        (folder.path / name).write_bytes(damage)
        with pytest.raises(TornRecord) as caught:
            read()
        assert caught.value.name == name
        assert caught.value.hint


@given(cut=st.integers(0, 400), flip=st.integers(0, 400))
def test_no_damage_to_a_record_makes_another_status(
    cut: int, flip: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A cut anywhere is noticed. (Flipped bits are the disk's business; they must not be a crash here.)"""
    path = tmp_path_factory.mktemp("runs")
    folder = RunFolder(path)
    moment = shim.dumps(shim.moment())[1:]
    data = (
        '{"kind": "exited", "run_id": "r", "status": 256, "code": 1, "signal": null, "core": false, '
        f'"stopped_by": null, "utime_us": 1, "stime_us": 2, "maxrss_kb": 3, {moment}'
    ).encode()
    (path / "exit.json").write_bytes(data[:cut])
    if cut < len(data):
        with pytest.raises(TornRecord):
            folder.read_exit()
    else:
        assert isinstance(folder.read_exit(), Exited)
    flipped = bytearray(data)
    flipped[flip % len(data)] ^= 1
    (path / "exit.json").write_bytes(flipped)
    with contextlib.suppress(TornRecord):
        folder.read_exit()


def test_a_limit_that_only_a_newer_shim_knows_is_a_word_like_any_other(folder: RunFolder) -> None:
    record = {"kind": "exec_failed", "run_id": "r", "stage": "exec", "errno": 2, "strerror": "no", "cwd_missing": False}
    text = shim.dumps(record | {"stopped_by": "some_limit"} | shim.moment())
    (folder.path / "exit.json").write_text(text)
    found = folder.read_exit()
    assert isinstance(found, ExecFailed)
    assert found.stopped_by == "some_limit"


def test_the_protocol_of_a_newer_shim_is_read_whatever_else_it_writes(folder: RunFolder) -> None:
    assert folder.protocol() is None
    (folder.path / "meta.json").write_text('{"protocol": 7, "all else": "is new"}')
    assert folder.protocol() == 7
    with pytest.raises(TornRecord):
        folder.read_meta()


def test_what_a_daemon_has_recorded_is_told_in_two_numbers(folder: RunFolder) -> None:
    folder.note_consumed(5, 70)
    folder.note_consumed(5_000_000_000, 71)
    assert shim.consumed(str(folder.path / "consumed")) == [5_000_000_000, 71]
    assert shim.consumed(str(folder.path / "nothing")) == []


def test_unknown_keys_of_a_newer_shim_are_ignored(folder: RunFolder) -> None:
    record = {"kind": "not_started", "run_id": "r", "reason": "why", "new": [1, {"x": None}]} | shim.moment()
    (folder.path / "exit.json").write_text(shim.dumps(record))
    found = folder.read_exit()
    assert isinstance(found, NotStarted)
    assert found.reason == "why"


def test_removal_is_whole_and_refused_while_alive(folder: RunFolder) -> None:
    fd = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(Precondition):
        folder.remove()
    os.close(fd)
    folder.remove()
    folder.remove()
    assert list_runs(folder.path.parent) == []
    assert not folder.path.exists()


def test_runs_are_listed_without_the_trash(folder: RunFolder) -> None:
    runs_dir = folder.path.parent
    (runs_dir / ".trash" / "old").mkdir(parents=True)
    (runs_dir / "stray file").touch()
    assert [run.run_id for run in list_runs(runs_dir)] == ["r"]
    empty_trash(runs_dir)
    empty_trash(runs_dir)
    assert not (runs_dir / ".trash").exists()
    assert list_runs(runs_dir / "nowhere") == []


def test_secrets_go_when_the_spec_is_forgotten(folder: RunFolder) -> None:
    assert b"SECRET" in (folder.path / "spec.json").read_bytes()
    folder.forget_spec()
    folder.forget_spec()
    assert not (folder.path / "spec.json").exists()


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with DaemonLock(path), pytest.raises(AlreadyExists, match=str(os.getpid())):
        DaemonLock(path)
    DaemonLock(path).close()


def test_looking_at_the_daemons_lock_takes_nothing_and_tells_the_truth(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert shim.lock_is_held(str(path)) is False, "no file, no daemon"
    path.touch()
    assert shim.lock_is_held(str(path)) is False
    with DaemonLock(path):
        assert shim.lock_is_held(str(path)) is True
    assert shim.lock_is_held(str(path)) is False


def test_a_daemon_that_only_uses_flock_is_seen_as_well(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert shim.lock_is_held(str(tmp_path / "lock")) is True
        fcntl.flock(file, fcntl.LOCK_UN)
        assert shim.lock_is_held(str(tmp_path / "lock")) is False


def test_code_that_opens_the_lock_file_again_does_not_lose_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with DaemonLock(path):
        path.read_bytes()
        assert shim._range_lock_is_held(os.open(path, os.O_RDONLY)) is True


def test_orders_are_the_same_bytes_each_time() -> None:
    assert order_line(1, SignalOrder(signal=15)) == b'{"n":1,"op":"signal","signal":15,"whole_tree":false}\n'
    assert order_line(2, ResizeOrder(rows=3, cols=4)) == b'{"n":2,"op":"resize","rows":3,"cols":4}\n'
    assert order_line(3, StopOrder(signal=2, grace_s=1)) == b'{"n":3,"op":"stop","signal":2,"grace_s":1}\n'


def test_room_for_orders_is_set_aside_when_the_folder_is_made(folder: RunFolder) -> None:
    """A stop must find room on a full disk."""
    control = (folder.path / "ctl.log").stat()
    assert control.st_size == 0
    assert control.st_blocks * 512 >= 4096
