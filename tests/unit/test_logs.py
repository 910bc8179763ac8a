"""Log lines as journald gets them."""

import logging
import os
import socket
from pathlib import Path

import pytest

from kaged.logs import JournalHandler, journal_entry, journal_fields, under_journal


def record(message: str, *args: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("kaged.core", level, "/kaged/core.py", 7, message, args, None, "act")


def test_each_key_of_a_line_is_a_field() -> None:
    line = record("no_scope run=%s error=%s", "a.1", "no answer", level=logging.WARNING)
    assert journal_fields(line, "kaged.core no_scope ...") == {
        "MESSAGE": "kaged.core no_scope ...",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "kaged",
        "KAGE_EVENT": "no_scope",
        "KAGE_RUN": "a.1",
        "KAGE_ERROR": "no",
        "KAGE_LOGGER": "kaged.core",
        "CODE_FILE": "/kaged/core.py",
        "CODE_LINE": "7",
        "CODE_FUNC": "act",
    }


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        ("Something went wrong: (x=y)", []),
        ("a_fact MESSAGE=forged PRIORITY=0 _PID=1", ["KAGE_EVENT"]),  # only words of ours, and never without KAGE_
        ("a_fact message=2", ["KAGE_EVENT", "KAGE_MESSAGE"]),
        ("", []),
    ],
)
def test_no_text_of_a_line_becomes_a_field_of_journald(message: str, keys: list[str]) -> None:
    fields = journal_fields(record(message), message)
    assert [key for key in sorted(fields) if key.startswith("KAGE_") and key != "KAGE_LOGGER"] == keys
    assert fields["MESSAGE"] == message


@pytest.mark.parametrize(
    ("level", "priority"), [(50, "2"), (40, "3"), (35, "4"), (30, "4"), (20, "6"), (10, "7"), (5, "7")]
)
def test_levels_are_priorities(level: int, priority: str) -> None:
    assert journal_fields(record("x", level=level), "x")["PRIORITY"] == priority


def test_a_text_of_several_lines_is_one_entry() -> None:
    assert journal_entry({"MESSAGE": "a\nb", "PRIORITY": "6"}) == (b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY=6\n")
    assert journal_entry({"MESSAGE": "\udcff"}) == b"MESSAGE=\\udcff\n"


def test_a_journal_that_does_not_read_is_not_waited_for_and_what_was_lost_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(str(tmp_path / "j"))
        journald.settimeout(10)
        handler = JournalHandler(str(tmp_path / "j"))
        sent = 0
        while not handler._lost:  # its queue is short
            handler.emit(record("line number=%s", sent))
            sent += 1
            assert sent < 100_000
        handler.emit(record("line"))
        while sent > 1:
            sent -= 1
            assert b"LINES_LOST" not in journald.recv(65536)
        handler.emit(record("again"))
        assert b"KAGE_LINES_LOST=2\n" in journald.recv(65536)
        handler.emit(record("x" * (1 << 20)))  # more than a datagram takes
        assert 60_000 < len(journald.recv(1 << 21)) < 70_000
        handler.close()


def test_without_a_journald_lines_go_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = JournalHandler(str(tmp_path / "nobody"))
    handler.emit(record("a_fact run=%s", "a.1"))
    handler.close()
    assert capsys.readouterr().err == "a_fact run=a.1\n"


def test_the_journal_is_recognized_by_the_stream_itself(tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as stream:
        found = os.fstat(stream.fileno())
        assert under_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, stream.fileno())
        assert not under_journal({"JOURNAL_STREAM": "8:1"}, stream.fileno())  # inherited from somebody else
        assert not under_journal({}, stream.fileno())
