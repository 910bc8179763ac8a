"""The small HTTP/2 client: it takes a plain success in any cutting, and nothing else."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagectl.client.http2 import _answer

TRAILERS = b"\x00\x0bgrpc-status\x010"
FAILED = b"\x00\x0bgrpc-status\x015"


class Wire:
    """A socket that gives `pieces` one at a time and keeps what was sent."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.sent = b""

    def recv(self, size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def settimeout(self, seconds: float | None) -> None:
        pass


def frame(kind: int, flags: int, body: bytes, stream: int = 1) -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + body


def message(data: bytes, flag: bytes = b"\x00") -> bytes:
    return flag + struct.pack(">I", len(data)) + data


def success(data: bytes, cuts: list[int]) -> bytes:
    """What a server sends for a plain success, the message cut into DATA frames."""
    whole = message(data)
    edges = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    frames = [frame(0, 0, whole[low:high]) for low, high in itertools.pairwise(edges)]
    lead = frame(4, 0, b"", 0) + frame(6, 0, b"12345678", 0) + frame(8, 0, bytes(4), 0) + frame(1, 4, b"\x88")
    return lead + b"".join(frames) + frame(1, 5, TRAILERS)


def chunked(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    while data:
        size = sizes.pop() if sizes else len(data)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@given(st.binary(max_size=600), st.lists(st.integers(0, 700)), st.lists(st.integers(1, 50)))
def test_a_success_is_read_in_any_cutting(data, cuts, sizes):
    wire = Wire(chunked(success(data, cuts), sizes))
    assert _answer(wire, None) == data
    assert wire.sent == frame(4, 1, b"", 0) + frame(6, 1, b"12345678", 0)


@given(st.binary(max_size=60), st.data())
def test_an_answer_that_breaks_off_is_never_taken_for_one(data, draw):
    whole = success(data, [])
    upto = draw.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(EOFError):
        _answer(Wire([whole[:upto]] if upto else []), None)


@pytest.mark.parametrize(
    "sent",
    [
        frame(1, 5, b"\x88" + FAILED),
        frame(1, 4, b"\x88") + frame(0, 0, message(b"x")) + frame(1, 5, FAILED),
        frame(1, 4, b"\x88") + frame(0, 0, message(b"x", b"\x01")) + frame(1, 5, TRAILERS),
        frame(1, 4, b"\x88") + frame(0, 0, message(b"x") + message(b"y")) + frame(1, 5, TRAILERS),
        frame(1, 4, b"\x88") + frame(1, 5, TRAILERS),
        frame(1, 4, b"\x88") + frame(0, 1, message(b"x")),
        frame(3, 0, bytes(4)),
        frame(7, 0, bytes(8), 0),
    ],
    ids=["error", "error after data", "compressed", "two", "no message", "no trailers", "reset", "goaway"],
)
def test_whatever_is_not_a_plain_success_is_left_to_grpc(sent):
    assert _answer(Wire([sent]), None) is None


def test_trailers_may_go_on_in_a_continuation_and_data_may_be_padded():
    padded = frame(0, 8, b"\x03" + message(b"xyz") + bytes(3))
    sent = frame(1, 4, b"\x88") + padded + frame(1, 1, TRAILERS[:5]) + frame(9, 4, TRAILERS[5:])
    assert _answer(Wire([sent]), None) == b"xyz"


def test_the_time_limit_counts_the_whole_answer():
    with pytest.raises(TimeoutError):
        _answer(Wire([frame(4, 0, b"", 0)] * 3), 0.0)
