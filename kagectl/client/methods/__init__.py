"""The daemon's methods as values: a path and the shapes of its two ends, typed.

One module for each service, so that a program loads only the messages it uses. `Client` and `AsyncClient`
take these values alike. Whether a call may be repeated is not said here: a request with a `request_id`
always may, and so may every read.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

PACKAGE = "/kaged.api.v1."


@dataclass(frozen=True, slots=True)
class Unary(Generic[Q, A]):
    """One question, one answer. `path` is `Service/Method`."""

    path: str
    request: type[Q]
    answer: type[A]

    @property
    def full_path(self) -> str:
        return PACKAGE + self.path


@dataclass(frozen=True, slots=True)
class Stream(Generic[Q, A]):
    """One question, answers that keep coming."""

    path: str
    request: type[Q]
    answer: type[A]

    @property
    def full_path(self) -> str:
        return PACKAGE + self.path
