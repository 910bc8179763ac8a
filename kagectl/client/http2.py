"""One unary gRPC call over a fresh connection by hand: 1 ms where importing gRPC alone takes 60.

    preface, SETTINGS, HEADERS, DATA  ->      <-  SETTINGS, DATA, HEADERS (trailers, grpc-status 0)

It understands exactly one thing: a plain success. Everything else (an error, a header it does not know, a
message over the size of one frame) gives None, and the caller repeats the call through gRPC, which knows all
of HTTP/2. So only calls that may be repeated go this way. Not here: streams, flow control, HPACK decoding.
"""

import socket
import struct
import time

from kagectl.client.address import Address

MAX_REQUEST_BYTES = 15_000  # fits into one DATA frame and the first flow-control window
_MAX_ANSWER_BYTES = 16 * 1024 * 1024

_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x9
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8

_WINDOW = _MAX_ANSWER_BYTES + 65_536
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_OUR_SETTINGS = struct.pack(">HIHIHI", 0x1, 0, 0x2, 0, 0x4, _WINDOW)  # no header table, no push, our window
_GOOD = b"grpc-status\x010"  # the trailer as gRPC's C core writes it: a literal, never Huffman-coded


def call(address: Address, method: str, token: str, request: bytes, *, timeout_s: float | None) -> bytes | None:
    """The serialized answer, or None: repeat it through gRPC. `method`: `/pkg.Svc/M`.

    Raises TimeoutError after `timeout_s`, and OSError when the socket cannot be reached.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with address.connect(timeout_s=2.0) as line:
        line.settimeout(timeout_s)
        message = b"\x00" + struct.pack(">I", len(request)) + request
        line.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, _OUR_SETTINGS)
            + _frame(0x8, 0, 0, struct.pack(">I", _WINDOW))
            + _frame(_HEADERS, _END_HEADERS, 1, _headers(method, token, timeout_s))
            + _frame(_DATA, _END_STREAM, 1, message)
        )
        try:
            return _answer(line, deadline)
        except (ConnectionError, EOFError, struct.error, IndexError):
            return None


def _answer(line: socket.socket, deadline: float | None) -> bytes | None:
    held = bytearray()
    data = bytearray()
    trailers = b""
    ending = False
    while True:
        while len(held) < 9:
            _more(line, held, deadline)
        size = held[0] << 16 | held[1] << 8 | held[2]
        kind, flags = held[3], held[4]
        while len(held) < 9 + size:
            _more(line, held, deadline)
        body = bytes(held[9 : 9 + size])
        del held[: 9 + size]
        if kind == _DATA:
            data += body[1 : len(body) - body[0]] if flags & _PADDED else body
            if len(data) > _MAX_ANSWER_BYTES + 5 or flags & _END_STREAM:
                return None
        elif kind in (_HEADERS, _CONTINUATION):
            trailers = body if kind == _HEADERS else trailers + body
            ending = ending or bool(kind == _HEADERS and flags & _END_STREAM)
            if ending and flags & _END_HEADERS:
                return _message(data) if _GOOD in trailers else None
        elif kind == _SETTINGS and not flags & _ACK:
            line.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            line.sendall(_frame(_PING, _ACK, 0, body))
        elif kind in (_RST, _GOAWAY):
            return None


def _more(line: socket.socket, held: bytearray, deadline: float | None) -> None:
    if deadline is not None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        line.settimeout(left_s)
    piece = line.recv(262_144)
    if not piece:
        raise EOFError
    held += piece


def _message(data: bytearray) -> bytes | None:
    """The one uncompressed message in `data`."""
    if len(data) < 5 or data[0] or struct.unpack(">I", data[1:5])[0] != len(data) - 5:
        return None
    return bytes(data[5:])


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + body


def _headers(method: str, token: str, timeout_s: float | None) -> bytes:
    """HPACK, all literal: names from the static table by number, the key marked as never to be indexed."""
    block = b"\x83\x86\x04" + _text(method) + b"\x01" + _text("localhost")
    block += b"\x00" + _text("te") + _text("trailers") + b"\x0f\x10" + _text("application/grpc")
    block += b"\x1f\x08" + _text("Bearer " + token)
    if timeout_s is not None:
        unit = f"{max(int(timeout_s * 1000), 1)}m" if timeout_s < 90_000 else f"{min(int(timeout_s), 99_999_999)}S"
        block += b"\x00" + _text("grpc-timeout") + _text(unit)
    return block


def _text(text: str) -> bytes:
    raw = text.encode()
    if len(raw) < 127:
        return bytes((len(raw),)) + raw
    rest = len(raw) - 127
    size = b"\x7f"
    while rest > 127:
        size += bytes((rest & 127 | 128,))
        rest >>= 7
    return size + bytes((rest,)) + raw
