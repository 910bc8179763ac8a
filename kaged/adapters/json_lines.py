"""What adapters of line protocols share: JSON objects a line in, remembered state in and out. Pure.

A subclass of `Hearing` says what an object means (`understand`). A line that is no object is heard as `garbled`, and
so is one of which `understand` cannot make sense (ValueError): nothing is kept of it. Not here: any protocol.
"""

import json
from collections.abc import Mapping
from typing import Final, Literal

from kaged.adapters import fields
from kaged.adapters.clipping import Json, clip_json_text, clip_text, readable
from kaged.adapters.fields import Line
from kaged.adapters.lines import cut_lines
from kaged.domain.assignment import Assignment
from kaged.domain.signals import Ask, Fed, Heard, Signal, SignalKind, Unask

MAX_LINE_BYTES: Final = 16 << 20  # a question may carry the whole file that the agent wants to write
MAX_TURN: Final = 2**32 - 1  # what an event can hold
_MAX_MAP_BYTES: Final = {"calls": 2 << 10, "asks": 1 << 10}  # of the 8 KiB of a state
_MAX_PIECES_BYTES: Final = 2 << 10


def line(value: Mapping[str, Json]) -> bytes:
    """One object as a line. ASCII: safe under any locale."""
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


class Memory:
    """What is kept between two pieces of output: a few values by name, open calls, and questions by their id.

    One that we did not write is as good as none: hearing goes on, counting begins anew.
    """

    def __init__(self, state: bytes) -> None:
        try:
            self._values = dict(fields.parsed(state)) if state else {}
        except (ValueError, RecursionError):
            self._values = {}

    def count(self, name: str, most: int = fields.MAX_COUNT) -> int:
        """A whole number; 0 if it was never kept."""
        return fields.count(self._values, name, most)

    def flag(self, name: str) -> bool:
        """Whether it is set."""
        return self._values.get(name) is True

    def word(self, name: str) -> str:
        """A text of at most 256 bytes; empty if it was never kept."""
        return fields.word(self._values, name)

    def keep(self, name: str, value: int | bool | str) -> None:
        """Remember it; nothing, 0 and False take no room."""
        if value:
            self._values[name] = value
        else:
            self._values.pop(name, None)

    def add(self, name: Literal["calls", "asks"], key: str, value: str) -> None:
        """Remember a text under a key; of too many the oldest are forgotten."""
        known = self.map(name)
        known.pop(key, None)
        known[key] = value
        while len(json.dumps(known)) > _MAX_MAP_BYTES[name]:
            del known[next(iter(known))]
        self._values[name] = known

    def drop(self, name: Literal["calls", "asks"], key: str) -> str:
        """Forget a text and tell what it was; empty if it is not known."""
        known = self.map(name)
        if key not in known:
            return ""
        value = fields.as_text(known.pop(key))
        if known:
            self._values[name] = known
        else:
            del self._values[name]
        return value

    def map(self, name: str) -> dict[str, Json]:
        """All texts under their keys."""
        known = self._values.get(name)
        return dict(known) if isinstance(known, dict) else {}

    def text(self, name: str) -> str:
        """A text as it was kept; empty if it was not."""
        value = self._values.get(name)
        return value if isinstance(value, str) else ""

    def as_bytes(self) -> bytes:
        """The state; empty as long as nothing is remembered."""
        if not self._values:
            return b""
        return json.dumps(self._values, separators=(",", ":"), sort_keys=True).encode("ascii")

    def copy(self) -> dict[str, Json]:
        """All values, to go back to."""
        return dict(self._values)

    def restore(self, values: dict[str, Json]) -> None:
        """Go back."""
        self._values = values


class Hearing:
    """One call of `feed`: lines in, signals and answers out."""

    def __init__(self, state: bytes, task: Assignment) -> None:
        self.memory = Memory(state)
        self.task = task
        self.signals: list[Signal] = []
        self.sends: list[bytes] = []
        self.done = False

    def understand(self, message: Line) -> bool:
        """Take one object; False: it is of no kind that is known here."""
        raise NotImplementedError

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
        heard, sent, kept = len(self.signals), len(self.sends), self.memory.copy()
        try:
            message = fields.parsed(raw)
            if not self.understand(message):
                self.hear("unknown", text=self.kind_of(message), data_json=clip_json_text(raw.decode().strip()))
        except (ValueError, RecursionError):  # RecursionError: thousands of nested brackets
            del self.signals[heard:], self.sends[sent:]  # heard whole or not at all
            self.memory.restore(kept)
            self.hear("garbled", text=readable(raw))

    # --- telling -----------------------------------------------------------------------------------------------

    @property
    def turn(self) -> int:
        """Number of the turn; 0 before the first. Turns of the agent's earlier runs count."""
        return max(self.memory.count("turn", MAX_TURN), min(self.task.turns, MAX_TURN))

    def session(self, native: str, about: str = "") -> None:
        """The agent's own session is known. Told once for each."""
        if native and native != self.memory.word("session"):
            self.hear("session.started", native_session=native, data_json=about)
            self.memory.keep("session", native)

    def turn_begins(self, data_json: str = "") -> None:
        """A new turn, whatever became of the one before."""
        self.memory.keep("turn", min(self.turn + 1, MAX_TURN))
        self.memory.keep("in_turn", True)
        self.hear("turn.started", data_json=data_json)

    def turn_ends(self, outcome: str, text: str = "", data_json: str = "") -> None:
        """The end of a turn; one whose beginning was not told has one nevertheless."""
        if not self.memory.flag("in_turn"):
            self.memory.keep("turn", min(self.turn + 1, MAX_TURN))
        self.memory.keep("in_turn", False)
        self.hear("turn.ended", outcome=outcome, text=text, data_json=data_json)

    def turn_over(self, outcome: str) -> None:
        """What the end of a turn means for the run: with a goal it is done, unless somebody has other words for it."""
        self.done = self.done or (bool(self.task.goal) and not self.task.loop and outcome != "cancelled")

    def piece(self, kind: Literal["message", "thinking"], text: str, said: str) -> None:
        """A part of something said, under the agent's id for it. Parts are joined, up to some 2 KiB."""
        memory = self.memory
        mark = f"{kind} {said}"
        if memory.text("pieces") and mark != memory.text("piece_of"):
            self.speak()
        joined = memory.text("pieces") + clip_text(text)
        memory.keep("piece_of", clip_text(mark, 300))
        memory.keep("pieces", joined)
        if len(json.dumps(joined)) > _MAX_PIECES_BYTES:
            self.speak()

    def speak(self) -> None:
        """Tell what was gathered."""
        memory = self.memory
        if text := memory.text("pieces"):
            self.hear("thinking" if memory.text("piece_of").startswith("thinking") else "message", text=clip_text(text))
        memory.keep("pieces", "")
        memory.keep("piece_of", "")

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
    ) -> None:
        """A signal of the turn that is on."""
        self.signals.append(
            Heard(
                kind=kind, turn=self.turn, text=text, data_json=data_json, tool=tool, call=call, outcome=outcome,
                native_session=native_session, parent=parent, resets_us=resets_us,
            )
        )  # fmt: skip
