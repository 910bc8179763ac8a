"""Plain programs: their output is recorded as it is and means nothing to Kage. Pure.

Success is what the exit code says. Not here: questions to a person, for a plain program has no way to ask
them; `jsonl` is the smallest one that does.
"""

from typing import ClassVar, Literal

from kaged.domain.assignment import UNASSIGNED, Assignment, Launch
from kaged.domain.signals import Ask, Fed
from kaged.ports import Measure


class CommandAdapter:
    """Hears nothing."""

    name: ClassVar[str] = "command"
    listens: ClassVar[bool] = False
    default_stdin: ClassVar[Literal["null", "pipe"]] = "null"  # an idle open pipe hangs some programs
    default_command: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[frozenset[Measure]] = frozenset()

    def launch(self, task: Assignment) -> Launch:
        """The command as it is."""
        return Launch(argv=task.command)

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Take everything, understand nothing."""
        return Fed(state=state, consumed=len(data))

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """Nothing: it never asked."""
        return b""
