"""Claude Code, driven over standard input and output: `claude -p` with stream-json both ways. Pure.

Promises: questions of the control protocol (`can_use_tool`) become approvals and their answers are what it waits for;
every other request of its is refused at once, because it waits for those too; usage and cost are told once, whatever
mixture of messages and totals they come in. Lines of a kind that is not known are signals of their own.

    init -> turn.started ... assistant, user (tool results), can_use_tool ... result -> usage, turn.ended

With a goal the run is over when its turn ends, unless somebody interrupted the turn: then it waits for new words.
What we say to it is in `words.py`, what its lines mean in `hearing.py`. Not here: hooks, SDK tool servers, and file
checkpoints of its own.
"""

from typing import ClassVar, Literal

from kaged.adapters.claude_code import words
from kaged.adapters.claude_code.hearing import ClaudeHearing
from kaged.adapters.wire.hearing import MAX_LINE_BYTES
from kaged.adapters.wire.memory import Memory
from kaged.domain.assignment import UNASSIGNED, Assignment, Launch
from kaged.domain.signals import Ask, Fed
from kaged.ports import Measure


class ClaudeCodeAdapter:
    """See the module. `max_line_bytes` is smaller in tests only."""

    name: ClassVar[str] = "claude-code"
    listens: ClassVar[bool] = True
    default_stdin: ClassVar[Literal["null", "pipe"]] = "pipe"
    default_command: ClassVar[tuple[str, ...]] = ("claude",)
    measures: ClassVar[frozenset[Measure]] = frozenset({"turns", "tokens", "cost"})

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes

    def launch(self, task: Assignment) -> Launch:
        """The spec's command with what the protocol needs behind it; its own flags win."""
        opening = words.hello() + (words.prompt(task.words) if task.words else b"")
        return Launch(argv=words.arguments(task), environment=words.ENVIRONMENT, opening=opening)

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Understand whole lines."""
        return ClaudeHearing(state, task).feed(data, final=final, max_line_bytes=self._max_line_bytes)

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """The control response that it waits for."""
        return words.answer(ask, outcome, note)

    def message(self, text: str, *, session: str = "", number: int = 0) -> bytes:
        """A prompt; one that comes during a turn waits for its end."""
        return words.prompt(text)

    def interrupt(self, state: bytes, *, task: Assignment, number: int, expected: bool = False) -> bytes:
        """A control request; it takes back what it asked."""
        return words.interrupt(number) if Memory(state).flag("in_turn") else b""
