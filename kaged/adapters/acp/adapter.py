"""Any agent that speaks the Agent Client Protocol, version 1, over standard input and output. Pure.

    initialize -> session/new or session/load -> session/prompt -> updates, request_permission ... -> stopReason

Kage offers the agent no files and no terminal of its own: agents use theirs. What is said in pieces is joined, up to
some 2 KiB a signal. Options of a question are chosen by their kind, never by their id: once, not for always. A
session that is loaded is replayed by the agent; the replay is recorded as output and not heard again. The protocol
tells no turns and agents differ in what usage they tell (docs/agents.md).
"""

from typing import ClassVar, Literal

from kaged.adapters.acp import words
from kaged.adapters.acp.hearing import AcpHearing
from kaged.adapters.wire import fields, json_rpc
from kaged.adapters.wire.hearing import MAX_LINE_BYTES
from kaged.adapters.wire.memory import Memory
from kaged.domain.assignment import UNASSIGNED, Assignment, Launch
from kaged.domain.signals import Ask, Fed
from kaged.ports import Measure


class AcpAdapter:
    """See the module. `max_line_bytes` is smaller in tests only."""

    name: ClassVar[str] = "acp"
    listens: ClassVar[bool] = True
    default_stdin: ClassVar[Literal["null", "pipe"]] = "pipe"
    default_command: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[frozenset[Measure]] = frozenset({"turns"})

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes

    def launch(self, task: Assignment) -> Launch:
        """The command as it is, and the greeting."""
        return Launch(argv=task.command, opening=words.hello())

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Understand whole lines."""
        return AcpHearing(state, task).feed(data, final=final, max_line_bytes=self._max_line_bytes)

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """The option that the question's key names; `cancelled` where the agent offered none of that kind."""
        parts = json_rpc.parts_of(ask.key)
        given = parts[0] if parts else None
        option = parts[1 if outcome == "approved" else 2] if len(parts) == 3 else None
        return words.selected(given, option)

    def message(self, text: str, *, session: str = "", number: int = 0) -> bytes:
        """A prompt in the session; there is none before it."""
        return words.rpc_line(words.prompt(session, text, json_rpc.PROMPT + 1 + number)) if session else b""

    def interrupt(self, state: bytes, *, task: Assignment, number: int, expected: bool = False) -> bytes:
        """`session/cancel`, and what the protocol asks of a client with it: all open questions are cancelled."""
        memory = Memory(state)
        session = memory.word("session")
        if not session or not (expected or memory.flag("in_turn")):
            return b""
        keys = (json_rpc.parts_of(fields.as_text(key)) for key in memory.map("asks").values())
        return words.cancel(session) + b"".join(words.selected(parts[0], None) for parts in keys if parts)
