"""The few words of D-Bus that we speak, against a peer that answers well, badly, late or not at all."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaged.executors.dbus import ManagerRefused, start_transient_unit

JOB = "/org/freedesktop/systemd1/job/7"
OK = b"OK 0123456789abcdef\r\n"


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def padded(data: bytes, size: int) -> bytes:
    return data + bytes(-len(data) % size)


def message(kind: int, fields: dict[int, tuple[str, str | int]], body: bytes) -> bytes:
    out = b""
    for code, (signature, value) in fields.items():
        out = padded(out, 8) + bytes((code, 1)) + signature.encode() + b"\0"
        if signature == "u":
            out = padded(out, 4) + struct.pack("<I", int(value))
        elif signature == "g":
            out += bytes((len(str(value)),)) + str(value).encode() + b"\0"
        else:
            out = padded(out, 4) + text(str(value))
    head = struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), 99, len(out)) + out
    return padded(head, 8) + body


def answer(job: str = JOB) -> bytes:
    return message(2, {5: ("u", 1), 8: ("g", "o")}, text(job))


def refusal(why: str) -> bytes:
    name = "org.freedesktop.systemd1.UnitExists"
    return message(3, {4: ("s", name), 5: ("u", 1), 8: ("g", "s")}, text(why))


def removed(result: str, job: str = JOB) -> bytes:
    body = struct.pack("<I", 7) + text(job)
    body = padded(body, 4) + text("kage-a.1.scope")
    body = padded(body, 4) + text(result)
    return message(4, {1: ("o", "/org"), 3: ("s", "JobRemoved"), 8: ("g", "uoss")}, body)


@contextmanager
def manager(path: Path, *replies: bytes, close: bool = True) -> Iterator[list[bytes]]:
    """A peer that says all of `replies` to whoever connects, and keeps what it hears."""
    heard: list[bytes] = []
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(65536))
                for reply in replies:
                    connection.sendall(reply)
                if not close:
                    over.wait(10)
                else:
                    connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(65536):
                    heard.append(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join(10)


def start(path: Path, timeout_s: float = 10) -> None:
    start_transient_unit(path, "kage-a.1.scope", [("PIDs", "au", [42]), ("Delegate", "b", True)], timeout_s=timeout_s)


def test_a_unit_is_there_when_its_job_is_done(tmp_path: Path) -> None:
    with manager(tmp_path / "m", OK, answer(), removed("done", "/other"), removed("done")) as heard:
        start(tmp_path / "m")
    said = b"".join(heard)
    assert said.startswith(b"\0AUTH EXTERNAL ")
    for word in (b"StartTransientUnit", b"ssa(sv)a(sa(sv))", b"kage-a.1.scope", b"PIDs", b"\x02au\0"):
        assert word in said


def test_a_job_may_be_over_before_the_call_is_answered(tmp_path: Path) -> None:
    with manager(tmp_path / "m", OK + removed("done") + answer()):
        start(tmp_path / "m")


def test_answers_may_come_in_any_pieces(tmp_path: Path) -> None:
    whole = OK + answer() + removed("done")
    with manager(tmp_path / "m", *(whole[at : at + 1] for at in range(len(whole)))):
        start(tmp_path / "m")


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ([OK, refusal("Unit kage-a.1.scope already exists.")], "already exists"),
        ([OK, answer(), removed("failed")], "'failed'"),
        ([b"REJECTED EXTERNAL\r\n"], "REJECTED"),
        ([OK], "closed the connection"),
        ([OK, b"B" + answer()[1:]], "cannot be read"),
        ([OK, b"l\x02\0\x01" + b"\xff" * 12], "cannot be read"),
    ],
)
def test_whatever_else_happens_is_said(tmp_path: Path, replies: list[bytes], words: str) -> None:
    with manager(tmp_path / "m", *replies), pytest.raises(ManagerRefused, match=words):
        start(tmp_path / "m")


def test_a_manager_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with manager(tmp_path / "m", OK, close=False), pytest.raises(ManagerRefused, match="no answer"):
        start(tmp_path / "m", timeout_s=0.2)


def test_no_manager_at_all(tmp_path: Path) -> None:
    with pytest.raises(ManagerRefused, match="No such file"):
        start(tmp_path / "m")


@given(junk=st.binary(max_size=200), mend=st.sampled_from([bytes, lambda junk: answer()[: len(junk)] + junk]))
def test_no_bytes_of_a_peer_are_a_surprise(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, mend: Callable[[bytes], bytes]
) -> None:
    path = tmp_path_factory.mktemp("d") / "m"
    with manager(path, OK, mend(junk)), pytest.raises(ManagerRefused):
        start(path, timeout_s=2)
