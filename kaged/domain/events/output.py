"""Facts about the output of a run: held and released, recorded, given up, and understood.

What is a `CaptureEvent` is no part of an agent's state, but of where its run was read to.
"""

from typing import ClassVar, Literal, TypeAlias

from kaged.domain.frozen import frozen


@frozen
class OutputHeld:
    """More output waits to be recorded than may: the agent blocks in its writes. `number` is odd, and grows."""

    type_name: ClassVar[str] = "output.held"

    run: str
    number: int
    limit: str
    waiting_bytes: int
    limit_bytes: int
    since_us: int


@frozen
class OutputReleased:
    """There has been room for a while. `number` is even; `held_us`: how long it was held in all."""

    type_name: ClassVar[str] = "output.released"

    run: str
    number: int
    held_us: int


@frozen
class Mask:
    """A secret overwritten in place."""

    offset: int
    length: int
    rule: str


@frozen
class OutputChunk:
    """Some bytes of output. `stdout_end` and `stderr_end` say where the run was read to after this event."""

    type_name: ClassVar[str] = "output.chunk"

    run: str
    channel: Literal["out", "err"]
    offset: int
    stdout_end: int
    stderr_end: int
    masks: tuple[Mask, ...]
    data: bytes  # text


@frozen
class OutputTruncated:
    """A spool is shorter than what was read of it."""

    type_name: ClassVar[str] = "output.truncated"

    run: str
    channel: Literal["out", "err"]
    expected: int
    found: int
    stdout_end: int = 0  # where both streams stand after this event; 0 in events of the first releases
    stderr_end: int = 0


@frozen
class OutputDropped:
    """Bytes that waited to be recorded were given up, `start` to `end`, because `limit` was reached."""

    type_name: ClassVar[str] = "output.dropped"

    run: str
    channel: Literal["out", "err"]
    start: int
    end: int
    stdout_end: int
    stderr_end: int
    limit: str


@frozen
class RunRead:
    """The adapter has understood the output up to here."""

    type_name: ClassVar[str] = "run.read"

    run: str
    stdout_parsed: int
    stderr_parsed: int
    adapter_state: bytes


CaptureEvent: TypeAlias = OutputChunk | OutputTruncated | OutputDropped | RunRead
