"""One call of an adapter's `feed`: JSON objects a line in, signals, answers and remembered state out. Pure.

A subclass of `Hearing` says what an object means (`understand`). A line that is no object is heard as `garbled`, and
so is one of which `understand` cannot make sense (ValueError): nothing is kept of it. Not here: any protocol.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal

from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json, clip_json, clip_json_text, clip_text, readable
from kaged.adapters.wire.fields import Line
from kaged.adapters.wire.lines import cut_lines
from kaged.adapters.wire.memory import Memory
from kaged.domain.assignment import Assignment
from kaged.domain.signals import FAILED_TURNS, Ask, FailureWord, Fed, Heard, Signal, SignalKind, Unask

MAX_LINE_BYTES: Final = 16 << 20  # a question may carry the whole file that the agent wants to write
MAX_TURN: Final = 2**32 - 1  # what an event can hold
_MAX_PIECES_BYTES: Final = 2 << 10
_compact: Final = json.JSONEncoder(separators=(",", ":")).encode


def as_line(value: Mapping[str, Json]) -> bytes:
    """One object as a line. ASCII: safe under any locale."""
    return _compact(value).encode("ascii") + b"\n"


class Hearing(ABC):
    """See the module. `done` is what `Fed.done` will be."""

    earlier_turns_count: ClassVar[bool] = True  # whether turns go on from those of the agent's earlier runs

    def __init__(self, state: bytes, task: Assignment) -> None:
        self.memory = Memory(state)
        self.task = task
        self.signals: list[Signal] = []
        self.sends: list[bytes] = []
        self.done = False

    @abstractmethod
    def understand(self, message: Line) -> bool:
        """Take one object; False: it is of no kind that is known here. ValueError: nothing can be made of it."""

    def kind_of(self, message: Line) -> str:
        """A word for an object that is not known."""
        return fields.word(message, "type")

    def feed(self, data: bytes, *, final: bool, max_line_bytes: int) -> Fed:
        """All of it."""
        memory = self.memory
        cut = cut_lines(data, in_long_line=memory.flag("long"), max_line_bytes=max_line_bytes, final=final)
        for raw, whole in cut.lines:
            if not whole:
                self.hear("garbled", text=readable(raw))
            elif raw.strip():
                self._line(raw)
        if final:
            self.speak()
        memory.keep("long", cut.in_long_line)
        return Fed(
            state=memory.as_bytes(),
            consumed=cut.consumed,
            signals=tuple(self.signals),
            sends=b"".join(self.sends),
            done=self.done,
        )

    def _line(self, raw: bytes) -> None:
        heard, sent, done = len(self.signals), len(self.sends), self.done
        self.memory.mark()
        try:
            message = fields.parsed(raw)
            if not self.understand(message):
                self.hear("unknown", text=self.kind_of(message), data_json=clip_json_text(raw.decode().strip()))
        except (ValueError, RecursionError):  # RecursionError: thousands of nested brackets
            del self.signals[heard:], self.sends[sent:]  # heard whole or not at all
            self.done = done
            self.memory.go_back()
            self.hear("garbled", text=readable(raw))

    # --- telling -----------------------------------------------------------------------------------------------

    @property
    def turn(self) -> int:
        """Number of the turn; 0 before the first."""
        heard = self.memory.count("turn", MAX_TURN)
        return max(heard, min(self.task.turns, MAX_TURN)) if self.earlier_turns_count else heard

    def session(self, native: str, about: str = "") -> None:
        """The agent's own session is known. Told once for each."""
        if native and native != self.memory.word("session"):
            self.hear("session.started", native_session=native, data_json=about)
            self.memory.keep("session", native)

    def turn_begins(self, data_json: str = "", text: str = "") -> None:
        """A new turn, whatever became of the one before."""
        self.memory.keep("turn", min(self.turn + 1, MAX_TURN))
        self.memory.keep("in_turn", True)
        self.hear("turn.started", text=text, data_json=data_json)

    def turn_ends(self, outcome: str, text: str = "", data_json: str = "", failure: FailureWord = "") -> None:
        """The end of a turn; one whose beginning was not told has one nevertheless. `failure`: why, if it failed."""
        if not self.memory.flag("in_turn"):
            self.memory.keep("turn", min(self.turn + 1, MAX_TURN))
        self.memory.keep("in_turn", False)
        failure = failure if outcome in FAILED_TURNS else ""
        self.hear("turn.ended", outcome=outcome, text=text, data_json=data_json, failure=failure)

    def turn_over(self, outcome: str) -> None:
        """What the end of a turn means for the run: with a goal it is done, unless somebody has other words for it."""
        self.done = self.done or (bool(self.task.goal) and not self.task.loop and outcome != "cancelled")

    def planned(self, steps: Sequence[Mapping[str, Json]], parent: str = "") -> None:
        """The whole plan: steps with their `text`, whether they are `done`, and what else was told of them."""
        lines = [f"[{'x' if step['done'] else ' '}] {step['text']}" for step in steps]
        told: list[Json] = [dict(step) for step in steps]
        self.hear("plan", text=clip_text("\n".join(lines)), data_json=clip_json(told), parent=parent)

    def piece(self, kind: Literal["message", "thinking"], text: str, said: str) -> None:
        """A part of something said, under the agent's id for it. Parts are joined, up to some 2 KiB."""
        memory = self.memory
        mark = clip_text(f"{kind} {said}", 300)
        if memory.text("pieces") and mark != memory.text("piece_of"):
            self.speak()
        piece = clip_text(text)
        size = (memory.count("pieces_bytes") or 2) + len(json.dumps(piece)) - 2  # as they stand in the state
        memory.keep("piece_of", mark)
        memory.keep("pieces", memory.text("pieces") + piece)
        memory.keep("pieces_bytes", size)
        if size > _MAX_PIECES_BYTES:
            self.speak()

    def speak(self) -> None:
        """Tell what was gathered."""
        memory = self.memory
        if text := memory.text("pieces"):
            self.hear("thinking" if memory.text("piece_of").startswith("thinking") else "message", text=clip_text(text))
        for name in ("pieces", "piece_of", "pieces_bytes"):
            memory.keep(name, "")

    def ask(self, ask: Ask) -> None:
        """A question that can be given back."""
        self.signals.append(ask)

    def unask(self, key: str) -> None:
        """It is not needed any more."""
        if key:
            self.signals.append(Unask(key=key))

    def used(self, *, input_tokens: int, output_tokens: int, cost_microusd: int = 0, parent: str = "") -> None:
        """Usage since it was last told; nothing for nothing."""
        if input_tokens or output_tokens or cost_microusd:
            self.signals.append(
                Heard(
                    kind="usage",
                    turn=self.turn,
                    input_tokens=input_tokens,
                    output_tokens=output_tokens,
                    cost_microusd=cost_microusd,
                    parent=parent,
                )
            )

    def hear(
        self,
        kind: SignalKind,
        *,
        text: str = "",
        data_json: str = "",
        tool: str = "",
        call: str = "",
        outcome: str = "",
        native_session: str = "",
        parent: str = "",
        resets_us: int = 0,
        failure: FailureWord = "",
    ) -> None:
        """A signal of the turn that is on."""
        self.signals.append(
            Heard(
                kind=kind, turn=self.turn, text=text, data_json=data_json, tool=tool, call=call, outcome=outcome,
                native_session=native_session, parent=parent, resets_us=resets_us, failure=failure,
            )
        )  # fmt: skip
