"""What a command needs of a client. `Client` and `QuickClient` are two; commands do not care which."""

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self, TypeVar

from google.protobuf.message import Message

from kagectl.client.address import Address
from kagectl.client.methods import Stream, Unary

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class Line(Protocol):
    """A line to one daemon, for blocking programs. Methods as documented at `Client`."""

    address: Address
    timeout_s: float

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None: ...

    def call(self, method: Unary[Q, A], request: Q, *, timeout_s: float | None = None, repeat: bool = True) -> A: ...

    def stream(
        self, method: Stream[Q, A], request: Q, *, timeout_s: float | None = None, again: bool = False
    ) -> Iterator[A]: ...
