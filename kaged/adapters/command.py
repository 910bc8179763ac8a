"""Plain programs: their output is recorded as it is and means nothing to Kage. Pure.

Success is what the exit code says. Not here: questions to a person, for a plain program has no way to ask
them; `jsonl` is the smallest one that does.
"""

from typing import ClassVar, Literal

from kaged.domain.signals import Fed


class CommandAdapter:
    """Hears nothing."""

    name: ClassVar[str] = "command"
    listens: ClassVar[bool] = False
    default_stdin: ClassVar[Literal["null", "pipe"]] = "null"  # an idle open pipe hangs some programs

    def feed(self, state: bytes, data: bytes, *, final: bool) -> Fed:
        """Take everything, understand nothing."""
        return Fed(state=state, consumed=len(data))

    def answer(self, key: str, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """Nothing: it never asked."""
        return b""


PROVIDES = (CommandAdapter,)
