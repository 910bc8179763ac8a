"""As much D-Bus as asking systemd for a unit takes: one call on its private socket, answered when the job is done.

The same socket that `systemctl` uses; no bus daemon has to run. Blocking, with a deadline, one connection for one
call: made in a thread. Little-endian, no descriptors, values of basic types and arrays of them. Not here: what units
mean (`scope.py`).
"""

import os
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, TypeAlias

from kaged.domain.errors import Broken

Value: TypeAlias = str | int | bool | Sequence[int] | Sequence[str]
Property: TypeAlias = tuple[str, str, Value]  # name, signature (s, b, t, u, au, as), value

_CALL, _RETURN, _ERROR, _SIGNAL = 1, 2, 3, 4
_MAX_MESSAGE: Final = 1 << 20
_SIZES: Final = {"y": 1, "u": 4, "t": 8, "b": 4}


class ManagerRefused(Broken):
    """systemd did not do it, or did not answer."""

    reason = "SERVICE_MANAGER_REFUSED"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"systemd: {what}: {why}", hint="systemctl status and its journal say more")


def start_transient_unit(private: Path, name: str, properties: Sequence[Property], *, timeout_s: float) -> None:
    """Start a transient unit and return when it is there. Raises ManagerRefused."""
    deadline = monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(private))
            peer = _Peer(connection, deadline)
            peer.authenticate()
            body = _Writer()
            body.put("s", name)
            body.put("s", "fail")
            body.properties(properties)
            body.array(8, lambda: None)  # no auxiliary units
            job = peer.call("StartTransientUnit", "ssa(sv)a(sa(sv))", bytes(body.data), name)
            result = peer.wait_job(job)
    except TimeoutError:
        raise ManagerRefused(name, f"no answer in {timeout_s:g} s") from None
    except OSError as error:
        raise ManagerRefused(name, error.strerror or str(error)) from error
    except (struct.error, KeyError, ValueError) as error:
        raise ManagerRefused(name, f"an answer that is not D-Bus: {error!r}") from error
    if result != "done":
        raise ManagerRefused(name, f"its job ended with {result!r}")


class _Peer:
    """One connection, right after `connect`."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = b""
        self._removed: dict[str, str] = {}

    def authenticate(self) -> None:
        uid = str(os.getuid()).encode().hex()
        self._connection.sendall(f"\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n".encode("ascii"))
        while b"\r\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        if not line.startswith(b"OK "):
            raise ManagerRefused("authentication", line.decode("ascii", "replace"))

    def call(self, member: str, signature: str, body: bytes, what: str) -> str:
        """Send one call; the path in its answer."""
        head = _Writer()
        head.data += struct.pack("<cBBBII", b"l", _CALL, 0, 1, len(body), 1)
        fields = (
            (1, "o", "/org/freedesktop/systemd1"),
            (2, "s", "org.freedesktop.systemd1.Manager"),
            (3, "s", member),
            (6, "s", "org.freedesktop.systemd1"),
            (8, "g", signature),
        )

        def write_fields() -> None:
            for code, kind, value in fields:
                head.align(8)
                head.put("y", code)
                head.variant(kind, value)

        head.array(8, write_fields)
        head.align(8)
        self._connection.sendall(bytes(head.data) + body)
        while True:
            kind, answered, error, reader = self._message()
            if answered != 1:
                continue
            if kind == _ERROR:
                raise ManagerRefused(what, reader.get("s") if reader.signature.startswith("s") else error)
            if kind == _RETURN:
                return reader.get("o")

    def wait_job(self, job: str) -> str:
        """The result of a job, once it is over; it may have been before the call was answered."""
        while job not in self._removed:
            self._message()
        return self._removed[job]

    def _message(self) -> "tuple[int, int, str, _Reader]":
        while len(self._buffer) < 16:
            self._more()
        endian, kind, _, _, body_size, _, fields_size = struct.unpack_from("<cBBBIII", self._buffer)
        start = 16 + (fields_size + 7) // 8 * 8
        if endian != b"l" or start + body_size > _MAX_MESSAGE:
            raise ManagerRefused("its answer", "cannot be read")
        while len(self._buffer) < start + body_size:
            self._more()
        data, self._buffer = self._buffer[: start + body_size], self._buffer[start + body_size :]
        fields: dict[int, str] = {}
        head = _Reader(data, 16)
        while head.at < 16 + fields_size:
            head.align(8)
            code = int(head.get("y"))
            fields[code] = head.get(head.get("g"))
        reader = _Reader(data, start, fields.get(8, ""))
        if kind == _SIGNAL and fields.get(3) == "JobRemoved":
            body = _Reader(data, start)
            _, job, _, result = body.get("u"), body.get("o"), body.get("s"), body.get("s")
            self._removed[job] = result
        return kind, int(fields.get(5, "0")), fields.get(4, ""), reader

    def _more(self) -> None:
        rest_s = self._deadline - monotonic()
        if rest_s <= 0:
            raise TimeoutError
        self._connection.settimeout(rest_s)
        data = self._connection.recv(65536)
        if not data:
            raise OSError("it closed the connection")
        self._buffer += data


class _Writer:
    """Marshals from offset 0."""

    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, size: int) -> None:
        self.data += bytes(-len(self.data) % size)

    def put(self, kind: str, value: Value) -> None:
        match kind:
            case "s" | "o":
                text = str(value).encode()
                self.put("u", len(text))
                self.data += text + b"\0"
            case "g":
                text = str(value).encode()
                self.data += bytes((len(text),)) + text + b"\0"
            case "au" | "as":
                assert isinstance(value, Sequence)
                items = value

                def write() -> None:
                    for item in items:
                        self.put(kind[1], item)

                self.array(4, write)
            case _:
                assert isinstance(value, int)
                self.align(_SIZES[kind])
                self.data += value.to_bytes(_SIZES[kind], "little")

    def variant(self, kind: str, value: Value) -> None:
        self.put("g", kind)
        self.put(kind, value)

    def array(self, alignment: int, write: Callable[[], object]) -> None:
        """The size of what `write` writes goes before it; padding to the first element is not counted."""
        self.put("u", 0)
        at = len(self.data) - 4
        self.align(alignment)
        start = len(self.data)
        write()
        self.data[at : at + 4] = (len(self.data) - start).to_bytes(4, "little")

    def properties(self, items: Sequence[Property]) -> None:
        """a(sv)"""

        def write() -> None:
            for name, kind, value in items:
                self.align(8)
                self.put("s", name)
                self.variant(kind, value)

        self.array(8, write)


class _Reader:
    """Unmarshals basic values; numbers come as texts, which is all that is needed of them."""

    def __init__(self, data: bytes, at: int, signature: str = "") -> None:
        self._data = data
        self.at = at
        self.signature = signature

    def align(self, size: int) -> None:
        self.at += -self.at % size

    def get(self, kind: str) -> str:
        if kind in ("s", "o"):
            return self._text(int(self.get("u")))
        if kind == "g":
            return self._text(int(self.get("y")))
        size = _SIZES[kind]
        self.align(size)
        value = int.from_bytes(self._data[self.at : self.at + size], "little")
        self.at += size
        return str(value)

    def _text(self, size: int) -> str:
        text = self._data[self.at : self.at + size].decode()
        self.at += size + 1
        return text
