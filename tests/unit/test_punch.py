"""Holes: space is given back, and every other byte, offset and writer is left as it was."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaged.executors import punch
from kaged.executors.punch import Puncher
from tests.search import examples

MIB = 1 << 20


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with (tmp_path / "out.log").open("wb") as file:
        file.write(os.urandom(4 * MIB))
        file.flush()
        os.fsync(file.fileno())
    return tmp_path


def test_space_is_given_back_while_somebody_appends(folder: Path) -> None:
    path = folder / "out.log"
    before, used = path.read_bytes(), blocks(path)
    with path.open("ab", buffering=0) as writer:
        writer.write(b"1")
        assert Puncher().punch(folder, "out", 0, 3 * MIB + 5) == 3 * MIB
        writer.write(b"2")
    assert used - blocks(path) >= 3 * MIB - 4096
    after = path.read_bytes()
    assert after == bytes(3 * MIB) + before[3 * MIB :] + b"12"


@given(cuts=st.lists(st.integers(0, 200_000), min_size=1, max_size=8))
@settings(max_examples=examples(40), deadline=None)
def test_no_byte_behind_what_was_to_go_is_ever_touched(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("spools")
    data = os.urandom(200_000)
    (folder / "err.log").write_bytes(data)
    puncher, done = Puncher(), 0
    for cut in sorted(cuts):
        done = puncher.punch(folder, "err", done, cut)
        assert done <= cut
        assert (folder / "err.log").read_bytes()[cut:] == data[cut:]
    assert (folder / "err.log").stat().st_size == 200_000


def test_a_disk_that_cannot_is_told_of_once_and_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(fd: int, start: int, length: int) -> None:
        raise OSError(punch.errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(punch, "punch_hole", refuse)
    puncher = Puncher()
    with caplog.at_level(logging.WARNING):
        assert [puncher.punch(folder, "out", 0, MIB) for _ in range(3)] == [0, 0, 0]
    assert [record.message.split()[0] for record in caplog.records] == ["spools_keep_their_size"]


def test_a_spool_that_is_gone_is_nothing_to_complain_about(tmp_path: Path) -> None:
    assert Puncher().punch(tmp_path, "out", 0, MIB) == 0
