"""What adapters of line protocols share: JSON objects a line in, remembered state in and out. Pure.

A subclass of `Hearing` says what an object means (`understand`). A line that is no object is heard as `garbled`, and
so is one of which `understand` cannot make sense (ValueError): nothing is kept of it. Not here: any protocol.
"""

import json
from collections.abc import Mapping
from typing import Final

from kaged.adapters import fields
from kaged.adapters.clipping import Json, clip_json_text, readable
from kaged.adapters.fields import Line
from kaged.adapters.lines import cut_lines
from kaged.domain.assignment import Assignment
from kaged.domain.signals import Ask, Fed, Heard, Signal, SignalKind, Unask

MAX_LINE_BYTES: Final = 16 << 20  # a question may carry the whole file that the agent wants to write
MAX_TURN: Final = 2**32 - 1  # what an event can hold
_MAX_CALLS_BYTES: Final = 4 << 10


def line(value: Mapping[str, Json]) -> bytes:
    """One object as a line. ASCII: safe under any locale."""
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


class Memory:
    """What is kept between two pieces of output: a few values by name, and the names of the tools of open calls.

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

    def call_began(self, call: str, tool: str) -> None:
        """Remember the tool of a call; of too many the oldest are forgotten."""
        calls = {**self._calls(), call: tool}
        while len(json.dumps(calls)) > _MAX_CALLS_BYTES:
            del calls[next(iter(calls))]
        self._values["calls"] = calls

    def call_tool(self, call: str, *, ended: bool) -> str:
        """The tool of a call; empty if it is not known. `ended`: forget it."""
        calls = self._calls()
        tool = fields.word(calls, call)
        if ended and call in calls:
            del calls[call]
            self._values["calls"] = calls
            if not calls:
                del self._values["calls"]
        return tool

    def _calls(self) -> dict[str, Json]:
        calls = self._values.get("calls")
        return dict(calls) if isinstance(calls, dict) else {}

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

    def turn_begins(self, text: str = "") -> None:
        """A new turn, whatever became of the one before."""
        self.memory.keep("turn", min(self.turn + 1, MAX_TURN))
        self.memory.keep("in_turn", True)
        self.hear("turn.started", text=text)

    def turn_ends(self, outcome: str, text: str = "", data_json: str = "") -> None:
        """The end of a turn; one whose beginning was not told has one nevertheless."""
        if not self.memory.flag("in_turn"):
            self.memory.keep("turn", min(self.turn + 1, MAX_TURN))
        self.memory.keep("in_turn", False)
        self.hear("turn.ended", outcome=outcome, text=text, data_json=data_json)

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
