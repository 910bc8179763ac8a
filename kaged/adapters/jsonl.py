"""Any script that prints one JSON object a line: the protocol of docs/jsonl-protocol.md, version 1. Pure.

Promises: every line becomes a few signals at most, in order; any chunking of the same bytes gives the same
signals, the same state and the same answers; nothing that an agent prints raises. What is no JSON object is heard
as `garbled`, an object of a type that is not known here as `unknown` with its line, so a newer agent loses nothing
under an older Kage. A question that cannot be given back (it has no usable id) is denied on the spot: an agent that
waits for an answer must get one. A line of more than 1 MiB is heard as garbled pieces.

The state is the turn counter and whether a too long line is being skipped. Which questions are open is not in
it, on purpose: answers do not pass through here, so it could only be wrong.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from kaged.adapters import fields
from kaged.adapters.clipping import Json, clip_json, clip_json_text, clip_text, readable
from kaged.adapters.fields import Line
from kaged.adapters.lines import cut_lines
from kaged.domain.assignment import UNASSIGNED, Assignment, Launch
from kaged.domain.frozen import frozen
from kaged.domain.signals import Ask, Fed, Heard, Signal, SignalKind, Unask
from kaged.ports import Measure

VERSION: Final = 1
MAX_LINE_BYTES: Final = 1 << 20
_MAX_TURN: Final = 2**32 - 1  # what an event can hold
_NO_ID: Final = f"Kage needs an id that is a text of 1 to {fields.MAX_KEY_BYTES} bytes"


class JsonlAdapter:
    """See the module. `max_line_bytes` is smaller in tests only."""

    name: ClassVar[str] = "jsonl"
    listens: ClassVar[bool] = True
    default_stdin: ClassVar[Literal["null", "pipe"]] = "pipe"
    default_command: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[frozenset[Measure]] = frozenset({"turns", "tokens", "cost"})

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes

    def launch(self, task: Assignment) -> Launch:
        """The command as it is; the goal is in its environment."""
        return Launch(argv=task.command)

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Understand whole lines; at the end also the one that has no newline."""
        hearing = _Hearing(_remembered(state))
        cut = cut_lines(
            data, in_long_line=hearing.memory.in_long_line, max_line_bytes=self._max_line_bytes, final=final
        )
        for raw, whole in cut.lines:
            if whole:
                hearing.line(raw)
            else:
                hearing.piece(raw)
        return Fed(
            state=_as_bytes(replace(hearing.memory, in_long_line=cut.in_long_line)),
            consumed=cut.consumed,
            signals=tuple(hearing.signals),
            sends=b"".join(hearing.sends),
        )

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """One `approval.answer` line."""
        return _line({"type": "approval.answer", "id": ask.key, "outcome": outcome, "note": note})

    @staticmethod
    def message(text: str, *, session: str = "", number: int = 0) -> bytes:
        """One `message` line: what a user says to the agent."""
        return _line({"type": "message", "text": text})

    def interrupt(self, state: bytes, *, task: Assignment, number: int, expected: bool = False) -> bytes:
        """One `interrupt` line; scripts that do not know it go on."""
        return _line({"type": "interrupt"}) if expected or _remembered(state).in_turn else b""


@frozen
class _Memory:
    """What is kept between two pieces of output."""

    turn: int = 0
    in_turn: bool = False
    in_long_line: bool = False


_FRESH: Final = _Memory()


def _remembered(state: bytes) -> _Memory:
    """The memory in a state. One that we did not write is as good as none: hearing goes on, counting begins anew."""
    try:
        stored = fields.parsed(state or b"{}")
    except (ValueError, RecursionError):
        return _FRESH
    return _Memory(
        turn=fields.count(stored, "turn", _MAX_TURN),
        in_turn=stored.get("in_turn") is True,
        in_long_line=stored.get("in_long_line") is True,
    )


def _as_bytes(memory: _Memory) -> bytes:
    if memory == _FRESH:
        return b""
    stored = {"turn": memory.turn, "in_turn": memory.in_turn, "in_long_line": memory.in_long_line}
    return json.dumps(stored, separators=(",", ":")).encode("ascii")


def _line(value: dict[str, Json]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"  # ASCII: safe under any locale


class _Hearing:
    """One call of `feed`: lines in, signals and answers out."""

    def __init__(self, memory: _Memory) -> None:
        self.memory = memory
        self.signals: list[Signal] = []
        self.sends: list[bytes] = []

    def piece(self, raw: bytes) -> None:
        """A part of a line that is too long to be understood."""
        self.signals.append(self._heard("garbled", text=readable(raw)))

    def line(self, raw: bytes) -> None:
        """A line without its newline."""
        if raw.strip():
            try:
                self._object(fields.parsed(raw), raw)
            except (ValueError, RecursionError):  # RecursionError: thousands of nested brackets
                self.signals.append(self._heard("garbled", text=readable(raw)))

    def _object(self, line: Line, raw: bytes) -> None:
        kind = line.get("type")
        understand = _TYPES.get(kind) if isinstance(kind, str) else None
        if understand is None:
            whole = clip_json_text(raw.decode().strip())
            self.signals.append(self._heard("unknown", text=fields.word(line, "type"), data_json=whole))
        else:
            understand(self, line)

    # Each of these computes everything that can fail before it keeps anything: a line is heard whole or not at all.

    def session(self, line: Line) -> None:
        """session {version, id}"""
        version = line.get("version", VERSION)
        spelling = clip_json(version, 64)
        self.signals.append(self._heard("session.started", native_session=fields.word(line, "id")))
        if version != VERSION:
            self.signals.append(self._heard("error", text=f"the agent speaks jsonl {spelling}, Kage speaks {VERSION}"))

    def turn_started(self, line: Line) -> None:
        """turn.started {text}"""
        text = fields.text(line, "text")
        self._next_turn()
        self.signals.append(self._heard("turn.started", text=text))

    def turn_ended(self, line: Line) -> None:
        """turn.ended {outcome, error}"""
        error = fields.text(line, "error")
        outcome = fields.word(line, "outcome") or ("error" if error else "ok")
        if not self.memory.in_turn:
            self._next_turn()  # an agent that tells only the ends has turns as well
        self.memory = replace(self.memory, in_turn=False)
        self.signals.append(self._heard("turn.ended", outcome=outcome, text=error))

    def _next_turn(self) -> None:
        self.memory = replace(self.memory, turn=min(self.memory.turn + 1, _MAX_TURN), in_turn=True)

    def plan(self, line: Line) -> None:
        """plan {items: [{text, done}]}"""
        steps: list[Json] = []
        words: list[str] = []
        for item in fields.items(line, "items"):
            text = fields.text(item, "text") if isinstance(item, dict) else fields.as_text(item)
            done = isinstance(item, dict) and item.get("done") is True
            steps.append({"text": text, "done": done})
            words.append(f"[{'x' if done else ' '}] {text}")
        self.signals.append(self._heard("plan", text=clip_text("\n".join(words)), data_json=clip_json(steps)))

    def tool_started(self, line: Line) -> None:
        """tool.started {id, tool, input}"""
        call, tool = fields.word(line, "id"), fields.word(line, "tool")
        self.signals.append(self._heard("tool.started", call=call, tool=tool, data_json=fields.data(line, "input")))

    def tool_finished(self, line: Line) -> None:
        """tool.finished {id, tool, outcome, output}"""
        plain = isinstance(line.get("output"), str)
        self.signals.append(
            self._heard(
                "tool.finished",
                call=fields.word(line, "id"),
                tool=fields.word(line, "tool"),
                outcome=fields.word(line, "outcome") or "ok",
                text=fields.text(line, "output") if plain else "",
                data_json="" if plain else fields.data(line, "output"),
            )
        )

    def usage(self, line: Line) -> None:
        """usage {input_tokens, output_tokens, cost_usd}: what was used since the last one"""
        self.signals.append(
            Heard(
                kind="usage",
                turn=self.memory.turn,
                input_tokens=fields.count(line, "input_tokens"),
                output_tokens=fields.count(line, "output_tokens"),
                cost_microusd=fields.microusd(line, "cost_usd"),
            )
        )

    def approval_request(self, line: Line) -> None:
        """approval.request {id, title, tool, input, why, timeout_s}"""
        ask = Ask(
            key=fields.key(line, "id"),
            kind="action",
            title=fields.text(line, "title"),
            tool=fields.word(line, "tool"),
            data_json=fields.data(line, "input"),
            why=fields.text(line, "why"),
            timeout_s=fields.seconds(line, "timeout_s"),
        )
        self._ask(ask, line)

    def question(self, line: Line) -> None:
        """question {id, text, choices, why, timeout_s}"""
        choices: list[Json] = [fields.as_text(choice) for choice in fields.items(line, "choices")]
        ask = Ask(
            key=fields.key(line, "id"),
            kind="question",
            title=fields.text(line, "text"),
            data_json=clip_json({"choices": choices}) if choices else "",
            why=fields.text(line, "why"),
            timeout_s=fields.seconds(line, "timeout_s"),
        )
        self._ask(ask, line)

    def _ask(self, ask: Ask, line: Line) -> None:
        if ask.key:
            self.signals.append(ask)
            return
        shown = line.get("id")
        shown = shown if isinstance(shown, (bool, int, float)) else None
        self.sends.append(_line({"type": "approval.answer", "id": shown, "outcome": "denied", "note": _NO_ID}))
        what = clip_text(ask.title or ask.tool or ask.kind, 1 << 10)
        self.signals.append(self._heard("error", text=f"denied at once: {what}. {_NO_ID}"))

    def withdraw(self, line: Line) -> None:
        """approval.withdraw {id}"""
        if not (key := fields.key(line, "id")):
            raise ValueError(_NO_ID)
        self.signals.append(Unask(key=key))

    def say(self, line: Line, kind: SignalKind) -> None:
        """For the types that carry a text and nothing else."""
        self.signals.append(self._heard(kind, text=fields.text(line, "text")))

    def _heard(
        self,
        kind: SignalKind,
        *,
        text: str = "",
        data_json: str = "",
        tool: str = "",
        call: str = "",
        outcome: str = "",
        native_session: str = "",
    ) -> Heard:
        return Heard(
            kind=kind, turn=self.memory.turn, text=text, data_json=data_json, tool=tool,
            call=call, outcome=outcome, native_session=native_session,
        )  # fmt: skip


_TYPES: Final[Mapping[str, Callable[[_Hearing, Line], None]]] = MappingProxyType(
    {
        "session": _Hearing.session,
        "turn.started": _Hearing.turn_started,
        "turn.ended": _Hearing.turn_ended,
        "message": lambda hearing, line: hearing.say(line, "message"),
        "thinking": lambda hearing, line: hearing.say(line, "thinking"),
        "plan": _Hearing.plan,
        "tool.started": _Hearing.tool_started,
        "tool.finished": _Hearing.tool_finished,
        "usage": _Hearing.usage,
        "progress": lambda hearing, line: hearing.say(line, "progress"),
        "approval.request": _Hearing.approval_request,
        "question": _Hearing.question,
        "approval.withdraw": _Hearing.withdraw,
        "error": lambda hearing, line: hearing.say(line, "error"),
        "log": lambda hearing, line: hearing.say(line, "log"),
    }
)

PROVIDES = (JsonlAdapter,)
