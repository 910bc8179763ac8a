"""Codex, driven through `codex app-server`: JSON-RPC a line, without the "jsonrpc" member. Pure.

    initialize -> thread/start or thread/resume -> turn/start -> ... approvals ... -> turn/completed

What it may do without asking is its own configuration's to say (`-c approval_policy=...`); each request for approval
becomes one of Kage's. Codex tells tokens and no money. A refusal carries no words to it: the note of who refused is
in the journal only. With a goal the run is over when its turn ends, unless somebody interrupted it.
"""

from typing import ClassVar, Literal

from kaged.adapters.codex import questions, words
from kaged.adapters.codex.hearing import CodexHearing
from kaged.adapters.wire import json_rpc
from kaged.adapters.wire.hearing import MAX_LINE_BYTES, as_line
from kaged.adapters.wire.memory import Memory
from kaged.domain.assignment import UNASSIGNED, Assignment, Launch
from kaged.domain.signals import Ask, Fed
from kaged.ports import Measure


class CodexAdapter:
    """See the module. `max_line_bytes` is smaller in tests only."""

    name: ClassVar[str] = "codex"
    listens: ClassVar[bool] = True
    default_stdin: ClassVar[Literal["null", "pipe"]] = "pipe"
    default_command: ClassVar[tuple[str, ...]] = ("codex", "app-server")
    measures: ClassVar[frozenset[Measure]] = frozenset({"turns", "tokens"})

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes

    def launch(self, task: Assignment) -> Launch:
        """The command as it is, and the greeting."""
        return Launch(argv=task.command, opening=words.hello())

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Understand whole lines."""
        return CodexHearing(state, task).feed(data, final=final, max_line_bytes=self._max_line_bytes)

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """The response that it waits for, in the form that the question's key names."""
        return as_line(questions.answered(ask.key, yes=outcome == "approved", note=note))

    def message(self, text: str, *, session: str = "", number: int = 0) -> bytes:
        """A prompt in the session; there is none before it."""
        return as_line(words.turn(session, text, json_rpc.PROMPT + 1 + number)) if session else b""

    def interrupt(self, state: bytes, *, task: Assignment, number: int, expected: bool = False) -> bytes:
        """`turn/interrupt` with the turn's own id; it takes back what it asked."""
        memory = Memory(state)
        thread, turn = memory.word("session"), memory.word("native_turn")
        if not (memory.flag("in_turn") and thread and turn):
            return b""
        return words.interrupt(thread, turn, number)
